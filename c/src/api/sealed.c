/* The public functions of sealed regions. Pinning and unpinning what is resident is hot; the rest isn't. */
#include "../base/atomic.h"
#include "../base/die.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../flow/evict.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/seal.h"
#include "../regions/thread.h"
#include "../store/spill.h"
#include "handle.h"

/* ---- pins */

static LG_WARM lgalloc_status pin_slow(lgalloc_handle handle);
static LG_COLD lgalloc_status try_pin_slow(lgalloc_handle handle);
static LG_COLD void unpin_slow(lgalloc_handle handle);

/* The descriptor of a sealed region, by the calling thread's record; NULL: it isn't one, or the thread has no record. */
LG_INLINE lg_descriptor *sealed_region(lgalloc_handle handle)
{
    lg_bin *bin = &lg_hot_bins[lg_bin_of_len(handle.len, false)];
    lg_descriptor *region = lg_bin_descriptor(bin, (uintptr_t)handle.ptr);
    bool sealed = LG_LIKELY(bin->len == handle.len) &&
                  LG_LIKELY(lg_load_relaxed_64(&region->state) == lg_state_sealed(handle.ptr));
    return sealed ? region : NULL;
}

LG_API lgalloc_status lgalloc_pin(lgalloc_handle handle)
{
    uint64_t word;
    lg_descriptor *region = sealed_region(handle);
    if (LG_LIKELY(region != NULL) && LG_LIKELY(lg_seal_pin(region, LG_SEAL_USED, &word)))
        return LGALLOC_STATUS_OK;
    return pin_slow(handle);
}

LG_API lgalloc_status lgalloc_try_pin(lgalloc_handle handle)
{
    uint64_t word;
    lg_descriptor *region = sealed_region(handle);
    if (LG_LIKELY(region != NULL) && LG_LIKELY(lg_seal_pin(region, LG_SEAL_USED, &word)))
        return LGALLOC_STATUS_OK;
    return try_pin_slow(handle);
}

static LG_COLD void die_unpinned(lgalloc_handle handle)
{
    LG_DIE(LG_TEXT("invalid unpin: the region at "), LG_HEX(handle.ptr), LG_TEXT(" of "), LG_HEX(handle.len),
           LG_TEXT(" bytes isn't pinned"));
}

LG_API void lgalloc_unpin(lgalloc_handle handle)
{
    lg_descriptor *region = sealed_region(handle);
    if (LG_UNLIKELY(region == NULL))
        unpin_slow(handle);
    else if (LG_UNLIKELY(!lg_seal_unpin(region)))
        die_unpinned(handle);
}

static void unpin_slow(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (handle.len == 0)
        return;
    if (lg_sealed_find(handle, &cls, &index)) {
        if (!lg_seal_unpin(lg_descriptor_at(cls, index)))
            die_unpinned(handle);
        return;
    }
    if (!lg_handle_is_lost(handle))
        LG_DIE(LG_TEXT("invalid unpin: "), LG_HEX(handle.ptr), LG_TEXT(", length "), LG_HEX(handle.len),
               LG_TEXT(", is not a sealed region"));
}

static lgalloc_status try_pin_slow(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index, word;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_sealed_find(handle, &cls, &index))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (lg_seal_pin(lg_descriptor_at(cls, index), LG_SEAL_USED, &word))
        return LGALLOC_STATUS_OK;
    return word == LG_SEAL_NONE || (word & LG_SEAL_FREED) != 0 ? LGALLOC_STATUS_INVALID_ARGUMENT
                                                               : LGALLOC_STATUS_NOT_RESIDENT;
}

/* Pins it as many times as it was found; waits for whoever is busy with it, loads it where it is evicted. */
static lgalloc_status pin_region(lg_thread *self, lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    for (;;) {
        uint64_t word;
        if (lg_seal_pin(region, LG_SEAL_USED, &word))
            return LGALLOC_STATUS_OK;
        if (lg_seal_kind(word) == LG_SEAL_NONE || (word & LG_SEAL_FREED) != 0)
            return LGALLOC_STATUS_INVALID_ARGUMENT;
        if (lg_seal_kind(word) != LG_SEAL_EVICTED) {
            lg_seal_wait(region, lg_seal_kind(word));
        } else if (lg_seal_claim_load(region, &word)) {
            int error = 0;
            lgalloc_status status = lg_load(self, cls, index, 1, &error);
            return status == LGALLOC_STATUS_IO ? lg_io_error(error) : status;
        }
    }
}

static lgalloc_status pin_slow(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_sealed_find(handle, &cls, &index))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    return pin_region(lg_thread_here(), cls, index); /* it has a record from now on, if there is one */
}

/* Of so many it is remembered whether they were resident; the rest are pinned as they come. */
#define PINNED_FIRST 1024

static bool is_pinned_first(const uint64_t *pinned, size_t i)
{
    return i < PINNED_FIRST && (pinned[i / 64] >> i % 64 & 1) != 0;
}

