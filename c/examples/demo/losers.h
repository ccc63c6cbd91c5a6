/*
 * A tree of losers, which merges many sorted sources: the least word that is next in one of them wins, and each node has who
 * lost there.
 */
#ifndef DEMO_LOSERS_H
#define DEMO_LOSERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node {
    uint64_t word;
    size_t source;
};

/* `tree` has room for twice as many nodes as there are sources, of which the second half are the sources and what is next in
 * each. Returns who wins below `place`; the winner of all is that of place 1. */
static inline struct node losers_play(struct node *tree, size_t count, size_t place)
{
    if (place >= count)
        return tree[place];
    const struct node a = losers_play(tree, count, 2 * place);
    const struct node b = losers_play(tree, count, 2 * place + 1);
    tree[place] = b.word < a.word ? a : b;
    return b.word < a.word ? b : a;
}

/* Another word of the winner's source goes the way up that the last one went. */
static inline struct node losers_replay(struct node *tree, size_t count, struct node winner)
{
    for (size_t place = (winner.source + count) / 2; place > 0; place /= 2) {
        const struct node other = tree[place];
        const bool loses = other.word < winner.word;
        tree[place].word = loses ? winner.word : other.word;
        tree[place].source = loses ? winner.source : other.source;
        winner.word = loses ? other.word : winner.word;
        winner.source = loses ? other.source : winner.source;
    }
    return winner;
}

#endif
