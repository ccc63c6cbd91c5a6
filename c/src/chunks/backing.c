#include "backing.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/file.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "arena_file.h"

/* Clearing takes one system call per this many bytes. With files the kernel holds the file's lock meanwhile, and
 * faults in the same file wait for it: on ext4 (Linux 6.18) 99.9 percent of another thread's faults took at most 2 to
 * 4 ms with steps of 2, 8 and 32 MiB, 15 ms with 128 MiB, and 60 ms and more with one call for a GiB; calm 1 ms. The 32
 * calls per GiB cost nothing measurable there. Faults in anonymous memory don't wait, and a GiB of it in huge pages
 * takes only 3 ms: with 32 MiB 6 percent more than with one call, with 128 MiB 2 percent. */
#define CLEAR_STEP_FILE (32 * LG_MIB)
#define CLEAR_STEP_ANONYMOUS (128 * LG_MIB)

lg_a64 lg_advise_failures;
lg_a64 lg_clear_failures;

static bool advise_counted(enum lg_system_call advice, void *addr, size_t len)
{
    if (lg_os_advise(advice, addr, len) == 0)
        return true;
    lg_add_relaxed_64(&lg_advise_failures, 1);
    return false;
}

bool lg_backing_file(uint64_t chunk, lg_file *out)
{
    uint32_t word = lg_chunk_word(chunk);
    if (lg_chunk_kind(word) != LG_AREA_FILE)
        return false;
    *out = lg_arena_files[lg_chunk_file_number(word)].file;
    return true;
}

enum lg_area_kind lg_backing_configured(void)
{
    return LG_OPTION(backing) == LGALLOC_BACKING_FILE ? LG_AREA_FILE : LG_AREA_ANONYMOUS;
}

/* Whether a piece goes into core files. */
static void advise_dump(void *addr, size_t len, bool included)
{
    if (lg_os_core_dump(addr, len, included) != 0)
        lg_add_relaxed_64(&lg_advise_failures, 1);
}

/* ---- mapping */

/*
 * To a file this says that the page cache is to be filled, and mapped, in huge pages. What that is worth (ext4, Linux 6.18,
 * the kernel's processor time; without, and with the advice):
 *
 *     first touch of 260 MiB, in order                      59 ms, 2,837 faults      48 ms, 129 faults
 *     first touch of what clearing 5 in 8 MiB had left      121 ms, 31,846 faults    65 ms, 10,306 faults
 *     blocks of a file in which one page was touched        4 KiB                    2 MiB
 *
 * The advice follows the class: not for small regions, though all alike would be simpler, and a change from regions of 64 KiB
 * to 2 MiB and back would take 7.5 us for each chunk in place of 9.8, two system calls. But a page in each of 2,048 regions of 64
 * KiB would be 128 MiB of memory, not 8; and to clear one would just split a huge page. Either way mappings are as many.
 */
static enum lg_huge_advice wanted_advice(uint64_t chunk, bool huge)
{
    enum lg_huge_advice now = lg_chunk_note(chunk)->huge;
    bool allowed = LG_OPTION(huge_pages) != 0;
    if (allowed && huge)
        return LG_HUGE_ON;
    if (!allowed && lg_chunk_kind(lg_chunk_word(chunk)) == LG_AREA_ANONYMOUS)
        return LG_HUGE_OFF;
    return now == LG_HUGE_ON ? LG_HUGE_OFF : now; /* what was never advised is as the system has it */
}

static void tell_huge(void *addr, size_t len, bool on)
{
    int error = on ? lg_os_advise(LG_SYS_ADVISE_HUGE, addr, len) : lg_os_no_huge_pages(addr, len);
    if (error != 0 && (on || error != EINVAL)) /* a kernel without them has nothing to be told to stop; fine */
        lg_add_relaxed_64(&lg_advise_failures, 1);
}

void lg_backing_advise(uint64_t first, uint64_t count, bool huge)
{
    while (count != 0) {
        uint64_t n = 1;
        enum lg_huge_advice now = lg_chunk_note(first)->huge, wanted = wanted_advice(first, huge);
        while (n < count && lg_chunk_note(first + n)->huge == now)
            n++;
        if (now != wanted) {
            tell_huge(lg_arena_address(first << LG_CHUNK_LOG2), n << LG_CHUNK_LOG2, wanted == LG_HUGE_ON);
            for (uint64_t chunk = first; chunk < first + n; chunk++)
                lg_chunk_note(chunk)->huge = (uint16_t)wanted;
        }
        first += n;
        count -= n;
    }
}

