/* The model's view of configuration, statistics and invariants; what a call may answer. */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "observe/verify.h"
#include "regions/arena.h"

#define BIT(status) (1u << (status))
#define CLASSES LGALLOC_SIZE_CLASS_COUNT

const char *model_directory;

static unsigned class_of(size_t bytes)
{
    return 64 - (unsigned)__builtin_clzl(bytes - 1) - LGALLOC_SIZE_CLASS_MIN_LOG2;
}

static size_t size_of(unsigned class_index)
{
    return (size_t)1 << (class_index + LGALLOC_SIZE_CLASS_MIN_LOG2);
}

bool model_affordable(const model *m, size_t bytes, bool zeroed)
{
    if (m->reserve_blocks)
        return bytes <= 4 * MIB;
    /* What is dirty is overwritten with zeros in this range. */
    return !zeroed || bytes <= 16 * MIB || bytes > 128 * MIB;
}

static size_t in_use_bytes(const model *m)
{
    size_t bytes = 0;
    for (unsigned c = 0; c < CLASSES; c++)
        bytes += m->in_use[c] * size_of(c);
    return bytes;
}

static lgalloc_size_class_stats stats_of(unsigned class_index)
{
    lgalloc_size_class_stats stats[CLASSES];
    FUZZ_CHECK(lgalloc_stats(stats, CLASSES) == CLASSES);
    return stats[class_index];
}

static bool free_somewhere(void)
{
    lgalloc_size_class_stats stats[CLASSES];
    (void)lgalloc_stats(stats, CLASSES);
    for (unsigned c = 0; c < CLASSES; c++)
        if (stats[c].free_regions != 0)
            return true;
    return false;
}

/* Whether what is in use may have a part of each place where a region of the class could be: every chunk that a region
 * is in may be one in a place of its own. */
static bool arena_may_be_full(const model *m, unsigned c)
{
    uint64_t place = size_of(c) > LG_CHUNK ? size_of(c) : LG_CHUNK, blocked = 0;
    for (unsigned i = 0; i < CLASSES; i++)
        blocked += m->in_use[i] * (size_of(i) > place ? size_of(i) / place : 1);
    return blocked >= lg_layout_.arena_bytes / place;
}

unsigned model_expected(const model *m, size_t capacity, size_t elem_size, size_t elem_align)
{
    size_t bytes;
    unsigned wrong = 0;
    if (elem_align == 0 || (elem_align & (elem_align - 1)) != 0)
        wrong |= BIT(LGALLOC_STATUS_INVALID_ARGUMENT);
    if (__builtin_mul_overflow(capacity, elem_size, &bytes))
        return BIT(LGALLOC_STATUS_INVALID_ARGUMENT);
    if (wrong != 0)
        return wrong;
    if (bytes == 0)
        return BIT(LGALLOC_STATUS_OK);
    if (bytes <= size_of(0) / 2 || bytes > size_of(CLASSES - 1))
        return BIT(LGALLOC_STATUS_INVALID_SIZE_CLASS);
    unsigned c = class_of(bytes);
    if (elem_align > size_of(c))
        return BIT(LGALLOC_STATUS_UNALIGNED_MEMORY);
    if (!m->enabled)
        return BIT(LGALLOC_STATUS_DISABLED);
    if (c >= lg_layout_.classes || m->in_use[c] == lg_layout_.arena_bytes / size_of(c))
        return BIT(LGALLOC_STATUS_OUT_OF_MEMORY);
    unsigned more = 0;
    if (m->lenient || size_of(c) >= GIB) /* the system may not grant so much */
        more = BIT(LGALLOC_STATUS_IO);
    if (size_of(c) >= GIB || arena_may_be_full(m, c)) /* what a fork lost keeps its addresses too */
        more |= BIT(LGALLOC_STATUS_OUT_OF_MEMORY);
    if (m->limit != 0) {
        size_t used = in_use_bytes(m);
        if (used > m->limit || size_of(c) > m->limit - used) {
            /* Where the limit was lowered below what is dirty, reusing that makes it no worse. */
            lgalloc_size_class_stats stats = stats_of(c);
            return BIT(LGALLOC_STATUS_OUT_OF_MEMORY) |
                   (stats.thread_regions + stats.global_regions != 0 ? BIT(LGALLOC_STATUS_OK) | more : 0);
        }
        if (m->lenient) /* what can't be cleared stays charged */
            more |= BIT(LGALLOC_STATUS_OUT_OF_MEMORY);
    }
    /* Blocks for what is free already need the path no more, but a disk that has them. What is free in other size classes
     * may serve, where a whole chunk of it is free. */
    if (m->backing == LGALLOC_BACKING_FILE && !(m->path_known && m->path_good) && stats_of(c).free_regions == 0)
        return BIT(LGALLOC_STATUS_IO) | (free_somewhere() ? BIT(LGALLOC_STATUS_OK) | more : 0);
    return BIT(LGALLOC_STATUS_OK) | more;
}

