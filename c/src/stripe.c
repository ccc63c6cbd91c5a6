#include "stripe.h"

#include "os.h"

#if LG_ASAN
#include <sanitizer/asan_interface.h>
#endif

lg_stripe lg_stripes[LG_CLASS_COUNT];
lg_a64 lg_stripes_base;
lg_a64 lg_stripes_log2;
lg_layout lg_layout_;

/* Stripes are 1 TiB, and halved until the system grants the reservation. ThreadSanitizer allows little
 * more than 1 TiB of addresses in all. */
#define STRIPE_LOG2_MAX (LG_TSAN ? 34 : 40)
#define STRIPE_LOG2_MIN 21

#define THREADS_MAX ((size_t)1 << 15)
#define THREADS_MIN ((size_t)128)

/* Metadata starts of different kinds are aligned for any page size in use. */
#define SECTION_ALIGN (64 * LG_KIB)

static size_t align_section(size_t offset)
{
    return (offset + SECTION_ALIGN - 1) & ~(SECTION_ALIGN - 1);
}

/* Offsets fit easily: the largest stripe makes less than 16 GiB of metadata. */
static size_t lay_out(lg_layout *layout, size_t stripe_bytes, uintptr_t base, lg_stripe *stripes)
{
    size_t offset = 0;
    layout->stripe_bytes = stripe_bytes;
    layout->stripes = 0;
    layout->reserved_bytes = LG_CLASS_COUNT * stripe_bytes;
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        size_t regions = stripe_bytes >> (c + LG_CLASS_MIN);
        if (regions == 0)
            break;
        layout->stripes++;
        layout->bitmap_words[c] = (lg_a64 *)(base + offset);
        offset = align_section(offset + 2 * lg_bitmap_words(regions) * sizeof(lg_a64));
        /* Areas are at least 32 MiB or one region; filling released gaps piecewise can make them smaller,
         * so there is room for twice as many. */
        layout->areas_max[c] = 2 * lg_min(regions, stripe_bytes / (32 * LG_MIB) + 1) + 2;
        layout->areas[c] = (void *)(base + offset);
        offset = align_section(offset + layout->areas_max[c] * LG_AREA_BYTES);
        stripes[c].regions = (lg_region *)(base + offset);
        offset = align_section(offset + regions * sizeof(lg_region));
    }
    layout->threads_max = lg_min(THREADS_MAX, lg_max(THREADS_MIN, stripe_bytes >> 21));
    layout->threads = (void *)(base + offset);
    return align_section(offset + layout->threads_max * LG_THREAD_BYTES);
}

int lg_stripe_init(void)
{
    lg_layout layout;
    lg_stripe stripes[LG_CLASS_COUNT];
    int error = ENOMEM;
    for (unsigned log2 = STRIPE_LOG2_MAX; log2 >= STRIPE_LOG2_MIN; log2--) {
        size_t stripe_bytes = (size_t)1 << log2;
        memset(&layout, 0, sizeof(layout));
        memset(stripes, 0, sizeof(stripes));
        size_t metadata = lay_out(&layout, stripe_bytes, 0, stripes);
        size_t wanted = metadata + LG_CLASS_COUNT * stripe_bytes;
        void *reserved = NULL;
        error = lg_os_reserve(wanted + stripe_bytes, &reserved);
        if (error != 0)
            continue;

        /* Cut to [metadata][stripes], the stripes aligned. */
        uintptr_t start = (uintptr_t)reserved;
        uintptr_t end = start + wanted + stripe_bytes;
        uintptr_t aligned = (start + metadata + stripe_bytes - 1) & ~(uintptr_t)(stripe_bytes - 1);
        uintptr_t first = aligned - metadata;
        uintptr_t last = aligned + LG_CLASS_COUNT * stripe_bytes;
        lg_os_unreserve((void *)start, first - start);
        lg_os_unreserve((void *)last, end - last);
        error = lg_metadata_init((void *)first, metadata);
        if (error != 0) {
            lg_os_unreserve((void *)first, last - first);
            continue;
        }

        memset(&layout, 0, sizeof(layout));
        (void)lay_out(&layout, stripe_bytes, first, stripes);
        lg_layout_ = layout;
        lg_store_relaxed_64(&lg_stripes_base, aligned);
        lg_store_relaxed_64(&lg_stripes_log2, log2);
        for (unsigned c = 0; c < layout.stripes; c++) {
            lg_stripe *stripe = lg_stripe_of(c);
            stripe->base = aligned + c * stripe_bytes;
            stripe->regions = stripes[c].regions;
        }
        return 0;
    }
    return error;
}

/* Where the reservations were that lg_stripes_abandon() left, the last ones: a child of a child of a child that ran no
 * handlers has as many. */
#define ABANDONED_MAX 8
static struct {
    uintptr_t start;
    size_t len;
} abandoned[ABANDONED_MAX];
static unsigned abandoned_count;

/* Where the descriptors that are committed end; under the class's lock. */
static uintptr_t committed[LG_CLASS_COUNT];

void lg_stripes_abandon(void)
{
    unsigned at = abandoned_count++ % ABANDONED_MAX;
    abandoned[at].start = lg_load_relaxed_64(&lg_stripes_base);
    abandoned[at].len = lg_layout_.reserved_bytes;
    lg_store_relaxed_64(&lg_stripes_base, 0);
    lg_store_relaxed_64(&lg_stripes_log2, 0);
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        lg_stripe *stripe = lg_stripe_of(c); /* the capacity of caches is an option, and stays */
        stripe->base = 0;
        stripe->regions = NULL;
        lg_store_relaxed_64(&stripe->limit, 0);
        committed[c] = 0;
    }
    memset(&lg_layout_, 0, sizeof(lg_layout_));
    lg_store_relaxed_64(&lg_metadata_bytes, 0);
}

bool lg_stripes_abandoned(const void *address)
{
    for (unsigned i = 0; i < lg_min(abandoned_count, ABANDONED_MAX); i++)
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

int lg_stripe_extend(unsigned class_index, uint64_t limit)
{
    lg_stripe *stripe = lg_stripe_of(class_index);
    uint64_t old = lg_load_relaxed_64(&stripe->limit);
    if (limit <= old)
        return 0;
    uintptr_t from = lg_max(committed[class_index], (uintptr_t)stripe->regions);
    uintptr_t end = (uintptr_t)&stripe->regions[limit];
    size_t len = (limit - old) * sizeof(lg_region);
    if (end > from) {
        bool huge = len >= HUGE_FROM;
        if (huge)
            end = lg_min((end + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1),
                         (uintptr_t)&stripe->regions[lg_stripe_regions(class_index)]);
        int error = lg_metadata_commit((void *)from, end - from);
        if (error != 0)
            return error;
        committed[class_index] = end;
        if (huge)
            advise_huge(from, end);
    }
    /* All at once: a region's first use reads its descriptor, then writes it, which would be two page faults. Should it
     * fail, they come one by one. */
    if (len > POPULATE_FROM) {
        size_t start = (uintptr_t)&stripe->regions[old];
        lg_os_round_outward(&start, &len); /* what is in use in the first page stays as it is */
        (void)lg_os_advise(LG_SYS_ADVISE_POPULATE, (void *)start, len);
    }
    /* Relaxed: a thread gets a region's address only by way of something that this happened before. */
    lg_store_relaxed_64(&stripe->limit, limit);
    return 0;
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
