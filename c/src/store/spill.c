#include "spill.h"

#include <limits.h>

#include "../base/atomic.h"
#include "../base/file.h"
#include "../base/options.h"
#include "../base/os.h"
#include "shelf.h"
#include "spill_file.h"

/* A file's units: 16 TiB, about what the most common file systems allow a file. */
#define MOST_UNITS ((uint64_t)1 << 28)

/* Unused blocks that are kept for the next places: this much, or a fourth of what is in places. */
#define KEPT_UNITS (64 * LG_MIB / LG_SPILL_UNIT)

/* Given back at one go: a file system locks out those who read and write the file meanwhile. */
#define TRIM_UNITS (64 * LG_MIB / LG_SPILL_UNIT)

lg_lock lg_spill_lock = LG_LOCK_INIT(LG_RANK_SPILL);
lg_spill_file lg_spill_files[LG_SPILL_FILES];
static uint32_t last_number;
static uint64_t all_units; /* that have blocks, of all files */
static lg_a64 spill_bytes; /* the same in bytes, for readers without the lock */

static void count_units(void)
{
    lg_store_relaxed_64(&spill_bytes, all_units * LG_SPILL_UNIT);
}

uint64_t lg_spill_bytes(void)
{
    return lg_load_relaxed_64(&spill_bytes);
}

bool lg_spill_on(void)
{
    return lg_option_has_text(LG_NAME_spill);
}

/* ---- files */

static int open_on_disk(const char *directory, lg_file *out)
{
    int error = lg_file_open(directory, out);
    if (error != 0)
        return error;
    error = lg_os_on_disk(out->fd);
    if (error != 0)
        lg_file_close(out);
    return error;
}

int lg_spill_probe(const char *directory)
{
    lg_file file;
    int error = open_on_disk(directory, &file);
    if (error == 0)
        lg_file_close(&file);
    return error;
}

static int make_file(lg_spill_file *out, const char *directory, uint32_t path)
{
    lg_file file;
    int error = open_on_disk(directory, &file);
    if (error != 0)
        return error;
    *out = (lg_spill_file){.file = file, .path = path};
    error = lg_shelf_make(&out->shelf, MOST_UNITS);
    if (error != 0) {
        lg_file_close(&file);
        return error;
    }
    /* Through the cache where that can't be had; so too where addresses would have to be aligned more than regions are. */
    if (lg_os_go_direct(file.fd, &out->direct) != 0 || out->direct.offset > LG_SPILL_UNIT ||
        out->direct.memory > LG_SPILL_UNIT) {
        out->direct = (lg_direct){0, 0};
        (void)lg_os_go_cached(file.fd);
    }
    out->number = ++last_number != 0 ? last_number : ++last_number;
    return 0;
}

/* Closes a file in which nothing is. Leaves the lock for that, since a file system takes its time to free the disk. */
static uint64_t close_file(lg_spill_file *file)
{
    lg_spill_file closing = *file;
    uint64_t units = closing.shelf.block_units;
    *file = (lg_spill_file){.number = 0};
    lg_lock_release(&lg_spill_lock);
    lg_file_close(&closing.file);
    lg_os_unreserve(closing.hold, closing.hold_len);
    lg_shelf_drop(&closing.shelf);
    lg_lock_acquire(&lg_spill_lock);
    all_units -= units;
    count_units();
    return units;
}

/* Whether places are still taken in it: it is in the configured directory, and its descriptor is there. */
static bool is_current(const lg_spill_file *file, uint32_t path)
{
    return file->number != 0 && file->path == path && !file->lost;
}

/* The file that places are taken in. */
static int current_file(lg_spill_file **out)
{
    char directory[PATH_MAX];
    uint32_t path = lg_option_text(LG_NAME_spill, directory);
    if (path == 0)
        return ENOENT;
    lg_spill_file *unused = NULL;
    for (uint32_t i = 0; i < LG_SPILL_FILES; i++) {
        lg_spill_file *file = &lg_spill_files[i];
        if (is_current(file, path)) {
            int error = lg_file_check(&file->file);
            if (error != EBADF) {
                *out = file;
                return error;
            }
            file->lost = true;
        }
        if (file->number == 0 && unused == NULL)
            unused = file;
    }
    if (unused == NULL)
        return ENFILE;
    *out = unused;
    return make_file(unused, directory, path);
}