void model_note_in_use(model *m, size_t len, bool taken)
{
    unsigned c = class_of(len);
    if (taken) {
        m->in_use[c]++;
        m->allocations[c]++;
    } else {
        m->in_use[c]--;
        m->deallocations[c]++;
    }
}

/* ---- what must hold between two calls */

static void check_class(model *m, unsigned c, const lgalloc_size_class_stats *s)
{
    const lgalloc_size_class_stats *before = &m->last[c];
    FUZZ_CHECK(s->size_class == size_of(c));
    FUZZ_CHECK(s->free_regions == s->thread_regions + s->global_regions + s->clean_regions);
    FUZZ_CHECK(s->area_total_bytes == (s->free_regions + s->in_use_regions) * s->size_class);
    FUZZ_CHECK(s->in_use_regions == m->in_use[c]);
    FUZZ_CHECK(s->allocations - before->allocations == m->allocations[c]);
    FUZZ_CHECK(s->deallocations - before->deallocations == m->deallocations[c]);
    FUZZ_CHECK(s->slow_path >= before->slow_path && s->refill >= before->refill);
    FUZZ_CHECK(s->clear_eager_total >= before->clear_eager_total);
    FUZZ_CHECK(s->clear_slow_total >= before->clear_slow_total);
    FUZZ_CHECK(s->areas_released >= before->areas_released && s->steals >= before->steals);
    m->allocations[c] = m->deallocations[c] = 0;
    m->last[c] = *s;
}

void model_check(model *m)
{
    lgalloc_size_class_stats stats[CLASSES];
    lgalloc_global_stats global;
    size_t sums[4] = {0, 0, 0, 0};
    FUZZ_CHECK(lgalloc_stats(stats, CLASSES) == CLASSES);
    lgalloc_stats_global(&global);
    for (unsigned c = 0; c < CLASSES; c++) {
        check_class(m, c, &stats[c]);
        sums[0] += stats[c].in_use_regions * stats[c].size_class;
        sums[1] += (stats[c].thread_regions + stats[c].global_regions) * stats[c].size_class;
        sums[2] += stats[c].clean_regions * stats[c].size_class;
        sums[3] += stats[c].area_total_bytes;
    }
    FUZZ_CHECK(global.in_use_bytes == sums[0] && global.dirty_bytes >= sums[1]);
    FUZZ_CHECK(global.clean_bytes == sums[2] && global.area_bytes == sums[3]);
    FUZZ_CHECK(global.limit_bytes == m->limit);
    FUZZ_CHECK(global.heap_fallbacks == m->heap_fallbacks);
    if (m->limit != 0)
        FUZZ_CHECK(global.in_use_bytes + global.dirty_bytes <= m->charge_bound);
    unsigned c;
    const char *wrong = lg_verify(false, &c);
    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, "lg_verify()", wrong);
}

/* ---- configuration */

void model_apply(model *m, lgalloc_config *config)
{
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    FUZZ_CHECK(status == LGALLOC_STATUS_OK);
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    m->limit = global.limit_bytes;
    size_t charge = global.in_use_bytes + global.dirty_bytes;
    m->charge_bound = charge > m->limit ? charge : m->limit;
}

void model_set_defaults(model *m)
{
    lgalloc_config *config = lgalloc_config_new();
    FUZZ_CHECK(config != NULL);
    lgalloc_config_enable(config);
    FUZZ_CHECK(lgalloc_config_with_path(config, model_directory) == LGALLOC_STATUS_OK);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_FILE);
    lgalloc_config_with_background(config, 0, 0, 0);
    lgalloc_config_release_ticks(config, 16);
    lgalloc_config_eager_return(config, false);
    lgalloc_config_growth_dampener(config, 0);
    lgalloc_config_local_buffer_bytes(config, 32 * MIB);
    lgalloc_config_limit_bytes(config, 0);
    lgalloc_config_idle_bytes(config, SIZE_MAX);
    lgalloc_config_huge_pages(config, true);
    lgalloc_config_core_dump(config, false);
    lgalloc_config_reserve_blocks(config, false);
    m->enabled = m->path_known = m->path_good = true;
    m->reserve_blocks = false;
    m->backing = LGALLOC_BACKING_FILE;
    model_apply(m, config);
}

