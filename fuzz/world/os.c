/*
 * os.c's place in the explored library: a system of which nothing but the addresses is real. What it would do to
 * a region is told to the world (memory.h), which knows which regions are in use. Calls fail when the world says so.
 */
#include "base/die.h"
#include "base/os.h"
#include "regions/arena.h"
#include "regions/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fault.h"
#include "memory.h"
#include "sealed.h"
#include "system.h"

#define FAULT(call)                     \
    do {                                \
        int fault_ = world_fault(call); \
        if (fault_ != 0)                \
            return fault_;              \
    } while (0)

size_t lg_os_page_size(void)
{
    return 4096;
}

/* ---- address space */

/* Metadata that is in use, beyond what the library's variables are. */
#define RANGES 512
static struct {
    char *start;
    size_t len;
} ranges[RANGES];
static unsigned range_count;
static unsigned lasting; /* the first of them: in use since the library came up */

static bool is_metadata(const void *addr)
{
    char *arena = lg_arena_address(0);
    return arena == NULL || (const char *)addr < arena;
}

size_t lg_os_addresses_left(void)
{
    return SIZE_MAX;
}

/* In their order: those of the library coming up, then those of a child that starts over, which every execution gets
 * again. Other variables here go back to what they were when the library was up; a section of their own keeps these. */
#define RESERVATIONS 8
static struct reservation {
    void *start;
    size_t len;
} reservations[RESERVATIONS] __attribute__((section("world_lasting")));
static unsigned reserved;

int lg_os_reserve(size_t len, void **out)
{
    FAULT(LG_SYS_RESERVE);
    if (len > WORLD_ADDRESSES) /* an arena of WORLD_ARENA bytes */
        return ENOMEM;
    if (reserved == RESERVATIONS)
        xp_fail("world/os.c: too many reservations", NULL);
    if (reservations[reserved].start == NULL) {
        void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return ENOMEM;
        reservations[reserved].start = p;
        reservations[reserved].len = len;
    }
    XP_CHECK(reservations[reserved].len == len);
    *out = reservations[reserved++].start;
    return 0;
}

void lg_os_unreserve(void *addr, size_t len)
{
    (void)addr;
    (void)len;
}

int lg_os_make_readable(void *addr, size_t len)
{
    FAULT(LG_SYS_COMMIT);
    (void)addr;
    (void)len;
    return 0;
}

static void note_piece(void *addr, size_t len)
{
    for (unsigned i = 0; i < range_count; i++)
        if (ranges[i].start == addr && ranges[i].len >= len)
            return;
    if (range_count == RANGES)
        xp_fail("world/os.c: too many pieces of metadata", NULL);
    ranges[range_count].start = addr;
    ranges[range_count++].len = len;
    if (lg_arena_address(0) == NULL)
        lasting = range_count;
}

/* Of thread records, what isn't atomic comes before the rings. */
static void note_metadata(void *addr, size_t len)
{
    if (len < sizeof(lg_thread)) {
        note_piece(addr, len);
        return;
    }
    lg_thread *thread = addr;
    note_piece(thread, offsetof(lg_thread, classes));
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        note_piece(&thread->classes[c], offsetof(lg_local, ring));
}

void world_clear_metadata(void)
{
    for (unsigned i = 0; i < range_count; i++)
        memset(ranges[i].start, 0, ranges[i].len);
    range_count = lasting;
}

int lg_os_commit(void *addr, size_t len)
{
    FAULT(LG_SYS_COMMIT);
    if (is_metadata(addr))
        note_metadata(addr, len);
    else
        world_mapped(addr, len, -1, 0);
    return 0;
}

int lg_os_commit_readable(void *addr, size_t len)
{
    FAULT(LG_SYS_COMMIT);
    note_metadata(addr, len);
    return 0;
}

int lg_os_reserve_hole(void *addr, size_t len)
{
    FAULT(LG_SYS_RESERVE);
    world_unmapped(addr, len);
    return 0;
}

int lg_os_map_file(void *addr, size_t len, int fd, uint64_t offset)
{
    FAULT(LG_SYS_MAP_FILE);
    world_mapped(addr, len, fd, offset);
    return 0;
}

int lg_os_unmap(void *addr, size_t len)
{
    FAULT(LG_SYS_UNMAP);
    world_unmapped(addr, len);
    return 0;
}

int lg_os_move(void *from, void *to, size_t len, bool *out_anew)
{
    *out_anew = false;
    (void)from;
    (void)to;
    (void)len;
    return EINVAL; /* there are no pages */
}

int lg_os_guard(void *addr, size_t len)
{
    FAULT(LG_SYS_GUARD);
    world_guarded(addr, len);
    return 0;
}

int lg_os_unguard(void *addr, size_t len)
{
    FAULT(LG_SYS_UNGUARD);
    world_unguarded(addr, len);
    return 0;
}

int lg_os_core_dump(void *addr, size_t len, bool included)
{
    FAULT(LG_SYS_ADVISE_DUMP);
    (void)addr;
    (void)len;
    (void)included;
    return 0;
}

/* ---- advice */

int lg_os_advise(enum lg_system_call advice, void *addr, size_t len)
{
    FAULT(advice);
    if (advice == LG_SYS_ADVISE_DISCARD || advice == LG_SYS_ADVISE_REMOVE)
        world_cleared(addr, len);
    return 0;
}

static void *wiped;
static size_t wiped_len;

int lg_os_wipe_on_fork(void *addr, size_t len)
{
    FAULT(LG_SYS_ADVISE_WIPE);
    wiped = addr;
    wiped_len = len;
    return 0;
}

int lg_os_no_huge_pages(void *addr, size_t len)
{
    (void)addr;
    (void)len;
    return 0;
}

