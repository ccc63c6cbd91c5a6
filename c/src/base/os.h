/*
 * Every system call of the library, in the files whose names begin with os_. Functions return 0 or an errno value and
 * leave things as they were when they fail, unless the text says otherwise; none writes `errno`. Addresses and lengths
 * are whole pages unless the text says otherwise.
 *
 * This is the seam for fault injection: with LG_TESTING defined, lg_os_fault is asked before each call
 * and may answer with the errno to fail with.
 */
#ifndef LG_OS_H
#define LG_OS_H

#include "base.h" /* first: it asks libc for its GNU interfaces */

#include <pthread.h>
#include <time.h>

#define LG_SYSTEM_CALLS(X)                                                               \
    X(RESERVE)         /* mmap of address space; mprotect to readable */                 \
    X(COMMIT)          /* mmap of anonymous memory over reserved addresses */            \
    X(MAP_FILE)        /* mmap of a piece of a file over reserved addresses */           \
    X(UNMAP)           /* mremap of reserved addresses over a piece */                   \
    X(MOVE_OUT)        /* mremap of pages to addresses of the system's choice */         \
    X(MOVE_IN)         /* mremap of them to where they shall be */                       \
    X(OPEN)            /* open of an unlinked file */                                    \
    X(TRUNCATE)        /* ftruncate */                                                   \
    X(ALLOCATE)        /* fallocate: reserve disk blocks */                              \
    X(PUNCH)           /* fallocate: punch a hole */                                     \
    X(FSTAT)           /* fstat: sizes */                                                \
    X(SEEK)            /* lseek: where a file has data */                                \
    X(IDENTIFY)        /* fstat: which file it is */                                     \
    X(OPEN_APPEND)     /* open of a file that the statistics go to */                    \
    X(READ)            /* pread of what was spilled */                                   \
    X(WRITE)           /* pwrite of what is spilled */                                   \
    X(WRITE_BACK)      /* sync_file_range, where the page cache can't be gone past */    \
    X(DIRECT)          /* fcntl, statx: going past the page cache */                     \
    X(ON_DISK)         /* fstatfs, ioctl: what a file system keeps its files in */       \
    X(HOLD)            /* mmap, mremap of a file that must not go with its descriptor */ \
    X(ADVISE_DISCARD)  /* madvise MADV_DONTNEED */                                       \
    X(ADVISE_REMOVE)   /* madvise MADV_REMOVE */                                         \
    X(ADVISE_HUGE)     /* madvise MADV_HUGEPAGE, MADV_NOHUGEPAGE */                      \
    X(ADVISE_DONTFORK) /* madvise MADV_DONTFORK */                                       \
    X(ADVISE_PREFETCH) /* madvise MADV_WILLNEED */                                       \
    X(ADVISE_POPULATE) /* madvise MADV_POPULATE_WRITE */                                 \
    X(ADVISE_COLD)     /* madvise MADV_COLD */                                           \
    X(ADVISE_DUMP)     /* madvise MADV_DODUMP, MADV_DONTDUMP */                          \
    X(NAME)            /* prctl: name of a mapping */                                    \
    X(ADVISE_WIPE)     /* madvise MADV_WIPEONFORK */                                     \
    X(GUARD)           /* mprotect, madvise MADV_GUARD_INSTALL */                        \
    X(UNGUARD)         /* madvise MADV_GUARD_REMOVE, mprotect */                         \
    X(MEMBARRIER)      /* registering for membarrier */                                  \
    X(BARRIER)         /* membarrier */                                                  \
    X(THREAD)          /* pthread_create */                                              \
    X(KEY)             /* pthread_key_create */                                          \
    X(KEY_SET)         /* pthread_setspecific */                                         \
    X(ATFORK)          /* pthread_atfork */                                              \
    X(READ_MAPS)       /* open and read of /proc/self/..., mincore */

