#include "thread.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/die.h"
#include "../base/metadata.h"
#include "../base/os.h"
#include "arena.h"
#include "bitmap.h"
#include "descriptor.h"
#include "size_class.h"

lg_descriptor lg_no_descriptor = {.state = {LG_LOST}};

/* All threads without a record share these, so what their failing pops leave in `bottom` may be anything: two at once
 * lose each other's stores. The tops are locked for good; a pop finds nothing below that whatever the bottom is. */
#define NO_DEQUE .deque = {.top = {LG_TOP_LOCKED}}, .descriptors = &lg_no_descriptor
#define NO_BINS_4                       \
    {NO_DEQUE}, {NO_DEQUE}, {NO_DEQUE}, \
    {                                   \
        NO_DEQUE                        \
    }
#define NO_BINS_16 NO_BINS_4, NO_BINS_4, NO_BINS_4, NO_BINS_4
#define NO_BIN_LAST                       \
    {                                     \
        NO_DEQUE, .len = LG_LAST_BINS_LEN \
    }
lg_bin lg_no_bins[LG_BINS] = {NO_BINS_16, NO_BINS_16, NO_BINS_16, NO_BINS_16, NO_BIN_LAST, NO_BIN_LAST};
LG_THREAD_LOCAL lg_bin *lg_hot_bins = lg_no_bins;

/* This thread has given its record back at its end, and must not take another: nobody would give that back. */
static LG_THREAD_LOCAL bool ended;

static pthread_key_t exit_key;
static bool have_key; /* const after init */

/* Which records are free. Ids are claimed lowest first; a record's words are published from its last owner
 * to its next by the bitmap's release and acquire. */
static lg_bitmap free_ids;
static lg_a64 free_words[1 + 8 + 512];
static lg_a64 high_id; /* ids below were in use at some time; grows */

void lg_threads_init(void (*at_exit)(void *record))
{
    size_t max = lg_layout_.threads_max;
    LG_ASSERT(lg_bitmap_words(max) <= sizeof(free_words) / sizeof(free_words[0]));
    memset(free_words, 0, sizeof(free_words));
    lg_bitmap_init(&free_ids, free_words, max);
    if (!have_key)                                            /* a child that starts over has it */
        have_key = lg_os_key_create(&exit_key, at_exit) == 0; /* without: no records; slower, but all of it works */
}

uint32_t lg_threads_high(void)
{
    /* Acquire: the record below was committed. Partner: the release in new_id(). */
    return (uint32_t)lg_load_acquire_64(&high_id);
}

lg_thread *lg_thread_at(uint32_t id)
{
    /* In numbers: in a child that starts over there may be none yet. */
    return (lg_thread *)((uintptr_t)lg_layout_.threads + id * LG_THREAD_BYTES);
}

uint32_t lg_thread_id(const lg_thread *thread)
{
    return (uint32_t)((size_t)((const char *)thread - (char *)lg_layout_.threads) / LG_THREAD_BYTES);
}

static void give_id(uint64_t id)
{
    uint64_t twice = lg_bitmap_give(&free_ids, lg_batch_of(id));
    LG_ASSERT(twice == 0);
    (void)twice;
}

static bool new_id(uint64_t *out)
{
    uint64_t id = lg_load_relaxed_64(&high_id); /* it commits its record itself */
    for (;;) {
        if (id >= lg_layout_.threads_max)
            return false;
        /* Committed before it is announced below `high_id`. Two threads may commit the same one: harmless. In sequential
         * consistency: see lg_threads_set_capacity(). */
        if (lg_metadata_commit(lg_thread_at((uint32_t)id), LG_THREAD_BYTES) != 0)
            return false;
        if (lg_cas_seq_cst_64(&high_id, &id, id + 1)) {
            *out = id;
            return true;
        }
    }
}

/* The first owner of a record copies what is const. Harmless twice. */
static void fill(lg_thread *thread)
{
    thread->bins[LG_BINS - 2].len = thread->bins[LG_BINS - 1].len = LG_LAST_BINS_LEN;
    for (unsigned i = 0; i < LG_BINS; i++)
        thread->bins[i].descriptors = &lg_no_descriptor;
    LG_EACH_CLASS(cls) {
        lg_bin *bin = lg_bin_of(thread, cls);
        bin->len = lg_class_size(cls);
        bin->deque.ring = lg_local_of(thread, cls)->ring;
        bin->descriptors = cls->descriptors;
        LG_ASSERT(lg_class_room(cls) - 1 <= UINT32_MAX >> LG_DESCRIPTOR_LOG2);
        bin->offset_mask = (uint32_t)((lg_class_room(cls) - 1) << LG_DESCRIPTOR_LOG2);
        bin->shift = cls->log2 - LG_DESCRIPTOR_LOG2;
    }
}

LG_COLD lg_thread *lg_thread_attach(void)
{
    if (ended || !have_key)
        return NULL;
    uint64_t id;
    lg_batch batch = lg_bitmap_claim(&free_ids, 1);
    if (batch.mask != 0)
        id = lg_batch_pop_lowest(&batch);
    else if (!new_id(&id))
        return NULL;
    lg_thread *thread = lg_thread_at((uint32_t)id);
    if (lg_os_key_set(exit_key, thread) != 0) {
        give_id(id);
        return NULL;
    }
    if (lg_load_relaxed_32(&thread->filled) == 0) {
        fill(thread);
        /* Release: the fork of another thread may leave this one behind in the middle, and in the child the record goes
         * to another, who fills it if it doesn't say so. The page as a whole is what is passed on, so there is no
         * acquire. Without it that thread would find no ring to push to. No model shows it, since none has forks. */
        lg_store_release_32(&thread->filled, 1);
    }
    lg_hot_bins = thread->bins;
    return thread;
}

