#include "evict.h"

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "../regions/transit.h"
#include "../store/place.h"
#include "../store/spill.h"
#include "io.h"
#include "reclaim.h"

lg_a64 lg_evictions;
lg_a64 lg_spill_failures;

/* Evictions under way, and loads that nobody pins, past what they charge: an allocation that finds nothing to evict waits for
 * them before it is refused. Noted before the region is claimed, and taken off when all is done. */
static LG_CACHE_ALIGNED lg_a32 under_way;

void lg_evict_begins(void)
{
    lg_add_seq_cst_32(&under_way, 1);
    lg_seal_inside = true;
}

void lg_evict_ends(void)
{
    lg_seal_inside = false;
    /* Counted before and after. Whoever finds nothing under way finds it counted, by the release and acquire of `under_way`;
     * and whoever found it under way, and waits for another count, doesn't wait in vain. */
    lg_seal_note_end();
    lg_sub_seq_cst_32(&under_way, 1);
    lg_seal_end();
}

void lg_evict_forked(void)
{
    lg_store_relaxed_32(&under_way, 0);
}

/* ---- freeing */

void lg_evict_give_up_place(lg_descriptor *region)
{
    if (lg_spill_release(&region->place))
        lg_io_trim(); /* nobody waits for the disk here; without a thread the next eviction does it */
}

/* A guarded region becomes a clean one. Where the guard can't be taken away it stays, evicted and freed, until somebody comes
 * by again. */
static void free_evicted(lg_thread *self, lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    void *address = lg_region_address(cls, index);
    if (lg_os_unguard(address, lg_class_size(cls)) != 0) {
        lg_seal_set_add(LG_SEAL_CANDIDATES, cls, index);
        /* Release: that it is the caller's no more. Partner: the acquire in free_left_over(). */
        lg_store_release_64(&region->word, LG_SEAL_EVICTED | LG_SEAL_FREED);
        return;
    }
    (void)lg_sub_relaxed_64(&lg_evicted_bytes, lg_class_size(cls));
    lg_store_relaxed_64(&region->word, LG_SEAL_NONE);
    lg_store_relaxed_64(&region->state, LG_CLEAN);
    lg_store_relaxed_32(&region->has_blocks, 0);
    lg_poison(address, lg_class_size(cls));
    lg_transit_enter(self);
    lg_pool_give(self, cls, LG_CLEAN_POOL, lg_batch_of(index)); /* it isn't charged */
    lg_transit_leave(self);
    LG_COUNT_HOT(self, cls, deallocations, 1);
}

bool lg_seal_free_taken(lg_thread *self, lg_class *cls, uint64_t index, bool evicted)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    lg_evict_give_up_place(region);
    if (evicted) {
        free_evicted(self, cls, index);
        return false;
    }
    lg_store_relaxed_64(&region->word, LG_SEAL_NONE);
    lg_store_relaxed_64(&region->state, lg_state_dirty(lg_region_address(cls, index)));
    lg_poison(lg_region_address(cls, index), lg_class_size(cls));
    return true;
}

void lg_evict_free(lg_thread *self, lg_class *cls, uint64_t index, bool evicted)
{
    if (!evicted)
        (void)lg_sub_relaxed_64(&lg_sealed_bytes, lg_class_size(cls));
    if (!lg_seal_free_taken(self, cls, index, evicted))
        return;
    lg_transit_enter(self);
    (void)lg_reclaim_batch(self, cls, lg_batch_of(index), true);
    lg_transit_leave(self);
    LG_COUNT_HOT(self, cls, deallocations, 1);
}

/* What was freed, and is still guarded. */
static void free_left_over(lg_thread *self, lg_class *cls, uint64_t index)
{
    uint64_t left_over = LG_SEAL_EVICTED | LG_SEAL_FREED;
    if (!lg_cas_acquire_64(&lg_descriptor_at(cls, index)->word, &left_over, LG_SEAL_NONE))
        return;
    lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
    free_evicted(self, cls, index);
}

static bool is_left_over(lg_class *cls, uint64_t index)
{
    return lg_load_relaxed_64(&lg_descriptor_at(cls, index)->word) == (LG_SEAL_EVICTED | LG_SEAL_FREED);
}

void lg_evict_sweep(lg_thread *self)
{
    LG_EACH_EVICTED_CLASS(cls)
        for (uint64_t i = 0; lg_seal_set_next(LG_SEAL_CANDIDATES, cls, i, &i); i++)
            if (is_left_over(cls, i))
                free_left_over(self, cls, i);
}

/* ---- evicting */