int lg_os_name(void *addr, size_t len, const char *name)
{
    (void)addr;
    (void)len;
    (void)name;
    return 0;
}

/* ---- files */

int lg_os_open_unlinked(const char *directory, int *out_fd)
{
    FAULT(LG_SYS_OPEN);
    (void)directory;
    *out_fd = world_open();
    return 0;
}

int lg_os_identify(int fd, lg_identity *out)
{
    FAULT(LG_SYS_IDENTIFY);
    *out = (lg_identity){.device = 1, .inode = (uint64_t)fd};
    return 0;
}

int lg_os_write_in_place(int fd)
{
    (void)fd;
    return 0;
}

bool lg_os_tells_holes(int fd)
{
    (void)fd;
    return false;
}

void lg_os_close(int fd)
{
    world_close(fd);
}

int lg_os_truncate(int fd, uint64_t size)
{
    FAULT(LG_SYS_TRUNCATE);
    world_truncated(fd, size);
    return 0;
}

int lg_os_allocate_blocks(int fd, uint64_t offset, uint64_t len)
{
    FAULT(LG_SYS_ALLOCATE);
    (void)fd;
    (void)offset;
    (void)len;
    return 0;
}

int lg_os_punch(int fd, uint64_t offset, uint64_t len)
{
    FAULT(LG_SYS_PUNCH);
    world_punched(fd, offset, len);
    return 0;
}

int lg_os_file_usage(int fd, uint64_t *out_size, uint64_t *out_allocated)
{
    FAULT(LG_SYS_FSTAT);
    xp_point(); /* the caller holds a lock */
    (void)fd;
    *out_size = *out_allocated = 0;
    return 0;
}

int lg_os_open_append(const char *path, int *out_fd)
{
    FAULT(LG_SYS_OPEN_APPEND);
    (void)path;
    *out_fd = -1;
    return 0;
}

int lg_os_write(int fd, const char *text, size_t len)
{
    (void)fd;
    (void)text;
    (void)len;
    return 0;
}

int lg_os_next_data(int fd, uint64_t offset, uint64_t len, uint64_t *out_start, uint64_t *out_len)
{
    (void)fd;
    (void)offset;
    (void)len;
    *out_start = *out_len = 0;
    return 0;
}

int lg_os_read_lines(const char *path, void (*line)(void *context, const char *text), void *context)
{
    (void)path;
    (void)line;
    (void)context;
    return ENOENT;
}

int lg_os_in_memory(void *addr, size_t len, unsigned char *out_pages)
{
    (void)addr;
    (void)len;
    (void)out_pages;
    return ENOSYS;
}

int lg_os_present_pages(const void *addr, size_t len, uint64_t *out_pages)
{
    (void)addr;
    (void)len;
    *out_pages = 0;
    return ENOENT;
}

/* ---- threads */

int lg_os_membarrier_register(void)
{
    FAULT(LG_SYS_MEMBARRIER);
    return 0;
}

int lg_os_membarrier(void)
{
    FAULT(LG_SYS_BARRIER);
    xp_membarrier();
    return 0;
}

/* What was stored before has reached memory, and others may go on meanwhile. */
void lg_os_wait_for_stores(void)
{
    xp_point();
    xp_membarrier();
}

void lg_os_pause(unsigned round)
{
    (void)round;
    xp_pause();
}

/* The worker's ticks are steps of logical threads. */
int lg_os_thread_start(pthread_t *out, const char *name, void *(*run_it)(void *), void *argument)
{
    (void)out;
    (void)name;
    (void)run_it;
    (void)argument;
    return EAGAIN;
}

void lg_os_thread_ordinary(void)
{
}

void lg_os_thread_join(pthread_t thread)
{
    (void)thread;
}

static LG_THREAD_LOCAL void *key_value;
static void (*key_destructor)(void *);

int lg_os_key_create(pthread_key_t *out, void (*destructor)(void *))
{
    FAULT(LG_SYS_KEY);
    *out = 1;
    key_destructor = destructor;
    return 0;
}

int lg_os_key_set(pthread_key_t key, const void *value)
{
    FAULT(LG_SYS_KEY_SET);
    (void)key;
    key_value = (void *)(uintptr_t)value;
    return 0;
}

void world_thread_ends(void)
{
    void *value = key_value;
    key_value = NULL;
    if (value != NULL)
        key_destructor(value);
}

static void (*fork_handlers[3])(void);

int lg_os_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    FAULT(LG_SYS_ATFORK);
    fork_handlers[0] = prepare;
    fork_handlers[1] = parent;
    fork_handlers[2] = child;
    return 0;
}

void world_fork(bool as_child)
{
    fork_handlers[0]();
    if (as_child) {
        xp_vanish_others();
        memset(wiped, 0, wiped_len);
        world_forked();
    }
    fork_handlers[as_child ? 2 : 1]();
}

void lg_os_stay_loaded(void)
{
}

int lg_os_absolute(const char *directory, char *out)
{
    memcpy(out, directory, strlen(directory) + 1);
    return 0;
}

void world_clone(void)
{
    xp_vanish_others();
    memset(wiped, 0, wiped_len);
    world_starts_over();
}

void lg_os_monotonic_after(uint64_t nanoseconds, struct timespec *out)
{
    (void)nanoseconds;
    out->tv_sec = 0;
    out->tv_nsec = 0;
}

/* ---- the end */

void lg_die(const struct lg_part *parts, size_t count)
{
    char line[512];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof(line) - 1; i++) {
        int n = parts[i].text != NULL
                    ? snprintf(line + used, sizeof(line) - used, "%s", parts[i].text)
                    : snprintf(line + used, sizeof(line) - used, "0x%llx", (unsigned long long)parts[i].number);
        used += n > 0 ? (size_t)n : 0;
    }
    xp_fail("the library aborts", line);
}
