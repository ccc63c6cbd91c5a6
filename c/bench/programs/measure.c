/*
 * Runs a program and says what it took:
 *   measure REPORT PRELOAD COMMAND...
 * appends a line to REPORT: seconds by the clock, seconds of processors, MiB resident at most in one process. Children
 * that were waited for count. PRELOAD is loaded before the C library in COMMAND, not here; "" is none.
 */
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: measure REPORT PRELOAD COMMAND...\n");
        return 2;
    }
    const double start = now();
    const pid_t child = fork();
    if (child == 0) {
        if (argv[2][0] != 0)
            setenv("LD_PRELOAD", argv[2], 1);
        execvp(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("measure");
        return 2;
    }
    const double elapsed = now() - start;
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    FILE *report = fopen(argv[1], "a");
    if (report == NULL) {
        perror(argv[1]);
        return 2;
    }
    fprintf(report, "%.3f %.3f %.1f\n", elapsed, seconds(usage.ru_utime) + seconds(usage.ru_stime),
            (double)usage.ru_maxrss / 1024);
    fclose(report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