enum lg_system_call {
#define X(name) LG_SYS_##name,
    LG_SYSTEM_CALLS(X)
#undef X
        LG_SYS_COUNT
};

#ifdef LG_TESTING
/* Asked before every system call; a result that isn't 0 is the errno to fail with. NULL: none fails. */
extern LG_HIDDEN int (*lg_os_fault)(enum lg_system_call call);
/* The same for each step of the calls that go in steps: at so many bytes of the file or of the range, so many. For READ and
 * WRITE a negative answer -n lets n bytes through. */
extern LG_HIDDEN int (*lg_os_fault_step)(enum lg_system_call call, uint64_t at, uint64_t len);
#endif

/* Bytes per page, and per huge page (what MADV_HUGEPAGE works in). */
LG_HIDDEN size_t lg_os_page_size(void);

/* All pages that a range touches; it ends where no page's end overflows. */
LG_INLINE void lg_os_round_outward(size_t *start, size_t *len)
{
    size_t page = lg_os_page_size();
    size_t end = (*start + *len + page - 1) & ~(page - 1);
    *start &= ~(page - 1);
    *len = end - *start;
}

#define LG_HUGE_PAGE (2 * LG_MIB)

/* ---- address space */

/* How much more address space the process may have; SIZE_MAX: as much as there is. */
LG_HIDDEN size_t lg_os_addresses_left(void);
/* Reserves inaccessible addresses, anywhere, that cost no memory. */
LG_HIDDEN int lg_os_reserve(size_t len, void **out);
/* Reserves just these addresses. EEXIST where something else is there. */
LG_HIDDEN int lg_os_reserve_hole(void *addr, size_t len);
/* Gives reserved addresses back. Can't fail for whole mappings or their ends. */
LG_HIDDEN void lg_os_unreserve(void *addr, size_t len);
/* Makes reserved addresses readable: they read as zero and still cost no memory. */
LG_HIDDEN int lg_os_make_readable(void *addr, size_t len);
/* Makes reserved addresses readable and writable anonymous memory, which reads as zero. */
LG_HIDDEN int lg_os_commit(void *addr, size_t len);
/* The same for what lg_os_make_readable() made readable, and what other threads read meanwhile: zeros, all the time. */
LG_HIDDEN int lg_os_commit_readable(void *addr, size_t len);
/* Maps [offset, offset + len) of the file, shared, over addresses of a reservation. */
LG_HIDDEN int lg_os_map_file(void *addr, size_t len, int fd, uint64_t offset);
/* Whatever is mapped there goes away, and the addresses are reserved again. */
LG_HIDDEN int lg_os_unmap(void *addr, size_t len);
/*
 * Moves the pages of anonymous memory to other anonymous memory, whose own go; what they leave behind reads as zero and
 * holds none. Both are whole huge pages, readable and writable, and nobody else's. EFAULT where the kernel has several
 * mappings there, which could be moved one by one; EINVAL before Linux 5.7. What was advised comes along with the pages.
 * When it fails, `from` is as it was, and `to` too or, with *out_anew, a new mapping without advice and name.
 */
LG_HIDDEN int lg_os_move(void *from, void *to, size_t len, bool *out_anew);
/*
 * Anonymous memory goes, and touching the addresses is a fault from then on, for everybody: between the two nobody reads a
 * zero. What fails leaves the contents as they were. Guarded addresses are ordinary in all else: what is mapped, moved or
 * unmapped over them goes on, and children of a fork find them guarded too.
 */
LG_HIDDEN int lg_os_guard(void *addr, size_t len);
/* They are readable and writable again, and read as zero, with huge pages where they were advised. When it fails they
 * are guarded still, all or in part. */
LG_HIDDEN int lg_os_unguard(void *addr, size_t len);
/* Whether it goes into core files; what is mapped does, and what is reserved doesn't. */
LG_HIDDEN int lg_os_core_dump(void *addr, size_t len, bool included);

/* ---- advice */

