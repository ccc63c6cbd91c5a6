/* The statistics as tables that people read. */
#include "../base/atomic.h"
#include "../base/format.h"
#include "../base/options.h"
#include "../base/parse.h"
#include "../regions/size_class.h"
#include "snapshot.h"

#include <limits.h>
#include <unistd.h>

typedef struct cell {
    char characters[24];
    lg_text text;
} cell;

static lg_text *begin_cell(cell *c)
{
    memset(c->characters, 0, sizeof(c->characters));
    c->text = (lg_text){.buffer = c->characters, .capacity = sizeof(c->characters) - 1};
    return &c->text;
}

/* To the right edge of a column, with a space before it at least. */
static void put_right(lg_text *out, size_t edge, const char *piece)
{
    size_t len = strlen(piece);
    lg_put(out, " ");
    if (edge > len)
        lg_put_until(out, edge - len);
    lg_put(out, piece);
}

static void put_right_number(lg_text *out, size_t edge, uint64_t number)
{
    cell c;
    lg_put_number(begin_cell(&c), number);
    put_right(out, edge, c.characters);
}

static void put_right_about(lg_text *out, size_t edge, uint64_t bytes)
{
    cell c;
    lg_put_about(begin_cell(&c), bytes);
    put_right(out, edge, c.characters);
}

static void put_right_figure(lg_text *out, size_t edge, const lg_figure *figure, uint64_t bytes)
{
    if (figure->known)
        put_right_about(out, edge, bytes);
    else
        put_right(out, edge, "unknown");
}

#define FIGURE_EDGE 44

static void text_bytes(lg_text *out, const char *what, uint64_t bytes, const char *remark)
{
    lg_put(out, what);
    put_right_about(out, FIGURE_EDGE, bytes);
    lg_put(out, remark);
    lg_put(out, "\n");
}

static void text_count(lg_text *out, const char *what, uint64_t count)
{
    lg_put(out, what);
    put_right_number(out, FIGURE_EDGE, count);
    lg_put(out, "\n");
}

static void text_figure(lg_text *out, const char *what, const lg_figure *figure, const char *remark)
{
    lg_put(out, what);
    put_right_figure(out, FIGURE_EDGE, figure, figure->total);
    lg_put(out, remark);
    lg_put(out, "\n");
}

static void text_global(lg_text *out, const lg_snapshot *s)
{
    const lgalloc_global_stats *g = &s->global;
    text_bytes(out, "in use", g->in_use_bytes, "");
    text_bytes(out, "free, dirty: at most", g->dirty_bytes, "   what was never written in them holds no memory");
    text_bytes(out, "free, clean", g->clean_bytes, "");
    text_figure(out, "resident, says the system", &s->resident, "   of regions in use and free ones");
    text_figure(out, "on disk, says the file system", &s->disk, "");
    text_bytes(out, "areas", g->area_bytes, "");
    text_bytes(out, "reserved addresses", g->reserved_address_bytes, "   cost no memory");
    text_bytes(out, "bookkeeping, readable", g->metadata_bytes, "");
    lg_put(out, "limit on in use and dirty");
    if (g->limit_bytes != 0)
        put_right_about(out, FIGURE_EDGE, g->limit_bytes);
    else
        put_right(out, FIGURE_EDGE, "none");
    lg_put(out, "\n");
    text_count(out, "clearing failed", g->clear_failures);
    text_count(out, "advice refused", g->advise_failures);
    text_count(out, "allocations refused by the limit", g->limit_failures);
    text_count(out, "heap in place of a region", g->heap_fallbacks);
    if ((g->sealed_bytes | g->evicted_bytes | g->spill_file_bytes | g->evictions | g->spill_failures) == 0)
        return;
    text_bytes(out, "sealed, of those in use", g->sealed_bytes, "");
    text_bytes(out, "evicted", g->evicted_bytes, "");
    text_bytes(out, "on disk, of spill files", g->spill_file_bytes, "");
    text_count(out, "regions evicted", g->evictions);
    text_count(out, "regions loaded", g->loads);
    text_count(out, "evicting or loading failed", g->spill_failures);
}

static bool was_used(const lgalloc_size_class_stats *c)
{
    return (c->areas | c->allocations | c->refill | c->areas_released | c->slow_path) != 0;
}

/* The edges of columns: the class's, and then one in so many. */
#define CLASS_EDGE 8
#define NOW_STEP 12
#define COUNT_STEP 15
#define COLUMNS 8

