/* Writing the contents of regions to their places, and reading them again. */
#include "spill.h"

#include "../base/crc32c.h"
#include "../base/file.h"
#include "../base/lock.h"
#include "../base/os.h"
#include "spill_file.h"

/* Read, checked and written at one go: what the checksum has just brought into the processor's cache is written from
 * there, and the descriptor is asked about that often. */
#define SPILL_STEP (4 * LG_MIB)

/* What is needed of a file without the lock. */
typedef struct view {
    lg_file file;
    lg_direct direct;
    bool lost;
} view;

static bool look_at_file(const lg_place *place, view *out)
{
    lg_lock_acquire(&lg_spill_lock);
    const lg_spill_file *file = lg_spill_file_of(place);
    if (file != NULL)
        *out = (view){file->file, file->direct, file->lost};
    lg_lock_release(&lg_spill_lock);
    return file != NULL;
}

/* The file system has said something else than it does. */
static void give_up_direct(const lg_place *place, view *v)
{
    v->direct = (lg_direct){0, 0};
    (void)lg_file_go_cached(&v->file);
    lg_lock_acquire(&lg_spill_lock);
    lg_spill_files[place->slot].direct = v->direct;
    lg_lock_release(&lg_spill_lock);
}

static uint64_t whole_blocks(const view *v, uint64_t len)
{
    return v->direct.offset == 0 ? len : (len + v->direct.offset - 1) & ~(uint64_t)(v->direct.offset - 1);
}

/* Bytes [offset, offset + len) of a place, rounded up to whole blocks; `memory` is aligned as the file wants it. */
static int write_step(const lg_place *place, view *v, const char *memory, uint64_t offset, uint64_t len)
{
    uint64_t at = (uint64_t)place->at * LG_SPILL_UNIT + offset;
    int error = lg_file_write(&v->file, memory, whole_blocks(v, len), at);
    if (error == EINVAL && v->direct.offset != 0) {
        give_up_direct(place, v);
        error = lg_file_write(&v->file, memory, len, at);
    }
    if (error == 0 && v->direct.offset == 0)
        error = lg_file_leave_cache(&v->file, at, len, true);
    return error;
}

/* From what holds the file, its descriptor being gone. */
static int read_held(const lg_place *place, char *memory, uint64_t offset, uint64_t len)
{
    lg_lock_acquire(&lg_spill_lock);
    lg_spill_file *file = &lg_spill_files[place->slot];
    int error = 0;
    file->lost = true; /* so it doesn't grow any more, and what holds it stays where it is */
    if (!file->readable)
        error = lg_os_look(file->hold, file->hold_len);
    file->readable = error == 0;
    const char *from = (const char *)file->hold + (uint64_t)place->at * LG_SPILL_UNIT + offset;
    lg_lock_release(&lg_spill_lock);
    if (error != 0)
        return error;
    size_t start = (uintptr_t)from, pages = len;
    lg_os_round_outward(&start, &pages);
    error = lg_os_bring_in((void *)start, pages);
    if (error == 0)
        memcpy(memory, from, len);
    lg_os_look_away((void *)start, pages); /* else all of the file would be resident in the end */
    return error;
}

static int read_step(const lg_place *place, view *v, char *memory, uint64_t offset, uint64_t len)
{
    uint64_t at = (uint64_t)place->at * LG_SPILL_UNIT + offset;
    int error = v->lost ? EBADF : lg_file_read(&v->file, memory, whole_blocks(v, len), at);
    if (error == EINVAL && v->direct.offset != 0) {
        give_up_direct(place, v);
        error = lg_file_read(&v->file, memory, len, at);
    }
    if (error == 0 && v->direct.offset == 0)
        (void)lg_file_leave_cache(&v->file, at, len, false);
    if (error != EBADF)
        return error;
    v->lost = true;
    return read_held(place, memory, offset, len);
}

int lg_spill_write(lg_place *place, const void *from)
{
    view v;
    if (!look_at_file(place, &v))
        return ESTALE;
    uint32_t checksum = 0;
    int error = 0;
    for (uint64_t done = 0; done < place->used && error == 0; done += SPILL_STEP) {
        uint64_t n = lg_min(SPILL_STEP, place->used - done);
        checksum = lg_crc32c(checksum, (const char *)from + done, n);
        error = write_step(place, &v, (const char *)from + done, done, n);
    }
    if (error == 0)
        place->checksum = checksum;
    return error;
}

int lg_spill_load(const lg_place *place, void *to)
{
    view v;
    if (!look_at_file(place, &v))
        return ESTALE;
    uint32_t checksum = 0;
    for (uint64_t done = 0; done < place->used; done += SPILL_STEP) {
        uint64_t n = lg_min(SPILL_STEP, place->used - done);
        int error = read_step(place, &v, (char *)to + done, done, n);
        if (error != 0)
            return error;
        checksum = lg_crc32c(checksum, (const char *)to + done, n);
    }
    return checksum == place->checksum ? 0 : EBADMSG;
}

/* Memory for what can't be read to where it shall be. */
#define ASIDE (256 * LG_KIB)

static int make_aside(char **out)
{
    void *aside;
    int error = lg_os_reserve(ASIDE, &aside);
    if (error != 0)
        return error;
    error = lg_os_commit(aside, ASIDE);
    if (error != 0)
        lg_os_unreserve(aside, ASIDE);
    else
        *out = aside;
    return error;
}

/* The next piece of a part: straight to its memory if that is whole pages, else by way of `aside`. Kernels before 6.3 don't
 * hold on to a page that is read to past the cache: while a child of a fork has it too, what others write beside the part
 * could get lost. Returns the piece's length in *len. */
static int read_piece(const lg_place *place, view *v, char **aside, char *memory, uint64_t offset, uint64_t *len)
{
    uint64_t block = v->direct.offset, before = block != 0 ? offset & (block - 1) : 0;
    uint64_t unit = lg_max(lg_max(block, v->direct.memory), lg_os_page_size());
    if (block == 0 || v->lost || (before == 0 && *len >= unit && ((uintptr_t)memory & (unit - 1)) == 0)) {
        *len = lg_min(*len, SPILL_STEP);
        if (block != 0 && !v->lost)
            *len &= ~(unit - 1);
        return read_step(place, v, memory, offset, *len);
    }
    if (*aside == NULL) {
        int error = make_aside(aside);
        if (error != 0)
            return error;
    }
    *len = lg_min(*len, ASIDE - before);
    int error = read_step(place, v, *aside, offset - before, before + *len);
    if (error == 0)
        memcpy(memory, *aside + before, *len);
    return error;
}

int lg_spill_read(const lg_place *place, uint64_t offset, uint64_t len, void *out)
{
    view v;
    if (!look_at_file(place, &v))
        return ESTALE;
    char *aside = NULL;
    int error = 0;
    for (uint64_t done = 0; done < len && error == 0;) {
        uint64_t n = len - done;
        error = read_piece(place, &v, &aside, (char *)out + done, offset + done, &n);
        done += n;
    }
    if (aside != NULL)
        lg_os_unreserve(aside, ASIDE);
    if (error == 0 && len == place->used && lg_crc32c(0, out, len) != place->checksum)
        error = EBADMSG;
    return error;
}
