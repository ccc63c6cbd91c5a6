/*
 * Reading and writing what is spilled. It is much, and nobody reads it twice soon, so it goes past the page cache where the
 * file system can: else it would push other people's files out of memory, to no use.
 */
#include "os.h"

#include "os_call.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Newer than the headers of some distributions that run newer kernels. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* ---- past the page cache */

/* Of struct statx, in words of 32 bits: Linux 6.1. */
enum { STATX_WORDS = 64, STATX_MASK = 0, STATX_MEMORY_ALIGN = 38, STATX_OFFSET_ALIGN = 39, STATX_HAS_ALIGN = 0x2000 };

/* What the file system says that it needs; false if it says nothing. */
static bool ask_for_alignment(int fd, lg_direct *out)
{
#ifdef SYS_statx
    uint32_t words[STATX_WORDS] = {0};
    if (LG_OS_CALL(syscall(SYS_statx, fd, "", 0x1000 /* AT_EMPTY_PATH */, STATX_HAS_ALIGN, words) == 0) != 0 ||
        (words[STATX_MASK] & STATX_HAS_ALIGN) == 0)
        return false;
    *out = (lg_direct){words[STATX_OFFSET_ALIGN], words[STATX_MEMORY_ALIGN]};
    return true;
#else
    (void)fd;
    (void)out;
    return false;
#endif
}

static bool is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

int lg_os_go_direct(int fd, lg_direct *out)
{
    LG_OS_FAULT(LG_SYS_DIRECT);
    lg_direct need;
    if (!ask_for_alignment(fd, &need)) {
        struct statfs file_system;
        int error = LG_OS_CALL(fstatfs(fd, &file_system) == 0);
        if (error != 0)
            return error;
        need = (lg_direct){(uint32_t)file_system.f_bsize, (uint32_t)file_system.f_bsize};
    }
    if (!is_power_of_two(need.offset) || !is_power_of_two(need.memory))
        return EOPNOTSUPP;
    int flags = 0;
    int error = LG_OS_CALL((flags = fcntl(fd, F_GETFL)) != -1);
    if (error == 0)
        error = LG_OS_CALL(fcntl(fd, F_SETFL, flags | O_DIRECT) == 0);
    if (error == 0)
        *out = need;
    return error;
}

int lg_os_go_cached(int fd)
{
    int flags = 0;
    int error = LG_OS_CALL((flags = fcntl(fd, F_GETFL)) != -1);
    return error != 0 ? error : LG_OS_CALL(fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0);
}

