/*
 * What the tests that look inside the library share, on top of support.h: the verifier as an assertion,
 * injected failures, and areas and regions of one size class at hand.
 *
 * All of it is inline: programs link with the library compiled for tests, and with nothing else of this.
 */
#ifndef LGALLOC_TESTS_INTERNAL_H
#define LGALLOC_TESTS_INTERNAL_H

#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include "api/fork.h"
#include "api/handle.h"
#include "api/init.h"
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/hot_flags.h"
#include "base/metadata.h"
#include "base/options.h"
#include "base/os.h"
#include "base/process.h"
#include "chunks/arena_file.h"
#include "chunks/backing.h"
#include "chunks/chunk.h"
#include "chunks/release.h"
#include "chunks/claim.h"
#include "chunks/supply.h"
#include "flow/exchange.h"
#include "flow/evict.h"
#include "flow/reclaim.h"
#include "flow/thread_cache.h"
#include "flow/worker.h"
#include "observe/verify.h"
#include "regions/arena.h"
#include "regions/bitmap.h"
#include "regions/pool.h"
#include "regions/steal.h"
#include "regions/thread.h"
#include "regions/transit.h"
#include "store/spill.h"

/* The class whose regions have so many bytes, also where the arena has no room for them. */
static inline lg_class *unit_class(size_t bytes)
{
    return lg_class_at(lg_log2_ceil(bytes) - LG_CLASS_MIN);
}

/* ---------------------------------------------------------------- the verifier */

/* Any thread. Dies where an invariant is broken. */
static inline void unit_require_sound(bool contents)
{
    unsigned log2;
    const char *wrong = lg_verify(contents, &log2);
    if (wrong != NULL) {
        print_error("size class %u: %s\n", log2, wrong);
    }
    TEST_REQUIRE(wrong == NULL);
}

/* Main thread. */
static inline void unit_assert_sound(bool contents)
{
    unsigned log2;
    const char *wrong = lg_verify(contents, &log2);
    if (wrong != NULL) {
        fail_msg("size class %u: %s", log2, wrong);
    }
}

/* ---------------------------------------------------------------- injected failures */

/*
 * Which calls fail is said by these; the hook reads them whenever the library is about to make a call. The
 * hook is installed once, before there are other threads, and then stays.
 */
static struct {
    _Atomic uint64_t calls; /* one bit for each system call that may fail */
    atomic_int error;       /* what it fails with; 0: one of a few, at random */
    atomic_long skip;       /* so many calls succeed first */
    atomic_long failures;   /* then so many fail */
    atomic_uint one_in;     /* if not 0: each call fails with this chance instead */
    _Atomic uint64_t random;
    atomic_ulong seen[LG_SYS_COUNT]; /* calls that were asked about */
    atomic_ulong hits[LG_SYS_COUNT]; /* calls that were made to fail */
} unit_fault;

#define UNIT_CALL_BIT(call) ((uint64_t)1 << (call))
#define UNIT_CALL(name) UNIT_CALL_BIT(LG_SYS_##name)
#define UNIT_ALL_CALLS (((uint64_t)1 << LG_SYS_COUNT) - 1)
_Static_assert(LG_SYS_COUNT < 64, "a bit for each call");
#define UNIT_FOREVER (LONG_MAX / 2)

static inline int unit_fault_hook(enum lg_system_call call)
{
    static const int errors[] = {ENOMEM, EIO, ENOSPC, EAGAIN, EINVAL, EACCES, EMFILE};
    atomic_fetch_add_explicit(&unit_fault.seen[call], 1, memory_order_relaxed);
    if ((atomic_load(&unit_fault.calls) >> call & 1) == 0) {
        return 0;
    }
    int error = atomic_load(&unit_fault.error);
    unsigned one_in = atomic_load(&unit_fault.one_in);
    if (one_in != 0) {
        uint64_t state = atomic_fetch_add(&unit_fault.random, UINT64_C(0x9e3779b97f4a7c15));
        uint64_t random = test_random(&state);
        if (random % one_in != 0) {
            return 0;
        }
        error = error != 0 ? error : errors[(random >> 32) % TEST_COUNT(errors)];
    } else if (atomic_fetch_sub(&unit_fault.skip, 1) > 0 || atomic_fetch_sub(&unit_fault.failures, 1) <= 0) {
        return 0;
    }
    atomic_fetch_add_explicit(&unit_fault.hits[call], 1, memory_order_relaxed);
    return error;
}

