#include "thread_cache.h"

#include "config.h"
#include "worker.h"

lg_a64 lg_limit_failures;
LG_THREAD_LOCAL bool lg_refused_by_limit;

/* ---- taking; the caller is in transit */

/* Regions that the own cache has space for. It may not be empty although a pop found nothing, while a thief has it
 * locked; so this is asked before each run of pushes, which look at nothing themselves. */
static uint64_t own_space(lg_thread *self, unsigned class_index)
{
    uint64_t capacity = lg_load_relaxed_64(&lg_stripe_of(class_index)->cache_capacity);
    const lg_deque *deque = &lg_bin_of(self, class_index)->deque;
    /* Acquire: thieves have read the slots below top. Partner: the release of top in lg_deque_take(). Also below a lock
     * this counts what the thief has yet to take off: it may still read those. */
    uint64_t top = lg_load_acquire_64(&deque->top) & ~LG_TOP_LOCKED;
    uint64_t held = lg_load_relaxed_64(&deque->bottom) - top;
    return capacity > held ? capacity - held : 0;
}

/* The lowest of the batch is handed out; the rest goes to the own cache, which has space for it, lowest on top. */
static LG_WARM lg_region *keep(lg_thread *self, unsigned class_index, lg_batch batch)
{
    const lg_stripe *stripe = lg_stripe_of(class_index);
    const size_t size = lg_class_size(class_index);
    uint64_t mask = batch.mask;
    uint64_t first = batch.word * 64 + (uint64_t)__builtin_ctzll(mask);
    lg_region *lowest = &stripe->regions[first];
    uintptr_t address = stripe->base + first * size;
    mask >>= first % 64;
    if (mask == 1)
        return lowest;
    lg_deque *deque = &lg_bin_of(self, class_index)->deque;
    lg_a64 *ring = deque->ring;
    uint64_t at = lg_load_relaxed_64(&deque->bottom);
    uint64_t begin = at;
    uint64_t top_bit = 63 ^ (uint64_t)__builtin_clzll(mask);
    uintptr_t highest = address + (top_bit << (class_index + LG_CLASS_MIN));
    if (LG_LIKELY((mask & (mask + 1)) == 0)) { /* neighbours */
        for (uintptr_t item = highest; item != address; item -= size)
            lg_store_relaxed_64(&ring[at++ % LG_DEQUE_ITEMS], item);
    } else {
        mask <<= 63 - top_bit;
        for (uintptr_t item = highest; item != address; item -= size, mask <<= 1)
            if (mask >> 63 != 0)
                lg_store_relaxed_64(&ring[at++ % LG_DEQUE_ITEMS], item);
    }
    lg_deque_push_run(deque, at - begin);
    return lowest;
}

/* How many regions to exchange with the pools at once: half a cache, so that neither direction is far from
 * the next exchange. But a thread that has only gone one way since the last one is in a long run of it (`same`:
 * its count of the other way hasn't changed), and exchanges a whole cache: half as many trips. */
static uint64_t exchange_size(uint64_t capacity, uint64_t *same, uint64_t now)
{
    bool long_run = *same == now;
    *same = now;
    return long_run ? capacity : capacity / 2;
}

/* How many regions to take at once: one for the caller, the rest for the cache. */
static unsigned batch_size(lg_thread *self, unsigned class_index)
{
    if (self == NULL)
        return 1;
    uint64_t capacity = lg_load_relaxed_64(&lg_stripe_of(class_index)->cache_capacity);
    uint64_t freed = lg_load_relaxed_64(&lg_bin_of(self, class_index)->hot.deallocations);
    uint64_t size = exchange_size(capacity, &self->refilled_at[class_index], freed);
    return (unsigned)lg_min(1 + lg_min(size, own_space(self, class_index)), 64);
}

static bool take_dirty(lg_thread *self, unsigned class_index, unsigned many, bool scan, lg_region **out_region)
{
    lg_batch batch = {0, 0};
    /* What this thread gave last is in its processor's caches, and two threads that are at it keep apart. */
    if (self != NULL && !scan)
        batch = lg_pool_claim_word(self, &lg_dirty[class_index], class_index, self->gave[class_index], many);
    if (batch.mask == 0)
        batch = lg_pool_claim(self, &lg_dirty[class_index], class_index, many, scan);
    if (batch.mask == 0)
        return false;
    *out_region = keep(self, class_index, batch);
    return true;
}

/* Charges a batch, or one region, or nothing: returns how many. */
static unsigned charge_batch(unsigned class_index, unsigned many)
{
    if (lg_charge((uint64_t)many << (class_index + LG_CLASS_MIN)))
        return many;
    return many > 1 && lg_charge(lg_class_size(class_index)) ? 1 : 0;
}