LG_HIDDEN int lg_os_advise(enum lg_system_call advice, void *addr, size_t len);
/* In children of a fork the pages will be zero, whichever way they were forked. Private anonymous memory only. */
LG_HIDDEN int lg_os_wipe_on_fork(void *addr, size_t len);
LG_HIDDEN int lg_os_no_huge_pages(void *addr, size_t len);
/* A name that /proc/self/maps shows for anonymous memory; `name` must be static. */
LG_HIDDEN int lg_os_name(void *addr, size_t len, const char *name);

/* ---- files */

/* Which file it is. */
typedef struct lg_identity {
    uint64_t device, inode;
    uint64_t generation; /* another one for each file that gets the same inode; 0: the file system tells none */
} lg_identity;

/* Where one of the two came without a generation, a system call that was forbidden meanwhile may be why. */
LG_INLINE bool lg_os_is_same(const lg_identity *a, const lg_identity *b)
{
    return a->device == b->device && a->inode == b->inode &&
           (a->generation == b->generation || a->generation == 0 || b->generation == 0);
}

/* Opens a file without a name in `directory`, close-on-exec. Its descriptor is above 2: what a program that was started
 * without the standard ones prints must not land in it. */
LG_HIDDEN int lg_os_open_unlinked(const char *directory, int *out_fd);
/* Has an empty file's blocks written in place where the file system would else copy them on every write. Returns 0 if
 * blocks that are reserved stay its own, or EOPNOTSUPP where a later write may need new ones. */
LG_HIDDEN int lg_os_write_in_place(int fd);
/* Whether lg_os_next_data() finds what was just written to a mapping. Where it isn't known: false. */
LG_HIDDEN bool lg_os_tells_holes(int fd);
/* What a descriptor refers to at this moment. Generations have ext4, XFS, btrfs and F2FS; tmpfs numbers its inodes on and
 * on, and needs none. */
LG_HIDDEN int lg_os_identify(int fd, lg_identity *out);
LG_HIDDEN void lg_os_close(int fd);
/* Sets the file's size. EFBIG, and no signal, above RLIMIT_FSIZE. */
LG_HIDDEN int lg_os_truncate(int fd, uint64_t size);
/* Reserves disk blocks for a part of the file; those there are stay. May have done a part when it fails. EINTR where
 * signals come so densely that not even small steps come through; so with all that goes over a range. */
LG_HIDDEN int lg_os_allocate_blocks(int fd, uint64_t offset, uint64_t len);
/* Gives back the blocks of a part of the file, which reads as zero then. */
LG_HIDDEN int lg_os_punch(int fd, uint64_t offset, uint64_t len);
/* The file's size, and the bytes of its disk blocks. */
LG_HIDDEN int lg_os_file_usage(int fd, uint64_t *out_size, uint64_t *out_allocated);
/* Opens a file to add to its end, close-on-exec; it is made where there is none. */
LG_HIDDEN int lg_os_open_append(const char *path, int *out_fd);
/* Writes all of it, in one go if the system takes it so. */
LG_HIDDEN int lg_os_write(int fd, const char *text, size_t len);
/* The next piece of [offset, offset + len) that isn't a hole: its start and length; 0 if all is. */
LG_HIDDEN int lg_os_next_data(int fd, uint64_t offset, uint64_t len, uint64_t *out_start, uint64_t *out_len);
/* Calls `line` for each line of a text file of /proc, without the newline. */
LG_HIDDEN int lg_os_read_lines(const char *path, void (*line)(void *context, const char *text), void *context);

/* The directory's absolute name, PATH_MAX bytes at most with the terminating zero: where it is now, whatever directory
 * the program changes to. The directory need not exist yet. */
LG_HIDDEN int lg_os_absolute(const char *directory, char *out);
/* How many pages of a range are in memory and mapped. */
LG_HIDDEN int lg_os_present_pages(const void *addr, size_t len, uint64_t *out_pages);

