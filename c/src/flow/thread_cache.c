#include "thread_cache.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/die.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/probe.h"
#include "../base/process.h"
#include "../chunks/chunk.h"
#include "../chunks/claim.h"
#include "../chunks/supply.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/counters.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/steal.h"
#include "../regions/thread.h"
#include "../regions/transit.h"
#include "evict.h"
#include "exchange.h"
#include "io.h"
#include "reclaim.h"

lg_a64 lg_limit_failures;
LG_THREAD_LOCAL bool lg_refused_by_limit;

/* ---- taking; the caller is in transit */

static bool take_dirty(lg_thread *self, lg_class *cls, unsigned many, bool scan, lg_descriptor **out_region)
{
    lg_batch batch = lg_pool_claim(self, cls, LG_DIRTY_POOL, many, scan);
    if (batch.mask == 0)
        return false;
    if (self != NULL)
        lg_exchange_set_home_word(self, cls, batch.word);
    LG_PROBE2(refill, lg_class_size(cls), lg_batch_count(batch));
    *out_region = lg_exchange_keep(self, cls, batch);
    return true;
}

/* Charges a batch, or one region, or nothing: returns how many. */
static unsigned charge_batch(lg_class *cls, unsigned many)
{
    if (lg_charge(lg_class_bytes(cls, many)))
        return many;
    return many > 1 && lg_charge(lg_class_size(cls)) ? 1 : 0;
}

/* `charged` regions were charged; what isn't found is discharged, but for one with `keep_one`. */
static bool take_clean(lg_thread *self, lg_class *cls, unsigned charged, bool scan, bool keep_one,
                       lg_descriptor **out_region)
{
    lg_batch batch = lg_pool_claim(self, cls, LG_CLEAN_POOL, charged, scan);
    unsigned found = lg_batch_count(batch);
    unsigned kept = found == 0 && keep_one ? 1 : found;
    if (charged != kept)
        lg_discharge(lg_class_bytes(cls, charged - kept));
    if (found == 0)
        return false;
    LG_PROBE2(refill, lg_class_size(cls), found);
    *out_region = lg_exchange_keep(self, cls, batch);
    return true;
}

/* Before others are robbed or something is mapped. */
static bool take_own(lg_thread *self, lg_class *cls, lg_descriptor **out_region)
{
    uint64_t item;
    if (self == NULL || !lg_exchange_pop(&lg_bin_of(self, cls)->deque, &item))
        return false;
    *out_region = lg_item_descriptor(item);
    return true;
}

/* From other threads' caches as much as fits the own one; the first is handed out. */
static bool take_from_others(lg_thread *self, lg_class *cls, lg_descriptor **out_region)
{
    uint64_t most = self != NULL ? 1 + lg_exchange_space(self, cls) : 1;
    uint64_t items[LG_STEAL_MAX];
    uint64_t n = lg_threads_steal(self, cls, lg_min(most, LG_STEAL_MAX), items);
    if (n == 0)
        return false;
    LG_COUNT(self, cls, steals, n);
    LG_PROBE2(steal, lg_class_size(cls), n);
    if (n > 1) {
        lg_deque *deque = &lg_bin_of(self, cls)->deque;
        uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
        for (uint64_t i = 1; i < n; i++)
            lg_store_relaxed_64(lg_deque_slot(deque, bottom + i - 1), items[i]);
        lg_deque_push_run(deque, n - 1);
    }
    *out_region = lg_item_descriptor(items[0]);
    return true;
}

/* Regions [first, first + count) are the caller's; dirty ones are charged, and of `hand` bytes more, which pay for one
 * that is clean. With a batch, not one: the last region of a cache takes longer to pop. What the cache has no use for
 * goes to the pools. */
