/*
 * Thread records: each holds a thread's caches (a deque and counters per size class). They stand in an
 * array that is reserved once; a record is taken when a thread first allocates or frees, given back when it
 * ends, taken again by another, and never unmapped. So thieves and statistics read any record at any time
 * without a lock, and counters never go down.
 *
 * A thread has no record while it is being torn down, when there are too many threads, or when the system
 * refuses the memory. It then works on the shared pools alone, and counts in shared counters.
 */
#ifndef LG_THREAD_H
#define LG_THREAD_H

#include "../base/atomic.h"
#include "arena.h"
#include "class.h"
#include "counters.h"
#include "deque.h"
#include "descriptor.h"
#include "size_class.h"

/* A thread's cache of one size class: a deque of regions' descriptors, as words. */
typedef struct LG_CACHE_ALIGNED lg_bin {
    lg_deque deque;
    /* What the hot path needs of the class, on the owner's cache line; const once a thread has owned it. */
    size_t len;                 /* bytes per region; something that no length in this bin can be, if this is no class */
    lg_descriptor *descriptors; /* descriptors by index; lg_no_descriptor if this is no class */
    uint32_t offset_mask;       /* any address, shifted, gives an offset in bytes where there is a descriptor */
    uint32_t shift;             /* an address, shifted, is its region's index times the size of a descriptor */
    lg_hot_counters hot;        /* written by the owner */
} lg_bin;

_Static_assert(sizeof(lg_bin) == (size_t)2 * LG_CACHE_LINE,
               "a hot pair touches top, the owner's line, a ring slot and the descriptor");

/* A value that is no address. */
extern LG_HIDDEN lg_descriptor lg_no_descriptor;

/* One for each length's leading zero bits, whatever a caller says the length is: those that are no size class are
 * empty and have no space, and their `len` matches nothing. So the hot path need not check for them. Length 0 comes to
 * one of the last two, whose `len` therefore isn't 0. */
#define LG_BINS 66
#define LG_LAST_BINS_LEN 2

/* The bin of a power of two. `lzcnt`: see lg_leading_zeros(). */
LG_INLINE uint64_t lg_bin_of_len(size_t len, bool lzcnt)
{
    return lg_leading_zeros(len, lzcnt) + 1;
}

/* The bin of the next power of two; 0 and what is above 2^63 come to the first. */
LG_INLINE uint64_t lg_bin_of_bytes(size_t bytes, bool lzcnt)
{
    return lg_leading_zeros(bytes - 1, lzcnt);
}

/* Steals from a thread's cache, and its allocations and deallocations at the last: lg_thread_note_steal(). */
typedef struct lg_steal_history {
    lg_a64 count;
    lg_a64 taken;
    lg_a64 freed;
} lg_steal_history;

/* What a thread keeps of one class, beside its bin. */
typedef struct LG_CACHE_ALIGNED lg_local {
    /* The owner's: its dealings with the pools. */
    lg_a64 pooled[LG_POOLS]; /* its share of the pools' counts, modulo 2^64; anybody reads it; see pool.h */
    uint64_t home_word;      /* the word of the dirty bitmap that it claims from first, */
    lg_a64 *home_at;         /* where that is (NULL: it has none yet), */
    uint64_t home_left;      /* and what it left there; see lg_exchange_refill() */
    uint64_t refilled_at;    /* deallocations at its last refill, */
    uint64_t overflowed_at;  /* and allocations at its last overflow */
    bool long_refill_run;    /* its last run of refills, and of overflows, was a long one; see lg_exchange_size() */
    bool long_overflow_run;
    lg_rare_counters rare; /* anybody reads it */
    uint64_t active_at;    /* allocations and deallocations when it last looked beyond the pools, for whatever class */
    /* Others write here too. */
    LG_CACHE_ALIGNED lg_steal_history steal_history;
    lg_a64 idle_mark; /* the worker's: activity at its last tick */
    /* The deque's slots: the owner writes, thieves read. */
    LG_CACHE_ALIGNED lg_a64 ring[LG_DEQUE_ITEMS];
} lg_local;

typedef struct lg_thread {
    lg_bin bins[LG_BINS];
    LG_CACHE_ALIGNED lg_a32 transit; /* odd while the owner moves regions; see transit.h */
    lg_a32 filled;                   /* 1 once what is const in it has been copied */
    lg_a32 used;                     /* the owner's: a bit for each class that it has had to do with; lg_thread_use() */
    lg_local classes[LG_CLASS_COUNT];
} lg_thread;

_Static_assert(sizeof(lg_thread) <= LG_THREAD_BYTES, "a record fits its slot");

/* An item of the deque. */
LG_INLINE lg_descriptor *lg_item_descriptor(uint64_t item)
{
    return (lg_descriptor *)(uintptr_t)item;
}

/* The descriptor that belongs to an address of the bin's class: of its own region, if that is what it is. */
LG_INLINE lg_descriptor *lg_bin_descriptor(const lg_bin *bin, uint64_t address)
{
    /* The mask takes off what is below the index, and what the arena's address is above. */
    return (lg_descriptor *)((char *)bin->descriptors + ((uint32_t)(address >> bin->shift) & bin->offset_mask));
}

