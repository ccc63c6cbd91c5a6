#include "sealed.h"

#include <string.h>

#include "base/atomic.h"
#include "memory.h"
#include "world.h"

enum { REGIONS = 8 };

#define GUARDED UINT64_C(0x6764)

static struct {
    const void *addr; /* NULL: unused */
    size_t len;
    unsigned pins;
    bool guarded;
    unsigned guard_by; /* who put the guard there, and when */
    uint64_t guard_step;
    uint64_t looked[XP_THREADS + 1]; /* a thread's step when it had read it last; 0: it hasn't */
} sealed[REGIONS];

bool world_tells_readers;

static lg_a64 *word_at(const void *addr)
{
    return (lg_a64 *)(uintptr_t)addr;
}

static unsigned find(const void *addr)
{
    for (unsigned i = 0; i < REGIONS; i++)
        if (sealed[i].addr == addr)
            return i;
    for (unsigned i = 0; i < REGIONS; i++)
        if (sealed[i].addr == NULL) {
            sealed[i].addr = addr;
            return i;
        }
    xp_fail("world/sealed.c: too many sealed regions", NULL);
}

/* ---- clients */

void world_seal(lgalloc_handle handle, uint64_t value)
{
    unsigned i = find(handle.ptr);
    memset(&sealed[i], 0, sizeof(sealed[i]));
    sealed[i].addr = handle.ptr;
    sealed[i].len = handle.len;
    lg_store_relaxed_64(word_at(handle.ptr), value);
    XP_CHECK(lgalloc_seal(handle, sizeof(uint64_t)) == LGALLOC_STATUS_OK);
}

static void look(unsigned i, uint64_t value)
{
    if (lg_load_relaxed_64(word_at(sealed[i].addr)) != value)
        xp_fail("a pinned region isn't what was sealed", NULL);
    sealed[i].looked[xp_self()] = xp_last_store();
}

static lgalloc_status pinned(lgalloc_status status, lgalloc_handle handle, uint64_t value)
{
    if (status == LGALLOC_STATUS_OK) {
        unsigned i = find(handle.ptr);
        sealed[i].pins++;
        look(i, value);
    }
    return status;
}

lgalloc_status world_pin(lgalloc_handle handle, uint64_t value)
{
    return pinned(lgalloc_pin(handle), handle, value);
}

lgalloc_status world_try_pin(lgalloc_handle handle, uint64_t value)
{
    return pinned(lgalloc_try_pin(handle), handle, value);
}

void world_unpin(lgalloc_handle handle, uint64_t value)
{
    unsigned i = find(handle.ptr);
    look(i, value);
    sealed[i].pins--;
    lgalloc_unpin(handle);
}

/* Whether the calling thread knows of all that others have read; else the memory goes, or is written, before. */
static void check_readers(unsigned i)
{
    for (unsigned t = 0; t <= XP_THREADS && world_tells_readers && !world.forked; t++)
        if (t != xp_self() && t != XP_MAIN && sealed[i].looked[t] != 0)
            XP_CHECK(xp_is_visible(t, sealed[i].looked[t], xp_self()) && "a reader may not have read yet");
}

lgalloc_status world_unseal(lgalloc_handle handle, uint64_t value, uint64_t next)
{
    lgalloc_status status = lgalloc_unseal(handle);
    if (status == LGALLOC_STATUS_OK) {
        unsigned i = find(handle.ptr);
        XP_CHECK(sealed[i].pins == 0 && "a pinned region is unsealed");
        check_readers(i);
        look(i, value);
        lg_store_relaxed_64(word_at(handle.ptr), next);
    }
    return status;
}

lgalloc_status world_read(lgalloc_handle handle, uint64_t value)
{
    uint64_t word = 0;
    lgalloc_status status = lgalloc_read(handle, 0, sizeof(word), &word);
    XP_CHECK(status != LGALLOC_STATUS_OK || word == value);
    return status;
}

/* ---- system calls */

static void set_holds(const void *addr, size_t len, bool holds)
{
    world_span s = world_find(addr, len);
    for (unsigned i = s.first; i < s.first + s.count; i++)
        *world_holds(i) = holds;
}

void world_loaded(const void *addr)
{
    set_holds(addr, sealed[find(addr)].len, true);
}

void world_guarded(const void *addr, size_t len)
{
    xp_point();
    unsigned i = find(addr);
    sealed[i].len = len;
    XP_CHECK((world.forked || sealed[i].pins == 0) && "a pinned region goes");
    check_readers(i);
    set_holds(addr, len, false);
    sealed[i].guarded = true;
    lg_store_relaxed_64(word_at(addr), GUARDED);
    sealed[i].guard_by = xp_self();
    sealed[i].guard_step = xp_last_store();
}

void world_unguarded(const void *addr, size_t len)
{
    xp_point();
    unsigned i = find(addr);
    (void)len;
    if (sealed[i].guarded && world.limit != 0) {
        size_t bytes = 0;
        for (unsigned c = 0; c < WORLD_CLASSES; c++)
            bytes += world.owned[c] * world_size_of(c);
        XP_CHECK((world.forked || bytes - world_guarded_bytes() + len <= world.limit || !world_is_owned(addr, len)) &&
                 "what is loaded is charged before");
    }
    XP_CHECK((!world_tells_readers || !sealed[i].guarded || world.forked || sealed[i].guard_by == XP_MAIN ||
              xp_is_visible(sealed[i].guard_by, sealed[i].guard_step, xp_self())) &&
             "a guard may yet come after it was taken away");
    sealed[i].guarded = false;
    lg_store_relaxed_64(word_at(addr), 0);
}

void world_forget_sealed(void)
{
    memset(sealed, 0, sizeof(sealed));
}

size_t world_guarded_bytes(void)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < REGIONS; i++)
        if (sealed[i].addr != NULL && sealed[i].guarded && world_is_owned(sealed[i].addr, sealed[i].len))
            bytes += sealed[i].len;
    return bytes;
}
