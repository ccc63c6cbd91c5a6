#include "handle.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/process.h"
#include "../chunks/chunk.h"
#include "../flow/evict.h"
#include "../flow/thread_cache.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/seal.h"
#include "../regions/thread.h"

/* Where an address lies. */
typedef struct location {
    bool ours;
    lg_class *cls;  /* of the memory there; NULL: there is none */
    size_t within;  /* bytes from the region's start */
    uint64_t index; /* of the region */
} location;

static location location_of(const void *ptr)
{
    if (!lg_ready() || lg_chunk_of(ptr) >= lg_layout_.chunks)
        return (location){.ours = false};
    uint64_t offset = lg_arena_offset(ptr);
    lg_class *cls = lg_class_of(ptr);
    if (cls == NULL)
        return (location){.ours = true};
    return (location){true, cls, offset & (lg_class_size(cls) - 1), lg_class_regions(cls, offset)};
}

bool lg_region_find(const void *ptr, lg_class **out_class, uint64_t *out_region)
{
    location at = location_of(ptr);
    lg_class *cls = at.cls;
    if (cls == NULL || at.within != 0 ||
        !lg_state_is_of(lg_load_relaxed_64(&lg_descriptor_at(cls, at.index)->state), ptr))
        return false;
    *out_class = cls;
    *out_region = at.index;
    return true;
}

bool lg_handle_find(lgalloc_handle handle, lg_class **out_class, uint64_t *out_region)
{
    return lg_region_find(handle.ptr, out_class, out_region) && handle.len == lg_class_size(*out_class);
}

bool lg_sealed_find(lgalloc_handle handle, lg_class **out_class, uint64_t *out_region)
{
    location at = location_of(handle.ptr);
    lg_class *cls = at.cls;
    if (cls == NULL || at.within != 0 || handle.len != lg_class_size(cls) ||
        lg_load_relaxed_64(&lg_descriptor_at(cls, at.index)->state) != lg_state_sealed(handle.ptr))
        return false;
    *out_class = cls;
    *out_region = at.index;
    return true;
}

bool lg_handle_is_lost(lgalloc_handle handle)
{
    location at = location_of(handle.ptr);
    if (!at.ours)
        return lg_arena_abandoned(handle.ptr);
    return at.cls != NULL && lg_load_relaxed_64(&lg_descriptor_at(at.cls, at.index)->state) == LG_LOST;
}

/* Says what is wrong with a handle that isn't a region in use; returns if it was lost to a fork, or left behind by one. */
static void explain_misuse(lgalloc_handle handle)
{
    location at = location_of(handle.ptr);
    if (!at.ours && lg_arena_abandoned(handle.ptr))
        return;
    if (!at.ours)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" is not memory of this allocator"));
    lg_class *cls = at.cls;
    if (cls == NULL)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" was never allocated, or was given back"));
    size_t size = lg_class_size(cls);
    if (at.within != 0)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" points inside the region at "),
               LG_HEX((uintptr_t)handle.ptr - at.within), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    if (handle.len != size)
        LG_DIE(LG_TEXT("invalid free: length "), LG_HEX(handle.len), LG_TEXT(" given for the region at "),
               LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    uint64_t state = lg_load_relaxed_64(&lg_descriptor_at(cls, at.index)->state);
    if (lg_state_is_free(state))
        LG_DIE(LG_TEXT("double free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size),
               LG_TEXT(" bytes is free already"));
    if (state != LG_LOST)
        LG_DIE(LG_TEXT("corrupted descriptor of the region at "), LG_HEX(handle.ptr), LG_TEXT(": state "),
               LG_HEX(state));
}

void lg_region_explain(const void *ptr)
{
    lg_class *cls = lg_class_of(ptr);
    size_t len = cls != NULL ? lg_class_size(cls) : 1; /* whatever it is, not the length is wrong */
    explain_misuse((lgalloc_handle){(void *)(uintptr_t)ptr, len});
}

static void free_sealed(lgalloc_handle handle, lg_class *cls, uint64_t index)
{
    lg_thread *self = lg_thread_here();
    enum lg_seal_taken taken = lg_seal_take(cls, index, false);
    switch (taken) {
    case LG_TAKEN_RESIDENT:
    case LG_TAKEN_EVICTED:
        if (lg_seal_free_taken(self, cls, index, taken == LG_TAKEN_EVICTED))
            lg_cache_give(self, cls, lg_descriptor_at(cls, index));
        break;
    case LG_TAKEN_LATER: break;
    case LG_TAKEN_PINNED:
        LG_DIE(LG_TEXT("invalid free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(handle.len),
               LG_TEXT(" bytes is pinned"));
    case LG_TAKEN_NOT:
        LG_DIE(LG_TEXT("double free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(handle.len),
               LG_TEXT(" bytes is free already"));
    }
}

void lg_handle_free(lgalloc_handle handle)
{
    if (handle.len == 0)
        return;
    lg_class *cls;
    uint64_t index;
    if (lg_handle_find(handle, &cls, &index)) {
        lg_thread *self = lg_thread_here();
        lg_descriptor *region = lg_descriptor_at(cls, index);
        lg_store_relaxed_64(&region->state, lg_state_dirty(handle.ptr));
        lg_poison(handle.ptr, handle.len);
        lg_cache_give(self, cls, region);
    } else if (lg_sealed_find(handle, &cls, &index)) {
        free_sealed(handle, cls, index);
    } else {
        explain_misuse(handle);
    }
}

lgalloc_status lg_die_handed_out_twice(const lg_descriptor *region)
{
    /* A compiler that knew what comes back, or that nothing does, would call this instead of jumping here, and the hot path
     * would align its stack for that. */
    lgalloc_status never = LGALLOC_STATUS_OUT_OF_MEMORY;
    LG_OPAQUE(never);
    /* In use, its state is its address, negated; sealed, that of one below. */
    if (never != LGALLOC_STATUS_OK)
        LG_DIE(LG_TEXT("double free: region "), LG_HEX((1 - lg_load_relaxed_64(&region->state)) & ~(uint64_t)1),
               LG_TEXT(" was freed twice, or its descriptor overwritten"));
    LG_OPAQUE(never);
    return never;
}
