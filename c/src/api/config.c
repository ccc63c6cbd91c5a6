/* What the program configures: the builder, and putting a set of options in force. */
#include "config.h"

#include "../base/atomic.h"
#include "../base/format.h"
#include "../base/hot_flags.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/parse.h"
#include "../base/process.h"
#include "../chunks/backing.h"
#include "../flow/evict.h"
#include "../flow/io.h"
#include "../flow/reclaim.h"
#include "../flow/worker.h"
#include "../regions/arena.h"
#include "../regions/pool.h"
#include "../regions/thread.h"
#include "../store/spill.h"

#include <limits.h>
#include <stdlib.h>

#define ERROR_BYTES 1024 /* behind the struct */

/* ---- what is refused */

/* The set is const for those that apply it; its error message is not. */
static lg_text error_text(const lgalloc_config *config)
{
    memset(config->error, 0, ERROR_BYTES);
    return (lg_text){.buffer = config->error, .capacity = ERROR_BYTES - 1};
}

void lg_config_nothing_refused(const lgalloc_config *config)
{
    /* Not written where nothing changes: two threads may apply the same set. */
    if (config->error[0] != 0)
        config->error[0] = 0;
}

lgalloc_status lg_config_refuse_text(const lgalloc_config *config, const char *what, const char *value,
                                     const char *allowed)
{
    lg_text text = error_text(config);
    lg_put_foreign(&text, what);
    lg_put(&text, "=");
    if (value == NULL) {
        lg_put(&text, "NULL");
    } else {
        lg_put(&text, "\"");
        lg_put_foreign(&text, value);
        lg_put(&text, "\"");
    }
    lg_put(&text, " is refused; allowed: ");
    lg_put(&text, allowed);
    return LGALLOC_STATUS_INVALID_ARGUMENT;
}

static lgalloc_status refuse_value(const lgalloc_config *config, enum lg_option_id id, uint64_t value)
{
    lg_text text = error_text(config);
    lg_put(&text, lg_option_infos[id].name);
    lg_put(&text, "=");
    lg_put_number(&text, value);
    lg_put(&text, " is refused; allowed: ");
    lg_put(&text, lg_allowed(lg_option_infos[id].kind));
    return LGALLOC_STATUS_INVALID_ARGUMENT;
}

/* The value would be fine, but the system doesn't let it. */
static lgalloc_status refused_by_system(const lgalloc_config *config, const char *option, const char *value,
                                        const char *what, int error)
{
    lg_text text = error_text(config);
    lg_put(&text, option);
    lg_put(&text, "=");
    lg_put_foreign(&text, value);
    lg_put(&text, ": ");
    lg_put(&text, what);
    lg_put(&text, ": errno ");
    lg_put_number(&text, (uint64_t)error);
    errno = error;
    return LGALLOC_STATUS_IO;
}

static lgalloc_status refuse_for_lack_of_memory(const lgalloc_config *config, const char *what)
{
    lg_text text = error_text(config);
    lg_put(&text, what);
    lg_put(&text, " can't be kept: the heap has no more");
    return LGALLOC_STATUS_OUT_OF_MEMORY;
}

LG_API const char *lgalloc_config_error(const lgalloc_config *config)
{
    return config != NULL ? config->error : "";
}

/* ---- the builder */

LG_API lgalloc_config *lgalloc_config_new(void)
{
    lgalloc_config *config = calloc(1, sizeof(lgalloc_config) + ERROR_BYTES);
    if (config != NULL)
        config->error = (char *)(config + 1);
    return config;
}

LG_API void lgalloc_config_free(lgalloc_config *config)
{
    if (config == NULL)
        return;
    for (unsigned id = 0; id < LG_NAME_COUNT; id++)
        free(config->name[id]);
    free(config);
}