/* Returns 0 or an errno. */
static int write_out(lg_descriptor *region, const void *address)
{
    lg_place place = LG_NO_PLACE;
    int error = lg_spill_take(lg_max(region->used, 1), &place);
    if (error != 0)
        return error;
    error = lg_spill_write(&place, address);
    if (error == 0)
        region->place = place;
    else
        (void)lg_spill_release(&place);
    if (!lg_io_is_there())
        (void)lg_spill_trim(false);
    return error;
}

/*
 * The caller has claimed the region. What holds in each step: until it is LEAVING its contents may be pinned where they are;
 * from when it is EVICTED on a load may take the guard away, so the guard is there by then; and what isn't charged any more
 * holds no memory. Returns 0 or an errno; EBUSY: it is pinned.
 */
static int evict_claimed(lg_thread *self, lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    void *address = lg_region_address(cls, index);
    lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
    bool placed = (lg_load_relaxed_64(&region->word) & LG_SEAL_PLACED) != 0;
    int error = placed ? 0 : write_out(region, address);
    placed = error == 0;
    if (error == 0 && !lg_seal_leave(region))
        error = EBUSY;
    else if (error == 0)
        error = lg_os_guard(address, lg_class_size(cls));
    if (error == 0) {
        lg_store_relaxed_32(&region->has_blocks, 0);
        lg_seal_account(cls, true);
        lg_discharge(lg_class_size(cls));
        lg_add_relaxed_64(&lg_evictions, 1);
        if (!lg_seal_publish(region, LG_SEAL_EVICTED, LG_SEAL_PLACED, 0))
            lg_evict_free(self, cls, index, true);
        return 0;
    }
    if (error != EBUSY)
        lg_add_relaxed_64(&lg_spill_failures, 1);
    /* First the set: once it is published its user may free it. */
    lg_seal_set_add(LG_SEAL_CANDIDATES, cls, index);
    if (lg_seal_publish(region, LG_SEAL_RESIDENT, placed ? LG_SEAL_PLACED : 0, 0))
        return error;
    lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
    lg_evict_free(self, cls, index, false);
    return 0;
}

/* ---- whose turn it is */

/*
 * A clock: one hand over the candidates of all classes, in the order of their addresses. What was used since it came by gets
 * a second chance. It moves from candidate to candidate, each of which one thread looks at; there is no queue, and so
 * nothing in it that isn't there any more.
 */
#define HAND_CLASS_SHIFT 32
static lg_a64 clock_hand;

/* The next candidate; false: there is none. Adds to `rounds` where the hand came around. */
static bool move_hand(lg_class **out_class, uint64_t *out_index, unsigned *rounds)
{
    uint64_t at = lg_load_relaxed_64(&clock_hand), found, next;
    bool around;
    do {
        unsigned c = (unsigned)lg_max(at >> HAND_CLASS_SHIFT, LG_SPILL_MIN_LOG2 - LG_CLASS_MIN);
        uint64_t index = (uint32_t)at;
        around = false;
        while (!lg_seal_set_next(LG_SEAL_CANDIDATES, lg_class_at(c), index, &found)) {
            index = 0;
            if (++c < lg_layout_.classes)
                continue;
            if (around)
                return false;
            around = true;
            c = LG_SPILL_MIN_LOG2 - LG_CLASS_MIN;
        }
        *out_class = lg_class_at(c);
        *out_index = found;
        next = (uint64_t)c << HAND_CLASS_SHIFT | (found + 1);
    } while (!lg_cas_relaxed_64(&clock_hand, &at, next));
    *rounds += around;
    return true;
}

/* Claims a region, noted as under way; false: it can't be had. */
static bool claim(lg_class *cls, uint64_t index, bool only_placed)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    if (only_placed && (lg_load_relaxed_64(&region->word) & LG_SEAL_PLACED) == 0)
        return false;
    lg_evict_begins();
    if (lg_seal_claim(region))
        return true;
    lg_evict_ends();
    return false;
}

/* What was named by lgalloc_cold(), unless it was pinned since. */
static bool claim_cold(lg_class **out_class, uint64_t *out_index, bool only_placed)
{
    if (!lg_seal_any_cold())
        return false;
    LG_EACH_EVICTED_CLASS(cls) {
        for (uint64_t i = 0; lg_seal_set_next(LG_SEAL_COLD, cls, i, &i); i++) {
            lg_seal_set_remove(LG_SEAL_COLD, cls, i);
            uint64_t word = lg_load_relaxed_64(&lg_descriptor_at(cls, i)->word);
            if ((word & (LG_SEAL_KIND | LG_SEAL_USED)) == LG_SEAL_RESIDENT && claim(cls, i, only_placed)) {
                *out_class = cls;
                *out_index = i;
                return true;
            }
        }
    }
    return false;
}

