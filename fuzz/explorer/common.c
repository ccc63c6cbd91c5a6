#include "common.h"

#include <stdio.h>
#include <stdlib.h>

struct running running = {.thread = XP_MAIN};

bool xp_trace;
void (*xp_describe)(const void *at, char *text, size_t size);
void (*when_failing)(const char *what, const char *more);

unsigned xp_self(void)
{
    return running.thread;
}

void trace_line(const char *what, const void *at, uint64_t value, bool has_value)
{
    if (!xp_trace || running.thread == XP_MAIN)
        return;
    char text[96] = "";
    if (at != NULL && xp_describe != NULL)
        xp_describe(at, text, sizeof(text));
    fprintf(stderr, "%6u  thread %u  %s %s", running.decisions, running.thread, what, text);
    if (has_value)
        fprintf(stderr, " = 0x%llx", (unsigned long long)value);
    fputc('\n', stderr);
}

void xp_say(const char *what, uint64_t a, uint64_t b)
{
    if (xp_trace)
        fprintf(stderr, "%6u  thread %u: %s %llu %llu\n", running.decisions, running.thread, what,
                (unsigned long long)a, (unsigned long long)b);
}

_Noreturn void xp_fail(const char *what, const char *more)
{
    fflush(stdout);
    if (when_failing != NULL)
        when_failing(what, more);
    else
        fprintf(stderr, "%s%s%s\n", what, more != NULL ? ": " : "", more != NULL ? more : "");
    abort();
}
