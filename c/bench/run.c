/*
 * One turn of a contestant at a workload, in a child process.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A turn that takes longer than this hangs. */
enum { SECONDS = 120 };

/* In the child. */
static struct sample sample;
static int answer = -1;

/* Only the system calls that forbid_system_calls() leaves. */
__attribute__((noreturn)) static void send_and_exit(void)
{
    const char *from = (const char *)&sample;
    size_t left = sizeof sample;

    while (left > 0) {
        const ssize_t sent = write(answer, from, left);
        if (sent <= 0)
            break;
        from += sent;
        left -= (size_t)sent;
    }
    _exit(EXIT_SUCCESS);
}

void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sample.note, sizeof sample.note, format, arguments);
    va_end(arguments);
    sample.ok = false;
    send_and_exit();
}

__attribute__((noreturn)) static void child(const struct workload *workload, const struct contestant *contestant)
{
    memset(&sample, 0, sizeof sample);
    alarm(SECONDS);
    if (workload->on_tmpfs && settings.tmpfs == NULL)
        give_up("there is no tmpfs to write to; --tmpfs names one");
    if (workload->on_tmpfs)
        settings.path = settings.tmpfs;
    if (contestant->start != NULL && !workload->start_late)
        contestant->start();
    workload->run(workload, contestant, &sample);
    sample.ok = true;
    send_and_exit();
}

void run_child(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    int ends[2];
    size_t have = 0;
    int status = 0;

    memset(out, 0, sizeof *out);
    fflush(NULL);
    if (pipe(ends) != 0) {
        snprintf(out->note, sizeof out->note, "pipe: %s", strerror(errno));
        return;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        answer = ends[1];
        child(workload, contestant);
    }
    close(ends[1]);
    while (pid > 0 && have < sizeof *out) {
        const ssize_t got = read(ends[0], (char *)out + have, sizeof *out - have);
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        have += got > 0 ? (size_t)got : 0;
    }
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        memset(out, 0, sizeof *out);
        snprintf(out->note, sizeof out->note, "fork: %s", strerror(errno));
        return;
    }
    if (have == sizeof *out)
        return;
    memset(out, 0, sizeof *out);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS && workload->killed_is_one) {
        out->ok = true;
        out->values[0] = 1;
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(out->note, sizeof out->note, "its process ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out->note, sizeof out->note, "its process ended with status %d", WEXITSTATUS(status));
}