static inline void unit_fault_install(void)
{
    lg_os_fault = unit_fault_hook;
}

/* No call fails any more. */
static inline void unit_fault_off(void)
{
    atomic_store(&unit_fault.calls, 0);
    atomic_store(&unit_fault.one_in, 0);
}

/* Of these calls, after `skip` of them, `failures` fail with `error`. */
static inline void unit_fault_arm(uint64_t calls, long skip, long failures, int error)
{
    unit_fault_off();
    unit_fault_install();
    atomic_store(&unit_fault.error, error);
    atomic_store(&unit_fault.skip, skip);
    atomic_store(&unit_fault.failures, failures);
    for (size_t i = 0; i < LG_SYS_COUNT; i++) {
        atomic_store(&unit_fault.hits[i], 0);
        atomic_store(&unit_fault.seen[i], 0);
    }
    atomic_store(&unit_fault.calls, calls);
}

/* Of these calls one in so many fails; with one of a few errors where `error` is 0. */
static inline void unit_fault_random(uint64_t calls, unsigned one_in, uint64_t seed, int error)
{
    unit_fault_arm(0, 0, 0, error);
    atomic_store(&unit_fault.random, seed);
    atomic_store(&unit_fault.one_in, one_in);
    atomic_store(&unit_fault.calls, calls);
}

/* Calls since the last arming, which must be watched with unit_fault_watch() at least. */
static inline unsigned long unit_fault_seen(enum lg_system_call call)
{
    return atomic_load(&unit_fault.seen[call]);
}

static inline unsigned long unit_fault_hits(uint64_t calls)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < LG_SYS_COUNT; i++) {
        sum += (calls >> i & 1) != 0 ? atomic_load(&unit_fault.hits[i]) : 0;
    }
    return sum;
}

/* Counts calls from now on; none fails. */
static inline void unit_fault_watch(void)
{
    unit_fault_arm(0, 0, 0, 0);
}

/* ---------------------------------------------------------------- one test for each backing */

/* The options that test_configure() leaves. */
static inline void unit_configure(lgalloc_backing backing)
{
    unit_fault_off();
    test_configure(backing);
    lgalloc_config *config = test_config();
    lgalloc_config_release_ticks(config, 16);
    test_apply(config);
}

static inline int unit_setup_file(void **state)
{
    unit_fault_install();
    (void)test_setup_file(state);
    unit_configure(LGALLOC_BACKING_FILE);
    return 0;
}

static inline int unit_setup_anonymous(void **state)
{
    unit_fault_install();
    (void)test_setup_anonymous(state);
    unit_configure(LGALLOC_BACKING_ANONYMOUS);
    return 0;
}

/* Nothing is in use any more; after a purge nothing is left. */
static inline int unit_teardown(void **state)
{
    unit_configure(test_backing(state));
    unit_assert_sound(false);
    test_assert_quiet();
    unit_assert_sound(true);
    return 0;
}

#define UNIT_FILE(function)                                                 \
    {                                                                       \
#function " (file)", function, unit_setup_file, unit_teardown, NULL \
    }
#define UNIT_ANONYMOUS(function)                                                      \
    {                                                                                 \
#function " (anonymous)", function, unit_setup_anonymous, unit_teardown, NULL \
    }
#define UNIT_BOTH(function) UNIT_FILE(function), UNIT_ANONYMOUS(function)

