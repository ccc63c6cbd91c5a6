/*
 * Address space. What is reserved and not in use must cost nothing, whatever the process does with all of its memory at
 * once: locks it (mlockall), or has it written into a core file. Terabytes of ordinary mappings would count as locked
 * memory, and a core would have all that is readable.
 *
 * From Linux 6.11 on there are mappings that the kernel neither locks nor dumps: MAP_DROPPABLE. They lose their contents
 * in a fork and when memory is short, so nothing is ever written to them: the reservation, and metadata that is only read
 * as zero, are such; what comes into use is mapped anew in their place.
 *
 * Older kernels have ordinary mappings, out of core files by advice. mlockall(MCL_CURRENT) counts those as locked, though
 * no memory comes of it.
 */
#include "os.h"

#include "os_call.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atomic.h"

/* Newer than the headers of some distributions that run newer kernels. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* Linux 6.11 */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux 4.17 */
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* Linux 5.7 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#ifndef MADV_COLD
#define MADV_COLD 20 /* Linux 5.4 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#define MADV_GUARD_REMOVE 103
#endif

/* ---- what reservations grow from */

/*
 * A page of reserved addresses, 0 until it is made. All reservations are copies of it that grew (mremap), since after
 * mlockall(MCL_FUTURE) a new mapping is locked, or is refused where it is larger than RLIMIT_MEMLOCK, and a copy isn't.
 */
static lg_a64 seed;

