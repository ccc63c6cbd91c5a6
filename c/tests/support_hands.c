#include "support_hands.h"

enum { HELD = 12, PLACES = 48 };

/* Where items change hands. */
static _Atomic(void *) places[PLACES];

static void drop(const struct test_hands *hands, void *item)
{
    if (item != NULL) {
        hands->drop(item);
    }
}

void test_hands_work(const struct test_hands *hands, uint64_t *random, size_t steps)
{
    void *held[HELD] = {NULL};
    for (size_t i = 0; i < steps; i++) {
        if (hands->stop != NULL && atomic_load_explicit(hands->stop, memory_order_relaxed)) {
            break;
        }
        uint64_t r = test_random(random);
        void **hand = &held[r % HELD];
        switch (r >> 8 & 31) {
        case 0: lgalloc_thread_flush(); break;
        case 1:
            if (hands->pause != NULL) {
                hands->pause(r >> 20);
            }
            break;
        case 2:
            if (hands->look != NULL && *hand != NULL) {
                hands->look(*hand, r >> 20);
            }
            break;
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
        case 8: *hand = atomic_exchange(&places[(r >> 16) % PLACES], *hand); break;
        default:
            drop(hands, *hand);
            *hand = hands->take(random);
            break;
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        drop(hands, held[i]);
    }
}

void test_hands_clear(const struct test_hands *hands)
{
    for (size_t i = 0; i < PLACES; i++) {
        drop(hands, atomic_exchange(&places[i], NULL));
    }
}
