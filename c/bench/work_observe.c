/*
 * What can be counted exactly: instructions and system calls; and what statistics cost.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include "lgalloc.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- statistics */

static void read_stats(void *arg, size_t operations)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];

    (void)arg;
    for (size_t i = 0; i < operations; i++) {
        lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
        escape(stats);
    }
}

struct idle {
    const struct contestant *contestant;
    size_t size;
    pthread_barrier_t allocated;
    pthread_barrier_t measured;
};

static void *idle_main(void *arg)
{
    struct idle *idle = arg;

    idle->contestant->release(idle->contestant->allocate(idle->size), idle->size);
    pthread_barrier_wait(&idle->allocated);
    pthread_barrier_wait(&idle->measured);
    return NULL;
}

/* Microseconds, with so many threads alive that have each allocated; the caller is one of them. */
void run_stats(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const unsigned others = workload->threads - 1;
    pthread_t *threads = calloc(others, sizeof *threads);
    struct idle idle = {.contestant = contestant, .size = workload->size};
    pthread_attr_t attributes;

    if (threads == NULL)
        give_up("out of memory");
    contestant->release(contestant->allocate(workload->size), workload->size);
    pthread_barrier_init(&idle.allocated, NULL, workload->threads);
    pthread_barrier_init(&idle.measured, NULL, workload->threads);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    for (unsigned i = 0; i < others; i++) {
        const int error = pthread_create(&threads[i], &attributes, idle_main, &idle);
        if (error != 0)
            give_up("pthread_create: %s", strerror(error));
    }
    pthread_attr_destroy(&attributes);
    pthread_barrier_wait(&idle.allocated);
    out->values[0] = time_per_operation(read_stats, NULL, settings.budget_ns) / 1e3;
    pthread_barrier_wait(&idle.measured);
    for (unsigned i = 0; i < others; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

/* ---------------------------------------------------------------- no system call */

/*
 * From here on the kernel kills this process for any system call but those that send the sample and
 * end it. A filter, not the strict mode: that one takes the processor's clock away, too.
 */
static void forbid_system_calls(void)
{
    static struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        give_up("seccomp: %s", strerror(errno));
}

void run_system_calls_pair(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { WARM_UP = 100, PAIRS = 100 * 1000 };

    for (int i = 0; i < WARM_UP + PAIRS; i++) {
        if (i == WARM_UP)
            forbid_system_calls();
        void *ptr = contestant->allocate(workload->size);
        escape(ptr);
        contestant->release(ptr, workload->size);
    }
    out->values[0] = 0;
}

void run_system_calls_stats(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    contestant->release(contestant->allocate(workload->size), workload->size);
    read_stats(NULL, 1);
    forbid_system_calls();
    read_stats(NULL, 1000);
    out->values[0] = 0;
}

/* ---------------------------------------------------------------- instructions */

enum { FEW = 10, MANY = 30 };

__attribute__((noinline)) static void lgalloc_pairs(size_t size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        lgalloc_handle handle;
        lgalloc_allocate(size, 1, 1, NULL, NULL, &handle);
        lgalloc_deallocate(handle);
    }
}

__attribute__((noinline)) static void table_pairs(const struct contestant *contestant, size_t size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        void *ptr = contestant->allocate(size);
        escape(ptr);
        contestant->release(ptr, size);
    }
}

/* The traced process: its three stops enclose a few pairs, and then many. */
static void be_traced(const struct contestant *contestant, bool direct, size_t size)
{
    static const unsigned counts[] = {1000, FEW, MANY}; /* the first warms up, and is not counted */

    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    if (contestant->start != NULL)
        contestant->start();
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (direct)
            lgalloc_pairs(size, counts[i]);
        else
            table_pairs(contestant, size, counts[i]);
        raise(SIGSTOP);
    }
    _exit(EXIT_SUCCESS);
}

/* Steps to the next stop, and counts. */
static uint64_t steps(pid_t pid)
{
    enum { TOO_MANY = 200 * 1000 }; /* a step takes microseconds */

    for (uint64_t count = 0;; count++) {
        int status = 0;
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
            give_up("ptrace: %s", strerror(errno));
        if (!WIFSTOPPED(status))
            give_up("the traced process ended");
        if (WSTOPSIG(status) == SIGSTOP)
            return count;
        if (count == TOO_MANY) {
            kill(pid, SIGKILL);
            give_up("more than %d instructions for %d pairs", TOO_MANY, MANY);
        }
    }
}

/*
 * Instructions per pair, counted one by one: many pairs less few, so that the way to the stops and
 * back cancels out. This library is called directly, all others through the table's functions.
 */
void run_instructions(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const bool direct = contestant == contestant_get(LGALLOC_FILE) || contestant == contestant_get(LGALLOC_ANONYMOUS);
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        be_traced(contestant, direct, workload->size);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        give_up("fork: %s", strerror(errno));
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        give_up("it cannot be traced, or is missing");
    const double few = (double)steps(pid);
    const double many = (double)steps(pid);
    out->values[0] = (many - few) / (MANY - FEW);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}