/* `charged` regions were charged; what isn't found is discharged, but for one with `keep_one`. */
static bool take_clean(lg_thread *self, unsigned class_index, unsigned charged, bool scan, bool keep_one,
                       lg_region **out_region)
{
    lg_batch batch = lg_pool_claim(self, &lg_clean[class_index], class_index, charged, scan);
    unsigned found = lg_batch_count(batch);
    unsigned kept = found == 0 && keep_one ? 1 : found;
    if (charged != kept)
        lg_discharge((uint64_t)(charged - kept) << (class_index + LG_CLASS_MIN));
    if (found == 0)
        return false;
    *out_region = keep(self, class_index, batch);
    return true;
}

/* A pop finds nothing while a thief has the own cache locked, which is for a moment: this one waits for what it leaves. */
static bool pop_to_the_last(lg_deque *deque, uint64_t *out_address)
{
    bool fence = lg_owners_fence();
    for (unsigned round = 0; lg_deque_count(deque) != 0;) {
        if (lg_deque_pop(deque, fence, out_address))
            return true;
        lg_os_pause(round++);
    }
    return false;
}

/* Before others are robbed or an area is mapped. */
static bool take_own(lg_thread *self, unsigned class_index, lg_region **out_region)
{
    uint64_t address;
    if (self == NULL || !pop_to_the_last(&lg_bin_of(self, class_index)->deque, &address))
        return false;
    *out_region = lg_bin_region(lg_bin_of(self, class_index), address);
    return true;
}

/* From other threads' caches as much as fits the own one; the first is handed out. */
static bool take_from_others(lg_thread *self, unsigned class_index, lg_region **out_region)
{
    uint64_t most = self != NULL ? 1 + own_space(self, class_index) : 1;
    uint64_t addresses[LG_LOOT];
    uint64_t n = lg_threads_steal(self, class_index, lg_min(most, LG_LOOT), addresses);
    if (n == 0)
        return false;
    LG_COUNT(self, class_index, steals, n);
    if (n > 1) {
        lg_deque *deque = &lg_bin_of(self, class_index)->deque;
        uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
        for (uint64_t i = 1; i < n; i++)
            lg_store_relaxed_64(lg_deque_slot(deque, bottom + i - 1), addresses[i]);
        lg_deque_push_run(deque, n - 1);
    }
    const lg_stripe *stripe = lg_stripe_of(class_index);
    *out_region = &stripe->regions[(addresses[0] - stripe->base) >> (class_index + LG_CLASS_MIN)];
    return true;
}

/* Under the class's lock, so that one thread maps an area and the others find it. One region is charged; it
 * stays so only if that returns OK with a clean region. */
static lgalloc_status take_locked(lg_thread *self, unsigned class_index, unsigned many, lg_region **out_region,
                                  int *out_error)
{
    uint64_t size = lg_class_size(class_index);
    lgalloc_status status = LGALLOC_STATUS_OK;
    lg_lock_acquire(lg_class_lock(class_index));
    if (take_dirty(self, class_index, many, true, out_region)) {
        lg_discharge(size);
    } else if (!take_clean(self, class_index, 1, true, true, out_region)) {
        uint64_t first, count;
        LG_COUNT(self, class_index, refill, 1);
        int error = lg_area_map(class_index, &first, &count);
        if (error == 0) {
            /* With a batch, not one: the last region of a cache takes longer to pop. */
            uint64_t kept = lg_min(lg_min(count, many), 64 - first % 64);
            if (kept > 1 && !lg_charge((kept - 1) * size))
                kept = 1;
            uint64_t next = first + kept, left = count - kept;
            *out_region = keep(self, class_index, lg_batch_split(&first, &kept));
            lg_pool_give_range(self, &lg_clean[class_index], class_index, next, left);
        } else {
            lg_discharge(size);
            *out_error = error;
            status = error == LG_EXHAUSTED ? LGALLOC_STATUS_OUT_OF_MEMORY : LGALLOC_STATUS_IO;
        }
    }
    lg_lock_release(lg_class_lock(class_index));
    return status;
}

/* The whole search, but for the own cache. *out_no_room: the limit was in the way. */
static lgalloc_status search(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error,
                             bool *out_no_room)
{
    *out_no_room = false;
    unsigned many = batch_size(self, class_index);
    if (take_dirty(self, class_index, many, false, out_region))
        return LGALLOC_STATUS_OK;
    unsigned charged = charge_batch(class_index, many);
    if (charged != 0 && take_clean(self, class_index, charged, false, false, out_region))
        return LGALLOC_STATUS_OK;
    if (take_own(self, class_index, out_region))
        return LGALLOC_STATUS_OK;
    if (take_from_others(self, class_index, out_region))
        return LGALLOC_STATUS_OK;
    LG_COUNT(self, class_index, slow_path, 1);
    if (!lg_charge(lg_class_size(class_index))) {
        *out_no_room = true;
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    }
    return take_locked(self, class_index, many, out_region, out_error);
}

