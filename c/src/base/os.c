#include "os_call.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Newer than the headers of some distributions that run newer kernels. */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif
#ifndef MADV_COLD
#define MADV_COLD 20 /* Linux 5.4 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d61 /* Linux 5.17 */
#endif
#ifndef PR_SET_VMA_ANON_NAME
#define PR_SET_VMA_ANON_NAME 0
#endif

/* Of linux/membarrier.h, which comes with the kernel's headers and not with every C library; Linux 4.14. */
enum { MEMBARRIER_PRIVATE_EXPEDITED = 1 << 3, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED = 1 << 4 };

#ifdef LG_TESTING
int (*lg_os_fault)(enum lg_system_call call);
int (*lg_os_fault_step)(enum lg_system_call call, uint64_t at, uint64_t len);
#endif

size_t lg_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- in steps */

/*
 * A call over a long range ends with EINTR when a signal's handler runs, and file systems may undo what it did so far: with
 * a timer of 10 ms, reserving 256 MiB on such a one would never end. So after that the rest is asked for in halves of
 * the step, down to the smallest, which is tried some times.
 */
#define SMALLEST_STEP (64 * LG_KIB)

typedef struct stepped_call {
    enum lg_system_call name;
    int (*call)(const struct stepped_call *self, uint64_t at, uint64_t len); /* returns 0 or an errno */
    uint64_t most; /* bytes per step */
    char *addr;    /* madvise */
    int fd;        /* fallocate */
    int how;
} stepped_call;

static int one_step(const stepped_call *call, uint64_t at, uint64_t len)
{
#ifdef LG_TESTING
    int fault = lg_os_fault_step != NULL ? lg_os_fault_step(call->name, at, len) : 0;
    if (fault != 0)
        return fault;
#endif
    return call->call(call, at, len);
}

/* A part may be done when it fails. */
static int in_steps(const stepped_call *call, uint64_t at, uint64_t len)
{
    uint64_t step = lg_min(call->most, len);
    unsigned tries = 0;
    while (len != 0) {
        uint64_t now = lg_min(step, len);
        int error = one_step(call, at, now);
        if (error == 0) {
            at += now;
            len -= now;
            tries = 0;
        } else if (error != EINTR || ++tries == MOST_TRIES) {
            return error;
        } else {
            step = lg_max(now / 2 & ~(SMALLEST_STEP - 1), SMALLEST_STEP);
        }
    }
    return 0;
}

/* ---- advice */

/* The kernel brings in no more than one readahead window per call, which is usually this, without saying so. In such
 * steps all of a file's 256 MiB came in, where one call brought 8 MiB (ext4, Linux 6.18, a window of 8 MiB); a GiB took
 * 0.3 s, as with steps of 2 MiB. */
#define PREFETCH_STEP (128 * LG_KIB)

/* Not again on EAGAIN: that is also the answer where the process has too many mappings. */
static int advise(const stepped_call *call, uint64_t at, uint64_t len)
{
    return CALL(madvise(call->addr + at, len, call->how) == 0);
}

int lg_os_advise(enum lg_system_call advice, void *addr, size_t len)
{
    FAULT(advice);
    stepped_call call = {.name = advice, .call = advise, .most = len, .addr = addr};
    switch (advice) {
    case LG_SYS_ADVISE_DISCARD: call.how = MADV_DONTNEED; break;
    case LG_SYS_ADVISE_REMOVE: call.how = MADV_REMOVE; break;
    case LG_SYS_ADVISE_HUGE: call.how = MADV_HUGEPAGE; break;
    case LG_SYS_ADVISE_DONTFORK: call.how = MADV_DONTFORK; break;
    case LG_SYS_ADVISE_PREFETCH: call.how = MADV_WILLNEED; call.most = PREFETCH_STEP; break;
    case LG_SYS_ADVISE_POPULATE: call.how = MADV_POPULATE_WRITE; break;
    case LG_SYS_ADVISE_COLD: call.how = MADV_COLD; break;
    default: return EINVAL;
    }
    int error = in_steps(&call, 0, len);
    /* The answer for memory that the process has locked. */
    if (error == EINVAL && advice == LG_SYS_ADVISE_DISCARD) {
        call.how = MADV_DONTNEED_LOCKED;
        error = in_steps(&call, 0, len);
    }
    return error;
}

int lg_os_wipe_on_fork(void *addr, size_t len)
{
    FAULT(LG_SYS_ADVISE_WIPE);
    return CALL(madvise(addr, len, MADV_WIPEONFORK) == 0);
}

int lg_os_no_huge_pages(void *addr, size_t len)
{
    FAULT(LG_SYS_ADVISE_HUGE);
    return CALL(madvise(addr, len, MADV_NOHUGEPAGE) == 0);
}