void lg_thread_detach(void)
{
    lg_thread *thread = lg_self();
    lg_hot_bins = lg_no_bins;
    ended = true;
    (void)lg_os_key_set(exit_key, NULL);
    give_id(lg_thread_id(thread));
}

/* A pop that its vanished owner didn't end: what it popped is found by its state, see fork.c. */
static void end_pops(lg_thread *thread)
{
    LG_EACH_CLASS(cls) {
        lg_deque *deque = &lg_bin_of(thread, cls)->deque;
        uint64_t top = lg_load_relaxed_64(&deque->top);
        if ((int64_t)lg_load_relaxed_64(&deque->bottom) < (int64_t)top)
            lg_store_relaxed_64(&deque->bottom, top);
    }
}

/* The pools of the child are filled anew. And a thread that goes on as before would never come to where the worker is
 * started again: see lg_worker_wake_after_fork(). */
static void forget_homes(lg_thread *thread)
{
    for (uint32_t left = lg_thread_used(thread); left != 0;)
        lg_local_of(thread, lg_next_class(&left))->home_at = NULL;
}

void lg_threads_forked(void)
{
    /* From the beginning: what was in the middle of being claimed, given or announced is as good as lost. */
    memset(free_words, 0, sizeof(free_words));
    LG_EACH_THREAD(thread) {
        lg_store_relaxed_32(&thread->transit, 0);
        forget_homes(thread);
        if (thread != lg_self()) {
            end_pops(thread);
            give_id(lg_thread_id(thread));
        }
    }
}

void lg_threads_abandon(void)
{
    /* Another thread of the child than the one that was forked may be here, and that one goes on with its bins: they are
     * locked and full, so that it leaves for the slow paths, which find that its record is none. */
    LG_EACH_THREAD(thread) {
        LG_EACH_CLASS(cls) {
            lg_store_relaxed_64(&lg_bin_of(thread, cls)->deque.top, LG_TOP_LOCKED);
            lg_store_relaxed_64(&lg_bin_of(thread, cls)->deque.space, 0);
        }
        forget_homes(thread);
    }
    lg_store_relaxed_64(&high_id, 0);
    LG_EACH_CLASS(cls) {
        memset(&cls->hot, 0, sizeof(cls->hot));
        memset(&cls->rare, 0, sizeof(cls->rare));
    }
    lg_barrier_abandon();
    lg_hot_bins = lg_no_bins;
    if (have_key)
        (void)lg_os_key_set(exit_key, NULL);
}

lg_thread *lg_thread_known(void)
{
    lg_thread *self = lg_self();
    uintptr_t offset = (uintptr_t)self - (uintptr_t)lg_layout_.threads;
    if (self == NULL || LG_LIKELY(offset < lg_layout_.threads_max * LG_THREAD_BYTES))
        return self;
    lg_hot_bins = lg_no_bins; /* see lg_threads_abandon() */
    return NULL;
}

lg_thread *lg_thread_here(void)
{
    lg_thread *self = lg_thread_known();
    return LG_LIKELY(self != NULL) ? self : lg_thread_attach();
}

bool lg_threads_sound(void)
{
    return lg_bitmap_sound(&free_ids, lg_layout_.threads_max);
}

void lg_threads_count(lg_class *cls, uint64_t *out_allocations, uint64_t *out_deallocations)
{
    uint64_t taken = lg_load_relaxed_64(&cls->hot.allocations);
    uint64_t freed = lg_load_relaxed_64(&cls->hot.deallocations);
    LG_EACH_THREAD(thread) {
        const lg_hot_counters *hot = &lg_bin_of(thread, cls)->hot;
        taken += lg_load_relaxed_64(&hot->allocations);
        freed += lg_load_relaxed_64(&hot->deallocations);
    }
    *out_allocations = taken;
    *out_deallocations = freed;
}

uint64_t lg_threads_activity(void)
{
    uint64_t sum = 0;
    LG_EACH_CLASS(cls) {
        uint64_t taken, freed;
        lg_threads_count(cls, &taken, &freed);
        sum += taken + freed;
    }
    return sum;
}

/* ---- capacity */

void lg_threads_set_capacity(uint64_t local_buffer_bytes)
{
    for (lg_class *cls = lg_classes; cls < lg_classes + LG_CLASS_COUNT; cls++) /* also before the arena is there */
        lg_store_seq_cst_64(&cls->cache_capacity, lg_min(lg_class_regions(cls, local_buffer_bytes), LG_DEQUE_ITEMS));
    /* Owners look again: see lg_deque_make_space(). In sequential consistency, since a record that is announced after
     * this look must find the new capacity. */
    uint32_t count = (uint32_t)lg_load_seq_cst_64(&high_id);
    for (uint32_t id = 0; id < count; id++)
        LG_EACH_CLASS(cls)
            lg_store_seq_cst_64(&lg_bin_of(lg_thread_at(id), cls)->deque.space, 0);
}
