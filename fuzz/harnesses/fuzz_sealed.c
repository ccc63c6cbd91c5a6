/*
 * Sealed regions against a shadow of them: random seals, pins, evictions, reads, frees, forks, limits and failing system
 * calls, by one thread. Whatever is readable is compared byte by byte with what was written into it; after a failure
 * nothing may be lost, and when the failures are over everything can be had again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harnesses/faults.h"
#include "input/input.h"
#include "lgalloc.h"
#include "observe/verify.h"

#define MIB ((size_t)1 << 20)
#define SLOTS 12
#define FAULTS 3
#define LIMIT (24 * MIB)

typedef struct shadow {
    lgalloc_handle handle; /* len 0: the slot is free */
    size_t used;           /* bytes that must be as they were: all, until it is sealed */
    uint64_t seed;
    unsigned pins;
    bool sealed;
} shadow;

static shadow slots[SLOTS];
static const char *directory;
static uint64_t seeds;
static size_t limit;
static bool spill;   /* there is a directory to evict to */
static bool bounded; /* and a bound on what it takes */

/* ---- failures */

static fault faults[FAULTS];
static bool failing;

static int decide(enum lg_system_call call)
{
    return failing ? fault_next(faults, FAULTS, call) : 0;
}

/* Short reads and writes, now and then. */
static unsigned steps;

static int decide_step(enum lg_system_call call, uint64_t at, uint64_t len)
{
    (void)at;
    if ((call != LG_SYS_READ && call != LG_SYS_WRITE) || len < 8192 || ++steps % 5 != 0)
        return 0;
    return steps % 3 == 0 ? EINTR : -(int)(len / 2 & ~(uint64_t)4095);
}

static void arm(input *in)
{
    static const enum lg_system_call calls[] = {
        LG_SYS_ALLOCATE, LG_SYS_WRITE,   LG_SYS_READ,    LG_SYS_OPEN,    LG_SYS_IDENTIFY,       LG_SYS_HOLD,
        LG_SYS_PUNCH,    LG_SYS_COMMIT,  LG_SYS_GUARD,   LG_SYS_UNGUARD, LG_SYS_ADVISE_DISCARD, LG_SYS_WRITE_BACK,
        LG_SYS_DIRECT,   LG_SYS_RESERVE, LG_SYS_ON_DISK, LG_SYS_UNMAP};
    static const int errors[] = {ENOSPC, EIO, ENOMEM, EAGAIN, EINVAL, EDQUOT, EBADF, EPERM};
    for (unsigned i = 0; i < FAULTS; i++) {
        uint8_t how = input_u8(in);
        faults[i].call = calls[input_below(in, sizeof(calls) / sizeof(*calls))];
        faults[i].after = how & 3;
        faults[i].times = (how & 0x80) != 0 ? 1000 : 1 + (how >> 5 & 3);
        faults[i].error = errors[how >> 2 & 7];
    }
    failing = true;
}

/* A refusal that the failures explain, or the limit, or the bound on disk. */
static bool may_be_refused(lgalloc_status status, bool for_lack_of_room)
{
    if (failing)
        return status == LGALLOC_STATUS_IO || status == LGALLOC_STATUS_OUT_OF_MEMORY;
    return for_lack_of_room && status == LGALLOC_STATUS_OUT_OF_MEMORY;
}

/* ---- contents */

static uint64_t word_of(uint64_t seed, size_t at)
{
    return (seed + at) * 0x9e3779b97f4a7c15u ^ seed << 17;
}

static void fill(shadow *s)
{
    uint64_t *words = s->handle.ptr;
    for (size_t i = 0; i < s->handle.len / 8; i++)
        words[i] = word_of(s->seed, i);
}

static void check_bytes(const shadow *s, const unsigned char *bytes, size_t offset, size_t len)
{
    uint64_t words[512];
    size_t end = offset + len;
    for (size_t at = offset; at < end;) {
        size_t first = at / 8, before = at % 8,
               n = sizeof(words) - before < end - at ? sizeof(words) - before : end - at;
        for (size_t i = 0; i < (before + n + 7) / 8; i++)
            words[i] = word_of(s->seed, first + i);
        if (memcmp(bytes + (at - offset), (const unsigned char *)words + before, n) != 0)
            fuzz_fail(__FILE__, __LINE__, "a region has changed", s->sealed ? "a sealed one" : "one in use");
        at += n;
    }
}

static void check_all(const shadow *s)
{
    check_bytes(s, s->handle.ptr, 0, s->sealed ? s->used : s->handle.len);
}