static void *make_seed_of(int kind)
{
    size_t page = lg_os_page_size();
    void *p = MAP_FAILED;
    if (LG_OS_CALL((p = mmap(NULL, page, PROT_NONE, kind | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED) != 0)
        return NULL;
    (void)LG_OS_CALL(munlock(p, page) == 0);
    (void)LG_OS_CALL(madvise(p, page, MADV_DONTDUMP) == 0);
    /* Refused for memory that is locked all the same: the first kernels that have droppable mappings lock new ones after
     * MCL_FUTURE, and for good. */
    if (LG_OS_CALL(madvise(p, page, MADV_DONTNEED) == 0) == 0)
        return p;
    lg_os_unreserve(p, page);
    return NULL;
}

static void make_seed(void)
{
    void *p = make_seed_of(MAP_DROPPABLE);
    if (p == NULL)
        p = make_seed_of(MAP_PRIVATE);
    uint64_t none = 0;
    if (p != NULL && !lg_cas_relaxed_64(&seed, &none, (uintptr_t)p))
        lg_os_unreserve(p, lg_os_page_size()); /* another thread was first */
}

/* When the library is loaded, which mostly is before the process locks anything. */
__attribute__((constructor)) static void make_seed_early(void)
{
    make_seed();
}

/* Another page like the seed; NULL where that can't be had. */
static void *copy_seed(void)
{
    size_t page = lg_os_page_size();
    if (lg_load_relaxed_64(&seed) == 0)
        make_seed();
    void *from = (void *)(uintptr_t)lg_load_relaxed_64(&seed);
    void *p = MAP_FAILED;
    if (from == NULL ||
        LG_OS_CALL((p = mremap(from, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) != MAP_FAILED) != 0)
        return NULL;
    (void)LG_OS_CALL(munlock(p, page) == 0); /* one that isn't droppable may have been locked since */
    return p;
}

/* ---- reserving */

static void note_pages(void *context, const char *text)
{
    *(size_t *)context = strtoull(text, NULL, 10); /* the first number of statm: pages of address space */
}

size_t lg_os_addresses_left(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    size_t pages = 0;
    (void)lg_os_read_lines("/proc/self/statm", note_pages, &pages); /* without /proc: as if nothing were used yet */
    size_t used = pages * lg_os_page_size();
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

int lg_os_reserve(size_t len, void **out)
{
    LG_OS_FAULT(LG_SYS_RESERVE);
    void *copy = copy_seed();
    void *p = NULL;
    if (copy != NULL) {
        if (LG_OS_CALL((p = mremap(copy, lg_os_page_size(), len, MREMAP_MAYMOVE)) != MAP_FAILED) == 0) {
            *out = p;
            return 0;
        }
        lg_os_unreserve(copy, lg_os_page_size());
    }
    int error = LG_OS_CALL((p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) !=
                           MAP_FAILED);
    if (error == 0) {
        (void)LG_OS_CALL(madvise(p, len, MADV_DONTDUMP) == 0);
        *out = p;
    }
    return error;
}

/* Whatever is mapped there goes, and the addresses are reserved. */
static int reserve_again(void *addr, size_t len)
{
    void *copy = copy_seed();
    if (copy != NULL) {
        if (LG_OS_CALL(mremap(copy, lg_os_page_size(), len, MREMAP_MAYMOVE | MREMAP_FIXED, addr) == addr) == 0)
            return 0;
        lg_os_unreserve(copy, lg_os_page_size());
    }
    int error = LG_OS_CALL(mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
                           addr);
    if (error == 0) {
        (void)LG_OS_CALL(munlock(addr, len) == 0);
        (void)LG_OS_CALL(madvise(addr, len, MADV_DONTDUMP) == 0);
    }
    return error;
}

void lg_os_unreserve(void *addr, size_t len)
{
    if (len != 0)
        (void)LG_OS_CALL(munmap(addr, len) == 0);
}

int lg_os_unmap(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_UNMAP);
    return reserve_again(addr, len);
}

int lg_os_reserve_hole(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_RESERVE);
    void *p = NULL;
    int error = LG_OS_CALL(
        (p = mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0)) !=
        MAP_FAILED);
    if (error == 0 && p != addr) { /* before Linux 4.17 the address is but a hint */
        lg_os_unreserve(p, len);
        error = EEXIST;
    }
    if (error == 0)
        (void)reserve_again(addr, len); /* it is ours now, and becomes what the rest is */
    return error;
}

/* Whether a read of huge pages that hold nothing takes no memory: there is one of zeros for all. */
static bool huge_zeros(void)
{
    int fd = -1;
    char text = 0;
    if (LG_OS_CALL((fd = open("/sys/kernel/mm/transparent_hugepage/use_zero_page", O_RDONLY | O_CLOEXEC)) >= 0) != 0)
        return false;
    (void)LG_OS_CALL(read(fd, &text, 1) == 1);
    (void)LG_OS_CALL(close(fd) == 0);
    return text == '1';
}

int lg_os_make_readable(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_RESERVE);
    int error = LG_OS_CALL(mprotect(addr, len, PROT_READ) == 0);
    /* mlockall() has all that is readable read, droppable or not. 8 GiB of zeros took 3.1 s by pages and 0.03 s by huge
     * pages (Linux 6.18). */
    if (error == 0 && huge_zeros())
        (void)LG_OS_CALL(madvise(addr, len, MADV_HUGEPAGE) == 0);
    return error;
}

/* ---- coming into use */

/*
 * Maps over reserved addresses, readable and writable. Where the process wants all future memory to be locked, the kernel
 * would bring in the whole piece at once, in use or not; here a page is locked when it is touched.
 */
static int map_in_place(void *addr, size_t len, int flags, int fd, uint64_t offset)
{
    /* memcheck asks about each single byte that mprotect() makes accessible: four seconds per GiB. */
    const int at_first = LG_MEMCHECK ? PROT_READ | PROT_WRITE : PROT_NONE;
    int error = LG_OS_CALL(mmap(addr, len, at_first, flags | MAP_FIXED, fd, (off_t)offset) == addr);
    bool locked = error == 0 && LG_OS_CALL(madvise(addr, lg_os_page_size(), MADV_DONTNEED) == 0) == EINVAL;
    if (locked)
        error = LG_OS_CALL(munlock(addr, len) == 0);
    if (error == 0 && at_first == PROT_NONE)
        error = LG_OS_CALL(mprotect(addr, len, PROT_READ | PROT_WRITE) == 0);
    if (error == 0 && locked)
        error = LG_OS_CALL(mlock2(addr, len, MLOCK_ONFAULT) == 0);
    /* The reservation may have gone already; nobody else may get the addresses. */
    if (error != 0)
        (void)reserve_again(addr, len);
    return error;
}

