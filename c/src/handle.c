#include "handle.h"

#include "init.h"
#include "thread_cache.h"

bool lg_handle_find(lgalloc_handle handle, unsigned *out_class_index, uint64_t *out_region)
{
    if (!lg_ready())
        return false;
    size_t offset = (uintptr_t)handle.ptr - lg_stripes[0].base;
    if (offset >= lg_layout_.reserved_bytes)
        return false;
    unsigned class_index = (unsigned)(offset / lg_layout_.stripe_bytes);
    size_t within = offset % lg_layout_.stripe_bytes;
    uint64_t index = within >> (class_index + LG_CLASS_MIN);
    if (class_index >= lg_layout_.stripes || handle.len != lg_class_size(class_index) ||
        within % handle.len != 0 || index >= lg_load_relaxed_64(&lg_stripe_of(class_index)->limit) ||
        lg_load_relaxed_64(&lg_region_at(class_index, index)->state) != (uintptr_t)handle.ptr)
        return false;
    *out_class_index = class_index;
    *out_region = index;
    return true;
}

/* Says what is wrong with a handle that isn't a region in use; returns if it was lost to a fork. */
static void explain_misuse(lgalloc_handle handle)
{
    uintptr_t base = lg_stripes[0].base;
    size_t offset = (uintptr_t)handle.ptr - base;
    if (!lg_ready() || offset >= lg_layout_.reserved_bytes)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" is not memory of this allocator"));
    unsigned class_index = (unsigned)(offset / lg_layout_.stripe_bytes);
    size_t within = offset % lg_layout_.stripe_bytes;
    uint64_t index = within >> (class_index + LG_CLASS_MIN);
    if (class_index >= lg_layout_.stripes || index >= lg_load_relaxed_64(&lg_stripe_of(class_index)->limit))
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" was never allocated"));
    size_t size = lg_class_size(class_index);
    if (within % size != 0)
        LG_DIE(LG_TEXT("invalid free: "), LG_HEX(handle.ptr), LG_TEXT(" points inside the region at "),
               LG_HEX(base + offset - within % size), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    if (handle.len != size)
        LG_DIE(LG_TEXT("invalid free: length "), LG_HEX(handle.len), LG_TEXT(" given for the region at "),
               LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size), LG_TEXT(" bytes"));
    uint64_t state = lg_load_relaxed_64(&lg_region_at(class_index, index)->state);
    if (lg_state_is_free(state))
        LG_DIE(LG_TEXT("double free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size),
               LG_TEXT(" bytes is free already"));
    if (state != LG_LOST)
        LG_DIE(LG_TEXT("corrupted descriptor of the region at "), LG_HEX(handle.ptr), LG_TEXT(": state "),
               LG_HEX(state));
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
    lg_thread *self = lg_self() != NULL ? lg_self() : lg_thread_attach();
    lg_region *region = lg_region_at(class_index, index);
    lg_store_relaxed_64(&region->state, lg_state_dirty(handle.ptr));
    lg_poison(handle.ptr, handle.len);
    LG_COUNT_HOT(self, class_index, deallocations, 1);
    lg_cache_give(self, class_index, region);
}

lgalloc_status lg_die_handed_out_twice(const lg_region *region)
{
    /* In use, its state is its address. */
    LG_DIE(LG_TEXT("double free: region "), LG_HEX(lg_load_relaxed_64(&region->state)),
           LG_TEXT(" was freed twice, or its descriptor overwritten"));
}
