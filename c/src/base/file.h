/*
 * The unlinked files behind areas. A library's descriptors aren't its own: a program may close them all, as daemons do,
 * and open files of its own that get the same numbers. So a file is known by its device, inode and generation, and no
 * descriptor is used without asking, just before, what it refers to. A descriptor that is lost is EBADF here, is never closed, and
 * its file lives on as long as it is mapped.
 *
 * While a file is mapped somewhere nobody gets its inode's number. One that nothing maps any more, and whose descriptor
 * the program has closed, is gone, and the program's next file may have both numbers: its generation tells that apart
 * (lg_os_identify() says where). Besides, a file that nothing maps is closed at once by whoever opened it.
 *
 * What can't be told is a program that closes and opens between the question and the use, in another thread. That is
 * a few instructions long; and a mapping, the one use that would be felt much later, is asked about afterwards too.
 */
#ifndef LG_FILE_H
#define LG_FILE_H

#include "os.h"

typedef struct lg_file {
    int32_t fd;        /* above 2; -1: none */
    int32_t no_blocks; /* what reserving blocks is answered with, where the file system wouldn't keep them; else 0 */
    lg_identity identity;
    bool tells_holes; /* whether lg_file_next_data() knows of writes to mappings */
} lg_file;

#define LG_NO_FILE ((lg_file){.fd = -1})

LG_INLINE bool lg_file_is(const lg_file *file, const lg_file *other)
{
    return file->fd >= 0 && file->fd == other->fd && lg_os_is_same(&file->identity, &other->identity);
}

/* Makes one in a directory. Returns 0 or an errno. */
LG_HIDDEN int lg_file_open(const char *directory, lg_file *out);

/* Whether its descriptor still refers to it: 0, EBADF, or what else the question was answered with. */
LG_HIDDEN int lg_file_check(const lg_file *file);

/* Closes it, if it is still there. */
LG_HIDDEN void lg_file_close(lg_file *file);

/* As the functions of os.h, but EBADF where the descriptor isn't the file's. Nothing was done then. */
LG_HIDDEN int lg_file_truncate(const lg_file *file, uint64_t size);
LG_HIDDEN int lg_file_allocate_blocks(const lg_file *file, uint64_t offset, uint64_t len);
LG_HIDDEN int lg_file_punch(const lg_file *file, uint64_t offset, uint64_t len);
LG_HIDDEN int lg_file_usage(const lg_file *file, uint64_t *out_size, uint64_t *out_allocated);
/* Bytes of a part that hold data, as far as the file system tells. */
LG_HIDDEN int lg_file_data(const lg_file *file, uint64_t offset, uint64_t len, uint64_t *out_bytes);
/* Finds the next piece of data in a part: *out_len is 0 if there is none. */
LG_HIDDEN int lg_file_next_data(const lg_file *file, uint64_t offset, uint64_t len, uint64_t *out_start,
                                uint64_t *out_len);
/* What was read is the file's: EBADF also where the descriptor has gone meanwhile. */
LG_HIDDEN int lg_file_read(const lg_file *file, void *to, uint64_t len, uint64_t offset);
LG_HIDDEN int lg_file_write(const lg_file *file, const void *from, uint64_t len, uint64_t offset);
LG_HIDDEN int lg_file_leave_cache(const lg_file *file, uint64_t offset, uint64_t len, bool written);
LG_HIDDEN int lg_file_go_cached(const lg_file *file);
LG_HIDDEN int lg_file_map(const lg_file *file, void *addr, size_t len, uint64_t offset);

#endif
