/* What the kernel is told, and asked, of mapped memory. */
#include "os.h"

#include "os_call.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

/* The kernel brings in no more than one readahead window per call, which is usually this, without saying so. In such
 * steps all of a file's 256 MiB came in, where one call brought 8 MiB (ext4, Linux 6.18, a window of 8 MiB); a GiB took
 * 0.3 s, as with steps of 2 MiB. */
#define PREFETCH_STEP (128 * LG_KIB)

/* Not again on EAGAIN: that is also the answer where the process has too many mappings. */
static int advise(const lg_os_steps *call, uint64_t at, uint64_t len)
{
    return LG_OS_CALL(madvise(call->addr + at, len, call->how) == 0);
}

int lg_os_advise(enum lg_system_call advice, void *addr, size_t len)
{
    LG_OS_FAULT(advice);
    lg_os_steps call = {.name = advice, .call = advise, .most = len, .addr = addr};
    switch (advice) {
    case LG_SYS_ADVISE_DISCARD: call.how = MADV_DONTNEED; break;
    case LG_SYS_ADVISE_REMOVE: call.how = MADV_REMOVE; break;
    case LG_SYS_ADVISE_HUGE: call.how = MADV_HUGEPAGE; break;
    case LG_SYS_ADVISE_DONTFORK: call.how = MADV_DONTFORK; break;
    case LG_SYS_ADVISE_PREFETCH:
        call.how = MADV_WILLNEED;
        call.most = PREFETCH_STEP;
        break;
    case LG_SYS_ADVISE_POPULATE: call.how = MADV_POPULATE_WRITE; break;
    case LG_SYS_ADVISE_COLD: call.how = MADV_COLD; break;
    default: return EINVAL;
    }
    int error = lg_os_in_steps(&call, 0, len);
    /* The answer for memory that the process has locked. */
    if (error == EINVAL && advice == LG_SYS_ADVISE_DISCARD) {
        call.how = MADV_DONTNEED_LOCKED;
        error = lg_os_in_steps(&call, 0, len);
    }
    return error;
}

int lg_os_wipe_on_fork(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_ADVISE_WIPE);
    return LG_OS_CALL(madvise(addr, len, MADV_WIPEONFORK) == 0);
}

int lg_os_no_huge_pages(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_ADVISE_HUGE);
    return LG_OS_CALL(madvise(addr, len, MADV_NOHUGEPAGE) == 0);
}

int lg_os_name(void *addr, size_t len, const char *name)
{
    LG_OS_FAULT(LG_SYS_NAME);
    return LG_OS_CALL(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, len, name) == 0);
}

int lg_os_present_pages(const void *addr, size_t len, uint64_t *out_pages)
{
    LG_OS_FAULT(LG_SYS_READ_MAPS);
    int fd = -1;
    size_t page = lg_os_page_size();
    uint64_t words[512]; /* one for each page; the highest bit says that it is there */
    *out_pages = 0;
    int error = LG_OS_CALL((fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) >= 0);
    if (error != 0)
        return error;
    uint64_t next = (uintptr_t)addr / page, end = next + len / page;
    while (next < end && error == 0) {
        ssize_t got = 0;
        size_t wanted = lg_min(end - next, sizeof(words) / sizeof(*words)) * sizeof(*words);
        error = LG_OS_CALL((got = pread(fd, words, wanted, (off_t)(next * sizeof(*words)))) > 0);
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
