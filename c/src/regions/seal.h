/*
 * Sealed regions: one word of a region's descriptor says where its contents are, who is busy with them, and how many pins
 * it has. Every change is one atomic operation on that word, which is on the region's own cache line: pinning what is
 * resident touches nothing else.
 *
 *                 lg_seal_begin()
 *       in use ────────────────────► RESIDENT ◄──────────────────────────────────┐
 *         ▲                          │  │  ▲                                     │ read
 *         │ unsealed, or free        │  │  │ pinned meanwhile, or can't          │
 *         │                          │  │  │ be written                          │
 *         │    lg_seal_take()        │  └──► WRITING                             │
 *         ├──────────────────────────┘       │ written, and nobody pins it        │
 *         │                                  ▼                                    │
 *         │                                  LEAVING ─────► EVICTED ─────► LOADING
 *         │    lg_seal_take()                      guarded  │    ▲             │
 *         └─────────────────────────────────────────────────┘    └─────────────┘
 *                                                         can't be read, or there is no room
 *
 * A region belongs, besides its user, to the thread that took it into WRITING, LEAVING or LOADING, until that thread takes
 * it out again: it alone uses the record of its place, and does the input and output. Meanwhile others may pin it while it is
 * WRITING, since its contents are there; then it stays. And free it: the word then says FREED, and the one who is busy with
 * it frees it in the end, so that freeing never waits.
 *
 * What is evicted may have pins too: of those who read its place on disk, which stays as long as they do.
 */
#ifndef LG_SEAL_H
#define LG_SEAL_H

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../store/spill.h"
#include "arena.h"
#include "class.h"
#include "descriptor.h"
#include "size_class.h"

enum {
    LG_SEAL_NONE = 0, /* not sealed; or in the hands of one who frees or unseals it */
    /* The kinds are put together: the contents are there and may be pinned; somebody is busy; they are on disk alone. */
    LG_SEAL_THERE = 1,
    LG_SEAL_BUSY = 2,
    LG_SEAL_OUT = 4,
    LG_SEAL_RESIDENT = LG_SEAL_THERE,
    LG_SEAL_WRITING = LG_SEAL_THERE | LG_SEAL_BUSY,
    LG_SEAL_LEAVING = LG_SEAL_BUSY,
    LG_SEAL_EVICTED = LG_SEAL_OUT,
    LG_SEAL_LOADING = LG_SEAL_OUT | LG_SEAL_BUSY,
    LG_SEAL_KIND = 7,
    /* Flags. */
    LG_SEAL_USED = 8,    /* pinned, loaded or sealed since the clock came by: it gets a second chance */
    LG_SEAL_PLACED = 16, /* it has a place on disk, which holds its contents: they needn't be written again */
    LG_SEAL_FREED =
        32, /* to be freed by whoever is busy with it; if it is EVICTED, by whoever finds it, since its guard
                            could not be taken away. Nobody pins it any more */
    /* Readers count from here on, which are those in lgalloc_read(); there is one to a thread, so that they don't reach what
     * follows. And pins from there on, more than there can be. */
    LG_SEAL_READER = 256,
    LG_SEAL_PIN = 1 << 30
};

LG_INLINE unsigned lg_seal_kind(uint64_t word)
{
    return (unsigned)(word & LG_SEAL_KIND);
}

/* Readers are counted with them: they keep a region where it is as well. */
LG_INLINE uint64_t lg_seal_pins(uint64_t word)
{
    return word / LG_SEAL_PIN + word % LG_SEAL_PIN / LG_SEAL_READER;
}

/* ---- pins */

/* Pins a region whose contents are there. False: they aren't, or it isn't sealed; *out_word is what was found. `used`:
 * LG_SEAL_USED, or 0 to leave that as it is. */
LG_INLINE bool lg_seal_pin(lg_descriptor *region, uint64_t used, uint64_t *out_word)
{
    uint64_t word = lg_load_relaxed_64(&region->word);
    while (LG_LIKELY((word & LG_SEAL_THERE) != 0))
        /* Acquire: the contents, as they were sealed or loaded. Partners: lg_seal_begin(), lg_seal_publish(). Without it
         * the pinner could read what was there before. */
        if (LG_LIKELY(lg_cas_acquire_64(&region->word, &word, (word | used) + LG_SEAL_PIN)))
            return true;
    *out_word = word;
    return false;
}

/* False: it had none; nothing is as it should be then. */
LG_INLINE bool lg_seal_unpin(lg_descriptor *region)
{
    /* Release: what was read while it was pinned. Partners: the acquires of those who take it then, lg_seal_claim(),
     * lg_seal_leave() and lg_seal_take(). Without it the memory could go, or be written, before it was read. */
    return LG_LIKELY(lg_sub_release_64(&region->word, LG_SEAL_PIN) >= LG_SEAL_PIN);
}

/* The caller becomes a reader of what is resident or evicted, which stays that; *out_word: what it is. False: somebody is busy
 * with it, or it isn't sealed. */
LG_HIDDEN bool lg_seal_hold(lg_descriptor *region, uint64_t *out_word);
/* He is no reader any more; nor is he one, if a signal's handler forked meanwhile and this is the child. */
LG_HIDDEN void lg_seal_let_go(lg_descriptor *region);