int lg_os_commit(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_COMMIT);
#if LG_TSAN
    /* Not by mmap(), which ThreadSanitizer takes for a write to all of it, while others may be reading the zeros. Nor by
     * mprotect(): what is reserved may be droppable, and a child of a fork would find nothing in it. */
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    int error = LG_OS_CALL(syscall(SYS_mmap, addr, len, PROT_READ | PROT_WRITE, flags, -1, 0) == (long)addr);
    if (error != 0)
        (void)reserve_again(addr, len);
    return error;
#else
    return map_in_place(addr, len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
#endif
}

int lg_os_commit_readable(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_COMMIT);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    /* In one call: between two, the addresses could not be read. Not by mmap(), which ThreadSanitizer takes for a write;
     * who reads zeros before and after needs no order. */
    int error = LG_OS_CALL(syscall(SYS_mmap, addr, len, PROT_READ | PROT_WRITE, flags, -1, 0) == (long)addr);
    if (error == 0) {
        /* Where the process wants all future memory to be locked, all of it was brought in: it goes again, since nobody
         * has written to it yet. */
        if (LG_OS_CALL(madvise(addr, lg_os_page_size(), MADV_DONTNEED) == 0) == EINVAL &&
            LG_OS_CALL(munlock(addr, len) == 0) == 0) {
            (void)LG_OS_CALL(madvise(addr, len, MADV_DONTNEED) == 0);
            (void)LG_OS_CALL(mlock2(addr, len, MLOCK_ONFAULT) == 0);
        }
        return 0;
    }
    /* What was there may have gone already. */
    (void)LG_OS_CALL(mmap(addr, len, PROT_READ, flags, -1, 0) == addr);
    return error;
}

int lg_os_map_file(void *addr, size_t len, int fd, uint64_t offset)
{
    LG_OS_FAULT(LG_SYS_MAP_FILE);
    return map_in_place(addr, len, MAP_SHARED, fd, offset);
}

/* ---- moving */

/* Free addresses for `len` bytes that begin with a huge page: a hint, since another thread may take them. */
static void *free_addresses(size_t len)
{
    char *found = NULL;
    size_t wanted = len + LG_HUGE_PAGE;
    if (LG_OS_CALL((found = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) !=
                   MAP_FAILED) != 0)
        return NULL;
    lg_os_unreserve(found, wanted);
    return (void *)(((uintptr_t)found + LG_HUGE_PAGE - 1) & ~(LG_HUGE_PAGE - 1));
}

/* As a system call: older C libraries don't pass the hint on. */
static int move(void *from, void *to, size_t len, int flags, void **out)
{
    long moved = 0;
    int error = LG_OS_CALL((moved = syscall(SYS_mremap, from, len, len, MREMAP_MAYMOVE | flags, to)) != -1);
    if (error == 0)
        *out = (void *)moved;
    return error;
}

static int move_out(void *from, size_t len, void **out_aside)
{
    LG_OS_FAULT(LG_SYS_MOVE_OUT);
    return move(from, free_addresses(len), len, MREMAP_DONTUNMAP, out_aside);
}

static int move_in(void *aside, void *to, size_t len)
{
    LG_OS_FAULT(LG_SYS_MOVE_IN);
    return move(aside, to, len, MREMAP_FIXED, &aside);
}

/*
 * In two steps, since one that fails may have unmapped its destination already: for a moment the addresses would be any
 * other thread's to get. All that usually fails (several mappings, too many of them, limits) does so in the first step,
 * whose destination is nobody's. It begins with a huge page, or huge pages would be split. What the second needs is
 * checked by the kernel before it unmaps anything, but for memory of its own.
 */
