#define _GNU_SOURCE 1

#include "progress.h"

#include <stdio.h>
#include <unistd.h>

bool progress_wanted(void)
{
    return isatty(STDERR_FILENO) == 1;
}

void progress_show(void *title, uint64_t done, uint64_t total)
{
    fprintf(stderr, "\r%s: %3u%% ", (const char *)title, (unsigned)(100 * done / total));
    fflush(stderr);
}

void progress_clear(void)
{
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
