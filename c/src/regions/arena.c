#include "arena.h"

#include "../base/metadata.h"
#include "../base/options.h"
#include "../base/os.h"
#include "bitmap.h"

#if LG_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define CLASS(n)                   \
    {                              \
        .log2 = LG_CLASS_MIN + (n) \
    }
lg_class lg_classes[LG_CLASS_COUNT] = {CLASS(0),  CLASS(1),  CLASS(2),  CLASS(3),  CLASS(4),  CLASS(5),  CLASS(6),
                                       CLASS(7),  CLASS(8),  CLASS(9),  CLASS(10), CLASS(11), CLASS(12), CLASS(13),
                                       CLASS(14), CLASS(15), CLASS(16), CLASS(17), CLASS(18), CLASS(19), CLASS(20)};
lg_a64 lg_arena_base;
lg_layout lg_layout_;

#define THREADS_MAX ((size_t)1 << 15)
#define THREADS_MIN ((size_t)128)

/* Metadata starts of different kinds are aligned for any page size in use. */
#define SECTION_ALIGN (64 * LG_KIB)

static size_t align_section(size_t offset)
{
    return (offset + SECTION_ALIGN - 1) & ~(SECTION_ALIGN - 1);
}

/* Returns the bytes of all metadata. `base` is where it begins; 0: that isn't known yet, and classes are left alone.
 * Offsets fit easily: the largest arena makes less than 16 GiB of it. */
static size_t lay_out(lg_layout *layout, size_t arena_bytes, uintptr_t base)
{
    size_t offset = 0;
    memset(layout, 0, sizeof(*layout));
    layout->arena_bytes = arena_bytes;
    layout->chunks = arena_bytes >> LG_CHUNK_LOG2;
    layout->classes = 0;
    for (lg_class *cls = lg_classes; cls < lg_classes + LG_CLASS_COUNT; cls++) {
        size_t regions = lg_class_regions(cls, arena_bytes);
        if (regions == 0)
            break;
        layout->classes++;
        size_t words = offset;
        offset = align_section(offset + LG_POOLS * lg_bitmap_words(regions) * sizeof(lg_a64));
        if (base != 0) {
            cls->bitmap_words = (lg_a64 *)(base + words);
            cls->descriptors = (lg_descriptor *)(base + offset);
        }
        offset = align_section(offset + regions * sizeof(lg_descriptor));
        if (base != 0)
            cls->set_words = (lg_a64 *)(base + offset);
        offset = align_section(offset + 2 * lg_class_set_words(cls, arena_bytes) * sizeof(lg_a64));
    }
    layout->notes = (void *)(base + offset);
    offset = align_section(offset + layout->chunks * LG_NOTE_BYTES);
    layout->threads_max = lg_min(THREADS_MAX, lg_max(THREADS_MIN, arena_bytes >> 24));
    layout->threads = (void *)(base + offset);
    return align_section(offset + layout->threads_max * LG_THREAD_BYTES);
}

/* Makes the reservation: [metadata][arena], the arena aligned. */
static int reserve(size_t metadata, size_t arena_bytes, uintptr_t *out_first)
{
    void *reserved = NULL;
    size_t wanted = metadata + arena_bytes;
    int error = lg_os_reserve(wanted + arena_bytes, &reserved);
    if (error != 0)
        return error;
    uintptr_t start = (uintptr_t)reserved;
    uintptr_t end = start + wanted + arena_bytes;
    uintptr_t aligned = (start + metadata + arena_bytes - 1) & ~(uintptr_t)(arena_bytes - 1);
    uintptr_t first = aligned - metadata;
    uintptr_t last = aligned + arena_bytes;
    lg_os_unreserve((void *)start, first - start);
    lg_os_unreserve((void *)last, end - last);
    error = lg_metadata_init((void *)first, metadata);
    if (error != 0)
        lg_os_unreserve((void *)first, last - first);
    *out_first = first;
    return error;
}

int lg_arena_init(void)
{
    lg_layout layout;
    uint64_t configured = LG_OPTION(arena_bytes);
    unsigned most = configured != 0 ? (unsigned)lg_min(lg_log2_floor(configured), LG_ARENA_LOG2_MAX)
                                    : LG_ARENA_LOG2_MAX;
    /* Where addresses are limited the program needs some as well: it keeps half of what is left. */
    uint64_t left = lg_os_addresses_left();
    int error = ENOMEM;
    for (unsigned log2 = most; log2 >= LG_ARENA_LOG2_MIN; log2--) {
        size_t arena_bytes = (size_t)1 << log2;
        size_t metadata = lay_out(&layout, arena_bytes, 0);
        if (metadata + arena_bytes > left / 2)
            continue;
        uintptr_t first;
        error = reserve(metadata, arena_bytes, &first);
        if (error != 0)
            continue;
        (void)lay_out(&lg_layout_, arena_bytes, first);
        LG_EACH_CLASS(cls)
            cls->base = first + metadata;
        lg_store_relaxed_64(&lg_arena_base, first + metadata);
        return 0;
    }
    return error;
}

/* Where the reservations were that lg_arena_abandon() left, the last ones: a child of a child of a child that ran no
 * handlers has as many. */
#define ABANDONED_MAX 8
static struct {
    uintptr_t start;
    size_t len;
} abandoned[ABANDONED_MAX];
unsigned lg_arenas_abandoned;

