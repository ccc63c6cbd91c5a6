/* Regions of the model: vectors of fixed capacity. */
#include <errno.h>
#include <string.h>

#include "regions.h"
#include "slots.h"

#define BIT(status) (1u << (status))
#define LARGEST_HEAP (1 * MIB)
#define LARGEST_SLICE ((size_t)64 * KIB)

static size_t bytes_of(const lgalloc_region *region, size_t elements)
{
    return elements * region->elem_size;
}

/* Both ends of what was written, and a stretch of the middle. */
void model_check_region(const slot *s)
{
    const lgalloc_region *region = &s->region;
    FUZZ_CHECK(region->ptr != NULL && region->len <= region->capacity);
    FUZZ_CHECK(lgalloc_region_len(region) == region->len);
    FUZZ_CHECK(lgalloc_region_capacity(region) == region->capacity);
    FUZZ_CHECK(lgalloc_region_is_empty(region) == (region->len == 0));
    FUZZ_CHECK(lgalloc_region_is_mapped(region) == (region->mapped != 0));
    FUZZ_CHECK(lgalloc_region_as_ptr(region) == region->ptr);
    lgalloc_handle handle = lgalloc_region_handle(region);
    FUZZ_CHECK(handle.len == region->mapped && (handle.len == 0 || handle.ptr == region->ptr));
    const uint8_t *bytes = region->ptr;
    for (size_t i = 0; i < s->written; i += i < 64 || i + 64 >= s->written ? 1 : 509)
        FUZZ_CHECK(bytes[i] == model_byte(s->seed, i) && "a region keeps its contents");
}

static void begin(model *m, slot *s, const lgalloc_region *region)
{
    s->kind = SLOT_REGION;
    s->region = *region;
    s->written = 0;
    s->seed = ++m->tag;
    if (region->mapped != 0)
        model_note_in_use(m, region->mapped, true);
}

/* A region on the heap holds exactly what was asked for. */
static void check_heap(const lgalloc_region *region, request r, size_t bytes)
{
    FUZZ_CHECK(region->mapped == 0);
    FUZZ_CHECK(region->capacity == (r.elem_size == 0 ? SIZE_MAX : r.capacity));
    if (bytes != 0) {
        FUZZ_CHECK((uintptr_t)region->ptr % r.elem_align == 0);
        memset(region->ptr, 0xa5, bytes);
    }
}

static void check_mapped(const lgalloc_region *region, request r, size_t bytes)
{
    FUZZ_CHECK(region->capacity == (r.elem_size == 0 ? SIZE_MAX : region->mapped / r.elem_size));
    if (bytes == 0) {
        FUZZ_CHECK(region->mapped == 0);
        return;
    }
    FUZZ_CHECK(region->mapped >= bytes && region->mapped / 2 < bytes);
    FUZZ_CHECK((uintptr_t)region->ptr % region->mapped == 0);
}

static void check_empty(const lgalloc_region *region, size_t elem_size)
{
    FUZZ_CHECK(region->ptr != NULL && region->len == 0 && region->mapped == 0);
    FUZZ_CHECK(region->elem_size == elem_size && region->capacity == (elem_size == 0 ? SIZE_MAX : 0));
}

static bool power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

void model_region_new(model *m, input *in)
{
    unsigned kind = input_below(in, 4);
    request r = model_request(in);
    size_t bytes;
    bool overflow = __builtin_mul_overflow(r.capacity, r.elem_size, &bytes);
    slot *s = model_empty_slot(m);
    if (s == NULL || (!overflow && !model_affordable(m, bytes, false)))
        return;
    unsigned mapped = model_expected(m, r.capacity, r.elem_size, r.elem_align);
    bool small_enough = !overflow && bytes <= LARGEST_HEAP && r.elem_align <= LARGEST_HEAP;
    lgalloc_region region;
    memset(&region, 0xa5, sizeof(region));
    lgalloc_status status = LGALLOC_STATUS_OK;
    errno = E2BIG;
    switch (kind) {
    case 0:
        lgalloc_region_new_empty(r.elem_size, r.elem_align, &region);
        check_empty(&region, r.elem_size);
        break;
    case 1:
        if (!overflow && power_of_two(r.elem_align) && !small_enough)
            return;
        status = lgalloc_region_new_heap(r.capacity, r.elem_size, r.elem_align, &region);
        if (overflow || !power_of_two(r.elem_align))
            FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
        else
            FUZZ_CHECK(status == LGALLOC_STATUS_OK);
        if (status == LGALLOC_STATUS_OK)
            check_heap(&region, r, bytes);
        break;
    case 2:
        status = lgalloc_region_new_mmap(r.capacity, r.elem_size, r.elem_align, &region);
        FUZZ_CHECK((mapped & BIT(status)) != 0);
        if (status == LGALLOC_STATUS_OK)
            check_mapped(&region, r, bytes);
        break;
    default:
        /* Only what fills a region of the smallest class is mapped; what can't be goes to the heap, which must
         * bear it. */
        if (!overflow && power_of_two(r.elem_align) && bytes < 64 * KIB)
            mapped = BIT(LGALLOC_STATUS_INVALID_SIZE_CLASS);
        if (!small_enough && mapped != BIT(LGALLOC_STATUS_OK) && mapped != BIT(LGALLOC_STATUS_INVALID_ARGUMENT))
            return;
        status = lgalloc_region_new_auto(r.capacity, r.elem_size, r.elem_align, &region);
        FUZZ_CHECK(errno == E2BIG);
        if (overflow || !power_of_two(r.elem_align))
            FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
        else
            FUZZ_CHECK(status == LGALLOC_STATUS_OK ||
                       (status == LGALLOC_STATUS_OUT_OF_MEMORY && m->limit != 0 && (mapped & BIT(status)) != 0));
        if (status == LGALLOC_STATUS_OK && region.mapped != 0) {
            FUZZ_CHECK((mapped & BIT(LGALLOC_STATUS_OK)) != 0);
            check_mapped(&region, r, bytes);
        } else if (status == LGALLOC_STATUS_OK && bytes != 0) {
            FUZZ_CHECK(mapped != BIT(LGALLOC_STATUS_OK));
            check_heap(&region, r, bytes);
            if ((mapped & BIT(LGALLOC_STATUS_INVALID_SIZE_CLASS)) == 0)
                m->heap_fallbacks++;
        }
        break;
    }
    FUZZ_CHECK(region.elem_size == r.elem_size);
    if (status != LGALLOC_STATUS_OK) {
        check_empty(&region, r.elem_size);
        lgalloc_region_drop(&region);
        check_empty(&region, r.elem_size);
        return;
    }
    FUZZ_CHECK(region.len == 0 && region.ptr != NULL);
    FUZZ_CHECK(!power_of_two(r.elem_align) || (uintptr_t)region.ptr % r.elem_align == 0);
    begin(m, s, &region);
}

