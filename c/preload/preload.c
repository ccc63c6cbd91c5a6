/*
 * liblgalloc-preload.so: what malloc returns from a threshold on is a region, in programs that know nothing of it.
 *
 *     LD_PRELOAD=liblgalloc-preload.so LGALLOC_PRELOAD_THRESHOLD=4MiB program
 *
 * The library is in here a second time, with the same options from the same variables, read once when this is loaded. Some
 * defaults differ: it is enabled; less of what is free is kept; and memory is anonymous, which a fork inherits as any
 * other. Files are for programs that ask for
 * them (LGALLOC_BACKING=file and LGALLOC_PATH): they are lost to the child of a fork, so that a program whose children
 * go on with what they inherited faults there.
 *
 * What the library needs itself it takes from the next malloc, as blocks below the threshold are.
 */
#include "next.c"

/* What any.c, config.c, region.c and variables.c call the heap is the next malloc. Their headers come first. */
#include <malloc.h>
#define malloc(size) next_malloc(size)
#define calloc(count, size) next_calloc(count, size)
#define realloc(ptr, size) next_realloc(ptr, size)
#define free(ptr) next_free(ptr)
#define posix_memalign(out, align, size) next_posix_memalign(out, align, size)
#define malloc_usable_size(ptr) next_malloc_usable_size(ptr)
/* Regions begin here. Nothing is one before the options are in force. */
#define LG_ANY_FROM lg_load_relaxed_64(&threshold)

#include "../src/base/atomic.h"

static lg_a64 threshold = {UINT64_MAX};

#include "../lgalloc.c"

#undef malloc
#undef calloc
#undef realloc
#undef free
#undef posix_memalign
#undef malloc_usable_size

#define EXPORT __attribute__((visibility("default")))

/* ---- options */

#define THRESHOLD (1 * LG_MIB)
/*
 * What is free and kept: so much per thread and size class, and beyond that so much in all; the rest is given back at once.
 * There is no worker to do it later, since a program that has one thread may count on that. With the library's own
 * defaults numpy and node took as long, and up to half again as much memory.
 */
#define LOCAL_BUFFER_BYTES (8 * LG_MIB)
#define IDLE_BYTES (32 * LG_MIB)

/* The options are refused: the program goes on without regions, and is told. */
static void complain(const char *text)
{
    static const char before[] = "lgalloc-preload: ", after[] = "; going on without regions\n";
    const char *const parts[] = {before, text, after};
    char line[1024];
    size_t used = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t len = lg_min(strlen(parts[i]), sizeof(line) - used);
        memcpy(line + used, parts[i], len);
        used += len;
    }
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

static bool read_threshold(uint64_t *out)
{
    const char *text = getenv("LGALLOC_PRELOAD_THRESHOLD");
    *out = THRESHOLD;
    return text == NULL || (lg_parse(LG_KIND_BYTES, text, out) && *out >= LG_SMALLEST_REGION);
}

__attribute__((constructor)) static void start(void)
{
    next_find();
    uint64_t from;
    if (!read_threshold(&from)) {
        complain("LGALLOC_PRELOAD_THRESHOLD: allowed are bytes, 64KiB at least");
        return;
    }
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL) {
        complain("out of memory");
        return;
    }
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_local_buffer_bytes(config, LOCAL_BUFFER_BYTES);
    lgalloc_config_idle_bytes(config, IDLE_BYTES);
    if (lgalloc_config_from_env(config) == LGALLOC_STATUS_OK && lgalloc_set_config(config) == LGALLOC_STATUS_OK)
        lg_store_relaxed_64(&threshold, from);
    else
        complain(lgalloc_config_error(config));
    lgalloc_config_free(config);
}

/* ---- malloc */

static bool is_power(size_t align)
{
    return align != 0 && (align & (align - 1)) == 0;
}

/*
 * What isn't large is the next malloc's, by a jump. Else a small block would cost twice what it does: programs take
 * thousands of them for each large one.
 */
#define LARGE static __attribute__((noinline))

LARGE void *large_malloc(size_t size)
{
    return lgalloc_any_malloc(size);
}

LARGE void *large_calloc(size_t count, size_t size)
{
    return lgalloc_any_calloc(count, size);
}

LARGE void *large_realloc(void *ptr, size_t size)
{
    return lgalloc_any_realloc(ptr, size);
}

LARGE void large_free(void *ptr)
{
    if (lg_owns(ptr))
        lgalloc_free(ptr);
    else
        next_free(ptr); /* errno is its affair, as it would be without this library */
}

/* Whether it is surely a block of the next malloc. */
LG_INLINE bool is_small(const void *ptr)
{
    return lg_chunk_of(ptr) >= lg_load_relaxed_64(&lg_chunks_count) && lg_arenas_abandoned == 0 && !in_room(ptr);
}

EXPORT void *malloc(size_t size)
{
    return LG_LIKELY(size < LG_ANY_FROM) ? next_malloc(size) : large_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    bool small = !__builtin_mul_overflow(count, size, &bytes) && bytes < LG_ANY_FROM;
    return LG_LIKELY(small) ? next_calloc(count, size) : large_calloc(count, size);
}

EXPORT void *realloc(void *ptr, size_t size)
{
    return LG_LIKELY(size < LG_ANY_FROM && is_small(ptr)) ? NEXT(realloc)(ptr, size) : large_realloc(ptr, size);
}

EXPORT void *reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return lgalloc_any_realloc(ptr, bytes);
}

EXPORT void free(void *ptr)
{
    if (LG_LIKELY(is_small(ptr)))
        NEXT(free)(ptr);
    else
        large_free(ptr);
}

EXPORT size_t malloc_usable_size(void *ptr)
{
    return lgalloc_any_usable_size(ptr);
}

/* What an alignment that is no power of two means differs between them, and is left to the next malloc. */

EXPORT void *memalign(size_t align, size_t size)
{
    return size < LG_ANY_FROM || !is_power(align) ? next_memalign(align, size) : lgalloc_any_aligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return size < LG_ANY_FROM || !is_power(align) ? next_aligned_alloc(align, size) : lgalloc_any_aligned(align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
    if (size < LG_ANY_FROM || !is_power(align) || align % sizeof(void *) != 0)
        return next_posix_memalign(out, align, size);
    void *block = lgalloc_any_aligned(align, size);
    if (block != NULL)
        *out = block;
    return block != NULL ? 0 : ENOMEM;
}

EXPORT void *valloc(size_t size)
{
    return memalign(lg_os_page_size(), size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = lg_os_page_size(), whole;
    if (__builtin_add_overflow(size, page - 1, &whole)) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, whole & ~(page - 1));
}

/* Names that are free() in C libraries that have them: old ones, and those of C23. */

EXPORT void cfree(void *ptr);
EXPORT void free_sized(void *ptr, size_t size);
EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size);

EXPORT void cfree(void *ptr)
{
    free(ptr);
}

EXPORT void free_sized(void *ptr, size_t size)
{
    (void)size;
    free(ptr);
}

EXPORT void free_aligned_sized(void *ptr, size_t align, size_t size)
{
    (void)align;
    (void)size;
    free(ptr);
}
