/* What an address alone says of its region, and realloc. */
#include "../base/atomic.h"
#include "../base/os.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "../regions/transit.h"
#include "handle.h"

LG_API size_t lgalloc_usable_size(const void *ptr)
{
    lg_class *cls;
    uint64_t index;
    if (!lg_region_find(ptr, &cls, &index)) {
        cls = lg_class_of(ptr);
        if (cls == NULL || !lg_sealed_find((lgalloc_handle){(void *)(uintptr_t)ptr, lg_class_size(cls)}, &cls, &index))
            return 0;
    }
    return lg_class_size(cls);
}

LG_API bool lgalloc_owns(const void *ptr)
{
    return lg_owns(ptr);
}

/* ---- realloc */

/* From this size on pages are moved where they can be. */
#define MOVE_FROM (32 * LG_MIB)

/* A region that is about to be left for another. */
typedef struct leaving {
    void *ptr;
    lg_class *cls;
    uint64_t index;
} leaving;

static bool is_anonymous(lg_class *cls, uint64_t index)
{
    return lg_backing_kind(lg_class_bytes(cls, index)) == LG_AREA_ANONYMOUS;
}

/*
 * Moves pages, and copies what can't be moved. Returns whether nothing is left behind. Each move may leave the kernel
 * with a mapping of its own here, so that there may be one per MOVE_FROM bytes at most, until the area is given back.
 */
static bool move_pages(lg_thread *self, char *from, char *to, size_t len)
{
    /* A fork in the middle would lose them to the child. */
    lg_transit_enter(self);
    bool anew;
    int error = lg_os_move(from, to, len, &anew);
    lg_transit_leave(self);
    if (error == 0 || anew)
        lg_backing_moved(lg_arena_offset(from), lg_arena_offset(to), len, anew);
    if (error == 0)
        return true;
    if (error == EFAULT && len > MOVE_FROM) { /* several mappings: earlier moves ended between the halves, or within */
        bool first = move_pages(self, from, to, len / 2);
        return move_pages(self, from + len / 2, to + len / 2, len / 2) && first;
    }
    memcpy(to, from, len);
    return false;
}

/* Frees a region whose pages are gone. */
static void free_clean(lg_thread *self, const leaving *old)
{
    lg_descriptor *region = lg_descriptor_at(old->cls, old->index);
    lg_store_relaxed_64(&region->state, LG_CLEAN);
    lg_poison(old->ptr, lg_class_size(old->cls));
    lg_transit_enter(self);
    lg_pool_return(self, old->cls, region);
    lg_transit_leave(self);
    LG_COUNT_HOT(self, old->cls, deallocations, 1);
}

/* Moves what is in the old region to a new one, as much as fits, and frees the old. */
static void move_contents(const leaving *old, void *ptr)
{
    size_t size = lg_class_size(old->cls);
    lg_class *cls;
    uint64_t index;
    size_t len = lg_region_find(ptr, &cls, &index) ? lg_min(size, lg_class_size(cls)) : 0;
    if (len >= MOVE_FROM && is_anonymous(old->cls, old->index) && is_anonymous(cls, index)) {
        lg_thread *self = lg_self() != NULL ? lg_self() : lg_thread_attach();
        lg_store_relaxed_32(&lg_descriptor_at(old->cls, old->index)->has_blocks, 0);
        if (move_pages(self, old->ptr, ptr, len) && len == size) {
            free_clean(self, old);
            return;
        }
    } else {
        memcpy(ptr, old->ptr, len);
    }
    lgalloc_free(old->ptr);
}

LG_API void *lgalloc_realloc(void *ptr, size_t size)
{
    if (ptr == NULL)
        return lgalloc_malloc(size);
    leaving old = {.ptr = ptr};
    if (!lg_region_find(ptr, &old.cls, &old.index)) {
        if (lgalloc_usable_size(ptr) != 0) {
            errno = EINVAL; /* it is sealed */
            return NULL;
        }
        lg_region_explain(ptr);
        errno = EFAULT; /* lost to a fork, and its contents with it */
        return NULL;
    }
    if (lg_log2_ceil(size) == old.cls->log2)
        return ptr;
    void *moved = lgalloc_malloc(size);
    if (moved != NULL)
        move_contents(&old, moved);
    return moved;
}