void model_region_drop(model *m, slot *s)
{
    size_t mapped = s->region.mapped;
    size_t elem_size = s->region.elem_size;
    errno = E2BIG;
    lgalloc_region_drop(&s->region);
    FUZZ_CHECK(errno == E2BIG);
    check_empty(&s->region, elem_size);
    lgalloc_region_drop(&s->region);
    if (mapped != 0)
        model_note_in_use(m, mapped, false);
    s->kind = SLOT_EMPTY;
}

/* The bytes of elements [from, to) as the model has them. */
static void fill(const slot *s, uint8_t *to, size_t from_byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = model_byte(s->seed, from_byte + i);
}

static size_t choose_count(const slot *s, input *in)
{
    size_t spare = s->region.capacity - s->region.len;
    uint8_t how = input_u8(in);
    switch (how & 7) {
    case 0: return spare;
    case 1: return spare + 1;
    case 2: return SIZE_MAX;
    case 3: return 0;
    default: return how >> 3;
    }
}

static void extend(slot *s, input *in)
{
    lgalloc_region *region = &s->region;
    size_t count = choose_count(s, in);
    size_t len = region->len;
    bool fits = count <= region->capacity - len;
    size_t bytes = fits ? bytes_of(region, count) : 0;
    if (bytes > LARGEST_SLICE)
        return;
    uint8_t *slice = malloc(bytes != 0 ? bytes : 1);
    FUZZ_CHECK(slice != NULL);
    fill(s, slice, bytes_of(region, len), bytes);
    lgalloc_status status = lgalloc_region_extend_from_slice(region, slice, count);
    free(slice);
    FUZZ_CHECK(status == (fits ? LGALLOC_STATUS_OK : LGALLOC_STATUS_CAPACITY_EXCEEDED));
    FUZZ_CHECK(region->len == len + (fits ? count : 0));
    if (bytes_of(region, region->len) > s->written)
        s->written = bytes_of(region, region->len);
    if (fits && bytes != 0)
        FUZZ_CHECK(lgalloc_region_extend_from_slice(region, NULL, region->capacity - region->len != 0) ==
                       LGALLOC_STATUS_INVALID_ARGUMENT ||
                   region->capacity == region->len);
}

static void fill_spare(slot *s, input *in)
{
    lgalloc_region *region = &s->region;
    size_t count = choose_count(s, in);
    size_t room = 1;
    uint8_t *spare = lgalloc_region_spare(region, &room);
    FUZZ_CHECK(room == region->capacity - region->len);
    FUZZ_CHECK(spare == (uint8_t *)region->ptr + bytes_of(region, region->len));
    FUZZ_CHECK(lgalloc_region_spare(region, NULL) == spare);
    size_t wanted;
    if (__builtin_add_overflow(region->len, count, &wanted))
        wanted = SIZE_MAX;
    bool fits = wanted <= region->capacity;
    size_t bytes = fits ? bytes_of(region, wanted - region->len) : 0;
    if (bytes > LARGEST_SLICE)
        return;
    fill(s, spare, bytes_of(region, region->len), bytes);
    size_t len = region->len;
    lgalloc_status status = lgalloc_region_set_len(region, wanted);
    FUZZ_CHECK(status == (fits ? LGALLOC_STATUS_OK : LGALLOC_STATUS_CAPACITY_EXCEEDED));
    FUZZ_CHECK(region->len == (fits ? wanted : len));
    if (bytes_of(region, region->len) > s->written)
        s->written = bytes_of(region, region->len);
}

void model_region_step(model *m, slot *s, input *in)
{
    model_check_region(s);
    switch (input_below(in, 8)) {
    case 0:
    case 1:
    case 2: extend(s, in); break;
    case 3:
    case 4: fill_spare(s, in); break;
    case 5: { /* shorter; the memory stays as it is */
        size_t len = s->region.len / (1 + input_below(in, 4));
        FUZZ_CHECK(lgalloc_region_set_len(&s->region, len) == LGALLOC_STATUS_OK && s->region.len == len);
        break;
    }
    case 6:
        lgalloc_region_clear(&s->region);
        FUZZ_CHECK(s->region.len == 0);
        break;
    default: model_region_drop(m, s); return;
    }
    model_check_region(s);
}
