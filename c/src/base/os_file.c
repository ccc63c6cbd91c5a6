/* Files: those without a name that back memory, and what else is read and written. */
#include "os.h"

#include "os_call.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A descriptor that was just opened moves above the standard ones. On failure it is closed. */
static int above_standard(int *fd)
{
    int low = *fd;
    if (low > STDERR_FILENO)
        return 0;
    int error = LG_OS_CALL((*fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) >= 0);
    lg_os_close(low);
    return error;
}

static int open_above_standard(const char *path, int flags, int *out_fd)
{
    int error = LG_OS_CALL((*out_fd = open(path, flags | O_CLOEXEC, 0600)) >= 0);
    return error != 0 ? error : above_standard(out_fd);
}

/* With a name, for a moment. */
static int open_named(const char *directory, int *out_fd)
{
    static const char suffix[] = "/lgalloc-XXXXXX";
    char name[PATH_MAX + sizeof(suffix)];
    size_t len = strlen(directory);
    if (len >= PATH_MAX)
        return ENAMETOOLONG;
    memcpy(name, directory, len);
    memcpy(name + len, suffix, sizeof(suffix));
    int error = LG_OS_CALL((*out_fd = mkostemp(name, O_CLOEXEC)) >= 0);
    if (error != 0)
        return error;
    (void)LG_OS_CALL(unlink(name) == 0);
    return above_standard(out_fd);
}

int lg_os_open_unlinked(const char *directory, int *out_fd)
{
    LG_OS_FAULT(LG_SYS_OPEN);
    int error = open_above_standard(directory, O_TMPFILE | O_RDWR, out_fd);
    /* File systems without O_TMPFILE answer EOPNOTSUPP; kernels without it take the flag for
     * O_DIRECTORY and answer EISDIR. */
    return error == EOPNOTSUPP || error == EISDIR ? open_named(directory, out_fd) : error;
}

/* Of linux/fs.h and linux/magic.h, and of file systems outside of Linux. */
#define GET_FLAGS _IOR('f', 1, long)
#define SET_FLAGS _IOW('f', 2, long)
#define GET_GENERATION _IOR('v', 1, long)
#define COMPRESSED 0x00000004
#define WRITTEN_IN_PLACE 0x00800000 /* what chattr calls C: no copy on write */
#define TYPE_BTRFS 0x9123683eu
#define TYPE_ZFS 0x2fc12fc1u
#define TYPE_BCACHEFS 0xca451a4eu
#define TYPE_EXT4 0xef53u
#define TYPE_XFS 0x58465342u
#define TYPE_TMPFS 0x01021994u
#define TYPE_OVERLAY 0x794c7630u

int lg_os_identify(int fd, lg_identity *out)
{
    LG_OS_FAULT(LG_SYS_IDENTIFY);
    struct stat status;
    int error = LG_OS_CALL(fstat(fd, &status) == 0);
    if (error != 0)
        return error;
    *out = (lg_identity){.device = status.st_dev, .inode = status.st_ino};
    /* Not of devices, whose drivers may know the number for something else. An int, whatever its name says. */
    unsigned generation = 0;
    if (S_ISREG(status.st_mode) && LG_OS_CALL(ioctl(fd, GET_GENERATION, &generation) == 0) == 0)
        out->generation = generation;
    return 0;
}

static bool kernel_at_least(unsigned long major, unsigned long minor)
{
    struct utsname name;
    char *end;
    if (uname(&name) != 0)
        return false;
    unsigned long has = strtoul(name.release, &end, 10);
    return has > major || (has == major && *end == '.' && strtoul(end + 1, NULL, 10) >= minor);
}

int lg_os_write_in_place(int fd)
{
    int flags[2] = {0, 0}; /* an int, though the numbers of the calls say long */
    struct statfs file_system;
    if (LG_OS_CALL(ioctl(fd, GET_FLAGS, flags) == 0) == 0) {
        int wanted[2] = {(flags[0] & ~COMPRESSED) | WRITTEN_IN_PLACE, 0};
        if (LG_OS_CALL(ioctl(fd, SET_FLAGS, wanted) == 0) == 0)
            (void)LG_OS_CALL(ioctl(fd, GET_FLAGS, flags) == 0);
    }
    /* Only btrfs has it, also below an overlay. There a write to a mapping asked for new blocks all the same, before
     * Linux 6.16. */
    if ((flags[0] & WRITTEN_IN_PLACE) != 0)
        return kernel_at_least(6, 16) ? 0 : EOPNOTSUPP;
    if (LG_OS_CALL(fstatfs(fd, &file_system) == 0) != 0)
        return 0;
    unsigned type = (unsigned)file_system.f_type;
    return type == TYPE_BTRFS || type == TYPE_ZFS || type == TYPE_BCACHEFS ? EOPNOTSUPP : 0;
}

/* These ask the page cache too, or have a block reserved as soon as a mapping is written to. FUSE asks its server, which
 * hasn't heard of it yet. */
bool lg_os_tells_holes(int fd)
{
    struct statfs file_system;
    if (LG_OS_CALL(fstatfs(fd, &file_system) == 0) != 0)
        return false;
    unsigned type = (unsigned)file_system.f_type;
    return type == TYPE_EXT4 || type == TYPE_XFS || type == TYPE_TMPFS || type == TYPE_BTRFS || type == TYPE_OVERLAY;
}

