/*
 * Giving memory back: how many system calls it takes, and what it does to those who take memory meanwhile.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* So much memory in regions of one size; by hand it is a single one. */
struct regions {
    const struct contestant *contestant;
    size_t size;
    size_t count;
    char **ptrs;
};

static struct regions take(const struct contestant *contestant, size_t size, size_t total)
{
    struct regions regions = {.contestant = contestant};

    regions.size = contestant->clear != NULL ? total : size;
    regions.count = total / regions.size;
    regions.ptrs = calloc(regions.count, sizeof *regions.ptrs);
    if (regions.count == 0 || regions.ptrs == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < regions.count; i++) {
        regions.ptrs[i] = contestant->allocate(regions.size);
        if (regions.ptrs[i] == NULL)
            give_up("out of memory");
    }
    return regions;
}

static void give(struct regions *regions)
{
    for (size_t i = 0; i < regions->count; i++)
        regions->contestant->release(regions->ptrs[i], regions->size);
    free(regions->ptrs);
    regions->ptrs = NULL;
}

static void write_first(const struct regions *regions, size_t bytes)
{
    for (size_t i = 0; i < regions->count && bytes > 0; i++) {
        const size_t part = bytes < regions->size ? bytes : regions->size;
        write_pages(regions->ptrs[i], part, PAGE);
        bytes -= part;
    }
}

/* ---------------------------------------------------------------- how long, and how many calls */

/* What was written is free, or by hand still in use; returns the nanoseconds that emptying it takes. */
static uint64_t empty(const struct workload *workload, const struct contestant *contestant, bool traced)
{
    struct regions regions = take(contestant, workload->size, settings.touch_bytes);
    char *const by_hand = regions.ptrs[0];

    write_first(&regions, settings.touch_bytes);
    if (contestant->clear == NULL)
        give(&regions);
    if (traced)
        raise(SIGSTOP);
    const uint64_t start = now_ns();
    if (contestant->clear != NULL)
        contestant->clear(by_hand, settings.touch_bytes);
    else
        contestant->trim();
    const uint64_t end = now_ns();
    if (traced)
        raise(SIGSTOP);
    return end - start;
}

static bool empties(const struct __ptrace_syscall_info *call)
{
    const uint64_t *args = call->entry.args;

    if (call->op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    if (call->entry.nr == SYS_madvise)
        return args[2] == MADV_DONTNEED || args[2] == MADV_REMOVE || args[2] == MADV_FREE;
    return call->entry.nr == SYS_fallocate && (args[1] & FALLOC_FL_PUNCH_HOLE) != 0;
}

/* The system calls that give memory back, until the traced process stops itself. */
static uint64_t count_calls(pid_t pid)
{
    for (uint64_t count = 0;;) {
        struct __ptrace_syscall_info call;
        int status = 0;
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
            give_up("ptrace: %s", strerror(errno));
        if (!WIFSTOPPED(status))
            give_up("the traced process ended");
        if (WSTOPSIG(status) == SIGSTOP)
            return count;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof call, &call) <= 0)
            give_up("PTRACE_GET_SYSCALL_INFO: %s", strerror(errno));
        count += empties(&call);
    }
}

static uint64_t traced_calls(const struct workload *workload, const struct contestant *contestant)
{
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        if (contestant->start != NULL)
            contestant->start();
        empty(workload, contestant, true);
        _exit(EXIT_SUCCESS);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        give_up("fork: %s", strerror(errno));
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        give_up("it cannot be traced, or is missing");
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) != 0)
        give_up("ptrace: %s", strerror(errno));
    const uint64_t calls = count_calls(pid);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return calls;
}

/* Counted in one process and timed in another, since tracing makes a process slow. */
void run_clear_steps(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const double gibs = (double)settings.touch_bytes / (double)GIB;
    const uint64_t calls = traced_calls(workload, contestant);

    if (contestant->start != NULL)
        contestant->start();
    out->values[0] = (double)empty(workload, contestant, false) / 1e6 / gibs;
    out->values[1] = (double)calls / gibs;
}

/* ---------------------------------------------------------------- page faults meanwhile */

struct toucher {
    const struct regions *fresh;
    size_t from; /* bytes of them; those before were touched, or are another's */
    size_t to;
    double *micros; /* one per fault */
    size_t count;
    atomic_bool running;
    atomic_bool stop;
};

/* What this thread went through so far. */
static void own_usage(long *out_faults, long *out_preempted)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    *out_faults = usage.ru_minflt + usage.ru_majflt;
    *out_preempted = usage.ru_nivcsw;
}

