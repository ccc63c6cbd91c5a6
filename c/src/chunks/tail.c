#include "tail.h"

#include "../base/atomic.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "backing.h"

static uint64_t whole_huge_pages(size_t bytes)
{
    return (bytes + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1);
}

bool lg_tail_give_back(uint64_t offset, uint64_t len)
{
    if (len == 0)
        return false;
    if (lg_backing_clear(offset, len) != 0)
        lg_add_relaxed_64(&lg_clear_failures, 1);
    return true;
}

/*
 * A class whose regions were asked for with less than they have keeps their ends cold. A chunk that changes its class comes
 * with memory everywhere: what lies behind the bytes asked for would be resident for nothing, more of it with each change.
 * Seven phases of blocks of 5 to 257 MiB, a little more than half of their regions, 260 MiB live in each, held 490 MiB
 * without this. Not for small regions, where it takes a system call for little; nor where blocks are to be there.
 */
uint64_t lg_tail_begin(const lg_class *cls, size_t bytes)
{
    uint64_t size = lg_class_size(cls), kept = whole_huge_pages(bytes);
    return size <= LG_HUGE_PAGE || LG_OPTION(reserve_blocks) != 0 || kept > size - size / 8 ? size : kept;
}

/*
 * How much of the region may hold memory since its tail went last is noted, so that whoever asks for the same again and
 * again pays nothing. What is handed out by the own cache in between is not noted: that costs memory at most.
 *
 * It pays: a GiB in use in blocks of 64 KiB to 64 MiB at random, with lg_reclaim_grown(), is 1.48 times as much resident at
 * most with this, from regions of 32 MiB and tails of a quarter on, 1.61 without. The 3.1 GiB that are given back in 2,000
 * exchanges, and are touched again, cost 50 ms of processor time of anonymous memory, and 250 ms of files. From 16 MiB on it
 * is 1.47, from 64 MiB on 1.51; tails of an eighth are 3.8 GiB for 1.47, tails of a third 2.6 GiB and 1.51.
 */
#define LEAST_SHARE 4

void lg_tail_recycled(const lg_class *cls, lg_descriptor *region, size_t bytes)
{
    uint64_t size = lg_class_size(cls), kept = whole_huge_pages(bytes);
    uint32_t known = lg_load_relaxed_32(&region->has_blocks);
    uint64_t held = (uint64_t)(known >> LG_HELD_SHIFT) * LG_HUGE_PAGE;
    if (lg_load_relaxed_64(&region->state) == LG_CLEAN)
        held = kept;
    else if (held == 0)
        held = size;
    if (LG_OPTION(reserve_blocks) != 0) {
        held = size;
    } else if (kept <= size - size / LEAST_SHARE && kept < held) {
        (void)lg_tail_give_back((uint64_t)((char *)lg_address_of(cls, region) - lg_arena_address(0)) + kept,
                                held - kept);
        held = kept; /* also where that failed: it isn't tried again for the same */
        known = 0;
    }
    known &= ((uint32_t)1 << LG_HELD_SHIFT) - 1;
    lg_store_relaxed_32(&region->has_blocks, known | lg_tail_note(cls, lg_max(held, kept)));
}