void lg_arena_abandon(void)
{
    if (lg_load_relaxed_64(&lg_arena_base) != 0) { /* else it was about to be made */
        unsigned at = lg_arenas_abandoned++ % ABANDONED_MAX;
        abandoned[at].start = lg_load_relaxed_64(&lg_arena_base);
        abandoned[at].len = lg_layout_.arena_bytes;
    }
    lg_store_relaxed_64(&lg_arena_base, 0);
    LG_EACH_CLASS(cls) { /* the capacity of caches is an option, and stays */
        cls->descriptors = NULL;
        lg_store_relaxed_64(&cls->limit, 0);
        lg_store_relaxed_64(&cls->set_words_there, 0);
        cls->described_to = 0;
        cls->pooled_words = 0;
    }
    memset(&lg_layout_, 0, sizeof(lg_layout_));
    lg_store_relaxed_64(&lg_metadata_bytes, 0);
}

bool lg_arena_abandoned(const void *address)
{
    for (unsigned i = 0; i < lg_min(lg_arenas_abandoned, ABANDONED_MAX); i++)
        if ((uintptr_t)address - abandoned[i].start < abandoned[i].len)
            return true;
    return false;
}

/* From so many bytes of descriptors at once on they come in huge pages, where the system has them. */
#define HUGE_FROM (512 * LG_KIB)
#define POPULATE_FROM (16 * LG_KIB)

/* Whole pages of it; its edges are as well without. */
static void advise_huge(uintptr_t from, uintptr_t end)
{
    from = (from + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1);
    end &= ~(LG_HUGE_PAGE - 1);
    if (from < end)
        (void)lg_os_advise(LG_SYS_ADVISE_HUGE, (void *)from, end - from);
}

/* All below a limit is committed: what isn't used of it costs nothing but that the system counts it where it counts
 * strictly, a thousandth of what lies below in the arena. The levels above the lowest at once: they are small. */
static int commit_bitmaps(lg_class *cls, uint64_t limit)
{
    uint64_t regions = lg_class_room(cls);
    size_t lowest = lg_bitmap_lowest_words(regions), all = lg_bitmap_words(regions);
    size_t old = cls->pooled_words;
    size_t words = lg_min(lg_bitmap_lowest_words(limit), lowest);
    if (words <= old)
        return 0;
    /* Whole pages, so that it is rarely more than a comparison. */
    size_t page = lg_os_page_size() / sizeof(lg_a64);
    words = lg_min((words + page - 1) & ~(page - 1), lowest);
    int error = 0;
    for (unsigned pool = 0; pool < LG_POOLS && error == 0; pool++) {
        lg_a64 *start = cls->bitmap_words + pool * all;
        error = lg_metadata_commit(start + old, (words - old) * sizeof(lg_a64));
        if (error == 0 && old == 0 && all != lowest)
            error = lg_metadata_commit(start + lowest, (all - lowest) * sizeof(lg_a64));
    }
    if (error == 0)
        cls->pooled_words = words;
    return error;
}

int lg_class_extend(lg_class *cls, uint64_t first, uint64_t count)
{
    uint64_t limit = first + count;
    if (limit <= lg_load_relaxed_64(&cls->limit))
        return 0;
    int error = commit_bitmaps(cls, limit);
    if (error != 0)
        return error;
    uintptr_t from = lg_max(cls->described_to, (uintptr_t)cls->descriptors);
    uintptr_t end = (uintptr_t)&cls->descriptors[limit];
    if (end > from) {
        if (end - from >= HUGE_FROM)
            end = lg_min((end + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1),
                         (uintptr_t)&cls->descriptors[lg_class_room(cls)]);
        error = lg_metadata_commit((void *)from, end - from);
        if (error != 0)
            return error;
        cls->described_to = end;
    }
    /* Relaxed: a thread gets a region's address only by way of something that this happened before. */
    lg_store_relaxed_64(&cls->limit, limit);
    return 0;
}

void lg_class_populate(lg_class *cls, uint64_t first, uint64_t count)
{
    size_t start = (uintptr_t)lg_descriptor_at(cls, first);
    size_t len = count * sizeof(lg_descriptor);
    if (len >= HUGE_FROM)
        advise_huge(start, lg_min((start + len + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1), cls->described_to));
    /* All at once: a region's first use reads its descriptor, then writes it, which would be two page faults. Should it
     * fail, they come one by one. */
    if (len > POPULATE_FROM) {
        lg_os_round_outward(&start, &len); /* what is in use in the first page stays as it is */
        (void)lg_os_advise(LG_SYS_ADVISE_POPULATE, (void *)start, len);
    }
}

#if LG_ASAN

#define POISON_WHOLE (2 * LG_MIB)
#define POISON_END (256 * LG_KIB)

void lg_poison(void *addr, size_t len)
{
    if (len <= POISON_WHOLE) {
        __asan_poison_memory_region(addr, len);
    } else {
        __asan_poison_memory_region(addr, POISON_END);
        __asan_poison_memory_region((char *)addr + len - POISON_END, POISON_END);
    }
}

void lg_unpoison(void *addr, size_t len)
{
    if (len <= POISON_WHOLE) {
        __asan_unpoison_memory_region(addr, len);
    } else {
        __asan_unpoison_memory_region(addr, POISON_END);
        __asan_unpoison_memory_region((char *)addr + len - POISON_END, POISON_END);
    }
}

#endif
