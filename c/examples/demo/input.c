#define _GNU_SOURCE 1

#include "input.h"

#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file smaller than this says little about sorting in regions of megabytes. */
enum { LARGE_BYTES = 16 << 20 };

static bool is_large(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= LARGE_BYTES &&
           access(path, R_OK) == 0;
}

/* Where the C compiler has one of its own programs; NULL where it has not. */
static char *compiler_program(const char *command)
{
    char line[4096];
    char *path = NULL;
    FILE *pipe = popen(command, "re");

    if (pipe == NULL)
        return NULL;
    if (fgets(line, sizeof line, pipe) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (is_large(line))
            path = strdup(line);
    }
    pclose(pipe);
    return path;
}

static char *first_match(const char *pattern)
{
    glob_t found;
    char *path = NULL;

    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && path == NULL; i++)
            if (is_large(found.gl_pathv[i]))
                path = strdup(found.gl_pathv[i]);
    globfree(&found);
    return path;
}

static char *large_file(void)
{
    static const char *const commands[] = {
        "cc -print-prog-name=cc1 2>/dev/null",
        "gcc -print-prog-name=cc1 2>/dev/null",
        "cc -print-prog-name=cc1plus 2>/dev/null",
    };
    static const char *const libraries[] = {
        "/usr/lib/*/libLLVM*.so*",         "/usr/lib*/libLLVM*.so*",         "/usr/lib/llvm*/lib/libLLVM*.so*",
        "/usr/lib/*/librustc_driver*.so*", "/usr/lib*/librustc_driver*.so*",
    };
    char *path = NULL;

    for (size_t i = 0; i < sizeof commands / sizeof *commands && path == NULL; i++)
        path = compiler_program(commands[i]);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries && path == NULL; i++)
        path = first_match(libraries[i]);
    const char *home = getenv("HOME");
    if (path == NULL && home != NULL) {
        char *pattern = NULL;
        if (asprintf(&pattern, "%s/.rustup/toolchains/*/lib/librustc_driver*.so", home) >= 0) {
            path = first_match(pattern);
            free(pattern);
        }
    }
    return path;
}

static bool refuse(struct input *input, char **out_error, const char *reason)
{
    if (asprintf(out_error, "%s: %s", input->path, reason) < 0)
        *out_error = NULL;
    input_close(input);
    return false;
}

bool input_open(const char *path, struct input *out_input, char **out_error)
{
    struct stat status;

    *out_error = NULL;
    out_input->fd = -1;
    out_input->count = 0;
    out_input->path = path != NULL ? strdup(path) : large_file();
    if (out_input->path == NULL) {
        *out_error = strdup("no FILE was named, and no large file of a compiler was found to take instead");
        return false;
    }
    out_input->fd = open(out_input->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (out_input->fd < 0 || fstat(out_input->fd, &status) != 0)
        return refuse(out_input, out_error, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return refuse(out_input, out_error, strerror(EISDIR));
    if (!S_ISREG(status.st_mode))
        return refuse(out_input, out_error, "not a regular file");
    out_input->count = (size_t)status.st_size / sizeof(uint64_t);
    if (out_input->count == 0)
        return refuse(out_input, out_error, "shorter than one word of 8 bytes");
    return true;
}

void input_close(struct input *input)
{
    if (input->fd >= 0)
        close(input->fd);
    input->fd = -1;
    free(input->path);
    input->path = NULL;
}

int input_fingerprint(const struct input *input, void (*progress)(void *arg, uint64_t done, uint64_t total),
                      void *progress_arg, uint64_t *out_fingerprint)
{
    enum { BUFFER_WORDS = 1 << 15, BUFFERS_PER_PROGRESS = 256 };
    uint64_t *buffer = malloc(BUFFER_WORDS * sizeof *buffer);
    uint64_t fingerprint = 0;
    int error = 0;

    if (buffer == NULL)
        return ENOMEM;
    for (size_t done = 0; done < input->count && error == 0;) {
        const size_t left = input->count - done;
        const size_t want = (left < BUFFER_WORDS ? left : BUFFER_WORDS) * sizeof *buffer;
        size_t have = 0;
        while (have < want && error == 0) {
            const ssize_t got = pread(input->fd, (char *)buffer + have, want - have,
                                      (off_t)(done * sizeof *buffer + have));
            if (got < 0)
                error = errno == EINTR ? 0 : errno;
            else if (got == 0)
                error = ENODATA;
            else
                have += (size_t)got;
        }
        if (error == 0)
            fingerprint += words_fingerprint(buffer, want / sizeof *buffer);
        done += want / sizeof *buffer;
        if (progress != NULL && done / BUFFER_WORDS % BUFFERS_PER_PROGRESS == 0)
            progress(progress_arg, done, input->count);
    }
    free(buffer);
    *out_fingerprint = fingerprint;
    return error;
}