/* ---------------------------------------------------------------- regions and areas */

/* The allocator is up and the calling thread has a record. */
static inline lg_thread *unit_self(void)
{
    if (lg_self() == NULL) {
        lgalloc_deallocate(test_take(64 * KIB));
        TEST_REQUIRE(lg_self() != NULL);
    }
    return lg_self();
}

/* The index of a handle's region within its class. */
static inline uint64_t unit_index(lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    TEST_REQUIRE(lg_handle_find(handle, &cls, &index));
    return index;
}

static inline uint64_t unit_state(lg_class *cls, uint64_t index)
{
    return lg_load_relaxed_64(&lg_descriptor_at(cls, index)->state);
}

/* Maps another area, whose regions go to the clean pool, as a refill does that finds nothing else. */
static inline int unit_map_area(lg_class *cls, lg_area *out)
{
    uint64_t first = 0;
    uint64_t count = 0;
    lg_lock_acquire(&lg_arena_lock);
    int error = lg_supply_mapped(cls, &first, &count);
    if (error == 0) {
        lg_supply_give(cls, first, count);
    }
    lg_lock_release(&lg_arena_lock);
    if (error == 0 && out != NULL) {
        TEST_REQUIRE(lg_area_next(cls, lg_class_bytes(cls, first), out));
        TEST_REQUIRE(out->len == lg_class_bytes(cls, count));
    }
    return error;
}

/* Has a test start with an empty cache of so many regions, no home, and no long run behind it. */
static inline lg_local *unit_start_with_cache(lg_class *c, size_t capacity)
{
    lg_thread *self = unit_self();
    lgalloc_thread_flush();
    (void)lgalloc_purge();
    test_set_local_buffer(capacity * lg_class_size(c));
    lg_local *local = lg_local_of(self, c);
    local->home_at = NULL;
    local->long_refill_run = local->long_overflow_run = false;
    local->refilled_at = local->overflowed_at = UINT64_MAX; /* some time ago */
    assert_int_equal(lg_load_relaxed_64(&c->cache_capacity), capacity);
    return local;
}

/* A thread's cache of one class. */
static inline lg_bin *unit_bin(lg_thread *thread, lg_class *cls)
{
    return lg_bin_of(thread, cls);
}

static inline uint64_t unit_cached(lg_thread *thread, lg_class *cls)
{
    return lg_deque_count(&unit_bin(thread, cls)->deque);
}

static inline uint64_t unit_dirty(lg_class *cls)
{
    uint64_t counts[LG_CLASS_COUNT];
    lg_pools_count(LG_DIRTY_POOL, counts);
    return counts[lg_class_index(cls)];
}

static inline uint64_t unit_clean(lg_class *cls)
{
    uint64_t counts[LG_CLASS_COUNT];
    lg_pools_count(LG_CLEAN_POOL, counts);
    return counts[lg_class_index(cls)];
}

/* Takes `count` regions, writes to each, and frees them into the dirty pool. */
static inline void unit_make_dirty(size_t count, size_t bytes)
{
    lgalloc_handle handles[1024];
    TEST_REQUIRE(count <= TEST_COUNT(handles));
    test_take_all(handles, count, bytes);
    for (size_t i = 0; i < count; i++) {
        test_mark(handles[i], i);
    }
    test_free_all(handles, count);
    lgalloc_thread_flush();
}

/* Whether regions can be evicted to the tests' directory; if not, says that there is nothing to test. */
static inline bool unit_can_spill(void)
{
    if (lg_spill_probe(test_dir()) != EMEDIUMTYPE) {
        return true;
    }
    print_message("%s is in memory, where nothing can be spilled to\n", test_dir());
    return false;
}

/* For tests whose setup leaves a state where it could. */
#define UNIT_NEEDS_DISK(state)  \
    do {                        \
        if (*(state) == NULL) { \
            skip();             \
        }                       \
    } while (0)

#endif
