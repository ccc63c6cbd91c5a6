#include "config.h"

#include <limits.h>
#include <stdlib.h>

#include "lock.h"
#include "stripe.h"
#include "thread_cache.h"
#include "worker.h"

struct lgalloc_config {
    uint64_t set; /* one bit per option */
    uint64_t value[LG_OPTION_COUNT];
    char *path; /* NULL: not set; from malloc */
};

lg_a64 lg_options[LG_OPTION_COUNT] = {
#define X(name, value, variable) [LG_OPTION_##name] = {value},
    LG_OPTIONS(X)
#undef X
};

static lg_lock config_lock = LG_LOCK_INIT(LG_RANK_CONFIG); /* one set_config at a time */
static lg_lock path_lock = LG_LOCK_INIT(LG_RANK_PATH);
/* Protected by path_lock. */
static char *path;
static uint32_t path_number;

uint32_t lg_config_path(char *buffer)
{
    lg_lock_acquire(&path_lock);
    uint32_t number = path != NULL ? path_number : 0;
    if (number != 0)
        memcpy(buffer, path, strlen(path) + 1); /* shorter than PATH_MAX, or it was not taken */
    lg_lock_release(&path_lock);
    return number;
}

/* ---- the builder */

LG_API lgalloc_config *lgalloc_config_new(void)
{
    return calloc(1, sizeof(lgalloc_config));
}

LG_API void lgalloc_config_free(lgalloc_config *config)
{
    if (config == NULL)
        return;
    free(config->path);
    free(config);
}

static void set_option(lgalloc_config *config, enum lg_option_id id, uint64_t value)
{
    if (config == NULL)
        return;
    config->value[id] = value;
    config->set |= (uint64_t)1 << id;
}

LG_API void lgalloc_config_enable(lgalloc_config *config)
{
    set_option(config, LG_OPTION_enabled, 1);
}

LG_API void lgalloc_config_disable(lgalloc_config *config)
{
    set_option(config, LG_OPTION_enabled, 0);
}

LG_API lgalloc_status lgalloc_config_with_path(lgalloc_config *config, const char *new_path)
{
    if (config == NULL || new_path == NULL || new_path[0] == 0 || strnlen(new_path, PATH_MAX) == PATH_MAX)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    char *copy = strdup(new_path);
    if (copy == NULL)
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    free(config->path);
    config->path = copy;
    return LGALLOC_STATUS_OK;
}

LG_API void lgalloc_config_with_backing(lgalloc_config *config, lgalloc_backing backing)
{
    set_option(config, LG_OPTION_backing, (uint64_t)backing);
}

LG_API void lgalloc_config_with_background(lgalloc_config *config, uint64_t interval_ns, size_t batch,
                                           size_t clear_bytes)
{
    set_option(config, LG_OPTION_interval_ns, interval_ns);
    set_option(config, LG_OPTION_batch, batch);
    set_option(config, LG_OPTION_clear_bytes, clear_bytes);
}

LG_API void lgalloc_config_release_ticks(lgalloc_config *config, size_t ticks)
{
    set_option(config, LG_OPTION_release_ticks, ticks);
}

LG_API void lgalloc_config_eager_return(lgalloc_config *config, bool eager_return)
{
    set_option(config, LG_OPTION_eager_return, eager_return);
}

LG_API void lgalloc_config_growth_dampener(lgalloc_config *config, size_t growth_dampener)
{
    set_option(config, LG_OPTION_growth_dampener, growth_dampener);
}

LG_API void lgalloc_config_local_buffer_bytes(lgalloc_config *config, size_t bytes)
{
    set_option(config, LG_OPTION_local_buffer_bytes, bytes);
}

LG_API void lgalloc_config_limit_bytes(lgalloc_config *config, size_t bytes)
{
    set_option(config, LG_OPTION_limit_bytes, bytes);
}

LG_API void lgalloc_config_idle_bytes(lgalloc_config *config, size_t bytes)
{
    set_option(config, LG_OPTION_idle_bytes, bytes);
}

LG_API void lgalloc_config_huge_pages(lgalloc_config *config, bool huge_pages)
{
    set_option(config, LG_OPTION_huge_pages, huge_pages);
}

LG_API void lgalloc_config_reserve_blocks(lgalloc_config *config, bool reserve_blocks)
{
    set_option(config, LG_OPTION_reserve_blocks, reserve_blocks);
}

/* ---- the environment */

