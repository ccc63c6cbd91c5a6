/*
 * Handles: allocate and deallocate. The two inline functions at the top are the hot path: no system call, no
 * lock, no shared cache line written. Everything that isn't the usual case leaves through a cold function,
 * which starts over from the arguments.
 */
#include "allocate.h"

#include "init.h"
#include "thread_cache.h"

/* A request below this would round up to less than the smallest region. */
#define SMALLEST_REQUEST (((size_t)1 << (LG_CLASS_MIN - 1)) + 1)
#define LARGEST_REQUEST ((size_t)1 << LG_CLASS_MAX)

static LG_COLD lgalloc_status allocate_cold(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                            size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed);
static LG_COLD void deallocate_cold(lgalloc_handle handle);
static LG_COLD void make_zero(unsigned class_index, uint64_t region, void *ptr, size_t len);
static LG_COLD LG_NORETURN void die_handed_out_twice(const void *ptr);

/* A free region of the calling thread's becomes one in use. */
LG_INLINE void hand_out(unsigned log2, uint32_t index, size_t elem_size, void **out_ptr, size_t *out_capacity,
                        lgalloc_handle *out_handle, bool zeroed)
{
    const lg_stripe *stripe = &lg_stripes[log2];
    size_t len = (size_t)1 << log2;
    void *ptr = (void *)(stripe->base + ((size_t)index << log2));
    lg_region *region = &stripe->regions[index];
    uint32_t state = lg_load_relaxed_32(&region->state);
    /* Two threads that free a region in the same instant both see it in use; here it comes out. */
    if (LG_UNLIKELY(state >= LG_IN_USE))
        die_handed_out_twice(ptr);
    lg_store_relaxed_32(&region->state, LG_IN_USE);
    lg_unpoison(ptr, len);
    if (zeroed && state != LG_CLEAN)
        make_zero(log2 - LG_CLASS_MIN, index, ptr, len);
    out_handle->ptr = ptr;
    out_handle->len = len;
    if (out_ptr != NULL)
        *out_ptr = ptr;
    if (out_capacity != NULL) /* a division takes as long as all the rest; most sizes are powers of two */
        *out_capacity = (elem_size & (elem_size - 1)) == 0 ? len >> __builtin_ctzl(elem_size) : len / elem_size;
}

LG_INLINE lgalloc_status allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                  size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    lg_thread *self = lg_self;
    size_t bytes;
    if (LG_UNLIKELY(__builtin_mul_overflow(capacity, elem_size, &bytes)) ||
        LG_UNLIKELY(bytes - SMALLEST_REQUEST > LARGEST_REQUEST - SMALLEST_REQUEST) ||
        LG_UNLIKELY(((elem_align - 1) & elem_align) != 0) || LG_UNLIKELY(elem_align - 1 >= bytes) ||
        LG_UNLIKELY(out_handle == NULL) || LG_UNLIKELY(self == NULL) ||
        LG_UNLIKELY(lg_load_relaxed_64(&lg_hot_flags) != 0))
        return allocate_cold(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, zeroed);
    unsigned log2 = lg_log2_ceil(bytes);
    lg_bin *bin = &self->bins[log2 - LG_CLASS_MIN];
    uint32_t index;
    if (LG_UNLIKELY(!lg_deque_pop(&bin->deque, self->rings[log2 - LG_CLASS_MIN], false, &index)))
        return allocate_cold(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, zeroed);
    lg_bump(&bin->counters.allocations, 1);
    hand_out(log2, index, elem_size, out_ptr, out_capacity, out_handle, zeroed);
    return LGALLOC_STATUS_OK;
}

LG_INLINE void deallocate(lgalloc_handle handle)
{
    lg_thread *self = lg_self;
    size_t len = handle.len;
    /* False unless len is a power of two. */
    if (LG_UNLIKELY((len ^ (len - 1)) <= len - 1) || LG_UNLIKELY(self == NULL)) {
        deallocate_cold(handle);
        return;
    }
    unsigned log2 = (unsigned)__builtin_ctzl(len);
    const lg_stripe *stripe = &lg_stripes[log2];
    /* Rotated by log2, an offset that is no multiple of the region's size, or is outside of the stripe, is huge:
     * one comparison tells all. A length that is no size class has limit 0. */
    size_t offset = (uintptr_t)handle.ptr - stripe->base;
    size_t index = offset >> log2 | offset << (-log2 & 63);
    lg_region *region = &stripe->regions[index];
    if (LG_UNLIKELY(index >= lg_load_relaxed_64(&stripe->limit)) ||
        LG_UNLIKELY(lg_load_relaxed_32(&region->state) != LG_IN_USE)) {
        deallocate_cold(handle);
        return;
    }
    lg_bin *bin = &self->bins[log2 - LG_CLASS_MIN];
    lg_store_relaxed_32(&region->state, LG_DIRTY);
    lg_poison(handle.ptr, len);
    lg_bump(&bin->counters.deallocations, 1);
    if (LG_UNLIKELY(!lg_deque_push(&bin->deque, self->rings[log2 - LG_CLASS_MIN], (uint32_t)index,
                                   lg_load_relaxed_32(&stripe->cache_capacity))))
        lg_cache_overflow(self, log2 - LG_CLASS_MIN, (uint32_t)index);
}

