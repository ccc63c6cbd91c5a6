/* How the files of os.h make system calls: the seam for injected failures, and what is done around each call. */
#ifndef LG_OS_CALL_H
#define LG_OS_CALL_H

#include "os.h"

#ifdef LG_TESTING
#define LG_OS_FAULT(call)                                         \
    do {                                                          \
        int fault_ = lg_os_fault != NULL ? lg_os_fault(call) : 0; \
        if (fault_ != 0)                                          \
            return fault_;                                        \
    } while (0)
#else
#define LG_OS_FAULT(call) ((void)0)
#endif

/* The C library reports through errno, which the caller of an allocator doesn't expect to change. */
#define LG_OS_CALL(expression)                                    \
    __extension__({                                               \
        int saved_ = errno;                                       \
        int cancel_;                                              \
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_); \
        int result_ = (expression) ? 0 : errno;                   \
        pthread_setcancelstate(cancel_, NULL);                    \
        errno = saved_;                                           \
        result_;                                                  \
    })

/* Growing a file beyond RLIMIT_FSIZE, or writing there, raises SIGXFSZ, which kills; so that is looked up before. */
LG_HIDDEN bool lg_os_file_size_allowed(uint64_t size);

/*
 * A call over a long range ends with EINTR when a signal's handler runs, and file systems may undo what it did so far: with
 * a timer of 10 ms, reserving 256 MiB on such a one would never end. So after that the rest is asked for in halves of
 * the step, down to the smallest, which is tried some times.
 */
#define LG_OS_TRIES 100

typedef struct lg_os_steps {
    enum lg_system_call name;
    int (*call)(const struct lg_os_steps *self, uint64_t at, uint64_t len); /* returns 0 or an errno */
    uint64_t most;                                                          /* bytes per step */
    char *addr;                                                             /* madvise */
    int fd;                                                                 /* fallocate */
    int how;
} lg_os_steps;

/* A part may be done when it fails. */
LG_HIDDEN int lg_os_in_steps(const lg_os_steps *call, uint64_t at, uint64_t len);

#endif