/* Two rounds of the clock at most: with the second all chances are used up, unless others move the hand as well. */
#define ROUNDS 2

static bool claim_due(lg_thread *self, lg_class **out_class, uint64_t *out_index, bool only_placed)
{
    lg_class *cls;
    unsigned rounds = 0;
    uint64_t i;
    while (rounds <= ROUNDS && move_hand(&cls, &i, &rounds)) {
        if (is_left_over(cls, i))
            free_left_over(self, cls, i);
        else if (lg_seal_is_due(lg_descriptor_at(cls, i)) && claim(cls, i, only_placed)) {
            *out_class = cls;
            *out_index = i;
            return true;
        }
    }
    return false;
}

/* Whatever isn't pinned: a look at all candidates, so that nothing is refused while there is one. */
static bool claim_any(lg_class **out_class, uint64_t *out_index, bool only_placed)
{
    LG_EACH_EVICTED_CLASS(cls) {
        for (uint64_t i = 0; lg_seal_set_next(LG_SEAL_CANDIDATES, cls, i, &i); i++) {
            /* Acquire: see lg_seal_claim(). */
            uint64_t word = lg_load_acquire_64(&lg_descriptor_at(cls, i)->word);
            if (lg_seal_kind(word) == LG_SEAL_RESIDENT && lg_seal_pins(word) == 0 && claim(cls, i, only_placed)) {
                *out_class = cls;
                *out_index = i;
                return true;
            }
        }
    }
    return false;
}

static bool claim_next(lg_thread *self, lg_class **out_class, uint64_t *out_index, bool only_placed)
{
    return claim_cold(out_class, out_index, only_placed) || claim_due(self, out_class, out_index, only_placed) ||
           claim_any(out_class, out_index, only_placed);
}

uint64_t lg_evict_next(lg_thread *self)
{
    lg_class *cls;
    uint64_t i;
    if (!lg_spill_on() || !claim_next(self, &cls, &i, false))
        return 0;
    int error = evict_claimed(self, cls, i);
    lg_evict_ends();
    return error == 0 ? lg_class_size(cls) : 0;
}

int lg_evict_one(lg_thread *self, lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    for (;;) {
        /* Relaxed: nothing that it stands for is looked at here. */
        uint64_t word = lg_load_relaxed_64(&region->word);
        unsigned kind = lg_seal_kind(word);
        if (kind == LG_SEAL_EVICTED || kind == LG_SEAL_NONE)
            return 0;
        if (lg_seal_pins(word) != 0)
            return EBUSY;
        if ((kind & LG_SEAL_BUSY) != 0) {
            lg_seal_wait(region, kind);
        } else if (!lg_spill_on()) {
            return ENOENT;
        } else if (claim(cls, index, false)) {
            int error = evict_claimed(self, cls, index);
            lg_evict_ends();
            return error;
        }
    }
}

/* ---- room */

/*
 * Refuses only if at some moment nothing could be evicted. A look that finds nothing to claim may have missed what another
 * thread had claimed, and what that thread puts back where the look has been already. The first is still under way, or has
 * ended, behind the look; the second has ended. So if nothing is under way after a look, and nothing has ended since before
 * it, all candidates were pinned, or can't be written.
 *
 * After a failure only those are tried that need no writing, since the next write would fail as well; after one of these
 * none.
 */
static bool evict_for(lg_thread *self, uint64_t bytes)
{
    bool only_placed = false;
    if (!lg_spill_on() || !lg_charge_possible(bytes) || lg_forking)
        return false;
    for (;;) {
        uint64_t seen = lg_seal_ended();
        lg_class *cls;
        uint64_t i;
        if (claim_next(self, &cls, &i, only_placed)) {
            int error = evict_claimed(self, cls, i);
            lg_evict_ends();
            if (error != 0 && error != EBUSY) {
                if (only_placed)
                    return lg_charge(bytes);
                only_placed = true;
            }
        } else if (lg_load_seq_cst_32(&under_way) != 0) {
            lg_seal_wait_end(seen);
        } else if (lg_seal_ended() == seen) {
            return lg_charge(bytes);
        }
        if (lg_charge(bytes))
            return true;
    }
}

bool lg_make_room(lg_thread *self, uint64_t bytes)
{
    return lg_reclaim_room(self, bytes) || evict_for(self, bytes);
}
