/*
 * The tail of a region: what lies behind the bytes that were asked for. Nobody asked for it to be resident, but after some
 * time it is, if regions were asked for with more before. Sizes are powers of two, so all tails together are up to half of
 * what is in use, and 28 percent of it where all sizes are as likely.
 *
 * So tails are given back where they begin to be useless: of a chunk that changes its class, and of a large region that is
 * handed out again for less than before.
 */
#ifndef LG_TAIL_H
#define LG_TAIL_H

#include "../base/base.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"

/* What a region keeps that was asked for with so many bytes and comes from a chunk that changes its class. */
LG_HIDDEN uint64_t lg_tail_begin(const lg_class *cls, size_t bytes);

/* Gives back the memory of [offset, offset + len) of the arena, which may be nothing. Returns whether any went, or may have. */
LG_HIDDEN bool lg_tail_give_back(uint64_t offset, uint64_t len);

/* A free region of the caller's is going to be handed out for so many bytes. */
LG_HIDDEN LG_WARM void lg_tail_recycled(const lg_class *cls, lg_descriptor *region, size_t bytes);

/* Smaller ones come from the own cache as a rule, which doesn't know what was asked for. */
#define LG_TAIL_FROM LG_CHUNK

/* What a descriptor says where the first `held` bytes of its region may hold memory, and no more. */
LG_INLINE uint32_t lg_tail_note(const lg_class *cls, uint64_t held)
{
    uint64_t size = lg_class_size(cls);
    return size >= LG_TAIL_FROM && held < size ? (uint32_t)(held / LG_HUGE_PAGE) << LG_HELD_SHIFT : 0;
}

/* lg_tail_recycled() for any class. */
LG_INLINE void lg_tail_recycle(const lg_class *cls, lg_descriptor *region, size_t bytes)
{
    if (LG_UNLIKELY(lg_class_size(cls) >= LG_TAIL_FROM))
        lg_tail_recycled(cls, region, bytes);
}

#endif