static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    if (at == text)
        return false;
    static const char units[] = "KMGT";
    const char *unit = *at != 0 ? strchr(units, *at) : NULL;
    if (unit != NULL) {
        if (__builtin_mul_overflow(value, (uint64_t)1 << 10 * (unit - units + 1), &value))
            return false;
        at++;
    }
    *out = value;
    return *at == 0;
}

static bool parse_option(enum lg_option_id id, const char *text, uint64_t *out)
{
    if (id == LG_OPTION_backing) {
        *out = strcmp(text, "anonymous") == 0 ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE;
        return *out == LGALLOC_BACKING_ANONYMOUS || strcmp(text, "file") == 0;
    }
    bool is_switch = id == LG_OPTION_enabled || id == LG_OPTION_eager_return || id == LG_OPTION_huge_pages ||
                     id == LG_OPTION_reserve_blocks;
    return parse_number(text, out) && (!is_switch || *out <= 1);
}

LG_API lgalloc_status lgalloc_config_from_env(lgalloc_config *config)
{
    static const char *const variables[LG_OPTION_COUNT] = {
#define X(name, value, variable) [LG_OPTION_##name] = "LGALLOC_" variable,
        LG_OPTIONS(X)
#undef X
    };
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    lgalloc_config parsed = *config;
    for (unsigned id = 0; id < LG_OPTION_COUNT; id++) {
        const char *text = getenv(variables[id]);
        uint64_t value = 0;
        if (text == NULL)
            continue;
        if (!parse_option((enum lg_option_id)id, text, &value))
            return LGALLOC_STATUS_INVALID_ARGUMENT;
        set_option(&parsed, (enum lg_option_id)id, value);
    }
    const char *directory = getenv("LGALLOC_PATH");
    if (directory != NULL) {
        lgalloc_status status = lgalloc_config_with_path(config, directory);
        if (status != LGALLOC_STATUS_OK)
            return status;
        parsed.path = config->path;
    }
    *config = parsed;
    return LGALLOC_STATUS_OK;
}

/* ---- applying */

static void set_hot_flag(enum lg_hot_flag flag, bool on)
{
    if (on)
        lg_or_seq_cst_64(&lg_hot_flags, flag);
    else
        lg_and_seq_cst_64(&lg_hot_flags, ~(uint64_t)flag);
}

static void publish_path(char *copy)
{
    lg_lock_acquire(&path_lock);
    char *old = copy;
    if (path == NULL || strcmp(path, copy) != 0) {
        old = path;
        path = copy;
        path_number++;
        if (path_number == 0)
            path_number = 1;
    }
    lg_lock_release(&path_lock);
    free(old);
}

LG_API lgalloc_status lgalloc_set_config(const lgalloc_config *config)
{
    if (config == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if ((config->set >> LG_OPTION_backing & 1) != 0 && config->value[LG_OPTION_backing] > LGALLOC_BACKING_ANONYMOUS)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    char *copy = NULL;
    if (config->path != NULL) {
        copy = strdup(config->path);
        if (copy == NULL)
            return LGALLOC_STATUS_OUT_OF_MEMORY;
    }
    lg_lock_acquire(&config_lock);
    /* First what can fail. */
    int error = 0;
    if ((config->set >> LG_OPTION_interval_ns & 1) != 0)
        error = lg_worker_configure(config->value[LG_OPTION_interval_ns]);
    if (error == 0) {
        if (copy != NULL)
            publish_path(copy);
        for (unsigned id = 0; id < LG_OPTION_COUNT; id++)
            if ((config->set >> id & 1) != 0)
                lg_store_relaxed_64(&lg_options[id], config->value[id]);
        lg_threads_set_capacity(LG_OPTION(local_buffer_bytes));
        set_hot_flag(LG_HOT_RESERVE_BLOCKS, LG_OPTION(reserve_blocks) != 0);
        set_hot_flag(LG_HOT_DISABLED, LG_OPTION(enabled) == 0);
    }
    lg_lock_release(&config_lock);
    if (error == 0)
        return LGALLOC_STATUS_OK;
    free(copy);
    errno = error;
    return LGALLOC_STATUS_IO;
}

/* ---- fork */

void lg_config_fork_prepare(void)
{
    lg_lock_acquire(&config_lock);
}

void lg_config_fork_prepare_path(void)
{
    lg_lock_acquire(&path_lock);
}

void lg_config_fork_done_path(void)
{
    lg_lock_release(&path_lock);
}

void lg_config_fork_done(void)
{
    lg_lock_release(&config_lock);
}