/* ---- what may be evicted, as far as the shadow knows */

static size_t stuck_bytes(void)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        if (!slots[i].sealed || slots[i].pins != 0 || slots[i].handle.len < 2 * MIB || !spill || bounded)
            bytes += slots[i].handle.len;
    return bytes;
}

static bool must_fit(size_t more)
{
    return limit == 0 || stuck_bytes() + more <= limit;
}

/* ---- operations */

static void take(shadow *s, input *in)
{
    static const size_t sizes[] = {64 << 10, 1 << 20, 2 << 20, 2 << 20, 2 << 20, 4 << 20, 4 << 20, 8 << 20};
    size_t size = sizes[input_below(in, 8)];
    lgalloc_status status = lgalloc_allocate(size, 1, 1, NULL, NULL, &s->handle);
    if (status != LGALLOC_STATUS_OK) {
        FUZZ_CHECK(may_be_refused(status, !must_fit(size)) && s->handle.len == 0);
        return;
    }
    s->seed = ++seeds * 7919;
    s->pins = 0;
    s->sealed = false;
    s->used = s->handle.len;
    fill(s);
}

static void drop(shadow *s)
{
    if (!s->sealed || s->pins != 0)
        check_all(s);
    while (s->pins != 0) {
        lgalloc_unpin(s->handle);
        s->pins--;
    }
    int before = errno = 4711;
    lgalloc_deallocate(s->handle);
    FUZZ_CHECK(errno == before);
    s->handle.len = 0;
}

static void seal(shadow *s, input *in)
{
    size_t used = (size_t)(input_bytes(in, 3) % (s->handle.len + 1));
    if ((input_u8(in) & 3) == 0)
        used = s->handle.len;
    lgalloc_status status = lgalloc_seal(s->handle, used);
    if (s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
        return;
    }
    if (status == LGALLOC_STATUS_OK) {
        s->sealed = true;
        s->used = used;
    } else {
        FUZZ_CHECK(failing && status == LGALLOC_STATUS_IO);
        check_all(s);
    }
}

static void pin(shadow *s)
{
    bool resident = lgalloc_is_resident(s->handle);
    lgalloc_status status = lgalloc_pin(s->handle);
    if (!s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
    } else if (status == LGALLOC_STATUS_OK) {
        s->pins++;
        check_all(s);
    } else {
        FUZZ_CHECK(!resident && may_be_refused(status, !must_fit(s->pins == 0 ? s->handle.len : 0)));
        FUZZ_CHECK(!lgalloc_is_resident(s->handle));
    }
}

static void try_pin(shadow *s)
{
    bool resident = lgalloc_is_resident(s->handle);
    lgalloc_status status = lgalloc_try_pin(s->handle);
    if (!s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
    } else if (resident) {
        FUZZ_CHECK(status == LGALLOC_STATUS_OK);
        s->pins++;
        check_all(s);
    } else {
        FUZZ_CHECK(status == LGALLOC_STATUS_NOT_RESIDENT);
    }
}

static void unpin(shadow *s)
{
    if (s->pins == 0)
        return;
    check_all(s);
    lgalloc_unpin(s->handle);
    s->pins--;
}

static void evict(shadow *s)
{
    bool resident = lgalloc_is_resident(s->handle);
    lgalloc_status status = lgalloc_evict(s->handle);
    if (!s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
        check_all(s);
    } else if (s->handle.len < 2 * MIB) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_SIZE_CLASS);
    } else if (s->pins != 0) {
        FUZZ_CHECK(status == LGALLOC_STATUS_BUSY);
        check_all(s);
    } else if (status == LGALLOC_STATUS_OK) {
        FUZZ_CHECK(!lgalloc_is_resident(s->handle));
    } else {
        FUZZ_CHECK(resident && status == LGALLOC_STATUS_IO && (failing || !spill || bounded));
        FUZZ_CHECK(lgalloc_is_resident(s->handle));
    }
}

static void read_part(shadow *s, input *in)
{
    static unsigned char out[8 * MIB];
    size_t offset = (size_t)(input_bytes(in, 3) % (s->handle.len + 1));
    size_t len = (size_t)(input_bytes(in, 3) % (s->handle.len - offset + 1));
    size_t shift = input_u8(in) & 7;
    if (len > sizeof(out) - shift)
        len = sizeof(out) - shift;
    bool resident = lgalloc_is_resident(s->handle);
    lgalloc_status status = lgalloc_read(s->handle, offset, len, out + shift);
    if (!s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
        return;
    }
    FUZZ_CHECK(status == LGALLOC_STATUS_OK || (failing && !resident && status == LGALLOC_STATUS_IO));
    FUZZ_CHECK(lgalloc_is_resident(s->handle) == resident);
    if (status == LGALLOC_STATUS_OK && offset < s->used)
        check_bytes(s, out + shift, offset, len < s->used - offset ? len : s->used - offset);
}