void lg_os_close(int fd)
{
    (void)LG_OS_CALL(close(fd) == 0);
}

bool lg_os_file_size_allowed(uint64_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    return size <= limit.rlim_cur;
}

int lg_os_truncate(int fd, uint64_t size)
{
    LG_OS_FAULT(LG_SYS_TRUNCATE);
    struct stat status;
    int error = LG_OS_CALL(fstat(fd, &status) == 0);
    if (error == 0 && size > (uint64_t)status.st_size && !lg_os_file_size_allowed(size))
        error = EFBIG;
    if (error != 0)
        return error;
    for (unsigned tries = 0; tries < LG_OS_TRIES; tries++) {
        error = LG_OS_CALL(ftruncate(fd, (off_t)size) == 0);
        if (error != EINTR)
            break;
    }
    return error;
}

static int allocate_file(const lg_os_steps *call, uint64_t at, uint64_t len)
{
    return LG_OS_CALL(fallocate(call->fd, call->how, (off_t)at, (off_t)len) == 0);
}

int lg_os_allocate_blocks(int fd, uint64_t offset, uint64_t len)
{
    LG_OS_FAULT(LG_SYS_ALLOCATE);
    if (!lg_os_file_size_allowed(offset + len))
        return EFBIG;
    lg_os_steps call = {.name = LG_SYS_ALLOCATE, .call = allocate_file, .most = len, .fd = fd};
    return lg_os_in_steps(&call, offset, len);
}

int lg_os_punch(int fd, uint64_t offset, uint64_t len)
{
    LG_OS_FAULT(LG_SYS_PUNCH);
    lg_os_steps call = {.name = LG_SYS_PUNCH,
                        .call = allocate_file,
                        .most = len,
                        .fd = fd,
                        .how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    return lg_os_in_steps(&call, offset, len);
}

int lg_os_file_usage(int fd, uint64_t *out_size, uint64_t *out_allocated)
{
    LG_OS_FAULT(LG_SYS_FSTAT);
    struct stat status;
    int error = LG_OS_CALL(fstat(fd, &status) == 0);
    if (error != 0)
        return error;
    *out_size = (uint64_t)status.st_size;
    *out_allocated = (uint64_t)status.st_blocks * 512; /* st_blocks counts in 512 bytes, always */
    return 0;
}

int lg_os_open_append(const char *path, int *out_fd)
{
    LG_OS_FAULT(LG_SYS_OPEN_APPEND);
    int fd = -1;
    int error = LG_OS_CALL((fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666)) >= 0);
    if (error == 0)
        *out_fd = fd;
    return error;
}

int lg_os_write(int fd, const char *text, size_t len)
{
    while (len != 0) {
        ssize_t done = 0;
        int error = LG_OS_CALL((done = write(fd, text, len)) >= 0);
        if (error == EINTR)
            continue;
        if (error != 0)
            return error;
        text += done;
        len -= (size_t)done;
    }
    return 0;
}

int lg_os_next_data(int fd, uint64_t offset, uint64_t len, uint64_t *out_start, uint64_t *out_len)
{
    LG_OS_FAULT(LG_SYS_SEEK);
    off_t start = 0, end = 0;
    *out_len = 0;
    int error = LG_OS_CALL((start = lseek(fd, (off_t)offset, SEEK_DATA)) >= 0);
    if (error == ENXIO) /* nothing but holes up to the end */
        return 0;
    if (error != 0 || (uint64_t)start >= offset + len)
        return error;
    error = LG_OS_CALL((end = lseek(fd, start, SEEK_HOLE)) >= 0);
    if (error != 0)
        return error;
    *out_start = (uint64_t)start;
    *out_len = lg_min((uint64_t)end, offset + len) - (uint64_t)start;
    return 0;
}

int lg_os_read_lines(const char *path, void (*line)(void *context, const char *text), void *context)
{
    LG_OS_FAULT(LG_SYS_READ_MAPS);
    int fd;
    int error = open_above_standard(path, O_RDONLY, &fd);
    if (error != 0)
        return error;
    char chunk[4096];
    char text[4 * PATH_MAX + 1024]; /* a name, its odd characters as \\ooo, and what is said of it */
    size_t used = 0;
    for (;;) {
        ssize_t got = 0;
        error = LG_OS_CALL((got = read(fd, chunk, sizeof(chunk))) >= 0);
        if (error == EINTR)
            continue;
        if (error != 0 || got == 0)
            break;
        for (ssize_t i = 0; i < got; i++) {
            if (chunk[i] == '\n') {
                text[used] = 0;
                line(context, text);
                used = 0;
            } else if (used < sizeof(text) - 1) {
                text[used++] = chunk[i];
            }
        }
    }
    lg_os_close(fd);
    return error;
}

int lg_os_absolute(const char *directory, char *out)
{
    size_t len = strlen(directory), before = 0;
    if (directory[0] != '/') {
        int error = LG_OS_CALL(getcwd(out, PATH_MAX) != NULL);
        if (error != 0)
            return error == ERANGE ? ENAMETOOLONG : error;
        before = strlen(out);
        if (before > 1) /* not the root */
            out[before++] = '/';
    }
    if (len >= PATH_MAX - lg_min(before, PATH_MAX))
        return ENAMETOOLONG;
    memcpy(out + before, directory, len + 1);
    return 0;
}
