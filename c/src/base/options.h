/*
 * The one table of options, and the values in force. The values are atomics that lgalloc_set_config() publishes and
 * anybody reads; what the hot path needs of them is also kept where it looks anyway (process.h, arena.h).
 */
#ifndef LG_OPTIONS_H
#define LG_OPTIONS_H

#include "atomic.h"
#include "lock.h"
#include "os.h"
#include "parse.h"

/*
 * X(name, kind, default, variable after "LGALLOC_"). A line here is the option: its default, what of it is allowed,
 * its variable, and its place in what the statistics print. Its setter is in config.c. What it means is said where users
 * look: in lgalloc.h beside the setter's prototype, and in the README, whose table a test compares with this one.
 */
#define LG_OPTIONS(X)                                               \
    X(enabled, SWITCH, 0, "ENABLE")                                 \
    X(backing, BACKING, LGALLOC_BACKING_FILE, "BACKING")            \
    X(interval_ns, TIME, 0, "INTERVAL_NS")                          \
    X(batch, COUNT, 0, "BATCH")                                     \
    X(clear_bytes, BYTES, 0, "CLEAR_BYTES")                         \
    X(spill_bytes, BYTES, 0, "SPILL_BYTES")                         \
    X(release_ticks, COUNT, 16, "RELEASE_TICKS")                    \
    X(eager_return, SWITCH, 0, "EAGER_RETURN")                      \
    X(growth_dampener, COUNT, 0, "GROWTH_DAMPENER")                 \
    X(local_buffer_bytes, BYTES, 32 * LG_MIB, "LOCAL_BUFFER_BYTES") \
    X(limit_bytes, BYTES, 0, "LIMIT_BYTES")                         \
    X(idle_bytes, BYTES, UINT64_MAX, "IDLE_BYTES")                  \
    X(huge_pages, SWITCH, 1, "HUGE_PAGES")                          \
    X(core_dump, SWITCH, 0, "CORE_DUMP")                            \
    X(reserve_blocks, SWITCH, 0, "RESERVE_BLOCKS")                  \
    X(arena_bytes, ARENA, 0, "ARENA_BYTES")                         \
    X(spill_threads, THREADS, 1, "SPILL_THREADS")                   \
    X(spill_free_percent, PERCENT, 5, "SPILL_FREE_PERCENT")

/* X(name, variable, what is allowed): options that are texts, shorter than PATH_MAX, and none at first. */
#define LG_NAMES(X)                                                                           \
    X(path, "PATH", "the name of a directory, not empty and shorter than PATH_MAX")           \
    X(spill, "SPILL", "the name of a directory on disk, not empty and shorter than PATH_MAX") \
    X(stats, "STATS", LG_STATS_STDERR " or the name of a file, not empty and shorter than PATH_MAX")

#define LG_STATS_STDERR "stderr"

/* Variables that are somebody else's; a * stands for any end. */
#define LG_VARIABLES_OF_OTHERS                                                                                      \
    "PRELOAD_THRESHOLD",                                                                  /* the preload library */ \
        "CFLAGS", "INCLUDE_DIR", "LIB_DIR", "LINK_ARGS", "SANITIZE*", "STATIC", "SYSTEM", /* Rust's build */        \
        "BLESS", "PEERS*", "TEST_*"                                                       /* tests */

enum lg_option_id {
#define X(name, kind, value, variable) LG_OPTION_##name,
    LG_OPTIONS(X)
#undef X
        LG_OPTION_COUNT
};

enum lg_name_id {
#define X(name, variable, allowed) LG_NAME_##name,
    LG_NAMES(X)
#undef X
        LG_NAME_COUNT
};

typedef struct lg_option_info {
    const char *name;
    const char *variable; /* all of it */
    enum lg_kind kind;
} lg_option_info;

typedef struct lg_name_info {
    const char *name;
    const char *variable;
    const char *allowed;
} lg_name_info;

extern LG_HIDDEN const lg_name_info lg_name_infos[LG_NAME_COUNT];
extern LG_HIDDEN const lg_option_info lg_option_infos[LG_OPTION_COUNT];

/* The values in force. */
extern LG_HIDDEN lg_a64 lg_options[LG_OPTION_COUNT];

#define LG_OPTION(name) lg_load_relaxed_64(&lg_options[LG_OPTION_##name])

/* Copies a text in force into `buffer` of PATH_MAX bytes. Returns a number that changes when the text changes; 0 where
 * none is configured. */
LG_HIDDEN uint32_t lg_option_text(enum lg_name_id id, char *buffer);

/* Whether one is configured, without a lock. */
LG_HIDDEN bool lg_option_has_text(enum lg_name_id id);

/* The configured directory's name. */
LG_INLINE uint32_t lg_option_path(char *buffer)
{
    return lg_option_text(LG_NAME_path, buffer);
}

/* Puts a text in force, which is shorter than PATH_MAX and the caller's from malloc; an empty one: none. Returns the one
 * that the caller is to free instead: the last one, or this one if it was in force already; NULL: none. */
LG_HIDDEN LG_MUST_USE char *lg_option_set_text(enum lg_name_id id, char *text);

extern LG_HIDDEN lg_lock lg_config_lock; /* one lgalloc_set_config() at a time; for fork.c too */
extern LG_HIDDEN lg_lock lg_path_lock;   /* of the texts; for fork.c */

#endif
