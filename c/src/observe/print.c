/*
 * Printing the statistics: on request, and at exit where LGALLOC_STATS says so. Nothing here allocates: the pieces go
 * through a buffer on the stack to the caller's function.
 */
#include "../base/format.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/process.h"
#include "snapshot.h"

#include <limits.h>
#include <unistd.h>

/* The text is less than this, so that it goes to a file in one piece, also beside other processes' texts. */
#define BUFFER_BYTES (8 * LG_KIB)

LG_API lgalloc_status lgalloc_stats_print(lgalloc_format format,
                                          void (*write)(void *context, const char *text, size_t len), void *context)
{
    void (*print)(lg_text * out, const lg_snapshot *s);
    switch ((int32_t)format) {
    case LGALLOC_FORMAT_TEXT: print = lg_print_text; break;
    case LGALLOC_FORMAT_JSON: print = lg_print_json; break;
    case LGALLOC_FORMAT_PROMETHEUS: print = lg_print_prometheus; break;
    default: return LGALLOC_STATUS_INVALID_ARGUMENT;
    }
    if (write == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    lg_snapshot s;
    lg_take_snapshot(&s);
    char buffer[BUFFER_BYTES];
    lg_text out = {.buffer = buffer, .capacity = sizeof(buffer), .write = write, .context = context};
    print(&out, &s);
    lg_put_end(&out);
    return LGALLOC_STATUS_OK;
}

static void write_to_file(void *context, const char *text, size_t len)
{
    (void)lg_os_write(*(const int *)context, text, len); /* at exit nobody is left to hear of it */
}

/* When the process exits, or when the object that the library is part of is unloaded, whichever comes first: what
 * atexit() knows would be called after the code is gone. */
__attribute__((destructor)) static void print_at_exit(void)
{
    char name[PATH_MAX];
    (void)lg_ready(); /* a child that hasn't noticed may find the locks taken */
    if (lg_option_text(LG_NAME_stats, name) == 0)
        return;
    int fd = STDERR_FILENO;
    bool is_file = strcmp(name, LG_STATS_STDERR) != 0;
    if (is_file && lg_os_open_append(name, &fd) != 0)
        return;
    (void)lgalloc_stats_print(LGALLOC_FORMAT_TEXT, write_to_file, &fd);
    if (is_file)
        lg_os_close(fd);
}
