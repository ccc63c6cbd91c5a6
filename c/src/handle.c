#include "handle.h"

#include "init.h"
#include "thread_cache.h"

/* Where an address lies. */
typedef struct location {
    uint64_t class_index; /* at least lg_layout_.stripes: not ours, or a class that the reservation is too small for */
    size_t within;        /* bytes from the stripe's start */
    uint64_t index;       /* of the region there */
} location;

static location location_of(const void *ptr)
{
    if (!lg_ready())
        return (location){.class_index = UINT64_MAX};
    uint64_t class_index = lg_class_of(ptr);
    if (class_index >= LG_CLASS_COUNT)
        return (location){.class_index = UINT64_MAX};
    size_t within = (uintptr_t)ptr & (lg_layout_.stripe_bytes - 1);
    return (location){class_index, within, within >> (class_index + LG_CLASS_MIN)};
}

/* Whether a region there could ever have been handed out. */
static bool has_region(location at)
{
    return at.class_index < lg_layout_.stripes &&
           at.index < lg_load_relaxed_64(&lg_stripe_of((unsigned)at.class_index)->limit);
}

bool lg_owns(const void *ptr)
{
    return location_of(ptr).class_index != UINT64_MAX || lg_stripes_abandoned(ptr);
}

bool lg_region_find(const void *ptr, unsigned *out_class_index, uint64_t *out_region)
{
    location at = location_of(ptr);
    if (!has_region(at))
        return false;
    unsigned class_index = (unsigned)at.class_index;
    if (!lg_state_is_of(lg_load_relaxed_64(&lg_region_at(class_index, at.index)->state), ptr))
        return false;
    *out_class_index = class_index;
    *out_region = at.index;
    return true;
}

bool lg_handle_find(lgalloc_handle handle, unsigned *out_class_index, uint64_t *out_region)
{
    return lg_region_find(handle.ptr, out_class_index, out_region) && handle.len == lg_class_size(*out_class_index);
}

/* Says what is wrong with a handle that isn't a region in use; returns if it was lost to a fork, or left behind by one. */
static void explain_misuse(lgalloc_handle handle)
{
    location at = location_of(handle.ptr);
    if (at.class_index == UINT64_MAX && lg_stripes_abandoned(handle.ptr))
        return;
    if (at.class_index == UINT64_MAX)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" is not memory of this allocator"));
    if (!has_region(at))
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" was never allocated"));
    unsigned class_index = (unsigned)at.class_index;
    size_t size = lg_class_size(class_index);
    if (at.within % size != 0)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" points inside the region at "),
               LG_HEX((uintptr_t)handle.ptr - at.within % size), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    if (handle.len != size)
        LG_DIE(LG_TEXT("invalid free: length "), LG_HEX(handle.len), LG_TEXT(" given for the region at "),
               LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    uint64_t state = lg_load_relaxed_64(&lg_region_at(class_index, at.index)->state);
    if (lg_state_is_free(state))
        LG_DIE(LG_TEXT("double free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size),
               LG_TEXT(" bytes is free already"));
    if (state != LG_LOST)
        LG_DIE(LG_TEXT("corrupted descriptor of the region at "), LG_HEX(handle.ptr), LG_TEXT(": state "),
               LG_HEX(state));
}

void lg_region_explain(const void *ptr)
{
    uint64_t class_index = lg_class_of(ptr);
    size_t len = lg_class_size((unsigned)(class_index % LG_CLASS_COUNT)); /* whatever it is, not the length is wrong */
    explain_misuse((lgalloc_handle){(void *)(uintptr_t)ptr, len});
}

void lg_handle_free(lgalloc_handle handle)
{
    if (handle.len == 0)
        return;
    unsigned class_index;
    uint64_t index;
    if (!lg_handle_find(handle, &class_index, &index)) {
        explain_misuse(handle);
        return;
    }
    lg_thread *self = lg_thread_here();
    lg_region *region = lg_region_at(class_index, index);
    lg_store_relaxed_64(&region->state, lg_state_dirty(handle.ptr));
    lg_poison(handle.ptr, handle.len);
    lg_cache_give(self, class_index, region);
}

lgalloc_status lg_die_handed_out_twice(const lg_region *region)
{
    /* A compiler that knew what comes back, or that nothing does, would call this instead of jumping here, and the hot path
     * would align its stack for that. */
    lgalloc_status never = LGALLOC_STATUS_OUT_OF_MEMORY;
    LG_OPAQUE(never);
    /* In use, its state is its address, negated. */
    if (never != LGALLOC_STATUS_OK)
        LG_DIE(LG_TEXT("double free: region "), LG_HEX(0 - lg_load_relaxed_64(&region->state)),
               LG_TEXT(" was freed twice, or its descriptor overwritten"));
    LG_OPAQUE(never);
    return never;
}
