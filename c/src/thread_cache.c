#include "thread_cache.h"

#include "config.h"
#include "probe.h"
#include "worker.h"

lg_a64 lg_limit_failures;
LG_THREAD_LOCAL bool lg_refused_by_limit;

/* ---- taking; the caller is in transit */

static bool take_dirty(lg_thread *self, unsigned class_index, unsigned many, bool scan, lg_region **out_region)
{
    lg_batch batch = lg_pool_claim(self, &lg_dirty[class_index], class_index, many, scan);
    if (batch.mask == 0)
        return false;
    if (self != NULL)
        lg_exchange_settle(self, class_index, batch.word);
    LG_PROBE2(refill, lg_class_size(class_index), lg_batch_count(batch));
    *out_region = lg_exchange_keep(self, class_index, batch);
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
    LG_PROBE2(refill, lg_class_size(class_index), found);
    *out_region = lg_exchange_keep(self, class_index, batch);
    return true;
}

/* Before others are robbed or an area is mapped. */
static bool take_own(lg_thread *self, unsigned class_index, lg_region **out_region)
{
    uint64_t item;
    if (self == NULL || !lg_exchange_pop(&lg_bin_of(self, class_index)->deque, &item))
        return false;
    *out_region = lg_item_region(item);
    return true;
}