static void unseal(shadow *s)
{
    lgalloc_status status = lgalloc_unseal(s->handle);
    if (!s->sealed) {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT);
    } else if (s->pins != 0) {
        FUZZ_CHECK(status == LGALLOC_STATUS_BUSY);
        check_all(s);
    } else if (status == LGALLOC_STATUS_OK) {
        check_all(s);
        s->sealed = false;
        s->used = s->handle.len;
        s->seed = ++seeds * 7919;
        fill(s);
    } else {
        FUZZ_CHECK(may_be_refused(status, !must_fit(s->handle.len)));
    }
}

static void pin_several(input *in)
{
    lgalloc_handle handles[4];
    shadow *which[4];
    size_t count = input_below(in, 5), n = 0, more = 0;
    bool possible = true;
    for (size_t i = 0; i < count; i++) {
        shadow *s = &slots[input_below(in, SLOTS)];
        if (s->handle.len == 0)
            continue;
        handles[n] = s->handle;
        which[n++] = s;
        possible = possible && s->sealed;
        more += s->pins == 0 ? s->handle.len : 0;
    }
    lgalloc_status status = lgalloc_pin_all(handles, n);
    if (status == LGALLOC_STATUS_OK) {
        FUZZ_CHECK(possible);
        for (size_t i = 0; i < n; i++) {
            which[i]->pins++;
            check_all(which[i]);
        }
    } else {
        FUZZ_CHECK(status == LGALLOC_STATUS_INVALID_ARGUMENT ? !possible : may_be_refused(status, !must_fit(more)));
    }
}

static void hint(shadow *s, bool cold)
{
    lgalloc_status status = (cold ? lgalloc_cold : lgalloc_prefetch)(s->handle, 0, s->handle.len);
    FUZZ_CHECK(status == LGALLOC_STATUS_OK || (failing && status == LGALLOC_STATUS_IO));
}

/* ---- options */

static void apply(lgalloc_config *config)
{
    FUZZ_CHECK(config != NULL && lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
}

static void set_limit(size_t bytes)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_limit_bytes(config, bytes);
    apply(config);
    limit = bytes;
}

/* Without failures, which lgalloc_set_config() would answer with. */
static void set_spill(bool on, size_t bytes)
{
    lgalloc_config *config = lgalloc_config_new();
    bool before = failing;
    failing = false;
    FUZZ_CHECK(lgalloc_config_with_spill(config, on ? directory : NULL, bytes) == LGALLOC_STATUS_OK);
    apply(config);
    failing = before;
    spill = on;
    bounded = bytes != 0;
}

/* ---- forks */

static void as_child(void)
{
    failing = false;
    for (unsigned i = 0; i < SLOTS; i++) {
        shadow *s = &slots[i];
        if (s->handle.len == 0)
            continue;
        if (!s->sealed) {
            check_all(s);
        } else if (lgalloc_try_pin(s->handle) == LGALLOC_STATUS_OK) {
            check_all(s);
            lgalloc_unpin(s->handle);
        } else if (lgalloc_pin(s->handle) == LGALLOC_STATUS_OK) {
            _exit(2); /* it stayed with the parent */
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        shadow *s = &slots[i];
        for (; s->pins != 0; s->pins--)
            lgalloc_unpin(s->handle);
        lgalloc_deallocate(s->handle);
    }
    set_limit(0);
    shadow own = {.seed = 4};
    if (lgalloc_allocate(2 * MIB, 1, 1, NULL, NULL, &own.handle) != LGALLOC_STATUS_OK)
        _exit(3);
    own.used = own.handle.len;
    fill(&own);
    own.sealed = lgalloc_seal(own.handle, own.used) == LGALLOC_STATUS_OK;
    (void)lgalloc_evict(own.handle);
    lgalloc_status status = lgalloc_pin(own.handle);
    if (status != LGALLOC_STATUS_OK) {
        fprintf(stderr, "a child's own region can't be pinned: %s, errno %d\n", lgalloc_status_str(status), errno);
        _exit(4);
    }
    check_all(&own);
    lgalloc_unpin(own.handle);
    lgalloc_deallocate(own.handle);
    _exit(0);
}

static void fork_once(void)
{
    int status;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        as_child();
    if (child < 0)
        return;
    while (waitpid(child, &status, 0) < 0)
        FUZZ_CHECK(errno == EINTR);
    FUZZ_CHECK(status == 0);
}

/* ---- all of it */

static void check_books(void)
{
    lgalloc_global_stats now;
    lgalloc_stats_global(&now);
    size_t sealed = 0, evicted = 0, in_use = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        const shadow *s = &slots[i];
        bool out = s->handle.len != 0 && !lgalloc_is_resident(s->handle);
        FUZZ_CHECK(!out || (s->sealed && s->pins == 0));
        evicted += out ? s->handle.len : 0;
        in_use += out ? 0 : s->handle.len;
        sealed += s->sealed && !out ? s->handle.len : 0;
    }
    FUZZ_CHECK(now.in_use_bytes == in_use && now.sealed_bytes == sealed);
    /* What was freed while its guard could not be taken away counts until somebody comes by. */
    FUZZ_CHECK(now.evicted_bytes >= evicted);
    unsigned log2 = 0;
    const char *wrong = lg_verify(false, &log2);
    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, "the invariants don't hold", wrong);
}