int lg_os_move(void *from, void *to, size_t len, bool *out_anew)
{
    void *aside;
    *out_anew = false;
    int error = move_out(from, len, &aside);
    if (error != 0)
        return error;
    error = move_in(aside, to, len);
    if (error == 0)
        return 0;
    memcpy(from, aside, len);
    lg_os_unreserve(aside, len);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    int mapped = LG_OS_CALL(mmap(to, len, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED);
    *out_anew = mapped == 0; /* EEXIST: it is still there */
    return error;
}

/* ---- guarding */

/* A signal may end the call before it is done. */
static int advise_all(void *addr, size_t len, int advice)
{
    int error;
    do {
        error = LG_OS_CALL(madvise(addr, len, advice) == 0);
    } while (error == EINTR);
    return error;
}

/* All of it, or nothing with EINVAL. A kernel before 5.18 drops no locked memory, and what is not locked in front of it is
 * gone when it says so; asked to make it cold, which a locked part forbids too, it says so at no cost. */
static int drop_pages(void *addr, size_t len)
{
    int error = advise_all(addr, len, MADV_DONTNEED_LOCKED);
    if (error != EINVAL)
        return error;
    error = advise_all(addr, len, MADV_COLD);
    return error != 0 ? error : advise_all(addr, len, MADV_DONTNEED);
}

/*
 * Guards in the page tables (Linux 6.13) leave the kernel's mapping in one piece; a piece that is inaccessible is a mapping of
 * its own, of which a process may have 65,530. The kernel drops the pages before it has put up all the guards, and
 * somebody could read zeros in between; so it is inaccessible for that moment. An older kernel, and locked memory, which gets no
 * guards, leave it so: then the process's bound on mappings bounds what is guarded, and more is ENOMEM.
 */
int lg_os_guard(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_GUARD);
    int error = LG_OS_CALL(mprotect(addr, len, PROT_NONE) == 0);
    if (error != 0) {
        /* Of several mappings, as where a part is locked, the first may have changed. */
        (void)LG_OS_CALL(mprotect(addr, len, PROT_READ | PROT_WRITE) == 0);
        return error;
    }
    int refused = advise_all(addr, len, MADV_GUARD_INSTALL);
    if (refused == 0) {
        (void)LG_OS_CALL(mprotect(addr, len, PROT_READ | PROT_WRITE) == 0); /* if not, both are in the way of a touch */
        return 0;
    }
    error = drop_pages(addr, len);
    /* Unless it was refused from the outset, pages may have gone: then it stays inaccessible, whatever is left of it. */
    if (error == 0 || refused != EINVAL || LG_OS_CALL(mprotect(addr, len, PROT_READ | PROT_WRITE) == 0) != 0)
        return 0;
    return error;
}

int lg_os_unguard(void *addr, size_t len)
{
    LG_OS_FAULT(LG_SYS_UNGUARD);
    int error = advise_all(addr, len, MADV_GUARD_REMOVE);
    if (error != 0 && error != EINVAL) /* that is an older kernel, or locked memory: it has none */
        return error;
    error = LG_OS_CALL(mprotect(addr, len, PROT_READ | PROT_WRITE) == 0);
    if (error != 0)
        return error;
    /* Guards leave small entries behind, which keep huge pages away: dropped, they come at the next touch. And what is
     * locked was brought in just now. It is only a matter of speed, and of memory. */
    (void)drop_pages(addr, len);
    return 0;
}

/* ---- what is there */

int lg_os_in_memory(void *addr, size_t len, unsigned char *out_pages)
{
    LG_OS_FAULT(LG_SYS_READ_MAPS);
    return LG_OS_CALL(mincore(addr, len, out_pages) == 0);
}

/* ---- core files */

int lg_os_core_dump(void *addr, size_t len, bool included)
{
    LG_OS_FAULT(LG_SYS_ADVISE_DUMP);
    return LG_OS_CALL(madvise(addr, len, included ? MADV_DODUMP : MADV_DONTDUMP) == 0);
}