/*
 * Touches page after page for the first time. Only touches that did fault count: a huge page, or what the
 * kernel maps around a fault, makes hundreds that don't. Nor does one in which the thread lost the
 * processor to another program; who waits for a lock gives it up freely. At most one in some
 * microseconds, so that there are fresh pages as long as somebody clears.
 */
static void *touch_fresh(void *arg)
{
    enum { PACE_NS = 5000 };
    struct toucher *toucher = arg;
    long faults = 0;
    long preempted = 0;

    own_usage(&faults, &preempted);
    atomic_store(&toucher->running, true);
    while (toucher->from < toucher->to && !atomic_load_explicit(&toucher->stop, memory_order_relaxed)) {
        const size_t size = toucher->fresh->size;
        char *page = toucher->fresh->ptrs[toucher->from / size] + toucher->from % size;
        const uint64_t start = now_ns();
        *(volatile uint64_t *)(void *)page = toucher->from;
        const uint64_t end = now_ns();
        const long faults_before = faults;
        const long preempted_before = preempted;
        own_usage(&faults, &preempted);
        toucher->from += PAGE;
        if (faults == faults_before || preempted != preempted_before)
            continue;
        toucher->micros[toucher->count++] = (double)(end - start) / 1e3;
        while (now_ns() - start < PACE_NS)
            relax();
    }
    return NULL;
}

/* One thread touches, this one gives memory back or, without `clear`, sleeps a little. */
static void watch(struct toucher *toucher, const struct contestant *contestant, char *clear, size_t bytes)
{
    const struct timespec pause = {0, settings.quick ? 30 * 1000 * 1000 : 100 * 1000 * 1000};
    pthread_t thread;

    atomic_store(&toucher->running, false);
    atomic_store(&toucher->stop, false);
    if (pthread_create(&thread, NULL, touch_fresh, toucher) != 0)
        give_up("no thread to touch pages with");
    while (!atomic_load(&toucher->running))
        relax();
    if (clear == NULL)
        nanosleep(&pause, NULL);
    else if (contestant->clear != NULL)
        contestant->clear(clear, bytes);
    else
        contestant->trim();
    atomic_store(&toucher->stop, true);
    pthread_join(thread, NULL);
}

/*
 * First touches of fresh pages of the same size class, hence of the same file: without anything else
 * going on, and while as much as `touch_bytes` is given back. By hand it is all in one mapping.
 */
void run_clear_faults(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { TURNS = 3 };
    static const double parts[] = {0.5, 0.99, 0.999, 1};
    const unsigned turns = settings.quick ? 1 : TURNS;
    const size_t total = settings.touch_bytes;
    const size_t fresh_bytes = total / 2; /* one half for the calm, one for when it is cleared */
    const bool by_hand = contestant->clear != NULL;
    struct toucher calm = {.count = 0};
    struct toucher busy = {.count = 0};

    calm.micros = calloc(2 * turns * (fresh_bytes / PAGE), sizeof *calm.micros);
    if (calm.micros == NULL)
        give_up("out of memory");
    busy.micros = calm.micros + turns * (fresh_bytes / PAGE);
    write_pages(calm.micros, 2 * turns * (fresh_bytes / PAGE) * sizeof *calm.micros, PAGE);
    for (unsigned turn = 0; turn < turns; turn++) {
        struct regions dirty = {.count = 0};
        struct regions fresh = take(contestant, workload->size, by_hand ? total + fresh_bytes : fresh_bytes);
        const size_t before = by_hand ? total : 0;
        char *clear = fresh.ptrs[0];
        if (!by_hand)
            dirty = take(contestant, workload->size, total);
        write_first(by_hand ? &fresh : &dirty, total);
        if (!by_hand)
            give(&dirty);
        calm.fresh = busy.fresh = &fresh;
        calm.from = before;
        calm.to = busy.from = before + fresh_bytes / 2;
        busy.to = before + fresh_bytes;
        watch(&calm, contestant, NULL, 0);
        watch(&busy, contestant, clear, total);
        give(&fresh);
        if (!by_hand)
            contestant->trim(); /* fresh again */
    }
    if (calm.count == 0 || busy.count == 0)
        give_up("no page fault was seen");
    for (unsigned i = 0; i < 4; i++) {
        out->values[i] = quantile(calm.micros, calm.count, parts[i]);
        out->values[4 + i] = quantile(busy.micros, busy.count, parts[i]);
    }
    free(calm.micros);
}