static void keep_some(lg_thread *self, lg_class *cls, unsigned many, uint64_t first, uint64_t count, uint64_t *hand,
                      lg_descriptor **out_region)
{
    uint64_t size = lg_class_size(cls), end = first + count;
    uint64_t lowest = first;
    while (*hand < size && lg_load_relaxed_64(&lg_descriptor_at(cls, lowest)->state) == LG_CLEAN)
        lowest++; /* one is dirty */
    LG_ASSERT(lowest < end);
    uint64_t kept = lg_min(lg_min(end - lowest, many), 64 - lowest % 64), needed = 0;
    for (uint64_t i = lowest; i < lowest + kept; i++)
        needed += lg_load_relaxed_64(&lg_descriptor_at(cls, i)->state) == LG_CLEAN ? size : 0;
    if (needed > *hand && !lg_charge(needed - *hand)) {
        kept = 1;
        needed = lg_load_relaxed_64(&lg_descriptor_at(cls, lowest)->state) == LG_CLEAN ? size : 0;
    }
    *hand -= lg_min(needed, *hand);
    lg_supply_give(cls, first, lowest - first);
    lg_supply_give(cls, lowest + kept, end - lowest - kept);
    *out_region = lg_exchange_keep(self, cls, lg_batch_split(&lowest, &kept));
}

/* Under the arena's lock, so that one thread supplies the class and the others find what it got. The caller has charged
 * `hand` bytes: one region, or nothing; what is left of it is discharged. OUT_OF_MEMORY with *out_no_room: the limit was
 * in the way. */
static lgalloc_status take_locked(lg_thread *self, lg_class *cls, size_t bytes, unsigned many, uint64_t hand,
                                  lg_descriptor **out_region, int *out_error, bool *out_no_room)
{
    uint64_t size = lg_class_size(cls), first, count;
    lgalloc_status status = LGALLOC_STATUS_OK;
    *out_no_room = false;
    lg_lock_acquire(&lg_arena_lock);
    if (take_dirty(self, cls, many, true, out_region)) {
        /* somebody was faster */
    } else if (lg_supply_changed(cls, bytes, true, &hand, &first, &count)) {
        keep_some(self, cls, many, first, count, &hand, out_region);
    } else if (hand == 0 && !lg_charge(size)) {
        *out_no_room = true;
        status = LGALLOC_STATUS_OUT_OF_MEMORY;
    } else if (hand = size, take_clean(self, cls, 1, true, true, out_region)) {
        hand = 0;
    } else {
        LG_COUNT(self, cls, refill, 1);
        int error = 0;
        if (!lg_supply_changed(cls, bytes, false, &hand, &first, &count))
            error = lg_supply_mapped(cls, &first, &count);
        if (error == 0) {
            keep_some(self, cls, many, first, count, &hand, out_region);
        } else {
            *out_error = error;
            status = error == LG_EXHAUSTED ? LGALLOC_STATUS_OUT_OF_MEMORY : LGALLOC_STATUS_IO;
        }
    }
    lg_lock_release(&lg_arena_lock);
    if (hand != 0)
        lg_discharge(hand);
    return status;
}

/* Other classes may need the chunks that the own caches keep from being free: what this thread hasn't used since it was here
 * last goes to the pools. */
static void give_back_unused(lg_thread *self, lg_class *cls)
{
    for (uint32_t left = lg_thread_used(self); left != 0;) {
        lg_class *other = lg_next_class(&left);
        const lg_hot_counters *hot = &lg_bin_of(self, other)->hot;
        uint64_t activity = lg_load_relaxed_64(&hot->allocations) + lg_load_relaxed_64(&hot->deallocations);
        lg_local *local = lg_local_of(self, other);
        if (other != cls && activity == local->active_at && lg_deque_count(&lg_bin_of(self, other)->deque) != 0)
            lg_exchange_send_moving(self, other, LG_DEQUE_ITEMS);
        local->active_at = activity;
    }
}

/* The whole search, but for the own cache and the home word. *out_no_room: the limit was in the way. */
static lgalloc_status search(lg_thread *self, lg_class *cls, size_t bytes, lg_descriptor **out_region, int *out_error,
                             bool *out_no_room)
{
    *out_no_room = false;
    unsigned many = 1;
    if (self != NULL) {
        many = lg_exchange_batch(self, cls);
        lg_exchange_taken(self, cls);
    }
    if (take_dirty(self, cls, many, false, out_region))
        return LGALLOC_STATUS_OK;
    /* What is clean costs memory; what another class has left warm doesn't. */
    bool warm = !lg_pool_is_empty(cls, LG_CLEAN_POOL) && lg_supply_might(cls);
    unsigned charged = warm ? 0 : charge_batch(cls, many);
    if (charged != 0 && take_clean(self, cls, charged, false, false, out_region))
        return LGALLOC_STATUS_OK;
    if (take_own(self, cls, out_region))
        return LGALLOC_STATUS_OK;
    if (take_from_others(self, cls, out_region))
        return LGALLOC_STATUS_OK;
    LG_COUNT(self, cls, slow_path, 1);
    if (self != NULL)
        give_back_unused(self, cls);
    return take_locked(self, cls, bytes, many, 0, out_region, out_error, out_no_room);
}

