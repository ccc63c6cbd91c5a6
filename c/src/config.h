/*
 * The one table of options, and the values in force. The values are atomics that set_config publishes and
 * anybody reads; what the hot path needs of them is also kept where it looks anyway (stripe.h).
 */
#ifndef LG_CONFIG_H
#define LG_CONFIG_H

#include "atomic.h"

/* X(name, default, environment variable after "LGALLOC_"). What each means is said where users look: in lgalloc.h and in
 * the README, whose tables a test compares with this one. */
#define LG_OPTIONS(X)                                                                                        \
    X(enabled, 0, "ENABLE")                                                                                  \
    X(backing, LGALLOC_BACKING_FILE, "BACKING")                                                              \
    X(interval_ns, 0, "INTERVAL_NS")                                                                         \
    X(batch, 0, "BATCH")                                                                                     \
    X(clear_bytes, 0, "CLEAR_BYTES")                                                                         \
    X(release_ticks, 16, "RELEASE_TICKS")                                                                    \
    X(eager_return, 0, "EAGER_RETURN")                                                                       \
    X(growth_dampener, 0, "GROWTH_DAMPENER")                                                                 \
    X(local_buffer_bytes, 32 * LG_MIB, "LOCAL_BUFFER_BYTES")                                                 \
    X(limit_bytes, 0, "LIMIT_BYTES")                                                                         \
    X(idle_bytes, UINT64_MAX, "IDLE_BYTES")                                                                  \
    X(huge_pages, 1, "HUGE_PAGES")                                                                           \
    X(reserve_blocks, 0, "RESERVE_BLOCKS")

enum lg_option_id {
#define X(name, value, variable) LG_OPTION_##name,
    LG_OPTIONS(X)
#undef X
        LG_OPTION_COUNT
};

/* The values in force. */
extern LG_HIDDEN lg_a64 lg_options[LG_OPTION_COUNT];

#define LG_OPTION(name) lg_load_relaxed_64(&lg_options[LG_OPTION_##name])

/* Copies the configured directory's name into `buffer` of PATH_MAX bytes. Returns a number that changes when
 * the name changes; 0 where none is configured. */
LG_HIDDEN uint32_t lg_config_path(char *buffer);

/* For fork.c: the locks of this room. */
LG_HIDDEN void lg_config_fork_prepare(void);
LG_HIDDEN void lg_config_fork_prepare_path(void);
LG_HIDDEN void lg_config_fork_done(void);
LG_HIDDEN void lg_config_fork_done_path(void);

#endif