/* From other threads' caches as much as fits the own one; the first is handed out. */
static bool take_from_others(lg_thread *self, unsigned class_index, lg_region **out_region)
{
    uint64_t most = self != NULL ? 1 + lg_exchange_space(self, class_index) : 1;
    uint64_t items[LG_LOOT];
    uint64_t n = lg_threads_steal(self, class_index, lg_min(most, LG_LOOT), items);
    if (n == 0)
        return false;
    LG_COUNT(self, class_index, steals, n);
    LG_PROBE2(steal, lg_class_size(class_index), n);
    if (n > 1) {
        lg_deque *deque = &lg_bin_of(self, class_index)->deque;
        uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
        for (uint64_t i = 1; i < n; i++)
            lg_store_relaxed_64(lg_deque_slot(deque, bottom + i - 1), items[i]);
        lg_deque_push_run(deque, n - 1);
    }
    *out_region = lg_item_region(items[0]);
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
            *out_region = lg_exchange_keep(self, class_index, lg_batch_split(&first, &kept));
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

/* The whole search, but for the own cache and the home. *out_no_room: the limit was in the way. */
static lgalloc_status search(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error,
                             bool *out_no_room)
{
    *out_no_room = false;
    unsigned many = 1;
    if (self != NULL) {
        many = lg_exchange_batch(self, class_index);
        lg_exchange_taken(self, class_index);
    }
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
 * a region behind the look, and one that takes another which the look hasn't come to, hide both, though one was free at
 * any moment. If anybody took or freed anything meanwhile, the look is not to be trusted.
 *
 * If not, it is. Whatever a thread does to its cache it counts afterwards, and before it does anything else there. So
 * between the two barriers, where it counted nothing, it did one thing at most. Either it pushed a region, and that free is
 * still under way; or it popped one, and had none to be found afterwards. So at the end of the look all regions are in
 * use, or about to be freed. */
lgalloc_status lg_cache_search_alone(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error,
                                     bool *out_no_room)
{
    lgalloc_status status;
    lg_transit_shut();
    uint64_t before, after = lg_threads_activity();
    unsigned looks = 0;
    do {
        before = after;
        lg_heavy_barrier(); /* The look finds what was counted before. Partner: the release in lg_count_free() */
        status = look_everywhere(self, class_index, out_region, out_error, out_no_room);
        lg_heavy_barrier(); /* What hid a region from the look is counted, or still under way. */
        after = lg_threads_activity();
    } while (status == LGALLOC_STATUS_OUT_OF_MEMORY && after != before && ++looks < LOOKS_MAX);
    lg_transit_admit();
    return status;
}

static LG_WARM lgalloc_status refill_elsewhere(lg_thread *self, unsigned class_index, lg_region **out_region,
                                               int *out_error)
{
    bool no_room;
    lg_transit_enter(self);
    lgalloc_status status = search(self, class_index, out_region, out_error, &no_room);
    lg_transit_leave(self);
    if (LG_LIKELY(status == LGALLOC_STATUS_OK))
        return status;
    bool possible = lg_charge_possible(lg_class_size(class_index));
    if (no_room && possible && lg_reclaim_room(self, lg_class_size(class_index))) {
        /* The room is charged for; whoever was faster with it can't have taken it. */
        lg_transit_enter(self);
        status = take_locked(self, class_index, 1, out_region, out_error);
        lg_transit_leave(self);
        no_room = false;
    }
    if (LG_UNLIKELY(status == LGALLOC_STATUS_OUT_OF_MEMORY) && possible)
        status = lg_cache_search_alone(self, class_index, out_region, out_error, &no_room);
    lg_refused_by_limit = no_room;
    if (no_room)
        lg_add_relaxed_64(&lg_limit_failures, 1);
    return status;
}

lgalloc_status lg_cache_refill(lg_thread *self, unsigned class_index, lg_region **out_region, int *out_error)
{
    if (LG_UNLIKELY(class_index >= lg_layout_.stripes))
        return LGALLOC_STATUS_OUT_OF_MEMORY; /* the reservation is too small for regions of this size */
    lgalloc_status status = LGALLOC_STATUS_OK;
    *out_region = self != NULL ? lg_exchange_refill(self, class_index) : NULL;
    if (*out_region == NULL)
        status = refill_elsewhere(self, class_index, out_region, out_error);
    lg_worker_wake_after_fork();
    return status;
}

/* ---- giving */

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

/* How many regions of a full cache make room for more. */
LG_INLINE uint64_t overflow(lg_thread *self, unsigned class_index)
{
    const lg_bin *bin = lg_bin_of(self, class_index);
    lg_dealings *dealings = &self->dealings[class_index];
    uint64_t taken = lg_load_relaxed_64(&bin->hot.allocations);
    uint64_t capacity = lg_load_relaxed_64(&lg_stripe_of(class_index)->cache_capacity);
    /* All but what may stay, which is nothing where it is of no use; a smaller configuration may have come meanwhile. */
    uint64_t stay = capacity - lg_exchange_size(capacity, dealings->overflowed_at, taken, dealings->gives_long);
    if (LG_UNLIKELY(lg_thread_only_frees(self, class_index)))
        stay = 0;
    uint64_t cached = lg_deque_count(&bin->deque);
    dealings->gives_long = dealings->overflowed_at == taken;
    dealings->overflowed_at = taken;
    return cached > stay ? cached - stay : 0;
}

/* The same as a push, but that it finds out whether there is more room than is known. */
LG_INLINE bool push(lg_thread *self, unsigned class_index, lg_region *region)
{
    lg_bin *bin = lg_bin_of(self, class_index);
    lg_thefts *thefts = &self->thefts[class_index];
    if (lg_load_relaxed_64(&thefts->taken) != lg_load_relaxed_64(&bin->hot.allocations))
        lg_store_relaxed_64(&thefts->count, 0);
    uint64_t most = lg_thread_only_frees(self, class_index) ? LG_ONLY_FREES_KEEPS : LG_DEQUE_ITEMS;
    return lg_deque_make_room(&bin->deque, &lg_stripe_of(class_index)->cache_capacity, most) &&
           lg_deque_push(&bin->deque, (uintptr_t)region);
}

void lg_cache_give(lg_thread *self, unsigned class_index, lg_region *region)
{
    uint64_t count = 0;
    if (self != NULL) {
        lg_thread_use(self, class_index);
        if (push(self, class_index, region)) {
            lg_count_free(lg_bin_of(self, class_index));
            return;
        }
        count = overflow(self, class_index);
    }
    lg_exchange_send(self, class_index, lg_batch_of(lg_region_index(class_index, region)), count);
    /* Relaxed: whoever shuts movers out sees what those before it did. */
    LG_COUNT_HOT(self, class_index, deallocations, 1);
    respect_idle_bytes(self, class_index);
}

void lg_cache_give_address(void *ptr)
{
    /* A child that notices here has put the region in its place already: it was free. */
    bool noticed = lg_load_relaxed_32(&lg_this_process.up) == 0;
    lg_thread *self = lg_ready() ? lg_thread_known() : NULL;
    if (LG_UNLIKELY(noticed) || LG_UNLIKELY(self == NULL))
        return;
    unsigned class_index = (unsigned)lg_class_of(ptr);
    lg_cache_give(self, class_index, lg_bin_region(lg_bin_of(self, class_index), (uintptr_t)ptr));
}

void lg_cache_reject(lg_thread *self, unsigned class_index, lg_region *region)
{
    /* Some of its blocks may be there. */
    lg_store_relaxed_64(&region->state, lg_state_dirty(lg_address_of(class_index, region)));
    lg_transit_enter(self);
    (void)lg_reclaim_batch(self, class_index, lg_batch_of(lg_region_index(class_index, region)), true);
    lg_transit_leave(self);
}

void lg_cache_flush(lg_thread *self)
{
    for (unsigned c = 0; c < lg_layout_.stripes; c++) {
        if (lg_deque_count(&lg_bin_of(self, c)->deque) == 0)
            continue;
        lg_exchange_send(self, c, (lg_batch){0, 0}, LG_DEQUE_ITEMS);
        respect_idle_bytes(self, c);
    }
}

void lg_cache_at_exit(void *record)
{
    if (!lg_ready() || record != lg_thread_known()) /* the C library has cleared the key, not this */
        return;                                     /* from before a fork */
    lg_cache_flush(record);
    lg_thread_detach();
}
