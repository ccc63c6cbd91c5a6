/*
 * io_uring with regions as registered buffers: the kernel looks up and pins the memory once, not at every read.
 *
 * A region that is registered has to stay in use until it is unregistered. The kernel keeps the pages that it had at
 * registration; were the region free, the library might give those back, and reads would go to pages that nobody sees.
 */
#ifndef URING_BUFFERS_H
#define URING_BUFFERS_H

#include "lgalloc.h"

#include <errno.h>
#include <liburing.h>

#define URING_MAX_BUFFERS 64

/* One region, cut into buffers that are registered as 0, 1, 2 and so on. */
struct uring_buffers {
    char *region;
    unsigned count;
    unsigned bytes; /* of each */
};

/* `count` buffers, 64 at most. Returns 0 or a negative errno, as liburing does: -ENOMEM also where RLIMIT_MEMLOCK is
 * too low. */
static inline int uring_buffers_register(struct io_uring *ring, unsigned count, unsigned bytes,
                                         struct uring_buffers *out_buffers)
{
    struct iovec parts[URING_MAX_BUFFERS];

    if (count == 0 || count > URING_MAX_BUFFERS)
        return -EINVAL;
    char *const region = lgalloc_malloc((size_t)count * bytes);
    if (region == NULL)
        return -errno;
    for (unsigned i = 0; i < count; i++)
        parts[i] = (struct iovec){region + (size_t)i * bytes, bytes};
    const int error = io_uring_register_buffers(ring, parts, count);
    if (error != 0) {
        lgalloc_free(region);
        return error;
    }
    *out_buffers = (struct uring_buffers){region, count, bytes};
    return 0;
}

/* Reads into one of the buffers; io_uring_submit() as always. The buffer is its caller's until the answer is there. */
static inline char *uring_buffers_read(struct io_uring_sqe *entry, const struct uring_buffers *buffers, unsigned number,
                                       int fd, __u64 offset)
{
    char *const to = buffers->region + (size_t)number * buffers->bytes;

    io_uring_prep_read_fixed(entry, fd, to, buffers->bytes, offset, (int)number);
    return to;
}

/* No read may be on its way. */
static inline void uring_buffers_unregister(struct io_uring *ring, struct uring_buffers *buffers)
{
    io_uring_unregister_buffers(ring); /* first: see above */
    lgalloc_free(buffers->region);
    buffers->region = NULL;
}

#endif
