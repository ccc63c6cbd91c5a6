/*
 * The file whose words are sorted.
 */
#ifndef DEMO_INPUT_H
#define DEMO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    char *path; /* owned */
    int fd;
    size_t count; /* whole 8-byte words in the file */
};

/*
 * Opens a file, or where `path` is NULL a large one that most machines with a toolchain have. False:
 * `out_error`, owned by the caller, is one line that says what is wrong.
 */
bool input_open(const char *path, struct input *out_input, char **out_error);

void input_close(struct input *input);

/* Reads it once: the fingerprint of its words, and the file in the page cache. `progress` is called now and then with
 * words that are done; it may be NULL. Returns 0 or an errno. */
int input_fingerprint(const struct input *input, void (*progress)(void *arg, uint64_t done, uint64_t total),
                      void *progress_arg, uint64_t *out_fingerprint);

#endif