void lg_config_set_option(lgalloc_config *config, enum lg_option_id id, uint64_t value)
{
    if (config == NULL)
        return;
    config->value[id] = value;
    config->set |= (uint64_t)1 << id;
    lg_config_nothing_refused(config);
    if (!lg_value_fits(lg_option_infos[id].kind, value))
        (void)refuse_value(config, id, value);
}

lgalloc_status lg_config_set_name(lgalloc_config *config, enum lg_name_id id, const char *what, const char *text)
{
    char absolute[PATH_MAX];
    if (text == NULL || text[0] == 0)
        return lg_config_refuse_text(config, what, text, lg_name_infos[id].allowed);
    int error = 0;
    if (id == LG_NAME_stats && strcmp(text, LG_STATS_STDERR) == 0)
        memcpy(absolute, LG_STATS_STDERR, sizeof(LG_STATS_STDERR)); /* not the name of a file */
    else
        error = lg_os_absolute(text, absolute);
    if (error == ENAMETOOLONG)
        return lg_config_refuse_text(config, what, text, lg_name_infos[id].allowed);
    if (error != 0)
        return refused_by_system(config, what, text, "the working directory has no name", error);
    char *copy = strdup(absolute);
    if (copy == NULL)
        return refuse_for_lack_of_memory(config, what);
    free(config->name[id]);
    config->name[id] = copy;
    lg_config_nothing_refused(config);
    return LGALLOC_STATUS_OK;
}

/* An empty text, which nobody else may set, stands for none. */
static lgalloc_status set_no_name(lgalloc_config *config, enum lg_name_id id)
{
    char *none = calloc(1, 1);
    if (none == NULL)
        return refuse_for_lack_of_memory(config, lg_name_infos[id].name);
    free(config->name[id]);
    config->name[id] = none;
    lg_config_nothing_refused(config);
    return LGALLOC_STATUS_OK;
}

LG_API void lgalloc_config_enable(lgalloc_config *config)
{
    lg_config_set_option(config, LG_OPTION_enabled, 1);
}

LG_API void lgalloc_config_disable(lgalloc_config *config)
{
    lg_config_set_option(config, LG_OPTION_enabled, 0);
}

LG_API lgalloc_status lgalloc_config_with_path(lgalloc_config *config, const char *new_path)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    return lg_config_set_name(config, LG_NAME_path, "path", new_path);
}

LG_API lgalloc_status lgalloc_config_with_spill(lgalloc_config *config, const char *path, size_t disk_bytes)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    lgalloc_status status = path != NULL ? lg_config_set_name(config, LG_NAME_spill, "spill", path)
                                         : set_no_name(config, LG_NAME_spill);
    if (status == LGALLOC_STATUS_OK)
        lg_config_set_option(config, LG_OPTION_spill_bytes, disk_bytes);
    return status;
}

LG_API void lgalloc_config_with_backing(lgalloc_config *config, lgalloc_backing backing)
{
    lg_config_set_option(config, LG_OPTION_backing, (uint32_t)backing);
}

LG_API void lgalloc_config_with_background(lgalloc_config *config, uint64_t interval_ns, size_t batch,
                                           size_t clear_bytes)
{
    lg_config_set_option(config, LG_OPTION_interval_ns, interval_ns);
    lg_config_set_option(config, LG_OPTION_batch, batch);
    lg_config_set_option(config, LG_OPTION_clear_bytes, clear_bytes);
}

LG_API void lgalloc_config_release_ticks(lgalloc_config *config, size_t ticks)
{
    lg_config_set_option(config, LG_OPTION_release_ticks, ticks);
}

LG_API void lgalloc_config_eager_return(lgalloc_config *config, bool eager_return)
{
    lg_config_set_option(config, LG_OPTION_eager_return, eager_return);
}

LG_API void lgalloc_config_growth_dampener(lgalloc_config *config, size_t growth_dampener)
{
    lg_config_set_option(config, LG_OPTION_growth_dampener, growth_dampener);
}

LG_API void lgalloc_config_local_buffer_bytes(lgalloc_config *config, size_t bytes)
{
    lg_config_set_option(config, LG_OPTION_local_buffer_bytes, bytes);
}