LG_API lgalloc_status lgalloc_allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                       size_t *out_capacity, lgalloc_handle *out_handle)
{
    return allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, false);
}

LG_API lgalloc_status lgalloc_allocate_zeroed(size_t capacity, size_t elem_size, size_t elem_align,
                                              void **out_ptr, size_t *out_capacity, lgalloc_handle *out_handle)
{
    return allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, true);
}

LG_API void lgalloc_deallocate(lgalloc_handle handle)
{
    deallocate(handle);
}

/* ---- the rare cases of allocating */

static void die_handed_out_twice(const void *ptr)
{
    LG_DIE(LG_TEXT("double free: region "), LG_HEX(ptr), LG_TEXT(" was freed twice, or its descriptor overwritten"));
}

/* What is wrong with a request, or OK; *out_bytes is 0 if it needs no memory. */
static lgalloc_status check_request(size_t capacity, size_t elem_size, size_t elem_align, size_t *out_bytes)
{
    if (elem_align == 0 || (elem_align & (elem_align - 1)) != 0)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (__builtin_mul_overflow(capacity, elem_size, out_bytes))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (*out_bytes == 0)
        return LGALLOC_STATUS_OK;
    if (*out_bytes < SMALLEST_REQUEST || *out_bytes > LARGEST_REQUEST)
        return LGALLOC_STATUS_INVALID_SIZE_CLASS;
    if (elem_align > (size_t)1 << lg_log2_ceil(*out_bytes))
        return LGALLOC_STATUS_UNALIGNED_MEMORY;
    if ((lg_load_relaxed_64(&lg_hot_flags) & LG_HOT_DISABLED) != 0)
        return LGALLOC_STATUS_DISABLED;
    return LGALLOC_STATUS_OK;
}

/* Makes sure that the region's disk blocks are there. Returns 0 or an errno. */
static int reserve_blocks(unsigned class_index, uint32_t index)
{
    lg_region *region = lg_region_at(class_index, index);
    uint64_t offset = (uint64_t)index << (class_index + LG_CLASS_MIN);
    lg_area area;
    if (lg_load_relaxed_32(&region->has_blocks) != 0 || !lg_area_next(class_index, offset, &area) ||
        area.kind != LG_AREA_FILE)
        return 0;
    int error = lg_os_allocate_blocks(area.fd, offset, lg_class_size(class_index));
    if (error == 0)
        lg_store_relaxed_32(&region->has_blocks, 1);
    return error;
}

/* A free region from wherever there is one. */
static lgalloc_status find_region(lg_thread *self, unsigned class_index, uint32_t *out_index, int *out_error)
{
    uint64_t flags = lg_load_relaxed_64(&lg_hot_flags);
    if (self == NULL || class_index >= lg_layout_.stripes ||
        !lg_deque_pop(&self->bins[class_index].deque, self->rings[class_index], (flags & LG_HOT_FENCE) != 0,
                      out_index)) {
        lgalloc_status status = lg_cache_refill(self, class_index, out_index, out_error);
        if (status != LGALLOC_STATUS_OK)
            return status;
    }
    if ((flags & LG_HOT_RESERVE_BLOCKS) != 0 && (*out_error = reserve_blocks(class_index, *out_index)) != 0) {
        lg_cache_reject(self, class_index, *out_index);
        return LGALLOC_STATUS_IO;
    }
    return LGALLOC_STATUS_OK;
}

