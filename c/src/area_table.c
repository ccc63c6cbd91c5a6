#include "area_table.h"

#include <limits.h>

#include "config.h"
#include "os.h"

_Static_assert(sizeof(lg_area) <= LG_AREA_BYTES, "a record fits its slot in the layout");

static lg_class_areas classes[LG_CLASS_COUNT];

lg_class_areas *lg_areas_of(unsigned class_index)
{
    return &classes[class_index];
}

void lg_areas_init(void)
{
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        lg_class_areas *areas = &classes[c];
        lg_lock_init(&areas->lock, LG_RANK_CLASS + c);
        areas->table = lg_layout_.areas[c];
        areas->file = LG_NO_FILE;
    }
}

lg_lock *lg_class_lock(unsigned class_index)
{
    return &lg_areas_of(class_index)->lock;
}

/* ---- the table */

size_t lg_areas_find(const lg_class_areas *areas, uint64_t offset)
{
    size_t low = 0, high = areas->records;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->table[middle].start + areas->table[middle].len <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int lg_areas_make_room(lg_class_areas *areas, unsigned class_index)
{
    if (areas->records == lg_layout_.areas_max[class_index])
        return LG_EXHAUSTED;
    size_t wanted = (areas->records + 1) * sizeof(lg_area);
    if (wanted <= areas->committed)
        return 0;
    size_t page = lg_os_page_size();
    int error = lg_metadata_commit((char *)areas->table + areas->committed, page);
    if (error == 0)
        areas->committed += page;
    return error;
}

void lg_areas_insert(lg_class_areas *areas, size_t at, const lg_area *area)
{
    memmove(&areas->table[at + 1], &areas->table[at], (areas->records - at) * sizeof(lg_area));
    areas->table[at] = *area;
    areas->records++;
    lg_bump(&areas->count, 1);
    lg_bump(&areas->bytes, area->len);
}

void lg_areas_lose(lg_class_areas *areas, size_t at)
{
    areas->table[at].kind = LG_AREA_LOST;
    areas->table[at].file = LG_NO_FILE;
    lg_bump(&areas->count, (uint64_t)-1);
    lg_bump(&areas->bytes, (uint64_t)0 - areas->table[at].len);
}

void lg_areas_remove(lg_class_areas *areas, size_t at)
{
    lg_bump(&areas->count, (uint64_t)-1);
    lg_bump(&areas->bytes, (uint64_t)0 - areas->table[at].len);
    areas->records--;
    memmove(&areas->table[at], &areas->table[at + 1], (areas->records - at) * sizeof(lg_area));
    if (areas->records == 0)
        areas->last_len = 0;
}

/* ---- files */

uint64_t lg_areas_file_end(const lg_class_areas *areas, const lg_file *file)
{
    uint64_t end = 0;
    for (size_t i = 0; i < areas->records; i++)
        if (lg_file_is(&areas->table[i].file, file))
            end = areas->table[i].start + areas->table[i].len;
    return end;
}

void lg_areas_trim_file(lg_class_areas *areas, const lg_file *file)
{
    if (file->fd < 0)
        return;
    uint64_t end = lg_areas_file_end(areas, file);
    if (end != 0) {
        (void)lg_file_truncate(file, end);
        return;
    }
    lg_file last = *file;
    if (lg_file_is(&areas->file, file))
        areas->file = LG_NO_FILE;
    lg_file_close(&last);
}

int lg_areas_open_file(lg_class_areas *areas)
{
    char path[PATH_MAX];
    uint32_t number = lg_config_path(path);
    if (number == 0)
        return ENOENT;
    if (areas->path == number && lg_file_check(&areas->file) == 0)
        return 0;
    lg_file file;
    int error = lg_file_open(path, &file);
    if (error != 0)
        return error;
    lg_file old = areas->file;
    areas->file = file;
    areas->path = number;
    if (lg_areas_file_end(areas, &old) == 0)
        lg_file_close(&old);
    return 0;
}

/* ---- looking at it */

bool lg_area_next(unsigned class_index, uint64_t offset, lg_area *out)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    if (lg_load_relaxed_64(&areas->count) == 0)
        return false;
    lg_lock_acquire(&areas->lock);
    size_t at = lg_areas_find(areas, offset);
    while (at < areas->records && areas->table[at].kind == LG_AREA_LOST)
        at++;
    bool found = at < areas->records;
    if (found)
        *out = areas->table[at];
    lg_lock_release(&areas->lock);
    return found;
}

void lg_area_note(unsigned class_index, const lg_area *area)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    lg_lock_acquire(&areas->lock);
    size_t at = lg_areas_find(areas, area->start);
    if (at < areas->records && areas->table[at].start == area->start && areas->table[at].len == area->len) {
        areas->table[at].idle_ticks = area->idle_ticks;
        areas->table[at].clear_wait = area->clear_wait;
        areas->table[at].clear_backoff = area->clear_backoff;
    }
    lg_lock_release(&areas->lock);
}

/* ---- figures */

uint64_t lg_area_count(unsigned class_index)
{
    return lg_load_relaxed_64(&lg_areas_of(class_index)->count);
}

uint64_t lg_area_bytes(unsigned class_index)
{
    return lg_load_relaxed_64(&lg_areas_of(class_index)->bytes);
}

uint64_t lg_area_released(unsigned class_index)
{
    return lg_load_relaxed_64(&lg_areas_of(class_index)->released);
}

int lg_area_file_usage(unsigned class_index, uint64_t *out_files, uint64_t *out_size, uint64_t *out_allocated)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    *out_files = *out_size = *out_allocated = 0;
    if (lg_load_relaxed_64(&areas->count) == 0)
        return 0;
    int error = 0;
    lg_lock_acquire(&areas->lock);
    for (size_t i = 0; i < areas->records && error == 0; i++) {
        const lg_file *file = &areas->table[i].file;
        bool seen = file->fd < 0;
        for (size_t j = 0; j < i && !seen; j++)
            seen = lg_file_is(&areas->table[j].file, file);
        if (seen)
            continue;
        uint64_t size, allocated;
        error = lg_file_usage(file, &size, &allocated);
        if (error == 0) {
            *out_files += 1;
            *out_size += size;
            *out_allocated += allocated;
        } else if (error == EBADF) {
            error = 0; /* the program closed it: nobody can ask any more */
        }
    }
    lg_lock_release(&areas->lock);
    return error;
}