/* One look at all there is, while nobody else moves. OUT_OF_MEMORY with *out_no_room: the limit was in the way. */
static lgalloc_status look_everywhere(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error,
                                      bool *out_no_room)
{
    *out_no_room = false;
    lg_transit_enter(self);
    bool found = take_own(self, class_index, out_region) || take_dirty(self, class_index, 1, true, out_region) ||
                 take_from_others(self, class_index, out_region);
    lg_transit_leave(self);
    if (found)
        return LGALLOC_STATUS_OK;
    if (!lg_reclaim_room(self, lg_class_size(class_index))) {
        *out_no_room = true;
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    }
    lg_transit_enter(self);
    lgalloc_status status = take_locked(self, class_index, 1, out_region, out_error);
    lg_transit_leave(self);
    return status;
}

#define LOOKS_MAX 64

/* Nobody moves now, so what is free is in a pool or in a cache. But others go on with their own caches: one that frees
 * a region behind the look, and takes another that the look hasn't come to, hides both, though it never has two. If
 * anybody took or freed anything meanwhile, the look is not to be trusted. */
static lgalloc_status search_alone(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error,
                                   bool *out_no_room)
{
    lgalloc_status status;
    lg_transit_shut();
    uint64_t before, after = lg_threads_activity();
    unsigned looks = 0;
    do {
        before = after;
        status = look_everywhere(self, class_index, out_region, out_error, out_no_room);
        lg_heavy_barrier(); /* what hid a region from the look was counted before */
        after = lg_threads_activity();
    } while (status == LGALLOC_STATUS_OUT_OF_MEMORY && after != before && ++looks < LOOKS_MAX);
    lg_transit_admit();
    return status;
}

lgalloc_status lg_cache_refill(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error)
{
    if (class_index >= lg_layout_.stripes)
        return LGALLOC_STATUS_OUT_OF_MEMORY; /* the reservation is too small for regions of this size */
    bool no_room;
    lg_transit_enter(self);
    lgalloc_status status = search(self, class_index, out_region, out_error, &no_room);
    lg_transit_leave(self);
    if (LG_LIKELY(status == LGALLOC_STATUS_OK)) {
        lg_worker_wake_after_fork();
        return status;
    }
    bool possible = lg_charge_possible(lg_class_size(class_index));
    if (no_room && possible && lg_reclaim_room(self, lg_class_size(class_index))) {
        /* The room is charged for; whoever was faster with it can't have taken it. */
        lg_transit_enter(self);
        status = take_locked(self, class_index, 1, out_region, out_error);
        lg_transit_leave(self);
        no_room = false;
    }
    if (LG_UNLIKELY(status == LGALLOC_STATUS_OUT_OF_MEMORY) && possible)
        status = search_alone(self, class_index, out_region, out_error, &no_room);
    lg_refused_by_limit = no_room;
    if (no_room)
        lg_add_relaxed_64(&lg_limit_failures, 1);
    lg_worker_wake_after_fork();
    return status;
}

/* ---- giving */

static void send_dirty(lg_thread *self, unsigned class_index, lg_batch batch, bool eager)
{
    if (batch.mask == 0)
        return;
    if (eager) {
        (void)lg_reclaim_batch(self, class_index, batch, true);
        return;
    }
    if (self != NULL)
        self->gave[class_index] = batch.word;
    lg_pool_give(self, &lg_dirty[class_index], class_index, batch);
}

/* Sends `count` regions from the ring's slots below `end` on downwards: neighbours in one word of the bitmap in one go,
 * together with the dirty batch given. */
static LG_WARM void send_run(lg_thread *self, unsigned class_index, const lg_a64 *ring, uint64_t end, uint64_t count,
                             lg_batch batch, bool eager)
{
    const uintptr_t base = lg_stripe_of(class_index)->base;
    const lg_region *regions = lg_stripe_of(class_index)->regions;
    const unsigned log2 = class_index + LG_CLASS_MIN;
    uint64_t word = batch.word, mask = batch.mask;
    for (uint64_t begin = end - count; end != begin;) {
        uint64_t index = (lg_load_relaxed_64(&ring[--end % LG_DEQUE_ITEMS]) - base) >> log2;
        if (LG_UNLIKELY(lg_load_relaxed_64(&regions[index].state) == LG_CLEAN)) {
            lg_pool_return(self, class_index, &regions[index]); /* never used since it left the clean pool */
            continue;
        }
        /* A region that is in the cache twice was freed twice, which the pool finds out. */
        if (LG_UNLIKELY(index / 64 != word) || LG_UNLIKELY((mask >> index % 64 & 1) != 0)) {
            send_dirty(self, class_index, (lg_batch){word, mask}, eager);
            word = index / 64;
            mask = 0;
        }
        mask |= (uint64_t)1 << index % 64;
    }
    send_dirty(self, class_index, (lg_batch){word, mask}, eager);
}

