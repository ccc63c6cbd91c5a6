/* Raw allocations of the model, their contents, and misuse. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "slots.h"

#define BIT(status) (1u << (status))

slot *model_slot(model *m, input *in)
{
    return &m->slots[input_below(in, MODEL_SLOTS)];
}

slot *model_empty_slot(model *m)
{
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        if (m->slots[i].kind == SLOT_EMPTY)
            return &m->slots[i];
    return NULL;
}

/* Sizes around every power of two, element sizes and alignments of all kinds. */
request model_request(input *in)
{
    static const size_t elem_sizes[] = {1, 8, 24, 4096, 0, 1 << 20, SIZE_MAX, 3};
    static const size_t aligns[] = {1, 8, 4096, (size_t)1 << 16, (size_t)1 << 22, 3, 0, (size_t)1 << 63};
    request r = {.elem_size = 1, .elem_align = 1};
    uint8_t how = input_u8(in);
    unsigned log2 = input_below(in, 64);
    if (log2 >= 38)
        log2 = 16 + log2 % 7; /* mostly small classes */
    size_t bytes = (size_t)1 << log2;
    switch (how & 3) {
    case 1: bytes -= 1; break;
    case 2: bytes += 1; break;
    case 3: bytes = bytes / 2 + 1; break;
    default: break;
    }
    if ((how & 4) != 0)
        r.elem_size = elem_sizes[how >> 5];
    if ((how & 8) != 0)
        r.elem_align = aligns[input_below(in, 8)];
    r.capacity = r.elem_size == 0 ? bytes : bytes / r.elem_size;
    if ((how & 16) != 0 && (how >> 5) == 7)
        r.capacity = SIZE_MAX / 2;
    return r;
}

void model_check_words(const slot *s)
{
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        if (!s->words[i].known)
            continue;
        uint64_t found;
        memcpy(&found, (const char *)s->handle.ptr + s->words[i].offset, sizeof(found));
        FUZZ_CHECK(found == s->words[i].value && "an allocation keeps its contents");
    }
}

static void place_words(slot *s, bool zeroed)
{
    size_t len = s->handle.len;
    const size_t offsets[MODEL_WORDS] = {0, 4096, len / 2 - 8, len / 2, len - 4096, len - 8};
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        s->words[i].offset = offsets[i];
        s->words[i].value = 0;
        s->words[i].known = zeroed;
    }
}

/* No two allocations share an address. */
static void check_apart(const model *m, const slot *s, const void *ptr, size_t len)
{
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        const slot *other = &m->slots[i];
        if (other == s || other->kind == SLOT_EMPTY)
            continue;
        const char *start = other->kind == SLOT_HANDLE ? other->handle.ptr : other->region.ptr;
        size_t size = other->kind == SLOT_HANDLE ? other->handle.len : other->region.mapped;
        FUZZ_CHECK((const char *)ptr + len <= start || (const char *)ptr >= start + size || size == 0 || len == 0);
    }
}

static void fill_slot(model *m, slot *s, lgalloc_handle handle, bool zeroed)
{
    check_apart(m, s, handle.ptr, handle.len);
    model_note_in_use(m, handle.len, true);
    s->kind = SLOT_HANDLE;
    s->handle = handle;
    place_words(s, zeroed);
}

/* What errno says of a refusal is among the statuses that may be answered. */
static void check_errno(unsigned expected, bool invalid)
{
    unsigned right = 0; /* a system call may say any of these as well */
    if (invalid)
        FUZZ_CHECK(errno == EINVAL);
    else if (errno == EINVAL)
        right = BIT(LGALLOC_STATUS_INVALID_SIZE_CLASS);
    else if (errno == EPERM)
        right = BIT(LGALLOC_STATUS_DISABLED);
    else if (errno == ENOMEM)
        right = BIT(LGALLOC_STATUS_OUT_OF_MEMORY);
    FUZZ_CHECK(invalid || (errno != E2BIG && (expected & (right | BIT(LGALLOC_STATUS_IO))) != 0));
}

/* lgalloc_malloc() or lgalloc_calloc(). */
static void allocate_address(model *m, slot *s, request r, unsigned expected, bool zeroed)
{
    size_t bytes;
    bool overflow = __builtin_mul_overflow(r.capacity, r.elem_size, &bytes);
    if (overflow && !zeroed)
        return;
    errno = E2BIG;
    void *ptr = zeroed ? lgalloc_calloc(r.capacity, r.elem_size) : lgalloc_malloc(bytes);
    if (ptr == NULL) {
        lgalloc_free(ptr);
        check_errno(expected, overflow || bytes == 0);
        return;
    }
    FUZZ_CHECK((expected & BIT(LGALLOC_STATUS_OK)) != 0 && !overflow && bytes != 0);
    size_t len = (size_t)1 << (64 - __builtin_clzl(bytes - 1));
    FUZZ_CHECK((uintptr_t)ptr % len == 0);
    fill_slot(m, s, (lgalloc_handle){ptr, len}, zeroed);
}