/* Which of a range's pages are in memory: the lowest bit of a byte for each. What isn't may be swapped out. */
LG_HIDDEN int lg_os_in_memory(void *addr, size_t len, unsigned char *out_pages);

/* ---- what is spilled: os_disk.c */

/* What reads and writes past the page cache must be whole multiples of: offsets and lengths, and addresses. 0: they go
 * through it. */
typedef struct lg_direct {
    uint32_t offset, memory;
} lg_direct;

/* Has reads and writes of a descriptor go past the page cache, if the file system can. */
LG_HIDDEN int lg_os_go_direct(int fd, lg_direct *out);
/* Has them go through it again. */
LG_HIDDEN int lg_os_go_cached(int fd);
/* What was read or written through the page cache leaves it; what was written is on disk before that, as far as the system
 * lets itself be asked. An error is one of the disk's. */
LG_HIDDEN int lg_os_leave_cache(int fd, uint64_t offset, uint64_t len, bool written);
/* 0 if the file is on disk, or on another machine; EMEDIUMTYPE if it is in memory. */
LG_HIDDEN int lg_os_on_disk(int fd);
/* All of it, whatever pieces the system takes it in; EIO where it takes or has no more. A part may be done on failure, also
 * when it is EINTR. EFBIG, and no signal, above RLIMIT_FSIZE. */
LG_HIDDEN int lg_os_write_at(int fd, const void *from, uint64_t len, uint64_t offset);
LG_HIDDEN int lg_os_read_at(int fd, void *to, uint64_t len, uint64_t offset);
/* Maps the beginning of a file, inaccessible, so that it lives on without its descriptor; children of a fork have it not.
 * *addr is NULL, or the same of *len bytes, which grows, and may move. On failure both are as before. */
LG_HIDDEN int lg_os_hold(int fd, uint64_t wanted, void **addr, uint64_t *len);
/* Makes it readable. */
LG_HIDDEN int lg_os_look(void *addr, uint64_t len);
/* Brings a part in, so that reading it is no fault. Whole pages. EIO: it can't be read. */
LG_HIDDEN int lg_os_bring_in(void *addr, uint64_t len);
/* It was read: the process has it in memory no more, though the system may. */
LG_HIDDEN void lg_os_look_away(void *addr, uint64_t len);

/* ---- threads */

/* After this, lg_os_membarrier() works. Fails where the system has none. */
LG_HIDDEN int lg_os_membarrier_register(void);
/* Every thread of the process passes a full memory barrier before this returns 0. */
LG_HIDDEN int lg_os_membarrier(void);
/* Returns when what other threads had stored before the call has reached memory, by waiting: a processor writes its
 * buffered stores back within microseconds, and a thread that it is taken from has none left. Takes a millisecond. */
LG_HIDDEN void lg_os_wait_for_stores(void);
/* Starts a joinable thread that blocks all signals, on the processors that the process had when the library was loaded,
 * and of the ordinary policy, as far as the system allows. */
LG_HIDDEN int lg_os_thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *argument);
/* The first thing that such a thread does: it is as nice as the process was, and not less than 0, as far as allowed. */
LG_HIDDEN void lg_os_thread_ordinary(void);
LG_HIDDEN void lg_os_thread_join(pthread_t thread);
LG_HIDDEN int lg_os_key_create(pthread_key_t *out, void (*destructor)(void *));
LG_HIDDEN int lg_os_key_set(pthread_key_t key, const void *value);
LG_HIDDEN int lg_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
/* Lets other threads run; called with growing `round` while waiting for one, and sleeps a little then. */
LG_HIDDEN void lg_os_pause(unsigned round);
/* The object that contains this code, library, plugin or program, is never unloaded. Where that can't be had nothing
 * happens. Called by its constructor. */
LG_HIDDEN void lg_os_stay_loaded(void);
LG_HIDDEN void lg_os_monotonic_after(uint64_t nanoseconds, struct timespec *out);

#endif