/* Sends `count` regions of the own cache, or all, to the shared pools, together with the dirty ones of the batch. The
 * caller is in transit. */
static LG_WARM void send_from_cache(lg_thread *self, unsigned class_index, lg_batch batch, uint64_t count)
{
    bool eager = LG_OPTION(eager_return) != 0;
    if (count == 0) {
        send_dirty(self, class_index, batch, eager);
        return;
    }
    lg_deque *deque = &lg_bin_of(self, class_index)->deque;
    count = lg_min(count, lg_deque_count(deque));
    if (LG_LIKELY(lg_deque_pop_run(deque, lg_owners_fence(), count))) {
        send_run(self, class_index, deque->ring, lg_load_relaxed_64(&deque->bottom) + count, count, batch, eager);
        return;
    }
    for (uint64_t address; count != 0 && pop_to_the_last(deque, &address); count--) {
        send_run(self, class_index, deque->ring, lg_load_relaxed_64(&deque->bottom) + 1, 1, batch, eager);
        batch.mask = 0;
    }
    send_dirty(self, class_index, batch, eager);
}

/* What stays dirty in the pools is bounded by idle_bytes. */
static void respect_idle_bytes(lg_thread *self, unsigned class_index)
{
    uint64_t bound = LG_OPTION(idle_bytes);
    if (LG_LIKELY(bound == UINT64_MAX))
        return;
    uint64_t dirty = lg_pool_dirty_bytes();
    if (dirty > bound)
        (void)lg_reclaim_dirty(self, class_index, UINT64_MAX, dirty - bound, false);
}

void lg_cache_give(lg_thread *self, unsigned class_index, lg_region *region)
{
    lg_batch batch = lg_batch_of(lg_region_index(class_index, region));
    uint64_t count = 0;
    if (self != NULL) {
        lg_thread_use(self, class_index);
        const lg_a64 *capacity = &lg_stripe_of(class_index)->cache_capacity;
        lg_bin *bin = lg_bin_of(self, class_index);
        uint64_t taken = lg_load_relaxed_64(&bin->hot.allocations);
        if (lg_load_relaxed_64(&self->theft_taken[class_index]) != taken)
            lg_store_relaxed_64(&self->thefts[class_index], 0);
        uint64_t most = lg_thread_only_frees(self, class_index) ? LG_ONLY_FREES_KEEPS : LG_DEQUE_ITEMS;
        uint64_t item = (uintptr_t)lg_region_address(class_index, lg_region_index(class_index, region));
        if (lg_deque_make_room(&bin->deque, capacity, most) && lg_deque_push(&bin->deque, item))
            return;
        /* All but what may stay; a smaller configuration may have come meanwhile. */
        most = lg_load_relaxed_64(capacity);
        uint64_t stay = most - exchange_size(most, &self->overflowed_at[class_index], taken);
        uint64_t cached = lg_deque_count(&bin->deque);
        count = cached > stay ? cached - stay : 0;
    }
    lg_transit_enter(self);
    send_from_cache(self, class_index, batch, count);
    lg_transit_leave(self);
    respect_idle_bytes(self, class_index);
}

void lg_cache_reject(lg_thread *self, unsigned class_index, lg_region *region)
{
    lg_store_relaxed_64(&region->state, LG_DIRTY); /* some of its blocks may be there */
    lg_transit_enter(self);
    (void)lg_reclaim_batch(self, class_index, lg_batch_of(lg_region_index(class_index, region)), true);
    lg_transit_leave(self);
}

void lg_cache_flush(lg_thread *self)
{
    for (unsigned c = 0; c < lg_layout_.stripes; c++) {
        if (lg_deque_count(&lg_bin_of(self, c)->deque) == 0)
            continue;
        lg_transit_enter(self);
        send_from_cache(self, c, (lg_batch){0, 0}, LG_DEQUE_ITEMS);
        lg_transit_leave(self);
        respect_idle_bytes(self, c);
    }
}

void lg_cache_at_exit(void *record)
{
    LG_ASSERT(record == lg_self()); /* the C library has cleared the key, not this */
    lg_cache_flush(record);
    lg_thread_detach();
}
