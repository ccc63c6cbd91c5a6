/*
 * The whole library in one translation unit. Compile this file with -Iinclude and -pthread, and nothing else.
 * The order is that of the layers: a file uses only what stands above it here, but for config.h and init.h, whose
 * values (the options in force, whether the allocator is up) anybody may read.
 */
#include "src/lock.c"
#ifndef LG_EXPLORE
#include "src/os.c"
#include "src/os_memory.c"
#else
#include "explore_os.c" /* from fuzz/: a system whose calls cost nothing */
#endif
#include "src/file.c"
#include "src/format.c"
#include "src/parse.c"
#include "src/process.c"
#include "src/metadata.c"
#include "src/bitmap.c"
#include "src/arena.c"
#include "src/thread.c"
#include "src/transit.c"
#include "src/pool.c"
#include "src/chunk.c"
#include "src/backing.c"
#include "src/zero.c"
#include "src/supply.c"
#include "src/release.c"
#include "src/chunk_fork.c"
#include "src/reclaim.c"
#include "src/worker.c"
#include "src/exchange.c"
#include "src/thread_cache.c"
#include "src/handle.c"
#include "src/allocate.c"
#include "src/malloc.c"
#include "src/address.c"
#include "src/any.c"
#include "src/hints.c"
#include "src/region.c"
#include "src/purge.c"
#include "src/stats.c"
#include "src/config.c"
#include "src/snapshot.c"
#include "src/print_text.c"
#include "src/print_json.c"
#include "src/print_prometheus.c"
#include "src/print.c"
#include "src/fork.c"
#include "src/init.c"
#ifdef LG_TESTING
#include "src/verify.c"
#endif
