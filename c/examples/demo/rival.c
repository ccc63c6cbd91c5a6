#define _GNU_SOURCE 1

#include "rival.h"

#include "words.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
    int error;
    double seconds;
};

static void malloc_release(void *ptr, size_t size)
{
    (void)size;
    free(ptr);
}

static const struct allocator with_malloc = {"malloc", malloc, malloc_release};

/* Both structs are smaller than what a pipe takes at once, so that none arrives in parts. */
static bool receive(int fd, void *to, size_t size)
{
    ssize_t got;

    do
        got = read(fd, to, size);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)size;
}

static void serve(int request_fd, int answer_fd, int fd, size_t count, unsigned threads, uint64_t *words)
{
    struct progress progress;

    while (receive(request_fd, &progress, sizeof progress)) {
        const struct sort_options options = {threads, progress_show, &progress};
        struct sort_result result;
        struct answer answer;
        memset(&answer, 0, sizeof answer);
        answer.error = sort_file(&with_malloc, fd, count, &options, &result);
        if (answer.error == 0) {
            answer.seconds = result.seconds;
            /* In pieces that are let go of again: the copy for the other process is not malloc's memory. */
            for (size_t first = 0; first < count; first += WORDS_PIECE) {
                const size_t piece = words_piece(first, count);
                memcpy(words + first, result.words + first, piece * sizeof *words);
                words_let_go(words + first, piece);
            }
            sort_result_release(&with_malloc, &result);
        }
        if (write(answer_fd, &answer, sizeof answer) != (ssize_t)sizeof answer)
            break;
    }
}

int rival_start(struct rival *out_rival, int fd, size_t count, unsigned threads)
{
    int request[2];
    int answer[2];

    uint64_t *words = mmap(NULL, count * sizeof *words, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED)
        return errno;
    if (pipe(request) != 0)
        return errno;
    if (pipe(answer) != 0)
        return errno;
    signal(SIGPIPE, SIG_IGN); /* a process that died is an error of rival_sort(), not the end of this one */
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        close(request[1]);
        close(answer[0]);
        serve(request[0], answer[1], fd, count, threads, words);
        _exit(EXIT_SUCCESS);
    }
    close(request[0]);
    close(answer[1]);
    out_rival->pid = pid;
    out_rival->request = request[1];
    out_rival->answer = answer[0];
    out_rival->words = words;
    out_rival->count = count;
    return 0;
}

int rival_sort(struct rival *rival, const struct progress *progress, double *out_seconds)
{
    struct answer answer;

    if (write(rival->request, progress, sizeof *progress) != (ssize_t)sizeof *progress ||
        !receive(rival->answer, &answer, sizeof answer))
        return ECHILD;
    *out_seconds = answer.seconds;
    return answer.error;
}

void rival_stop(struct rival *rival)
{
    close(rival->request);
    close(rival->answer);
    waitpid(rival->pid, NULL, 0);
    munmap(rival->words, rival->count * sizeof *rival->words);
    rival->words = NULL;
}