/* Valid values of any options. */
void model_configure(model *m, input *in)
{
    static const size_t sizes[] = {0, 1, 64 * KIB, 256 * KIB, 4 * MIB, 32 * MIB, GIB, SIZE_MAX};
    lgalloc_config *config = lgalloc_config_new();
    FUZZ_CHECK(config != NULL);
    uint8_t which = input_u8(in);
    uint8_t value = input_u8(in);
    switch (which % 13) {
    case 0: lgalloc_config_local_buffer_bytes(config, sizes[value % 8]); break;
    case 1: lgalloc_config_limit_bytes(config, sizes[value % 8]); break;
    case 2: lgalloc_config_idle_bytes(config, sizes[value % 8]); break;
    case 3: lgalloc_config_eager_return(config, value & 1); break;
    case 4: lgalloc_config_growth_dampener(config, sizes[value % 8]); break;
    case 5: lgalloc_config_huge_pages(config, value & 1); break;
    case 6:
        m->reserve_blocks = value & 1;
        lgalloc_config_reserve_blocks(config, m->reserve_blocks);
        break;
    case 7:
        m->backing = value & 1 ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE;
        lgalloc_config_with_backing(config, m->backing);
        break;
    case 8:
        m->enabled = value & 1;
        (m->enabled ? lgalloc_config_enable : lgalloc_config_disable)(config);
        break;
    case 9: lgalloc_config_release_ticks(config, value % 4); break;
    case 10: lgalloc_config_with_background(config, 0, value % 4, sizes[value / 4 % 8]); break;
    case 12: lgalloc_config_core_dump(config, value & 1); break;
    default: {
        /* The same place by another name: a new file for the next area. */
        char path[512];
        snprintf(path, sizeof(path), "%s%s", model_directory, value & 1 ? "/." : "");
        FUZZ_CHECK(lgalloc_config_with_path(config, path) == LGALLOC_STATUS_OK);
        m->path_good = true;
        break;
    }
    }
    model_apply(m, config);
}

/* ---- statistics */

void model_statistics(model *m, input *in)
{
    model_check(m);
    size_t capacity = input_below(in, CLASSES + 2);
    lgalloc_size_class_stats stats[CLASSES + 2];
    memset(stats, 0xa5, sizeof(stats));
    FUZZ_CHECK(lgalloc_stats(stats, capacity) == CLASSES);
    FUZZ_CHECK(capacity >= CLASSES + 1 || stats[capacity].size_class == 0xa5a5a5a5a5a5a5a5);
    FUZZ_CHECK(lgalloc_stats(NULL, capacity) == CLASSES);
    lgalloc_stats_global(NULL);

    lgalloc_file_stats files[CLASSES];
    size_t count = 99;
    lgalloc_status status = lgalloc_stats_files(files, CLASSES, &count);
    FUZZ_CHECK(status == LGALLOC_STATUS_OK || (m->lenient && status == LGALLOC_STATUS_IO && count == 0));
    for (size_t i = 0; i < count; i++) {
        const lgalloc_size_class_stats *of = &m->last[class_of(files[i].size_class)];
        FUZZ_CHECK(of->size_class == files[i].size_class && files[i].file_size >= files[i].size_class);
        /* Only what is in use or dirty has blocks, but for the file system's own few. */
        size_t dirty = of->in_use_regions + of->thread_regions + of->global_regions;
        FUZZ_CHECK(m->lenient || files[i].allocated_size <= dirty * of->size_class + 64 * KIB);
    }
    size_t again = 99;
    status = lgalloc_stats_files(NULL, 0, &again);
    FUZZ_CHECK(m->lenient || (status == LGALLOC_STATUS_OK && again == count));
    FUZZ_CHECK(lgalloc_stats_files(NULL, 1, &again) == LGALLOC_STATUS_INVALID_ARGUMENT && again == 0);
    FUZZ_CHECK(lgalloc_stats_files(files, 1, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);

    if (input_below(in, 8) != 0)
        return; /* the rest makes the kernel walk all page tables */
    lgalloc_map_stats maps[CLASSES];
    status = lgalloc_stats_maps(maps, CLASSES, &count);
    FUZZ_CHECK(status == LGALLOC_STATUS_OK || (m->lenient && status == LGALLOC_STATUS_IO));
    FUZZ_CHECK(lgalloc_stats_maps(NULL, 1, &again) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_stats_maps(maps, 1, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
}