lg_spill_file *lg_spill_file_of(const lg_place *place)
{
    if (place->file == 0 || place->slot >= LG_SPILL_FILES || lg_spill_files[place->slot].number != place->file)
        return NULL;
    return &lg_spill_files[place->slot];
}

static uint64_t place_units(const lg_place *place)
{
    return (place->used - 1) / LG_SPILL_UNIT + 1;
}

/* What may lie unused in a file. */
static uint64_t most_unused(const lg_spill_file *file)
{
    return lg_max(KEPT_UNITS, file->shelf.taken_units / 4);
}

/* ---- taking */

/* Has the file live on without its descriptor, up to `units`. */
static int hold_file(lg_spill_file *file, uint64_t units)
{
    uint64_t wanted = units * LG_SPILL_UNIT;
    if (wanted <= file->hold_len)
        return 0;
    wanted = lg_max(wanted, lg_max(2 * file->hold_len, 64 * LG_MIB));
    wanted = lg_min(wanted, MOST_UNITS * LG_SPILL_UNIT);
    int error = lg_os_hold(file->file.fd, wanted, &file->hold, &file->hold_len);
    if (error != 0 && wanted > units * LG_SPILL_UNIT) /* addresses may be short */
        error = lg_os_hold(file->file.fd, units * LG_SPILL_UNIT, &file->hold, &file->hold_len);
    if (error == 0 && lg_file_check(&file->file) == EBADF) { /* perhaps it is somebody else's that is held now */
        file->lost = true;
        error = EBADF;
    }
    return error;
}

/* Under the lock: units in a file, and the count of blocks that the disk has yet to be asked for. */
static int take_place_units(uint64_t used, lg_place *out, lg_file *out_file)
{
    lg_spill_file *file = NULL;
    uint64_t units = (used - 1) / LG_SPILL_UNIT + 1, at = 0;
    int error = current_file(&file);
    if (error == 0)
        error = lg_shelf_take(&file->shelf, units, &at);
    if (error != 0)
        return error;
    uint64_t missing = lg_shelf_count_without(&file->shelf, at, units);
    uint64_t bound = LG_OPTION(spill_bytes), most = bound != 0 ? bound / LG_SPILL_UNIT : UINT64_MAX;
    if (all_units > most || missing > most - all_units)
        error = ENOSPC;
    if (error == 0)
        error = hold_file(file, at + units);
    if (error != 0) {
        lg_shelf_give(&file->shelf, at, units);
        return error;
    }
    all_units += missing;
    count_units();
    *out = (lg_place){
        .used = used, .at = (uint32_t)at, .file = file->number, .slot = (uint32_t)(file - lg_spill_files)};
    *out_file = file->file;
    return 0;
}

/* Has the disk blocks of a place reserved. The units are the caller's, so nobody else changes what is known of them. */
static int allocate_place(const lg_place *place, const lg_file *file)
{
    lg_shelf *shelf = &lg_spill_files[place->slot].shelf;
    uint64_t at = place->at, end = at + place_units(place), first, n;
    lg_lock_acquire(&lg_spill_lock);
    while ((n = lg_shelf_run_without(shelf, at, end - at, &first)) != 0) {
        lg_lock_release(&lg_spill_lock);
        int error = lg_file_allocate_blocks(file, first * LG_SPILL_UNIT, n * LG_SPILL_UNIT);
        if (error == EOPNOTSUPP) /* then a full disk is found out in writing */
            error = 0;
        if (error != 0) {
            (void)lg_file_punch(file, first * LG_SPILL_UNIT, n * LG_SPILL_UNIT); /* a part may have been reserved */
            return error;
        }
        lg_lock_acquire(&lg_spill_lock);
        lg_shelf_set_blocks(shelf, first, n, true);
        at = first + n;
    }
    lg_lock_release(&lg_spill_lock);
    return 0;
}