void lg_cache_clear_all(lg_thread *self)
{
    LG_EACH_CLASS(cls) {
        lg_reclaim_caches(self, cls);
        (void)lg_reclaim_dirty(self, cls, UINT64_MAX, UINT64_MAX, false);
    }
}

/* One look at all there is, while nobody else moves. OUT_OF_MEMORY with *out_no_room: the limit was in the way. */
static lgalloc_status look_everywhere(lg_thread *self, lg_class *cls, size_t bytes, lg_descriptor **out_region,
                                      int *out_error, bool *out_no_room)
{
    lg_transit_enter(self);
    bool found = take_own(self, cls, out_region) || take_dirty(self, cls, 1, true, out_region) ||
                 take_from_others(self, cls, out_region);
    lg_transit_leave(self);
    *out_no_room = false;
    if (found)
        return LGALLOC_STATUS_OK;
    lgalloc_status status = LGALLOC_STATUS_OUT_OF_MEMORY;
    for (unsigned pass = 0; pass < 2 && status == LGALLOC_STATUS_OUT_OF_MEMORY; pass++) {
        /* There is no room in the arena: what other classes hold in caches is in the way, and what the limit keeps from
         * becoming a part of something larger as long as it is dirty. */
        if (pass == 1)
            lg_cache_clear_all(self);
        if (!lg_reclaim_room(self, lg_class_size(cls))) {
            *out_no_room = true;
            return status;
        }
        lg_transit_enter(self);
        status = take_locked(self, cls, bytes, 1, lg_class_size(cls), out_region, out_error, out_no_room);
        lg_transit_leave(self);
    }
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
lgalloc_status lg_cache_search_alone(lg_thread *self, lg_class *cls, size_t bytes, lg_descriptor **out_region,
                                     int *out_error, bool *out_no_room)
{
    lgalloc_status status;
    lg_transit_quiesce();
    uint64_t before, after = lg_threads_activity();
    unsigned looks = 0;
    do {
        before = after;
        lg_heavy_barrier(); /* The look finds what was counted before. Partner: the release in lg_count_free() */
        status = look_everywhere(self, cls, bytes, out_region, out_error, out_no_room);
        lg_heavy_barrier(); /* What hid a region from the look is counted, or still under way. */
        after = lg_threads_activity();
    } while (status == LGALLOC_STATUS_OUT_OF_MEMORY && after != before && ++looks < LOOKS_MAX);
    lg_transit_resume();
    return status;
}

/* What stays dirty in the pools is bounded by idle_bytes. */
static void respect_idle_bytes(lg_thread *self, lg_class *cls)
{
    uint64_t bound = LG_OPTION(idle_bytes);
    if (LG_LIKELY(bound == UINT64_MAX))
        return;
    uint64_t dirty = lg_pool_dirty_bytes();
    if (dirty > bound)
        (void)lg_reclaim_dirty(self, cls, UINT64_MAX, lg_class_round_up(cls, dirty - bound), false);
}

/* A region that is clean is new memory, and so is what the own cache got together with it. */
static void make_up(lg_thread *self, lg_class *cls, const lg_descriptor *region)
{
    if (lg_load_relaxed_64(&region->state) != LG_CLEAN)
        return;
    uint64_t others = self != NULL ? lg_deque_count(&lg_bin_of(self, cls)->deque) : 0;
    lg_reclaim_grown(self, cls, lg_class_bytes(cls, 1 + others));
}

lgalloc_status lg_cache_refill(lg_thread *self, lg_class *cls, size_t bytes, lg_descriptor **out_region, int *out_error)
{
    bool no_room;
    lg_transit_enter(self);
    lgalloc_status status = search(self, cls, bytes, out_region, out_error, &no_room);
    lg_transit_leave(self);
    lg_io_look();
    respect_idle_bytes(self, cls); /* other classes' caches may have been given back */
    if (LG_LIKELY(status == LGALLOC_STATUS_OK)) {
        make_up(self, cls, *out_region);
        return status;
    }
    bool possible = lg_charge_possible(lg_class_size(cls));
    if (no_room && possible && lg_make_room(self, lg_class_size(cls))) {
        /* The room is charged for, so no faster thread can have taken it. */
        lg_transit_enter(self);
        status = take_locked(self, cls, bytes, 1, lg_class_size(cls), out_region, out_error, &no_room);
        lg_transit_leave(self);
    }
    if (LG_UNLIKELY(status == LGALLOC_STATUS_OUT_OF_MEMORY) && possible)
        status = lg_cache_search_alone(self, cls, bytes, out_region, out_error, &no_room);
    lg_refused_by_limit = no_room;
    if (no_room)
        lg_add_relaxed_64(&lg_limit_failures, 1);
    return status;
}

/* ---- giving */

/* How many regions of a full cache make room for more. */
LG_INLINE uint64_t overflow(lg_thread *self, lg_class *cls)
{
    const lg_bin *bin = lg_bin_of(self, cls);
    lg_local *local = lg_local_of(self, cls);
    uint64_t taken = lg_load_relaxed_64(&bin->hot.allocations);
    uint64_t capacity = lg_load_relaxed_64(&cls->cache_capacity);
    /* All but what may stay, which is nothing where it is of no use; a smaller configuration may have come meanwhile. */
    uint64_t stay = capacity - lg_exchange_size(capacity, local->overflowed_at, taken, local->long_overflow_run);
    if (LG_UNLIKELY(lg_thread_only_frees(self, cls)))
        stay = 0;
    uint64_t cached = lg_deque_count(&bin->deque);
    local->long_overflow_run = local->overflowed_at == taken;
    local->overflowed_at = taken;
    return cached > stay ? cached - stay : 0;
}

/* The same as a push, but that it finds out whether there is more room than is known. */
LG_INLINE bool push(lg_thread *self, lg_class *cls, lg_descriptor *region)
{
    lg_deque *deque = &lg_bin_of(self, cls)->deque;
    return lg_deque_make_space(deque, &cls->cache_capacity, lg_thread_may_keep(self, cls)) &&
           lg_deque_push(deque, (uintptr_t)region);
}

void lg_cache_give(lg_thread *self, lg_class *cls, lg_descriptor *region)
{
    uint64_t count = 0;
    if (self != NULL) {
        lg_thread_use(self, cls);
        if (push(self, cls, region)) {
            lg_count_free(lg_bin_of(self, cls));
            return;
        }
        count = overflow(self, cls);
    }
    lg_exchange_send(self, cls, lg_batch_of(lg_descriptor_index(cls, region)), count);
    /* Relaxed: whoever quiesces movers sees what those before it did. */
    LG_COUNT_HOT(self, cls, deallocations, 1);
    respect_idle_bytes(self, cls);
}

void lg_cache_give_address(void *ptr)
{
    /* A child that notices here has put the region in its place already: it was free. */
    bool noticed = lg_load_relaxed_32(&lg_this_process.up) == 0;
    lg_thread *self = lg_ready() ? lg_thread_known() : NULL;
    if (LG_UNLIKELY(noticed) || LG_UNLIKELY(self == NULL))
        return;
    lg_class *cls = lg_class_of(ptr);
    lg_cache_give(self, cls, lg_bin_descriptor(lg_bin_of(self, cls), (uintptr_t)ptr));
}

void lg_cache_reject(lg_thread *self, lg_class *cls, lg_descriptor *region)
{
    /* Some of its blocks may be there. */
    lg_store_relaxed_64(&region->state, lg_state_dirty(lg_address_of(cls, region)));
    lg_transit_enter(self);
    (void)lg_reclaim_batch(self, cls, lg_batch_of(lg_descriptor_index(cls, region)), true);
    lg_transit_leave(self);
}

void lg_cache_flush(lg_thread *self)
{
    LG_EACH_CLASS(cls) {
        if (lg_deque_count(&lg_bin_of(self, cls)->deque) == 0)
            continue;
        lg_exchange_send(self, cls, (lg_batch){0, 0}, LG_DEQUE_ITEMS);
        respect_idle_bytes(self, cls);
    }
}

void lg_cache_at_exit(void *record)
{
    if (!lg_ready() || record != lg_thread_known()) /* the C library has cleared the key, not this */
        return;                                     /* from before a fork */
    lg_cache_flush(record);
    lg_thread_detach();
}