static lgalloc_status allocate_cold(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                    size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    if (out_ptr != NULL)
        *out_ptr = lg_empty_handle(elem_align).ptr;
    if (out_capacity != NULL)
        *out_capacity = 0;
    if (out_handle == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    *out_handle = lg_empty_handle(elem_align);
    size_t bytes;
    lgalloc_status status = check_request(capacity, elem_size, elem_align, &bytes);
    if (status != LGALLOC_STATUS_OK)
        return status;
    if (bytes == 0) {
        if (elem_size == 0 && out_capacity != NULL)
            *out_capacity = SIZE_MAX;
        return LGALLOC_STATUS_OK;
    }
    if (!lg_ready() && lg_init() != 0)
        return LGALLOC_STATUS_OUT_OF_MEMORY; /* not even the smallest reservation */
    lg_thread *self = lg_self != NULL ? lg_self : lg_thread_attach();
    unsigned class_index = lg_log2_ceil(bytes) - LG_CLASS_MIN;
    uint32_t index;
    int error = 0;
    status = find_region(self, class_index, &index, &error);
    if (status != LGALLOC_STATUS_OK) {
        if (status == LGALLOC_STATUS_IO)
            errno = error;
        return status;
    }
    LG_COUNT(self, class_index, allocations, 1);
    hand_out(class_index + LG_CLASS_MIN, index, elem_size, out_ptr, out_capacity, out_handle, zeroed);
    return LGALLOC_STATUS_OK;
}

/* From this size on, giving the pages back and taking zeroed ones is cheaper than writing zeros. */
#define DISCARD_TO_ZERO (256 * LG_MIB)

static void make_zero(unsigned class_index, uint64_t region, void *ptr, size_t len)
{
    lg_area area;
    uint64_t offset = region << (class_index + LG_CLASS_MIN);
    bool keep_blocks = (lg_load_relaxed_64(&lg_hot_flags) & LG_HOT_RESERVE_BLOCKS) != 0;
    if (len >= DISCARD_TO_ZERO && !keep_blocks && lg_area_next(class_index, offset, &area) &&
        lg_area_clear(class_index, &area, offset, len) == 0)
        return;
    memset(ptr, 0, len);
}

/* ---- the rare cases of freeing */

bool lg_handle_find(lgalloc_handle handle, unsigned *out_class_index, uint64_t *out_region)
{
    if (!lg_ready())
        return false;
    size_t offset = (uintptr_t)handle.ptr - lg_stripes[LG_CLASS_MIN].base;
    if (offset >= lg_layout_.reserved_bytes)
        return false;
    unsigned class_index = (unsigned)(offset / lg_layout_.stripe_bytes);
    size_t within = offset % lg_layout_.stripe_bytes;
    uint64_t index = within >> (class_index + LG_CLASS_MIN);
    if (class_index >= lg_layout_.stripes || handle.len != lg_class_size(class_index) ||
        within % handle.len != 0 || index >= lg_load_relaxed_64(&lg_stripe_of(class_index)->limit) ||
        lg_load_relaxed_32(&lg_region_at(class_index, index)->state) != LG_IN_USE)
        return false;
    *out_class_index = class_index;
    *out_region = index;
    return true;
}

/* Says what is wrong with a handle that isn't a region in use; returns if it was lost to a fork. */
static void explain_misuse(lgalloc_handle handle)
{
    uintptr_t base = lg_stripes[LG_CLASS_MIN].base;
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
    uint32_t state = lg_load_relaxed_32(&lg_region_at(class_index, index)->state);
    if (state == LG_CLEAN || state == LG_DIRTY)
        LG_DIE(LG_TEXT("double free: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(size),
               LG_TEXT(" bytes is free already"));
    if (state != LG_LOST)
        LG_DIE(LG_TEXT("corrupted descriptor of the region at "), LG_HEX(handle.ptr), LG_TEXT(": state "),
               LG_HEX(state));
}

static void deallocate_cold(lgalloc_handle handle)
{
    if (handle.len == 0)
        return;
    unsigned class_index;
    uint64_t index;
    if (!lg_handle_find(handle, &class_index, &index)) {
        explain_misuse(handle);
        return;
    }
    lg_thread *self = lg_self != NULL ? lg_self : lg_thread_attach();
    lg_store_relaxed_32(&lg_region_at(class_index, index)->state, LG_DIRTY);
    lg_poison(handle.ptr, handle.len);
    LG_COUNT(self, class_index, deallocations, 1);
    if (self == NULL || !lg_deque_push(&self->bins[class_index].deque, self->rings[class_index], (uint32_t)index,
                                       lg_load_relaxed_32(&lg_stripe_of(class_index)->cache_capacity)))
        lg_cache_overflow(self, class_index, (uint32_t)index);
}
