/*
 * The whole library in one translation unit. Compile this file with -Iinclude and -pthread, and nothing else.
 * The order is that of the layers: a file uses only what stands above it here. A header stands where its .c file does,
 * unless it has a line of its own.
 *
 * Each folder is a layer of files that belong together. Its door is the headers that files of other folders include.
 */

/* base: what all stand on. The seams to the compiler and the system, and small tools. */
/* door: base.h die.h atomic.h cpu.h probe.h lock.h os.h file.h crc32c.h format.h parse.h options.h process.h hot_flags.h barrier.h metadata.h */
#include "src/base/base.h"
#include "src/base/die.h"
#include "src/base/cpu.h"
#include "src/base/probe.h"
#include "src/base/atomic.h"
#include "src/base/lock.c"
#include "src/base/os.h"
#ifndef LG_EXPLORE
#include "src/base/os_call.h"
#include "src/base/die.c"
#include "src/base/os.c"
#include "src/base/os_advice.c"
#include "src/base/os_disk.c"
#include "src/base/os_file.c"
#include "src/base/os_memory.c"
#include "src/base/os_thread.c"
#else
#include "world/os.c" /* from fuzz/: a system whose calls cost nothing */
#endif
#include "src/base/file.c"
#include "src/base/crc32c.c"
#include "src/base/format.c"
#include "src/base/parse.c"
#include "src/base/options.c"
#include "src/base/process.c"
#include "src/base/hot_flags.c"
#include "src/base/barrier.c"
#include "src/base/metadata.c"

/* store: where evicted regions are on disk. */
/* door: place.h spill.h */
#include "src/store/place.h"
#ifndef LG_EXPLORE
#include "src/store/shelf.c"
#include "src/store/spill_file.h"
#include "src/store/spill.c"
#include "src/store/spill_io.c"
#else
#include "world/spill.c" /* from fuzz/: a disk that costs nothing */
#endif

/* regions: where a region can be. The arena with its descriptors, the threads' caches, the shared pools. */
/* door: size_class.h counters.h bitmap.h descriptor.h class.h arena.h deque.h thread.h steal.h transit.h pool.h seal.h */
#include "src/regions/size_class.h"
#include "src/regions/counters.h"
#include "src/regions/bitmap.c"
#include "src/regions/descriptor.h"
#include "src/regions/class.h"
#include "src/regions/arena.c"
#include "src/regions/deque.h"
#include "src/regions/thread.c"
#include "src/regions/steal.c"
#include "src/regions/transit.c"
#include "src/regions/pool.c"
#include "src/regions/seal.c"

/* chunks: where memory comes from and goes to. */
/* door: chunk.h arena_file.h backing.h zero.h tail.h claim.h supply.h release.h */
#include "src/chunks/chunk.c"
#include "src/chunks/arena_file.c"
#include "src/chunks/backing.c"
#include "src/chunks/zero.c"
#include "src/chunks/tail.c"
#include "src/chunks/claim.c"
#include "src/chunks/choose.c"
#include "src/chunks/supply.c"
#include "src/chunks/release.c"
#include "src/chunks/chunk_fork.c"

/* flow: how free regions move between caches and pools, and lose their memory there. */
/* door: reclaim.h io.h evict.h worker.h exchange.h thread_cache.h */
#include "src/flow/reclaim.c"
#include "src/flow/io.h"
#include "src/flow/evict.c"
#include "src/flow/background.c"
#include "src/flow/io.c"
#include "src/flow/worker.c"
#include "src/flow/exchange.c"
#include "src/flow/thread_cache.c"
#include "src/flow/load.c"

/* api: what the header declares, and the allocator from its first call to its last. */
/* door: handle.h heap.h */
#include "src/api/fork.c"
#include "src/api/init.c"
#include "src/api/version.c"
#include "src/api/heap.c"
#include "src/api/handle.c"
#include "src/api/hot.h"
#include "src/api/slow.c"
#include "src/api/allocate.c"
#include "src/api/malloc.c"
#include "src/api/address.c"
#include "src/api/any.c"
#include "src/api/hints.c"
#include "src/api/sealed.c"
#include "src/api/region.c"
#include "src/api/purge.c"
#include "src/api/config.c"
#include "src/api/variables.c"

/* observe: what can be known of it all. Statistics, also as text, and the verifier for tests and fuzzers. */
#include "src/observe/stats.c"
#include "src/observe/snapshot.c"
#include "src/observe/print_text.c"
#include "src/observe/print_json.c"
#include "src/observe/print_prometheus.c"
#include "src/observe/print.c"
#ifdef LG_TESTING
#include "src/observe/verify.c"
#endif
