#include "pool.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/options.h"
#include "arena.h"
#include "bitmap.h"
#include "class.h"
#include "descriptor.h"
#include "size_class.h"

static LG_CACHE_ALIGNED lg_a64 charged_bytes;

bool lg_charge(uint64_t bytes)
{
    uint64_t limit = LG_OPTION(limit_bytes);
    uint64_t now = lg_load_relaxed_64(&charged_bytes);
    /* One compare-and-swap decides and charges: with a look and then an addition two threads could both pass
     * for the last room. */
    do {
        if (limit != 0 && (now > limit || bytes > limit - now))
            return false;
    } while (!lg_cas_relaxed_64(&charged_bytes, &now, now + bytes));
    return true;
}

bool lg_charge_possible(uint64_t bytes)
{
    uint64_t limit = LG_OPTION(limit_bytes);
    return limit == 0 || bytes <= limit;
}

uint64_t lg_charged_beyond_limit(void)
{
    uint64_t limit = LG_OPTION(limit_bytes);
    uint64_t now = lg_load_relaxed_64(&charged_bytes);
    return limit != 0 && now > limit ? now - limit : 0;
}

void lg_discharge(uint64_t bytes)
{
    uint64_t before = lg_sub_relaxed_64(&charged_bytes, bytes);
    LG_ASSERT(before >= bytes);
    (void)before;
}

uint64_t lg_charged(void)
{
    return lg_load_relaxed_64(&charged_bytes);
}

void lg_charge_reset(uint64_t bytes)
{
    lg_store_relaxed_64(&charged_bytes, bytes);
}

void lg_pools_init(void)
{
    LG_EACH_CLASS(cls) {
        size_t regions = lg_class_room(cls);
        for (unsigned pool = 0; pool < LG_POOLS; pool++)
            lg_bitmap_init(&cls->pools[pool], cls->bitmap_words + pool * lg_bitmap_words(regions), regions);
    }
}

void lg_pools_abandon(void)
{
    LG_EACH_CLASS(cls) {
        memset(cls->pools, 0, sizeof(cls->pools));
        memset(cls->pooled, 0, sizeof(cls->pooled));
    }
    lg_charge_reset(0);
}

/* What was claimed, counted. */
LG_INLINE lg_batch claimed(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch)
{
    if (batch.mask != 0)
        lg_pool_note(self, cls, pool, (uint64_t)0 - lg_batch_count(batch));
    return batch;
}

lg_batch lg_pool_claim(lg_thread *self, lg_class *cls, enum lg_pool pool, unsigned most, bool scan)
{
    /* Before the class has its first chunk the bitmap can't be written yet, but reads as empty. */
    uint64_t limit = lg_load_relaxed_64(&cls->limit);
    lg_batch batch = scan ? lg_bitmap_claim_scan(&cls->pools[pool], most, limit)
                          : lg_bitmap_claim(&cls->pools[pool], most);
    return claimed(self, cls, pool, batch);
}

lg_batch lg_pool_claim_mask(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch)
{
    if ((lg_bitmap_word(&cls->pools[pool], batch.word) & batch.mask) == 0)
        return (lg_batch){batch.word, 0};
    batch.mask = lg_bitmap_claim_mask(&cls->pools[pool], batch);
    return claimed(self, cls, pool, batch);
}

static LG_COLD LG_NORETURN void die_given_twice(lg_class *cls, lg_batch twice)
{
    LG_DIE(LG_TEXT("double free: region "), LG_HEX(lg_region_address(cls, lg_batch_pop_lowest(&twice))),
           LG_TEXT(" was freed by two threads at once"));
}

void lg_pool_give_counted(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch, uint64_t count)
{
    lg_pool_note(self, cls, pool, count);
    uint64_t twice = lg_bitmap_give(&cls->pools[pool], batch);
    if (LG_UNLIKELY(twice != 0))
        die_given_twice(cls, (lg_batch){batch.word, twice});
}

void lg_pool_give(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch)
{
    if (batch.mask != 0)
        lg_pool_give_counted(self, cls, pool, batch, lg_batch_count(batch));
}

void lg_pool_return(lg_thread *self, lg_class *cls, const lg_descriptor *region)
{
    lg_batch one = lg_batch_of(lg_descriptor_index(cls, region));
    if (lg_load_relaxed_64(&region->state) == LG_CLEAN) {
        lg_pool_give(self, cls, LG_CLEAN_POOL, one);
        lg_discharge(lg_class_size(cls));
    } else {
        lg_pool_give(self, cls, LG_DIRTY_POOL, one);
    }
}

void lg_pools_count(enum lg_pool pool, uint64_t out_counts[LG_CLASS_COUNT])
{
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
        out_counts[c] = lg_load_relaxed_64(&lg_class_at(c)->pooled[pool]);
    LG_EACH_THREAD(thread) {
        for (uint32_t left = lg_thread_used(thread); left != 0;) {
            const lg_class *cls = lg_next_class(&left);
            out_counts[lg_class_index(cls)] += lg_load_relaxed_64(&lg_local_of(thread, cls)->pooled[pool]);
        }
    }
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
        if ((int64_t)out_counts[c] < 0) /* while others move, the parts may not fit each other */
            out_counts[c] = 0;
}

bool lg_pool_is_empty(const lg_class *cls, enum lg_pool pool)
{
    return lg_bitmap_is_empty(&cls->pools[pool]);
}

uint64_t lg_pool_dirty_bytes(void)
{
    uint64_t bytes = 0, counts[LG_CLASS_COUNT];
    lg_pools_count(LG_DIRTY_POOL, counts);
    LG_EACH_CLASS(cls)
        bytes += lg_class_bytes(cls, counts[lg_class_index(cls)]);
    return bytes;
}