int lg_os_name(void *addr, size_t len, const char *name)
{
    FAULT(LG_SYS_NAME);
    return CALL(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, len, name) == 0);
}

/* ---- files */

/* A descriptor that was just opened moves above the standard ones. On failure it is closed. */
static int above_standard(int *fd)
{
    int low = *fd;
    if (low > STDERR_FILENO)
        return 0;
    int error = CALL((*fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) >= 0);
    lg_os_close(low);
    return error;
}

static int open_above_standard(const char *path, int flags, int *out_fd)
{
    int error = CALL((*out_fd = open(path, flags | O_CLOEXEC, 0600)) >= 0);
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
    int error = CALL((*out_fd = mkostemp(name, O_CLOEXEC)) >= 0);
    if (error != 0)
        return error;
    (void)CALL(unlink(name) == 0);
    return above_standard(out_fd);
}

int lg_os_open_unlinked(const char *directory, int *out_fd)
{
    FAULT(LG_SYS_OPEN);
    int error = open_above_standard(directory, O_TMPFILE | O_RDWR, out_fd);
    /* File systems without O_TMPFILE answer EOPNOTSUPP; kernels without it take the flag for
     * O_DIRECTORY and answer EISDIR. */
    return error == EOPNOTSUPP || error == EISDIR ? open_named(directory, out_fd) : error;
}

int lg_os_identify(int fd, lg_identity *out)
{
    FAULT(LG_SYS_IDENTIFY);
    struct stat status;
    int error = CALL(fstat(fd, &status) == 0);
    if (error == 0)
        *out = (lg_identity){status.st_dev, status.st_ino};
    return error;
}

/* Of linux/fs.h and linux/magic.h, and of file systems outside of Linux. */
#define GET_FLAGS _IOR('f', 1, long)
#define SET_FLAGS _IOW('f', 2, long)
#define COMPRESSED 0x00000004
#define WRITTEN_IN_PLACE 0x00800000 /* what chattr calls C: no copy on write */
#define TYPE_BTRFS 0x9123683eu
#define TYPE_ZFS 0x2fc12fc1u
#define TYPE_BCACHEFS 0xca451a4eu
#define TYPE_EXT4 0xef53u
#define TYPE_XFS 0x58465342u
#define TYPE_TMPFS 0x01021994u
#define TYPE_OVERLAY 0x794c7630u

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
    if (CALL(ioctl(fd, GET_FLAGS, flags) == 0) == 0) {
        int wanted[2] = {(flags[0] & ~COMPRESSED) | WRITTEN_IN_PLACE, 0};
        if (CALL(ioctl(fd, SET_FLAGS, wanted) == 0) == 0)
            (void)CALL(ioctl(fd, GET_FLAGS, flags) == 0);
    }
    /* Only btrfs has it, also below an overlay. There a write to a mapping asked for new blocks all the same, before
     * Linux 6.16. */
    if ((flags[0] & WRITTEN_IN_PLACE) != 0)
        return kernel_at_least(6, 16) ? 0 : EOPNOTSUPP;
    if (CALL(fstatfs(fd, &file_system) == 0) != 0)
        return 0;
    unsigned type = (unsigned)file_system.f_type;
    return type == TYPE_BTRFS || type == TYPE_ZFS || type == TYPE_BCACHEFS ? EOPNOTSUPP : 0;
}

/* These ask the page cache too, or have a block reserved as soon as a mapping is written to. FUSE asks its server, which
 * hasn't heard of it yet. */
bool lg_os_tells_holes(int fd)
{
    struct statfs file_system;
    if (CALL(fstatfs(fd, &file_system) == 0) != 0)
        return false;
    unsigned type = (unsigned)file_system.f_type;
    return type == TYPE_EXT4 || type == TYPE_XFS || type == TYPE_TMPFS || type == TYPE_BTRFS || type == TYPE_OVERLAY;
}

void lg_os_close(int fd)
{
    (void)CALL(close(fd) == 0);
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
    FAULT(LG_SYS_TRUNCATE);
    struct stat status;
    int error = CALL(fstat(fd, &status) == 0);
    if (error == 0 && size > (uint64_t)status.st_size && !lg_os_file_size_allowed(size))
        error = EFBIG;
    if (error != 0)
        return error;
    for (unsigned tries = 0; tries < MOST_TRIES; tries++) {
        error = CALL(ftruncate(fd, (off_t)size) == 0);
        if (error != EINTR)
            break;
    }
    return error;
}

static int allocate_file(const stepped_call *call, uint64_t at, uint64_t len)
{
    return CALL(fallocate(call->fd, call->how, (off_t)at, (off_t)len) == 0);
}