/* The first advice for chunks that were just mapped. */
static void advise_new(uint64_t first, uint64_t count, bool huge)
{
    for (uint64_t chunk = first; chunk < first + count; chunk++)
        lg_chunk_note(chunk)->huge = LG_HUGE_UNSAID;
    lg_backing_advise(first, count, huge);
}

/*
 * The kernel reads a file around a page that is touched first, so that neighbours which are clean get pages in the
 * page cache too: zeros without disk blocks, not mapped, and the first to go when memory is short. MADV_RANDOM would
 * prevent that. It isn't used, because of this (ext4, Linux 6.18, readahead of 8 MiB; times are per GiB):
 *
 *                                              without         with MADV_RANDOM
 *     first touch, in order                    0.3 s           1.5 to 1.9 s
 *     reading what was paged out, in order     0.3 to 0.6 s    22 to 25 s
 *     page cache after one page was touched    8 MiB           4 KiB
 *
 * Where touching goes on in order, ext4's pages are larger ones, up to 2 MiB, and a write takes a whole one, with its
 * memory and disk blocks. Regions of 2 MiB and more share none. Of smaller ones a clean neighbour may be taken so: all
 * together 3 MiB at most where regions of 64 KiB were taken, written, freed and cleared at random, 512 MiB of them; but
 * nearly everything where one page in every 2 MiB was written, in order, of a file that held nothing. What was taken
 * so reads as zero all the same, and goes with the chunk at the latest.
 */
static int map_file(uint64_t first, uint64_t count, bool huge)
{
    uint32_t number = 0;
    int error = lg_arena_file_open(first, &number);
    if (error != 0)
        return error;
    lg_arena_file *file = &lg_arena_files[number];
    uint64_t start = first << LG_CHUNK_LOG2, len = count << LG_CHUNK_LOG2;
    char *addr = lg_arena_address(start);
    if (start + len > file->end)
        error = lg_file_truncate(&file->file, start + len);
    if (error == 0)
        error = lg_file_map(&file->file, addr, len, start);
    if (error != 0) {
        if (start + len > file->end && file->chunks != 0)
            (void)lg_file_truncate(&file->file, file->end);
        lg_arena_file_forget(number);
        return error;
    }
    file->end = lg_max(file->end, start + len);
    file->chunks += count;
    lg_chunks_set_backing(first, count, LG_AREA_FILE, number);
    bool inherited = !advise_counted(LG_SYS_ADVISE_DONTFORK, addr, len);
    for (uint64_t chunk = first; chunk < first + count; chunk++)
        lg_chunk_note(chunk)->inherited = inherited;
    advise_new(first, count, huge);
    if (LG_OPTION(core_dump) == 0)
        advise_dump(addr, len, false);
    return 0;
}

/* What is said of anonymous memory that was just mapped. */
static void introduce(uint64_t first, uint64_t count, bool huge)
{
    char *addr = lg_arena_address(first << LG_CHUNK_LOG2);
    size_t len = count << LG_CHUNK_LOG2;
    (void)lg_os_name(addr, len, "lgalloc"); /* older kernels have no names; nothing is lost */
    advise_new(first, count, huge);
    if (LG_OPTION(core_dump) == 0)
        advise_dump(addr, len, false);
}

static int map_anonymous(uint64_t first, uint64_t count, bool huge)
{
    int error = lg_os_commit(lg_arena_address(first << LG_CHUNK_LOG2), count << LG_CHUNK_LOG2);
    if (error != 0)
        return error;
    lg_chunks_set_backing(first, count, LG_AREA_ANONYMOUS, 0);
    introduce(first, count, huge);
    return 0;
}