/* A table of the size classes that were used: behind the class come columns that end `step` apart. */
static void put_table(lg_text *out, const lg_snapshot *s, const char *title, unsigned step,
                      const char *const columns[COLUMNS],
                      void (*put_row)(lg_text *out, const lg_snapshot *s, unsigned class_index))
{
    lg_put(out, title);
    put_right(out, CLASS_EDGE, "class");
    for (unsigned i = 0; i < COLUMNS; i++)
        put_right(out, CLASS_EDGE + step * (i + 1), columns[i]);
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        if (!was_used(&s->classes[c]))
            continue;
        lg_put(out, "\n");
        put_right_about(out, CLASS_EDGE, s->classes[c].size_class);
        put_row(out, s, c);
    }
    lg_put(out, "\n");
}

static void put_now(lg_text *out, const lg_snapshot *s, unsigned c)
{
    const lgalloc_size_class_stats *stats = &s->classes[c];
    put_right_number(out, CLASS_EDGE + 1 * NOW_STEP, stats->areas);
    put_right_about(out, CLASS_EDGE + 2 * NOW_STEP, stats->area_total_bytes);
    put_right_figure(out, CLASS_EDGE + 3 * NOW_STEP, &s->resident, s->resident.of_class[c]);
    put_right_figure(out, CLASS_EDGE + 4 * NOW_STEP, &s->disk, s->disk.of_class[c]);
    put_right_number(out, CLASS_EDGE + 5 * NOW_STEP, stats->in_use_regions);
    put_right_number(out, CLASS_EDGE + 6 * NOW_STEP, stats->thread_regions);
    put_right_number(out, CLASS_EDGE + 7 * NOW_STEP, stats->global_regions);
    put_right_number(out, CLASS_EDGE + 8 * NOW_STEP, stats->clean_regions);
}

static void text_classes_now(lg_text *out, const lg_snapshot *s)
{
    static const char *const columns[COLUMNS] = {"areas",  "mapped", "resident", "on disk",
                                                 "in use", "cached", "dirty",    "clean"};
    put_table(out, s, "\nregions now; cached and dirty ones may hold memory, clean ones hold none\n", NOW_STEP, columns,
              put_now);
}

static void put_counts(lg_text *out, const lg_snapshot *s, unsigned c)
{
    const lgalloc_size_class_stats *stats = &s->classes[c];
    put_right_number(out, CLASS_EDGE + 1 * COUNT_STEP, stats->allocations);
    put_right_number(out, CLASS_EDGE + 2 * COUNT_STEP, stats->deallocations);
    put_right_number(out, CLASS_EDGE + 3 * COUNT_STEP, stats->slow_path);
    put_right_number(out, CLASS_EDGE + 4 * COUNT_STEP, stats->refill);
    put_right_number(out, CLASS_EDGE + 5 * COUNT_STEP, stats->steals);
    put_right_number(out, CLASS_EDGE + 6 * COUNT_STEP, stats->clear_eager_total);
    put_right_number(out, CLASS_EDGE + 7 * COUNT_STEP, stats->clear_slow_total);
    put_right_number(out, CLASS_EDGE + 8 * COUNT_STEP, stats->areas_released);
}

static void text_classes_counts(lg_text *out, const lg_snapshot *s)
{
    static const char *const columns[COLUMNS] = {"allocated", "freed",         "slow path",     "refills",
                                                 "stolen",    "cleared early", "cleared later", "areas released"};
    put_table(out, s, "\nregions since the process began\n", COUNT_STEP, columns, put_counts);
}

static void text_classes(lg_text *out, const lg_snapshot *s)
{
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
        if (was_used(&s->classes[c])) {
            text_classes_now(out, s);
            text_classes_counts(out, s);
            return;
        }
    lg_put(out, "\nno region has been used\n");
}

static void text_options(lg_text *out)
{
    char name[PATH_MAX];
    lg_put(out, "\noptions in force\n");
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++) {
        lg_put(out, lg_option_infos[id].name);
        lg_put_until(out, 20);
        lg_put_value(out, lg_option_infos[id].kind, lg_load_relaxed_64(&lg_options[id]));
        lg_put(out, "\n");
    }
    for (unsigned id = 0; id < LG_NAME_COUNT; id++) {
        lg_put(out, lg_name_infos[id].name);
        lg_put_until(out, 20);
        lg_put(out, lg_option_text((enum lg_name_id)id, name) != 0 ? name : "none");
        lg_put(out, "\n");
    }
}

void lg_print_text(lg_text *out, const lg_snapshot *s)
{
    lg_put(out, "lgalloc ");
    lg_put_version(out);
    lg_put(out, ", process ");
    lg_put_number(out, (uint64_t)getpid());
    lg_put(out, "\n\n");
    text_global(out, s);
    text_classes(out, s);
    text_options(out);
}