int lg_os_allocate_blocks(int fd, uint64_t offset, uint64_t len)
{
    FAULT(LG_SYS_ALLOCATE);
    if (!lg_os_file_size_allowed(offset + len))
        return EFBIG;
    stepped_call call = {.name = LG_SYS_ALLOCATE, .call = allocate_file, .most = len, .fd = fd};
    return in_steps(&call, offset, len);
}

int lg_os_punch(int fd, uint64_t offset, uint64_t len)
{
    FAULT(LG_SYS_PUNCH);
    stepped_call call = {.name = LG_SYS_PUNCH, .call = allocate_file, .most = len, .fd = fd,
                         .how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
    return in_steps(&call, offset, len);
}

int lg_os_file_usage(int fd, uint64_t *out_size, uint64_t *out_allocated)
{
    FAULT(LG_SYS_FSTAT);
    struct stat status;
    int error = CALL(fstat(fd, &status) == 0);
    if (error != 0)
        return error;
    *out_size = (uint64_t)status.st_size;
    *out_allocated = (uint64_t)status.st_blocks * 512; /* st_blocks counts in 512 bytes, always */
    return 0;
}

int lg_os_open_append(const char *path, int *out_fd)
{
    FAULT(LG_SYS_OPEN_APPEND);
    int fd = -1;
    int error = CALL((fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666)) >= 0);
    if (error == 0)
        *out_fd = fd;
    return error;
}