LG_API void lgalloc_config_limit_bytes(lgalloc_config *config, size_t bytes)
{
    lg_config_set_option(config, LG_OPTION_limit_bytes, bytes);
}

LG_API void lgalloc_config_idle_bytes(lgalloc_config *config, size_t bytes)
{
    lg_config_set_option(config, LG_OPTION_idle_bytes, bytes);
}

LG_API void lgalloc_config_huge_pages(lgalloc_config *config, bool huge_pages)
{
    lg_config_set_option(config, LG_OPTION_huge_pages, huge_pages);
}

LG_API void lgalloc_config_core_dump(lgalloc_config *config, bool core_dump)
{
    lg_config_set_option(config, LG_OPTION_core_dump, core_dump);
}

LG_API void lgalloc_config_reserve_blocks(lgalloc_config *config, bool reserve_blocks)
{
    lg_config_set_option(config, LG_OPTION_reserve_blocks, reserve_blocks);
}

LG_API void lgalloc_config_arena_bytes(lgalloc_config *config, size_t bytes)
{
    lg_config_set_option(config, LG_OPTION_arena_bytes, bytes);
}

LG_API void lgalloc_config_spill_threads(lgalloc_config *config, size_t threads)
{
    lg_config_set_option(config, LG_OPTION_spill_threads, threads);
}

LG_API void lgalloc_config_spill_free_percent(lgalloc_config *config, size_t percent)
{
    lg_config_set_option(config, LG_OPTION_spill_free_percent, percent);
}

/* ---- applying */

/* Whether the addresses aren't reserved yet, or as they are to be. Somebody may be reserving them at this moment: what he
 * doesn't see of this any more is refused next time. */
static bool arena_may_change(const lgalloc_config *config)
{
    uint64_t wanted = config->value[LG_OPTION_arena_bytes];
    return (config->set >> LG_OPTION_arena_bytes & 1) == 0 || !lg_ready() || wanted == LG_OPTION(arena_bytes) ||
           wanted == lg_layout_.arena_bytes;
}

static lgalloc_status refuse_arena(const lgalloc_config *config)
{
    lg_text text = error_text(config);
    lg_put(&text, lg_option_infos[LG_OPTION_arena_bytes].name);
    lg_put(&text, "=");
    lg_put_number(&text, config->value[LG_OPTION_arena_bytes]);
    lg_put(&text, " is refused: the addresses are reserved already, ");
    lg_put_number(&text, lg_layout_.arena_bytes);
    return LGALLOC_STATUS_INVALID_ARGUMENT;
}

/* As it will be when the set is in force. */
static uint64_t value_of(const lgalloc_config *config, enum lg_option_id id)
{
    return (config->set >> id & 1) != 0 ? config->value[id] : lg_load_relaxed_64(&lg_options[id]);
}

static lgalloc_status thread_refused(const lgalloc_config *config, enum lg_option_id id, int error)
{
    char digits[32] = "";
    lg_text value = {.buffer = digits, .capacity = sizeof(digits) - 1};
    lg_put_value(&value, lg_option_infos[id].kind, value_of(config, id));
    return refused_by_system(
        config, lg_option_infos[id].name, digits,
        id == LG_OPTION_interval_ns ? "the worker's thread can't be started" : "a thread can't be started", error);
}

/* Starts and stops threads; those of before go on where one can't be had. */
static lgalloc_status configure_threads(const lgalloc_config *config)
{
    const char *spill = config->name[LG_NAME_spill];
    bool spills = spill != NULL ? spill[0] != 0 : lg_spill_on();
    int error = lg_io_configure(spills ? value_of(config, LG_OPTION_spill_threads) : 0);
    if (error != 0)
        return thread_refused(config, LG_OPTION_spill_threads, error);
    if ((config->set >> LG_OPTION_interval_ns & 1) != 0)
        error = lg_worker_configure(config->value[LG_OPTION_interval_ns]);
    if (error == 0)
        return LGALLOC_STATUS_OK;
    (void)lg_io_configure(lg_spill_on() ? LG_OPTION(spill_threads) : 0);
    return thread_refused(config, LG_OPTION_interval_ns, error);
}