LG_INLINE lg_bin *lg_bin_of(lg_thread *thread, const lg_class *cls)
{
    return &thread->bins[64 - cls->log2];
}

LG_INLINE lg_local *lg_local_of(lg_thread *thread, const lg_class *cls)
{
    return &thread->classes[lg_class_index(cls)];
}

/* The bins of the calling thread's record; without a record lg_no_bins, which are all empty and no class, so that
 * the hot path leaves by itself. */
extern LG_HIDDEN LG_THREAD_LOCAL lg_bin *lg_hot_bins;
extern LG_HIDDEN lg_bin lg_no_bins[LG_BINS];

/* The calling thread's record; NULL if it has none (yet). */
LG_INLINE lg_thread *lg_self(void)
{
    return lg_hot_bins != lg_no_bins ? (lg_thread *)lg_hot_bins : NULL; /* the bins come first */
}

/* After lg_arena_init(). `at_exit` is called with the record when its thread ends. Where the system has no
 * more thread-specific keys no thread gets a record. */
LG_HIDDEN void lg_threads_init(void (*at_exit)(void *record));

/* Takes a record for the calling thread; NULL if there is none. */
LG_HIDDEN lg_thread *lg_thread_attach(void);

/* For the beginning of a slow path, after lg_ready(): the calling thread's record or NULL, also where the record that it
 * had is from before a fork; and one more that takes a record if there is none. */
LG_HIDDEN lg_thread *lg_thread_known(void);
LG_HIDDEN lg_thread *lg_thread_here(void);

/* The end of a thread that has a record: its caches are empty, the record goes back, and it won't get another. */
LG_HIDDEN void lg_thread_detach(void);

/* In the child of a fork: all records but the calling thread's are free again. */
LG_HIDDEN void lg_threads_forked(void);
/* In a child that starts over: no thread has a record any more, and none of those that were is of use to anybody. */
LG_HIDDEN void lg_threads_abandon(void);

/* Records [0, lg_threads_high()) have been in use at some time. */
LG_HIDDEN uint32_t lg_threads_high(void);
LG_HIDDEN lg_thread *lg_thread_at(uint32_t id);
LG_HIDDEN uint32_t lg_thread_id(const lg_thread *thread);

LG_INLINE lg_thread *lg_thread_next(lg_thread *thread)
{
    return (lg_thread *)((char *)thread + LG_THREAD_BYTES);
}

/* All of these, in the order of their ids. */
#define LG_EACH_THREAD(thread)                                                                                         \
    for (lg_thread *thread = lg_thread_at(0), *thread##_end = lg_thread_at(lg_threads_high()); thread != thread##_end; \
         thread = lg_thread_next(thread))

/* Whether all free records can be found, while no thread takes one or gives one back. For lg_verify(). */
LG_HIDDEN bool lg_threads_sound(void);

/* Allocations and deallocations of all threads so far, of one class, and of all together. */
LG_HIDDEN void lg_threads_count(lg_class *cls, uint64_t *out_allocations, uint64_t *out_deallocations);
LG_HIDDEN uint64_t lg_threads_activity(void);

/* Changes how many regions of each class a thread's cache may hold, now and in future. */
LG_HIDDEN void lg_threads_set_capacity(uint64_t local_buffer_bytes);

/* By the owner, before it counts or caches anything of a class: records are large, and most threads use few classes, so
 * that whoever goes through all records passes over the rest. */
LG_INLINE void lg_thread_use(lg_thread *self, lg_class *cls)
{
    uint32_t used = lg_load_relaxed_32(&self->used);
    if (LG_UNLIKELY((used & lg_class_bit(cls)) == 0))
        lg_store_relaxed_32(&self->used, used | lg_class_bit(cls));
}

/* All classes that a thread has used, as bits. */
LG_INLINE uint32_t lg_thread_used(const lg_thread *thread)
{
    return lg_load_relaxed_32(&thread->used);
}

/* Counts a region that the owner of the bin has freed, once others can find it. Release: who sees the count finds the
 * region. Partner: the barrier in lg_cache_search_alone(), after its first reading. Without it an allocation could be refused
 * while a region is free all the time. */
LG_INLINE void lg_count_free(lg_bin *bin)
{
    lg_counter_add_release(&bin->hot.deallocations, 1);
}

/* Adds to a counter of the calling thread. */
#define LG_COUNT_HOT(self, cls, name, n)                                       \
    ((self) != NULL ? lg_counter_add(&lg_bin_of((self), (cls))->hot.name, (n)) \
                    : (void)lg_add_relaxed_64(&(cls)->hot.name, (n)))
#define LG_COUNT(self, cls, name, n)                                                                              \
    ((self) != NULL ? (lg_thread_use((self), (cls)), lg_counter_add(&lg_local_of((self), (cls))->rare.name, (n))) \
                    : (void)lg_add_relaxed_64(&(cls)->rare.name, (n)))

#endif