int lg_backing_map(uint64_t first, uint64_t count, enum lg_area_kind kind, bool huge)
{
    LG_ASSERT(lg_lock_held(LG_RANK_ARENA));
    uint64_t done = 0;
    int error = lg_chunks_reach(first + count);
    while (error == 0 && done < count) {
        uint64_t n = count - done;
        if (kind == LG_AREA_FILE) { /* up to where the next file begins */
            uint64_t step = (uint64_t)1 << (LG_FILE_STEP_LOG2 - LG_CHUNK_LOG2);
            n = lg_min(n, step - (first + done) % step);
            error = map_file(first + done, n, huge);
        } else {
            error = map_anonymous(first + done, n, huge);
        }
        if (error == 0)
            done += n;
    }
    if (error != 0 && done != 0) {
        uint64_t gone = lg_backing_unmap(first, done, false);
        if (gone != done) /* it costs addresses, no memory */
            lg_chunks_lose(first + gone, done - gone);
    }
    return error;
}

void lg_backing_moved(uint64_t from, uint64_t to, uint64_t len, bool anew)
{
    uint64_t source = from >> LG_CHUNK_LOG2, first = to >> LG_CHUNK_LOG2, count = len >> LG_CHUNK_LOG2;
    lg_lock_acquire(&lg_arena_lock);
    for (uint64_t i = 0; i < count && !anew; i++)
        lg_chunk_note(first + i)->huge = lg_chunk_note(source + i)->huge;
    if (anew)
        introduce(first, count, true);
    else
        lg_backing_advise(first, count, true);
    lg_lock_release(&lg_arena_lock);
}

/* ---- giving back */

/* Gives back what a free piece holds. *out_cut: the file now ends before it. */
static bool empty_out(lg_piece p, bool *out_cut)
{
    *out_cut = false;
    if (p.kind != LG_AREA_FILE)
        return true; /* unmapping is enough */
    lg_arena_file *file = &lg_arena_files[p.file];
    uint64_t start = p.first << LG_CHUNK_LOG2, len = p.count << LG_CHUNK_LOG2;
    int error = lg_file_punch(&file->file, start, len);
    if (error == EBADF) /* the mapping is still there */
        error = lg_backing_clear(start, len);
    if (error == 0)
        return true;
    lg_add_relaxed_64(&lg_clear_failures, 1);
    /* A file system without holes: cutting the file's end off works everywhere. */
    *out_cut = file->end == start + len && lg_file_truncate(&file->file, start) == 0;
    if (*out_cut)
        file->end = start;
    return *out_cut;
}

static bool unmap_piece(lg_piece p, bool dirty)
{
    uint64_t start = p.first << LG_CHUNK_LOG2, len = p.count << LG_CHUNK_LOG2;
    bool cut = false, gone = false;
    if (dirty && !empty_out(p, &cut))
        return false;
    bool unmapped = lg_os_unmap(lg_arena_address(start), len) == 0;
    if (!unmapped && cut) {
        /* Without its part of the file it can neither be unmapped nor used: its addresses go with it. */
        gone = lg_file_truncate(&lg_arena_files[p.file].file, start + len) != 0;
        if (!gone)
            lg_arena_files[p.file].end = start + len;
    }
    if (!unmapped && !gone)
        return false;
    lg_chunks_set_backing(p.first, p.count, gone ? LG_AREA_LOST : LG_AREA_NONE, 0);
    if (p.kind == LG_AREA_FILE) {
        lg_arena_files[p.file].chunks -= p.count;
        lg_arena_file_trim(p.file, p.first + p.count);
    }
    return true;
}

uint64_t lg_backing_unmap(uint64_t first, uint64_t count, bool dirty)
{
    LG_ASSERT(lg_lock_held(LG_RANK_ARENA));
    uint64_t done = 0;
    while (count != 0) {
        lg_piece p = lg_piece_split(&first, &count);
        if (!unmap_piece(p, dirty))
            break;
        done += p.count;
    }
    return done;
}

bool lg_backing_is_one(uint64_t first, uint64_t count)
{
    (void)lg_piece_split(&first, &count);
    return count == 0;
}

/* Does something with each file's part of a range, until one fails. */
static int each_file(uint64_t offset, uint64_t len, int (*act)(const lg_file *file, uint64_t offset, uint64_t len))
{
    uint64_t first = offset >> LG_CHUNK_LOG2;
    uint64_t count = ((offset + len - 1) >> LG_CHUNK_LOG2) + 1 - first;
    int error = 0;
    while (count != 0 && error == 0) {
        lg_piece p = lg_piece_split(&first, &count);
        lg_file file = lg_arena_files[p.file].file;
        uint64_t from = lg_max(offset, p.first << LG_CHUNK_LOG2);
        uint64_t end = lg_min(offset + len, (p.first + p.count) << LG_CHUNK_LOG2);
        error = act(&file, from, end - from);
    }
    return error;
}