void model_allocate(model *m, input *in, bool zeroed)
{
    request r = model_request(in);
    uint8_t outs = input_u8(in);
    bool by_address = (outs & 4) != 0; /* as malloc does it, which aligns to a byte at least */
    if (by_address)
        r.elem_align = 1;
    size_t bytes;
    bool overflow = __builtin_mul_overflow(r.capacity, r.elem_size, &bytes);
    slot *s = model_empty_slot(m);
    if (s == NULL || (!overflow && !model_affordable(m, bytes, zeroed)))
        return;
    unsigned expected = model_expected(m, r.capacity, r.elem_size, r.elem_align);
    if (by_address) {
        allocate_address(m, s, r, expected, zeroed);
        return;
    }
    void *ptr = m;
    size_t capacity = 1;
    lgalloc_handle handle = {m, 1};
    errno = E2BIG;
    lgalloc_status status = (zeroed ? lgalloc_allocate_zeroed : lgalloc_allocate)(
        r.capacity, r.elem_size, r.elem_align, (outs & 1) == 0 ? &ptr : NULL, (outs & 2) == 0 ? &capacity : NULL,
        &handle);
    FUZZ_CHECK((expected & BIT(status)) != 0);
    FUZZ_CHECK(status != LGALLOC_STATUS_IO || (errno != E2BIG && errno != 0));
    FUZZ_CHECK(handle.ptr != NULL);
    bool memory = status == LGALLOC_STATUS_OK && !overflow && bytes != 0;
    if (!memory) {
        FUZZ_CHECK(handle.len == 0);
        FUZZ_CHECK((outs & 1) != 0 || (ptr != NULL && ptr != m));
        FUZZ_CHECK((outs & 2) != 0 || capacity == (status == LGALLOC_STATUS_OK && r.elem_size == 0 ? SIZE_MAX : 0));
        lgalloc_deallocate(handle); /* holds nothing: any number of times */
        lgalloc_deallocate(handle);
        return;
    }
    FUZZ_CHECK(handle.len >= bytes && handle.len / 2 < bytes && (handle.len & (handle.len - 1)) == 0);
    FUZZ_CHECK((uintptr_t)handle.ptr % handle.len == 0);
    FUZZ_CHECK((outs & 1) != 0 || ptr == handle.ptr);
    FUZZ_CHECK((outs & 2) != 0 || capacity == handle.len / r.elem_size);
    fill_slot(m, s, handle, zeroed);
}

/* In one of the ways in which a region can be freed. */
static void free_somehow(lgalloc_handle handle, unsigned way)
{
    switch (way % 4) {
    case 0: lgalloc_free(handle.ptr); break;
    case 1: lgalloc_free_sized(handle.ptr, handle.len); break;
    default: lgalloc_deallocate(handle); break;
    }
}

void model_free(model *m, slot *s)
{
    model_check_words(s);
    errno = E2BIG;
    free_somehow(s->handle, (unsigned)m->deallocations[__builtin_ctzl(s->handle.len) - LGALLOC_SIZE_CLASS_MIN_LOG2]);
    FUZZ_CHECK(errno == E2BIG);
    model_note_in_use(m, s->handle.len, false);
    s->kind = SLOT_EMPTY;
}

void model_resize(model *m, slot *s, input *in)
{
    request r = model_request(in);
    size_t bytes, len = s->handle.len;
    if (__builtin_mul_overflow(r.capacity, r.elem_size, &bytes) || !model_affordable(m, bytes, false))
        return;
    size_t moved = bytes < len ? bytes : len; /* pages move, bytes are copied */
    if (moved > 4 * MIB && (moved <= 16 * MIB || moved > 64 * MIB || m->backing == LGALLOC_BACKING_FILE))
        return;
    unsigned expected = model_expected(m, bytes, 1, 1);
    model_check_words(s);
    errno = E2BIG;
    char *ptr = lgalloc_realloc(s->handle.ptr, bytes);
    bool same = bytes <= len && bytes > len / 2;
    FUZZ_CHECK(!same || ptr == s->handle.ptr);
    if (ptr == NULL) {
        check_errno(expected, bytes == 0);
        model_check_words(s);
        return;
    }
    FUZZ_CHECK(lgalloc_usable_size(ptr) >= bytes && lgalloc_usable_size(ptr) / 2 < bytes &&
               lgalloc_owns(ptr + bytes - 1));
    if (same)
        return;
    FUZZ_CHECK((expected & BIT(LGALLOC_STATUS_OK)) != 0);
    FUZZ_CHECK(lgalloc_usable_size(s->handle.ptr) == 0 && lgalloc_owns(s->handle.ptr));
    model_note_in_use(m, len, false);
    s->handle = (lgalloc_handle){ptr, lgalloc_usable_size(ptr)};
    check_apart(m, s, s->handle.ptr, s->handle.len);
    model_note_in_use(m, s->handle.len, true);
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        if (s->words[i].offset <= s->handle.len - sizeof(uint64_t))
            continue;
        s->words[i].offset = 8192 + i * sizeof(uint64_t);
        s->words[i].known = false;
    }
    model_check_words(s);
}