/* What can fail, before anything is applied. Under the config lock. */
static lgalloc_status check(const lgalloc_config *config, char *copies[LG_NAME_COUNT])
{
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++)
        if ((config->set >> id & 1) != 0 && !lg_value_fits(lg_option_infos[id].kind, config->value[id]))
            return refuse_value(config, (enum lg_option_id)id, config->value[id]);
    if (!arena_may_change(config))
        return refuse_arena(config);
    for (unsigned id = 0; id < LG_NAME_COUNT; id++)
        if (config->name[id] != NULL && (copies[id] = strdup(config->name[id])) == NULL)
            return refuse_for_lack_of_memory(config, lg_name_infos[id].name);
    const char *stats = config->name[LG_NAME_stats];
    if (stats != NULL && strcmp(stats, LG_STATS_STDERR) != 0) {
        int fd;
        int error = lg_os_open_append(stats, &fd);
        if (error != 0)
            return refused_by_system(config, "stats", stats, "the file can't be opened", error);
        lg_os_close(fd);
    }
    const char *spill = config->name[LG_NAME_spill];
    if (spill != NULL && spill[0] != 0) {
        int error = lg_spill_probe(spill);
        const char *what = error == EMEDIUMTYPE ? "the files there would be in memory" : "no file can be made there";
        if (error != 0)
            return refused_by_system(config, "spill", spill, what, error);
    }
    return configure_threads(config);
}

/* A limit below what is in use or dirty holds at once, as far as it can: the hot path, which hands out again what is dirty,
 * doesn't ask. */
static void respect_limit(void)
{
    if (!lg_ready() || lg_charged_beyond_limit() == 0)
        return;
    lg_thread *self = lg_thread_known();
    lg_reclaim_excess(self);
    bool below = lg_charged_beyond_limit() == 0 || lg_make_room(self, 0);
    (void)below; /* what is in use stays */
}

LG_API lgalloc_status lgalloc_set_config(const lgalloc_config *config)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    (void)lg_ready(); /* a child that hasn't noticed may find the locks taken */
    char *copies[LG_NAME_COUNT] = {NULL};
    lg_lock_acquire(&lg_config_lock);
    lgalloc_status status = check(config, copies);
    uint64_t core_dump = LG_OPTION(core_dump);
    if (status == LGALLOC_STATUS_OK) {
        for (unsigned id = 0; id < LG_NAME_COUNT; id++)
            if (copies[id] != NULL)
                free(lg_option_set_text((enum lg_name_id)id, copies[id]));
        for (unsigned id = 0; id < LG_OPTION_COUNT; id++)
            if ((config->set >> id & 1) != 0)
                lg_store_relaxed_64(&lg_options[id], config->value[id]);
        lg_threads_set_capacity(LG_OPTION(local_buffer_bytes));
        lg_hot_set(LG_HOT_RESERVE_BLOCKS, LG_OPTION(reserve_blocks) != 0);
        lg_hot_set(LG_HOT_DISABLED, LG_OPTION(enabled) == 0);
        /* The option is in force already: chunks that are mapped from now on follow it by themselves. */
        if (LG_OPTION(core_dump) != core_dump && lg_ready())
            lg_backing_set_core_dump(LG_OPTION(core_dump) != 0);
        lg_io_follow_options();
        lg_config_nothing_refused(config);
    }
    lg_lock_release(&lg_config_lock);
    if (status == LGALLOC_STATUS_OK)
        respect_limit();
    for (unsigned id = 0; id < LG_NAME_COUNT && status != LGALLOC_STATUS_OK; id++)
        free(copies[id]);
    return status;
}