/* A step of clearing, by the files. */
static int punch(uint64_t offset, uint64_t len)
{
    return each_file(offset, len, lg_file_punch) == 0 ? 0 : EINVAL;
}

/* How much of a range is of its beginning's kind. */
static uint64_t of_one_kind(uint64_t offset, uint64_t len)
{
    uint64_t end = offset + len, at = (offset | (LG_CHUNK - 1)) + 1;
    while (at < end && lg_backing_kind(at) == lg_backing_kind(offset))
        at += LG_CHUNK;
    return lg_min(at, end) - offset;
}

int lg_backing_clear(uint64_t offset, uint64_t len)
{
    while (len != 0) {
        /* Neighbouring regions may be of two kinds: the backing was configured anew since whoever clears them looked. */
        enum lg_area_kind kind = lg_backing_kind(offset);
        enum lg_system_call advice = kind == LG_AREA_FILE ? LG_SYS_ADVISE_REMOVE : LG_SYS_ADVISE_DISCARD;
        uint64_t most = kind == LG_AREA_FILE ? CLEAR_STEP_FILE : CLEAR_STEP_ANONYMOUS;
        uint64_t step = of_one_kind(offset, lg_min(len, most));
        int error = lg_os_advise(advice, lg_arena_address(offset), step);
        /* So memory that the process has locked is refused; the file itself may still be punched. */
        if (error == EINVAL && kind == LG_AREA_FILE)
            error = punch(offset, step);
        if (error != 0)
            return error;
        offset += step;
        len -= step;
    }
    return 0;
}

void lg_backing_set_core_dump(bool included)
{
    lg_lock_acquire(&lg_arena_lock);
    uint64_t first = 0, count = lg_chunks_high();
    while (count != 0) {
        lg_piece p = lg_piece_split(&first, &count);
        if (p.kind == LG_AREA_FILE || p.kind == LG_AREA_ANONYMOUS)
            advise_dump(lg_arena_address(p.first << LG_CHUNK_LOG2), p.count << LG_CHUNK_LOG2, included);
    }
    lg_lock_release(&lg_arena_lock);
}

/* ---- in children */

bool lg_backing_close_hole(uint64_t first, uint64_t count)
{
    bool closed = true;
    for (uint64_t end = first + count; first < end; first++) {
        char *addr = lg_arena_address(first << LG_CHUNK_LOG2);
        /* Where the advice to leave it out of children was refused, the parent's pages are here, and must not stay. */
        int error = lg_chunk_note(first)->inherited ? lg_os_unmap(addr, LG_CHUNK) : lg_os_reserve_hole(addr, LG_CHUNK);
        closed = closed && error == 0;
    }
    return closed;
}

void lg_backing_abandon(void)
{
    for (uint64_t chunk = 0; chunk < lg_chunks_high(); chunk++)
        if (lg_chunk_kind(lg_chunk_word(chunk)) == LG_AREA_FILE)
            (void)lg_backing_close_hole(chunk, 1);
    memset(lg_arena_files, 0, sizeof(lg_arena_files));
}

/* ---- disk blocks */

static int reserve_in_file(const lg_file *file, uint64_t offset, uint64_t len)
{
    int error = lg_file_allocate_blocks(file, offset, len);
    if (error != EBADF)
        return error;
    /* The program has closed the descriptor, but the mapping is there: what writes to all pages finds out as well, with
     * memory in place of blocks alone. */
    error = lg_os_advise(LG_SYS_ADVISE_POPULATE, lg_arena_address(offset), len);
    return error == EFAULT   ? ENOSPC
           : error == EINVAL ? EOPNOTSUPP
                             : error; /* a SIGBUS it would have been; Linux 5.14 */
}

int lg_backing_reserve_blocks(uint64_t offset, uint64_t len)
{
    return lg_backing_kind(offset) == LG_AREA_FILE ? each_file(offset, len, reserve_in_file) : 0;
}