LG_API lgalloc_status lgalloc_pin_all(const lgalloc_handle *handles, size_t count)
{
    if (handles == NULL && count != 0)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    /* First what is resident: loading another could evict it, and it would be loaded again. */
    uint64_t pinned[PINNED_FIRST / 64] = {0};
    for (size_t i = 0; i < count && i < PINNED_FIRST; i++)
        if (lgalloc_try_pin(handles[i]) == LGALLOC_STATUS_OK)
            pinned[i / 64] |= (uint64_t)1 << i % 64;
    for (size_t i = 0; i < count; i++) {
        if (is_pinned_first(pinned, i))
            continue;
        lgalloc_status status = lgalloc_pin(handles[i]);
        if (status == LGALLOC_STATUS_OK)
            continue;
        for (size_t k = 0; k < count && (k < i || k < PINNED_FIRST); k++)
            if (k < i || is_pinned_first(pinned, k))
                lgalloc_unpin(handles[k]);
        return status;
    }
    return LGALLOC_STATUS_OK;
}

/* ---- the rest */

LG_API lgalloc_status lgalloc_seal(lgalloc_handle handle, size_t used)
{
    lg_class *cls;
    uint64_t index;
    if (used > handle.len)
        return LGALLOC_STATUS_OUT_OF_BOUNDS;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_handle_find(handle, &cls, &index) || lg_backing_kind(lg_class_bytes(cls, index)) != LG_AREA_ANONYMOUS)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    int error = lg_seal_begin(cls, index, used);
    return error == 0 ? LGALLOC_STATUS_OK : lg_io_error(error);
}

/* The caller has pinned it once. */
static lgalloc_status unseal_pinned(lg_class *cls, uint64_t index)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    for (;;) {
        switch (lg_seal_take(cls, index, true)) {
        case LG_TAKEN_RESIDENT:
            lg_evict_give_up_place(region);
            lg_store_relaxed_64(&region->state, lg_state_in_use(lg_region_address(cls, index)));
            return LGALLOC_STATUS_OK;
        case LG_TAKEN_LATER: /* it is being written, and stays since it is pinned */
            lg_seal_wait(region, LG_SEAL_WRITING);
            break;
        default: (void)lg_seal_unpin(region); return LGALLOC_STATUS_BUSY;
        }
    }
}

LG_API lgalloc_status lgalloc_unseal(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_sealed_find(handle, &cls, &index))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    lgalloc_status status = pin_region(lg_thread_here(), cls, index);
    return status == LGALLOC_STATUS_OK ? unseal_pinned(cls, index) : status;
}

LG_API lgalloc_status lgalloc_evict(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_sealed_find(handle, &cls, &index))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (!lg_class_is_evicted(cls))
        return LGALLOC_STATUS_INVALID_SIZE_CLASS;
    int error = lg_evict_one(lg_thread_here(), cls, index);
    if (error == EBUSY)
        return LGALLOC_STATUS_BUSY;
    return error == 0 ? LGALLOC_STATUS_OK : lg_io_error(error);
}

/* A part of what is on disk; what lies behind the used bytes is zero. Returns 0 or an errno. */
static int read_from_disk(const lg_descriptor *region, size_t offset, size_t len, char *out)
{
    size_t end = lg_min(offset + len, region->used);
    size_t there = end > offset ? end - offset : 0;
    memset(out + there, 0, len - there);
    return there == 0 ? 0 : lg_spill_read(&region->place, offset, there, out);
}

LG_API lgalloc_status lgalloc_read(lgalloc_handle handle, size_t offset, size_t len, void *out)
{
    lg_class *cls;
    uint64_t index, word;
    if (offset > handle.len || len > handle.len - offset)
        return LGALLOC_STATUS_OUT_OF_BOUNDS;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_sealed_find(handle, &cls, &index) || (out == NULL && len != 0))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (len == 0)
        return LGALLOC_STATUS_OK;
    lg_descriptor *region = lg_descriptor_at(cls, index);
    while (!lg_seal_hold(region, &word)) {
        if (lg_seal_kind(word) == LG_SEAL_NONE || (word & LG_SEAL_FREED) != 0)
            return LGALLOC_STATUS_INVALID_ARGUMENT;
        lg_seal_wait(region, lg_seal_kind(word));
    }
    int error = 0;
    if ((word & LG_SEAL_THERE) != 0)
        memcpy(out, (const char *)handle.ptr + offset, len);
    else
        error = read_from_disk(region, offset, len, out);
    if (lg_sealed_find(handle, &cls, &index)) /* unless it is lost: a signal's handler may have forked */
        lg_seal_let_go(lg_descriptor_at(cls, index));
    return error == 0 ? LGALLOC_STATUS_OK : lg_io_error(error);
}

LG_API bool lgalloc_is_resident(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (handle.len == 0 || lg_handle_find(handle, &cls, &index))
        return true;
    return lg_sealed_find(handle, &cls, &index) &&
           (lg_load_relaxed_64(&lg_descriptor_at(cls, index)->word) & LG_SEAL_THERE) != 0;
}