static int take_place(uint64_t used, lg_place *out)
{
    lg_file file;
    lg_place place;
    lg_lock_acquire(&lg_spill_lock);
    int error = take_place_units(used, &place, &file);
    lg_lock_release(&lg_spill_lock);
    if (error != 0)
        return error;
    error = allocate_place(&place, &file);
    if (error == 0)
        *out = place;
    else
        (void)lg_spill_release(&place);
    return error;
}

int lg_spill_take(uint64_t used, lg_place *out)
{
    int error = take_place(used, out);
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    if (full && lg_spill_trim(true) == 0)
        return error;
    if (error == ENFILE)
        (void)lg_spill_trim(false); /* which closes those that are empty */
    return full || error == ENFILE ? take_place(used, out) : error;
}

bool lg_spill_release(lg_place *place)
{
    bool much = false;
    lg_lock_acquire(&lg_spill_lock);
    lg_spill_file *file = lg_spill_file_of(place);
    if (file != NULL) {
        uint64_t units = place_units(place);
        /* What was never reserved. */
        all_units -= lg_shelf_count_without(&file->shelf, place->at, units);
        count_units();
        lg_shelf_give(&file->shelf, place->at, units);
        much = file->shelf.unused_units > most_unused(file);
    }
    lg_lock_release(&lg_spill_lock);
    *place = LG_NO_PLACE;
    return much;
}

/* ---- giving back */

/* Under the lock, which it leaves for the system call. Returns what it gave back; 0: there is nothing, or it can't be. */
static uint64_t trim_once(lg_spill_file *file, uint64_t *at)
{
    uint64_t units = lg_shelf_take_unused(&file->shelf, *at, TRIM_UNITS, at);
    if (units == 0)
        return 0;
    lg_file copy = file->file;
    lg_lock_release(&lg_spill_lock);
    int error = lg_file_punch(&copy, *at * LG_SPILL_UNIT, units * LG_SPILL_UNIT);
    lg_lock_acquire(&lg_spill_lock);
    if (error == 0) {
        lg_shelf_set_blocks(&file->shelf, *at, units, false);
        all_units -= units;
        count_units();
    }
    lg_shelf_give(&file->shelf, *at, units);
    file->lost = file->lost || error == EBADF;
    file->no_holes = file->no_holes || error == EOPNOTSUPP;
    *at += units;
    return error == 0 ? units : 0;
}

static uint64_t trim_file_to(lg_spill_file *file, uint64_t most)
{
    uint64_t done = 0, at = 0, n = 1;
    while (n != 0 && file->shelf.unused_units > most && !file->lost && !file->no_holes) {
        n = trim_once(file, &at);
        done += n;
    }
    return done;
}

uint64_t lg_spill_trim(bool all)
{
    char unused[PATH_MAX];
    uint32_t path = lg_option_text(LG_NAME_spill, unused);
    uint64_t done = 0;
    lg_lock_acquire(&lg_spill_lock);
    for (uint32_t i = 0; i < LG_SPILL_FILES; i++) {
        lg_spill_file *file = &lg_spill_files[i];
        if (file->number == 0)
            continue;
        uint64_t most = all ? 0 : most_unused(file);
        if (file->shelf.taken_units == 0 && (file->shelf.unused_units > most || all || !is_current(file, path))) {
            done += close_file(file);
        } else {
            /* Half of that, so that not every place that is released is followed by this. */
            done += trim_file_to(file, file->shelf.unused_units > most ? most / 2 : most);
        }
    }
    lg_lock_release(&lg_spill_lock);
    return done * LG_SPILL_UNIT;
}

/* ---- in children */

void lg_spill_forked(void)
{
    for (uint32_t i = 0; i < LG_SPILL_FILES; i++) {
        if (lg_spill_files[i].number == 0)
            continue;
        lg_file_close(&lg_spill_files[i].file);
        lg_shelf_drop(&lg_spill_files[i].shelf);
        lg_spill_files[i] = (lg_spill_file){.number = 0}; /* what held it isn't in this process */
    }
    all_units = 0;
    count_units();
}

void lg_spill_abandon(void)
{
    for (uint32_t i = 0; i < LG_SPILL_FILES; i++)
        if (lg_spill_files[i].number != 0)
            lg_file_close(&lg_spill_files[i].file);
    memset(lg_spill_files, 0, sizeof(lg_spill_files));
    all_units = 0;
    count_units();
}