void model_write(model *m, slot *s, input *in)
{
    unsigned i = input_below(in, MODEL_WORDS);
    s->words[i].value = ++m->tag * 0x9e3779b97f4a7c15u;
    s->words[i].known = true;
    memcpy((char *)s->handle.ptr + s->words[i].offset, &s->words[i].value, sizeof(uint64_t));
}

/* A range in or across an allocation, of at most a MiB where it is in. */
static void choose_range(const slot *s, input *in, size_t *offset, size_t *len)
{
    static const size_t lens[] = {0, 1, 4095, 4096, 4097, 65536, MIB, SIZE_MAX};
    uint8_t how = input_u8(in);
    size_t size = s->handle.len;
    switch (how & 7) {
    case 0: *offset = 0; break;
    case 1: *offset = size / 2; break;
    case 2: *offset = size; break;
    case 3: *offset = size - 4096; break;
    case 4: *offset = size + 1; break;
    case 5: *offset = SIZE_MAX; break;
    default: *offset = (size_t)input_u8(in) * 512; break;
    }
    *len = lens[how >> 3 & 7];
}

void model_hint(model *m, slot *s, input *in)
{
    static lgalloc_status (*const hints[])(lgalloc_handle, size_t, size_t) = {lgalloc_prefetch, lgalloc_populate,
                                                                              lgalloc_cold};
    unsigned which = input_below(in, 3);
    size_t offset, len;
    choose_range(s, in, &offset, &len);
    lgalloc_status status = hints[which](s->handle, offset, len);
    bool outside = offset > s->handle.len || len > s->handle.len - offset;
    if (outside)
        FUZZ_CHECK(status == LGALLOC_STATUS_OUT_OF_BOUNDS);
    else /* older kernels don't know all of the advice */
        FUZZ_CHECK(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_IO);
    model_check_words(s);
    (void)m;
}

void model_discard(model *m, slot *s, input *in)
{
    size_t offset, len;
    choose_range(s, in, &offset, &len);
    lgalloc_status status = lgalloc_discard(s->handle, offset, len);
    if (offset > s->handle.len || len > s->handle.len - offset) {
        FUZZ_CHECK(status == LGALLOC_STATUS_OUT_OF_BOUNDS);
        return;
    }
    FUZZ_CHECK(status == LGALLOC_STATUS_OK || (m->lenient && status == LGALLOC_STATUS_IO));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t first = (offset + page - 1) & ~(page - 1);
    size_t end = (offset + len) & ~(page - 1);
    for (unsigned i = 0; i < MODEL_WORDS; i++) {
        if (s->words[i].offset < first || s->words[i].offset >= end)
            continue;
        s->words[i].known = status == LGALLOC_STATUS_OK; /* a failure may have done a part */
        s->words[i].value = 0;
    }
    model_check_words(s);
}

/* ---- misuse: one line and abort(), with nothing changed */

static sigjmp_buf aborted;

static void on_abort(int number)
{
    (void)number;
    siglongjmp(aborted, 1);
}

/* Whether freeing this aborts. What it says goes nowhere. */
static bool dies(lgalloc_handle handle, unsigned way)
{
    struct sigaction action = {.sa_handler = on_abort, .sa_flags = SA_NODEFER}, before;
    volatile bool died = true;
    int out = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    FUZZ_CHECK(out >= 0 && null >= 0);
    dup2(null, STDERR_FILENO);
    close(null);
    sigaction(SIGABRT, &action, &before);
    if (sigsetjmp(aborted, 1) == 0) {
        free_somehow(handle, way);
        died = false;
    }
    sigaction(SIGABRT, &before, NULL);
    dup2(out, STDERR_FILENO);
    close(out);
    return died;
}

void model_misuse(model *m, slot *s, input *in)
{
    lgalloc_handle handle = s->handle;
    unsigned what = input_below(in, 6);
    unsigned way = (unsigned)m->tag;
    if (what == 2 || (way % 4 == 0 && (what == 1 || what == 4)))
        way = 2; /* the length is the mistake: not every way looks at it so closely */
    switch (what) {
    case 0: handle.ptr = (char *)handle.ptr + 4096; break;
    case 1: handle.len *= 2; break;
    case 2: handle.len += 1; break;
    case 3: handle.ptr = &handle; break;
    case 4: handle.len = (size_t)1 << 63; break;
    default: /* twice; the region isn't handed out in between */ model_free(m, s); break;
    }
    FUZZ_CHECK(dies(handle, way));
}
