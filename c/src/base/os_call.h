/* How os.c and os_memory.c make system calls: the seam for injected failures, and what is done around each call. */
#ifndef LG_OS_CALL_H
#define LG_OS_CALL_H

#include "os.h"

#ifdef LG_TESTING
#define FAULT(call)                                                                                          \
    do {                                                                                                     \
        int fault_ = lg_os_fault != NULL ? lg_os_fault(call) : 0;                                            \
        if (fault_ != 0)                                                                                     \
            return fault_;                                                                                   \
    } while (0)
#else
#define FAULT(call) ((void)0)
#endif

/* The C library reports through errno, which the caller of an allocator doesn't expect to change. */
#define CALL(expression)                                                                                     \
    __extension__({                                                                                          \
        int saved_ = errno;                                                                                  \
        int cancel_;                                                                                         \
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_);                                            \
        int result_ = (expression) ? 0 : errno;                                                              \
        pthread_setcancelstate(cancel_, NULL);                                                               \
        errno = saved_;                                                                                      \
        result_;                                                                                             \
    })

/* Growing a file beyond RLIMIT_FSIZE, or writing there, raises SIGXFSZ, which kills; so that is looked up before. */
LG_HIDDEN bool lg_os_file_size_allowed(uint64_t size);

/* How often what is interrupted is tried again. */
#define MOST_TRIES 100

#endif
