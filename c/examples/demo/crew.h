/*
 * Threads that do the same with different things, while who waits for them shows how far they are.
 */
#ifndef DEMO_CREW_H
#define DEMO_CREW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Work that several threads do a part of. */
struct share {
    atomic_uint_fast64_t done; /* words, of `total` */
    uint64_t total;
    atomic_int error;                                       /* the first errno; 0: none, and everybody goes on */
    void (*show)(void *arg, uint64_t done, uint64_t total); /* may be NULL */
    void *show_arg;
};

void share_init(struct share *share, uint64_t total, void (*show)(void *arg, uint64_t done, uint64_t total), void *arg);

/* Notes that something failed; what fails later doesn't count. 0 is no failure. */
void share_fail(struct share *share, int error);

/*
 * Calls work() with each of `count` members on a thread of its own, and returns when all have ended: with the error that
 * the share has by then. A thread that can't be started is one.
 */
int crew_run(struct share *share, void (*work)(void *member), void *members, size_t member_size, unsigned count);

#endif