static void step(input *in)
{
    unsigned what = input_below(in, 24);
    shadow *s = &slots[input_below(in, SLOTS)];
    switch (what) {
    case 0: set_limit(input_below(in, 3) == 0 ? 0 : LIMIT); return;
    case 1: set_limit((size_t)input_u8(in) * MIB / 4); return;
    case 2: set_spill((input_u8(in) & 3) != 0, (size_t)(input_u8(in) & 3) * 3 * MIB); return;
    case 3: arm(in); return;
    case 4:
    case 5: failing = false; return;
    case 6: pin_several(in); return;
    case 7:
        if ((input_u8(in) & 3) == 0)
            fork_once();
        return;
    case 8: (void)lgalloc_purge(); return;
    case 9: lgalloc_thread_flush(); return;
    default: break;
    }
    if (s->handle.len == 0) {
        take(s, in);
        if (s->handle.len != 0 && what >= 12)
            seal(s, in);
        return;
    }
    switch (what) {
    case 10:
    case 11: drop(s); break;
    case 12:
    case 13: seal(s, in); break;
    case 14:
    case 15: pin(s); break;
    case 16: try_pin(s); break;
    case 17:
    case 18: unpin(s); break;
    case 19:
    case 20: evict(s); break;
    case 21: read_part(s, in); break;
    case 22: unseal(s); break;
    default: hint(s, (input_u8(in) & 1) != 0); break;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static char made[PATH_MAX];
    directory = getenv("LGALLOC_TEST_DIR");
    if (directory == NULL) {
        const char *temporary = getenv("TMPDIR");
        snprintf(made, sizeof(made), "%s/fuzz-sealed-XXXXXX", temporary != NULL ? temporary : "/var/tmp");
        directory = mkdtemp(made);
        FUZZ_CHECK(directory != NULL);
    }
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_arena_bytes(config, 1024 * MIB); /* the verifier looks at all of it */
    lgalloc_config_spill_threads(config, 0);        /* so that an input always does the same */
    apply(config);
    lg_os_fault = decide;
    lg_os_fault_step = decide_step;
    return 0;
}

static bool can_spill(void)
{
    lgalloc_config *config = lgalloc_config_new();
    bool can = lgalloc_config_with_spill(config, directory, 0) == LGALLOC_STATUS_OK &&
               lgalloc_set_config(config) == LGALLOC_STATUS_OK;
    lgalloc_config_free(config);
    return can;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, data + size};
    if (!can_spill()) {
        fprintf(stderr, "%s is no place to spill to\n", directory);
        return 0;
    }
    failing = bounded = false;
    spill = true;
    steps = 0;
    seeds = 0;
    set_limit(LIMIT);
    for (unsigned n = 0; n < 200 && !input_empty(&in); n++) {
        step(&in);
        check_books();
    }
    failing = false;
    set_limit(0);
    for (unsigned i = 0; i < SLOTS; i++) {
        shadow *s = &slots[i];
        if (s->handle.len == 0)
            continue;
        if (s->sealed)
            pin(s);
        drop(s);
    }
    (void)lgalloc_purge();
    lgalloc_global_stats now;
    lgalloc_stats_global(&now);
    FUZZ_CHECK(now.in_use_bytes == 0 && now.evicted_bytes == 0 && now.sealed_bytes == 0);
    FUZZ_CHECK(now.dirty_bytes == 0 && now.area_bytes == 0 && now.spill_file_bytes == 0);
    return 0;
}