/* It is to be evicted before others. */
LG_HIDDEN void lg_seal_cool(lg_class *cls, uint64_t index);

/* ---- to and fro */

/* RESIDENT without a pin becomes WRITING and the caller's; false: it isn't. */
LG_HIDDEN bool lg_seal_claim(lg_descriptor *region);
/* The clock's look at a region that it may claim: it is RESIDENT without a pin, and wasn't used since the last look. */
LG_HIDDEN bool lg_seal_is_due(lg_descriptor *region);
/* The caller's region, WRITING, becomes LEAVING. False: it is pinned or freed. */
LG_HIDDEN bool lg_seal_leave(lg_descriptor *region);
/* EVICTED becomes LOADING and the caller's; false: it isn't, and *out_word says what it is. */
LG_HIDDEN bool lg_seal_claim_load(lg_descriptor *region, uint64_t *out_word);
/* The caller's region becomes RESIDENT or EVICTED, with these flags, and so many pins more. False: it was freed, nothing
 * else was done, and the caller has to finish that. */
LG_HIDDEN bool lg_seal_publish(lg_descriptor *region, unsigned kind, uint64_t flags, uint64_t pins);

/* ---- the beginning and the end */

/* A region in use becomes sealed. Returns 0 or an errno. */
LG_HIDDEN int lg_seal_begin(lg_class *cls, uint64_t index, uint64_t used);

enum lg_seal_taken {
    LG_TAKEN_RESIDENT, /* it is the caller's, with its memory, and not sealed any more but for its state */
    LG_TAKEN_EVICTED,  /* the same, without memory, and guarded */
    LG_TAKEN_LATER,    /* whoever is busy with it frees it in the end; or, to unseal, it is to be waited for */
    LG_TAKEN_PINNED,   /* it has more pins than the caller: nothing was done */
    LG_TAKEN_NOT       /* it isn't sealed, or was freed already: nothing was done */
};

/* Takes a sealed region, to free it; or to unseal it, of which the caller has one pin. */
LG_HIDDEN enum lg_seal_taken lg_seal_take(lg_class *cls, uint64_t index, bool unseal);

/* ---- waiting for input and output; with no lock held, and not in transit */

/* Returns when somebody may have ceased to be busy with a region that is of this kind. */
LG_HIDDEN void lg_seal_wait(const lg_descriptor *region, unsigned kind);
/* How many inputs and outputs have ended; and returns when that is another number. */
LG_HIDDEN uint64_t lg_seal_ended(void);
LG_HIDDEN void lg_seal_wait_end(uint64_t seen);
/* One has ended, with all that was to be done about it: those wake that wait. */
LG_HIDDEN void lg_seal_end(void);
/* Counts it, and wakes nobody. */
LG_HIDDEN void lg_seal_note_end(void);

/* The calling thread is in the middle of an input or output: asked by a signal handler that forks. */
extern LG_HIDDEN LG_THREAD_LOCAL bool lg_seal_inside;

extern LG_HIDDEN lg_lock lg_seal_lock; /* of those who wait; for fork.c */

/* ---- sets of regions by class and index */

/* Whether regions of a class are evicted; and those classes that the arena has room for. */
LG_INLINE bool lg_class_is_evicted(const lg_class *cls)
{
    return cls->log2 >= LG_SPILL_MIN_LOG2;
}
#define LG_EACH_EVICTED_CLASS(cls) \
    for (lg_class *cls = lg_class_at(LG_SPILL_MIN_LOG2 - LG_CLASS_MIN); cls < lg_classes + lg_layout_.classes; cls++)

enum lg_seal_set {
    LG_SEAL_CANDIDATES =
        0,           /* just those that are RESIDENT, and of a class that is evicted; and EVICTED ones to be freed */
    LG_SEAL_COLD = 1 /* a hint: those that are to be evicted first */
};

/* By whom the region belongs to, or is sealed by; but cold ones by anybody. */
LG_HIDDEN void lg_seal_set_add(enum lg_seal_set set, lg_class *cls, uint64_t index);
LG_HIDDEN void lg_seal_set_remove(enum lg_seal_set set, lg_class *cls, uint64_t index);
/* The first member at or after an index; false: there is none in the class. */
LG_HIDDEN bool lg_seal_set_next(enum lg_seal_set set, lg_class *cls, uint64_t index, uint64_t *out_index);
/* Whether there seem to be cold ones, of whatever class. */
LG_HIDDEN bool lg_seal_any_cold(void);

/* ---- accounts */

/* Bytes of sealed regions by whether they are charged. */
extern LG_HIDDEN lg_a64 lg_sealed_bytes;
extern LG_HIDDEN lg_a64 lg_evicted_bytes;
/* A region goes from one to the other. */
LG_HIDDEN void lg_seal_account(lg_class *cls, bool evicted);

/* ---- children of a fork */

LG_HIDDEN void lg_seal_forked(void);
/* A sealed region in the child. Returns whether its contents are there; if not it is lost. */
LG_HIDDEN bool lg_seal_settle(lg_class *cls, uint64_t index);
/* In a child that starts over. */
LG_HIDDEN void lg_seal_abandon(void);

#endif