int lg_os_write(int fd, const char *text, size_t len)
{
    while (len != 0) {
        ssize_t done = 0;
        int error = CALL((done = write(fd, text, len)) >= 0);
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
    FAULT(LG_SYS_SEEK);
    off_t start = 0, end = 0;
    *out_len = 0;
    int error = CALL((start = lseek(fd, (off_t)offset, SEEK_DATA)) >= 0);
    if (error == ENXIO) /* nothing but holes up to the end */
        return 0;
    if (error != 0 || (uint64_t)start >= offset + len)
        return error;
    error = CALL((end = lseek(fd, start, SEEK_HOLE)) >= 0);
    if (error != 0)
        return error;
    *out_start = (uint64_t)start;
    *out_len = lg_min((uint64_t)end, offset + len) - (uint64_t)start;
    return 0;
}

int lg_os_read_lines(const char *path, void (*line)(void *context, const char *text), void *context)
{
    FAULT(LG_SYS_READ_MAPS);
    int fd;
    int error = open_above_standard(path, O_RDONLY, &fd);
    if (error != 0)
        return error;
    char chunk[4096];
    char text[4 * PATH_MAX + 1024]; /* a name, its odd characters as \\ooo, and what is said of it */
    size_t used = 0;
    for (;;) {
        ssize_t got = 0;
        error = CALL((got = read(fd, chunk, sizeof(chunk))) >= 0);
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
        int error = CALL(getcwd(out, PATH_MAX) != NULL);
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

int lg_os_present_pages(const void *addr, size_t len, uint64_t *out_pages)
{
    FAULT(LG_SYS_READ_MAPS);
    int fd = -1;
    size_t page = lg_os_page_size();
    uint64_t words[512]; /* one for each page; the highest bit says that it is there */
    *out_pages = 0;
    int error = CALL((fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) >= 0);
    if (error != 0)
        return error;
    uint64_t next = (uintptr_t)addr / page, end = next + len / page;
    while (next < end && error == 0) {
        ssize_t got = 0;
        size_t wanted = lg_min(end - next, sizeof(words) / sizeof(*words)) * sizeof(*words);
        error = CALL((got = pread(fd, words, wanted, (off_t)(next * sizeof(*words)))) > 0);
        size_t n = error == 0 ? (size_t)got / sizeof(*words) : 0;
        for (size_t i = 0; i < n; i++)
            *out_pages += words[i] >> 63;
        if (error == 0 && n == 0)
            error = EIO;
        next += n;
    }
    lg_os_close(fd);
    return error;
}

/* ---- threads */

int lg_os_membarrier_register(void)
{
    FAULT(LG_SYS_MEMBARRIER);
    return CALL(syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
}

int lg_os_membarrier(void)
{
    FAULT(LG_SYS_BARRIER);
    int error = CALL(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0);
    /* EPERM: not registered. A process that was restored from a checkpoint has to do that again. */
    if (error == EPERM && lg_os_membarrier_register() == 0)
        error = CALL(syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0);
    return error;
}

void lg_os_wait_for_stores(void)
{
    struct timespec begin, now, duration = {0, 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do { /* a signal, or a sandbox that forbids to sleep, ends one round early */
        (void)CALL(nanosleep(&duration, NULL) == 0);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000L + (now.tv_nsec - begin.tv_nsec) < duration.tv_nsec);
}

void lg_os_pause(unsigned round)
{
    if (round < 16) {
        sched_yield();
    } else {
        struct timespec duration = {0, 50 * 1000};
        (void)CALL(nanosleep(&duration, NULL) == 0);
    }
}

/*
 * How the process itself is scheduled, that is its main thread, when the library is loaded. The worker is started by
 * whoever configures it or needs memory after a fork, who may be pinned to a processor or of a real-time policy: the
 * worker would steal from that processor, before all else there.
 */
static struct {
    cpu_set_t processors[8]; /* 8,192, the most that Linux knows */
    bool known;
    int nice;
} own_schedule;

__attribute__((constructor)) static void look_at_own_schedule(void)
{
    own_schedule.known = CALL(sched_getaffinity(getpid(), sizeof(own_schedule.processors),
                                                own_schedule.processors) == 0) == 0;
    (void)CALL((errno = 0, own_schedule.nice = getpriority(PRIO_PROCESS, (id_t)getpid()), errno == 0));
}

void lg_os_thread_ordinary(void)
{
    int nice = own_schedule.nice > 0 ? own_schedule.nice : 0;
    (void)CALL(setpriority(PRIO_PROCESS, 0, nice) == 0); /* of this thread alone, on Linux */
}

int lg_os_thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *argument)
{
    FAULT(LG_SYS_THREAD);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(out, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return error;
    (void)pthread_setname_np(*out, name);
    /* From here, since the thread itself might not get to run where it would begin. */
    if (own_schedule.known)
        (void)pthread_setaffinity_np(*out, sizeof(own_schedule.processors), own_schedule.processors);
    struct sched_param none = {0};
    (void)pthread_setschedparam(*out, SCHED_OTHER, &none);
    return 0;
}

void lg_os_thread_join(pthread_t thread)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_join(thread, NULL);
    pthread_setcancelstate(cancel, NULL);
}

int lg_os_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    FAULT(LG_SYS_KEY);
    return pthread_key_create(out, destructor);
}

int lg_os_key_set(pthread_key_t key, const void *value)
{
    FAULT(LG_SYS_KEY_SET);
    return pthread_setspecific(key, value);
}

int lg_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    FAULT(LG_SYS_ATFORK);
    return pthread_atfork(prepare, parent, child);
}

/* Weak: static programs have no loader and unload nothing; before glibc 2.34 it is a library of its own. */
#pragma weak dladdr
#pragma weak dlsym
#pragma weak dlerror

void lg_os_stay_loaded(void)
{
    static const char here;
    Dl_info object;
    if (dladdr == NULL || dlsym == NULL || dlerror == NULL || dladdr(&here, &object) == 0 || object.dli_fname == NULL)
        return;
    /* By its name: the linker warns of a program that is static and has a call of it, weak or not. */
    void *symbol = dlsym(RTLD_DEFAULT, "dlopen");
    void *(*open_object)(const char *name, int flags);
    memcpy(&open_object, &symbol, sizeof open_object);
    /* The handle is never closed. The main program may be refused; it stays loaded anyway. */
    if (symbol == NULL || open_object(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) == NULL)
        (void)dlerror();
}

void lg_os_monotonic_after(uint64_t nanoseconds, struct timespec *out)
{
    clock_gettime(CLOCK_MONOTONIC, out);
    uint64_t seconds = nanoseconds / 1000000000u;
    /* A hundred years are as good as for ever, and can't overflow. */
    if (seconds > (uint64_t)100 * 365 * 86400)
        seconds = (uint64_t)100 * 365 * 86400;
    out->tv_sec += (time_t)seconds;
    out->tv_nsec += (long)(nanoseconds % 1000000000u);
    if (out->tv_nsec >= 1000000000L) {
        out->tv_sec += 1;
        out->tv_nsec -= 1000000000L;
    }
}

/* ---- the end */

void lg_die(const struct lg_part *parts, size_t count)
{
    char line[512];
    size_t used = 0;
#define APPEND(text, len)                                                                                    \
    do {                                                                                                     \
        size_t n_ = lg_min((len), sizeof(line) - 1 - used);                                                  \
        memcpy(line + used, (text), n_);                                                                     \
        used += n_;                                                                                          \
    } while (0)
    APPEND("lgalloc: ", 9);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].text != NULL) {
            APPEND(parts[i].text, strlen(parts[i].text));
            continue;
        }
        char digits[18] = "0x";
        size_t n = 2;
        for (int shift = 60; shift >= 0; shift -= 4)
            if (n > 2 || shift == 0 || (parts[i].number >> shift) != 0)
                digits[n++] = "0123456789abcdef"[parts[i].number >> shift & 15];
        APPEND(digits, n);
    }
#undef APPEND
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
    abort();
}