int lg_os_leave_cache(int fd, uint64_t offset, uint64_t len, bool written)
{
    LG_OS_FAULT(LG_SYS_WRITE_BACK);
    int error = 0;
    if (written)
        error = LG_OS_CALL(
            sync_file_range(fd, (off_t)offset, (off_t)len,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) == 0);
    (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
    return error == EIO || error == ENOSPC || error == EDQUOT ? error : 0; /* others: it can't be asked so */
}

/* ---- memory that calls itself a file system */

/* Of linux/magic.h and linux/fs.h. */
#define IN_MEMORY_TMPFS 0x01021994u
#define IN_MEMORY_RAMFS 0x858458f6u
#define IN_MEMORY_HUGETLBFS 0x958458f6u
#define ON_ANOTHER_OVERLAY 0x794c7630u
#define GET_EXTENTS _IOWR('f', 11, uint64_t[4])

int lg_os_on_disk(int fd)
{
    LG_OS_FAULT(LG_SYS_ON_DISK);
    struct statfs file_system;
    int error = LG_OS_CALL(fstatfs(fd, &file_system) == 0);
    if (error != 0)
        return error;
    unsigned type = (unsigned)file_system.f_type;
    if (type == IN_MEMORY_TMPFS || type == IN_MEMORY_RAMFS || type == IN_MEMORY_HUGETLBFS)
        return EMEDIUMTYPE;
    if (type != ON_ANOTHER_OVERLAY)
        return 0;
    /* It doesn't say what it lies on, but passes this on: where the file is on disk. No file system in memory has an answer;
     * all on disk do that an overlay can be written to on. */
    uint64_t extents[4] = {0, UINT64_MAX, 0, 0}; /* start, length, flags and count, room for none */
    error = LG_OS_CALL(ioctl(fd, GET_EXTENTS, extents) == 0);
    return error == EOPNOTSUPP ? EMEDIUMTYPE : 0;
}

/* ---- reading and writing */

static int transfer(enum lg_system_call name, int fd, char *at, uint64_t len, uint64_t offset)
{
    unsigned tries = 0;
    while (len != 0) {
        uint64_t now = len;
        ssize_t done = 0;
        int error = 0;
#ifdef LG_TESTING
        int fault = lg_os_fault_step != NULL ? lg_os_fault_step(name, offset, len) : 0;
        error = fault > 0 ? fault : 0;
        now = fault < 0 ? lg_min(now, (uint64_t)-fault) : now;
#endif
        if (error == 0)
            error = name == LG_SYS_READ ? LG_OS_CALL((done = pread(fd, at, now, (off_t)offset)) >= 0)
                                        : LG_OS_CALL((done = pwrite(fd, at, now, (off_t)offset)) >= 0);
        if (error == EINTR && ++tries < LG_OS_TRIES)
            continue;
        if (error != 0 || done == 0)
            return error != 0 ? error : EIO;
        tries = 0;
        at += done;
        offset += (uint64_t)done;
        len -= (uint64_t)done;
    }
    return 0;
}

int lg_os_write_at(int fd, const void *from, uint64_t len, uint64_t offset)
{
    LG_OS_FAULT(LG_SYS_WRITE);
    if (!lg_os_file_size_allowed(offset + len))
        return EFBIG;
    return transfer(LG_SYS_WRITE, fd, (char *)(uintptr_t)from, len, offset);
}

int lg_os_read_at(int fd, void *to, uint64_t len, uint64_t offset)
{
    LG_OS_FAULT(LG_SYS_READ);
    return transfer(LG_SYS_READ, fd, to, len, offset);
}

/* ---- holding a file without its descriptor */

/*
 * Inaccessible, so that nothing is read for it, not even by mlockall(). A single page at first: where all future memory is
 * locked, as much of a new mapping as is allowed would be, and a larger one refused; one that grows is not looked at again.
 */
static int hold_page(int fd, void **out)
{
    size_t page = lg_os_page_size();
    void *p = MAP_FAILED;
    int error = LG_OS_CALL((p = mmap(NULL, page, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0)) != MAP_FAILED);
    if (error != 0)
        return error;
    (void)LG_OS_CALL(munlock(p, page) == 0);
    (void)LG_OS_CALL(madvise(p, page, MADV_DONTDUMP) == 0);
    error = LG_OS_CALL(madvise(p, page, MADV_DONTFORK) == 0);
    if (error != 0)
        lg_os_unreserve(p, page);
    else
        *out = p;
    return error;
}

int lg_os_hold(int fd, uint64_t wanted, void **addr, uint64_t *len)
{
    LG_OS_FAULT(LG_SYS_HOLD);
    void *p = *addr;
    uint64_t before = *len;
    if (p == NULL) {
        int error = hold_page(fd, &p);
        if (error != 0)
            return error;
        before = lg_os_page_size();
    }
    void *grown = MAP_FAILED;
    int error = LG_OS_CALL((grown = mremap(p, before, wanted, MREMAP_MAYMOVE)) != MAP_FAILED);
    if (error == 0) {
        *addr = grown;
        *len = wanted;
    } else if (*addr == NULL) {
        lg_os_unreserve(p, before);
    }
    return error;
}

int lg_os_look(void *addr, uint64_t len)
{
    return LG_OS_CALL(mprotect(addr, len, PROT_READ) == 0);
}

int lg_os_bring_in(void *addr, uint64_t len)
{
    LG_OS_FAULT(LG_SYS_READ);
    int error = LG_OS_CALL(madvise(addr, len, MADV_POPULATE_READ) == 0);
    return error == EFAULT || error == EHWPOISON ? EIO
           : error == EINVAL                     ? 0
                                                 : error; /* before Linux 5.14 it isn't known */
}

void lg_os_look_away(void *addr, uint64_t len)
{
    (void)LG_OS_CALL(madvise(addr, len, MADV_DONTNEED) == 0);
}
