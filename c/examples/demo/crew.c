#define _GNU_SOURCE 1

#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct hand {
    pthread_t thread;
    void (*work)(void *member);
    void *member;
    struct crew *crew;
};

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned working; /* under `lock` */
};

void share_init(struct share *share, uint64_t total, void (*show)(void *arg, uint64_t done, uint64_t total), void *arg)
{
    atomic_init(&share->done, 0);
    atomic_init(&share->error, 0);
    share->total = total;
    share->show = show;
    share->show_arg = arg;
}

void share_fail(struct share *share, int error)
{
    int none = 0;

    atomic_compare_exchange_strong(&share->error, &none, error);
}

static void *hand_main(void *arg)
{
    struct hand *hand = arg;

    hand->work(hand->member);
    pthread_mutex_lock(&hand->crew->lock);
    hand->crew->working--;
    pthread_cond_signal(&hand->crew->ended);
    pthread_mutex_unlock(&hand->crew->lock);
    return NULL;
}

static void wait_and_show(struct crew *crew, struct share *share)
{
    pthread_mutex_lock(&crew->lock);
    while (crew->working > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / (1000 * 1000 * 1000);
        until.tv_nsec %= 1000 * 1000 * 1000;
        pthread_cond_timedwait(&crew->ended, &crew->lock, &until);
        pthread_mutex_unlock(&crew->lock);
        if (share->show != NULL)
            share->show(share->show_arg, atomic_load_explicit(&share->done, memory_order_relaxed), share->total);
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
}

int crew_run(struct share *share, void (*work)(void *member), void *members, size_t member_size, unsigned count)
{
    struct crew crew = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct hand *hands = calloc(count, sizeof *hands);
    unsigned started = 0;

    if (hands == NULL)
        return ENOMEM;
    for (int error = 0; started < count && error == 0;) {
        struct hand *hand = &hands[started];
        hand->work = work;
        hand->member = (char *)members + started * member_size;
        hand->crew = &crew;
        pthread_mutex_lock(&crew.lock);
        error = pthread_create(&hand->thread, NULL, hand_main, hand);
        if (error == 0) {
            crew.working++;
            started++;
        }
        pthread_mutex_unlock(&crew.lock);
        if (error != 0)
            share_fail(share, error); /* the others end early */
    }
    wait_and_show(&crew, share);
    for (unsigned i = 0; i < started; i++)
        pthread_join(hands[i].thread, NULL);
    free(hands);
    return atomic_load(&share->error);
}
