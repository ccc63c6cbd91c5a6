/* What becomes of areas in the child of a fork; see fork.c. */
#include "area_table.h"

#include "os.h"

/* Keeps others' memory out of addresses that lost regions were at: what of them is touched then is a fault. */
static bool close_hole(unsigned class_index, const lg_area *area)
{
    char *addr = lg_area_address(class_index, area->start);
    /* Where the advice to leave the area out of children was refused, the parent's pages are here, and must not stay. */
    if (area->inherited)
        return lg_os_unmap(addr, area->len) == 0;
    return lg_os_reserve_hole(addr, area->len) == 0;
}

/* Settles one region in the child. Returns whether it counts as in use, and adds its charge. */
static bool settle(unsigned class_index, const lg_area *area, uint64_t index, uint64_t *charge)
{
    lg_region *region = lg_region_at(class_index, index);
    lg_batch one = lg_batch_of(index);
    uint64_t state = lg_load_relaxed_64(&region->state);
    bool in_dirty = lg_bitmap_has(&lg_dirty[class_index].regions, index);
    bool in_clean = lg_bitmap_has(&lg_clean[class_index].regions, index);
    if (area->kind == LG_AREA_FILE) {
        if (in_dirty)
            (void)lg_pool_claim_mask(NULL, &lg_dirty[class_index], class_index, one);
        if (in_clean)
            (void)lg_pool_claim_mask(NULL, &lg_clean[class_index], class_index, one);
        lg_store_relaxed_64(&region->state, lg_state_is_in_use(state) ? LG_LOST : LG_CLEAN);
        lg_store_relaxed_32(&region->has_blocks, 0);
        return false;
    }
    if (lg_state_is_in_use(state)) {
        *charge += lg_class_size(class_index);
        return true;
    }
    /* A thread that vanished had it in its hands. */
    if (!in_dirty && !in_clean)
        lg_pool_give(NULL, state == LG_CLEAN ? &lg_clean[class_index] : &lg_dirty[class_index], class_index, one);
    if (state != LG_CLEAN)
        *charge += lg_class_size(class_index);
    return false;
}

uint64_t lg_area_forked(unsigned class_index, uint64_t counted_in_use)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    uint64_t charge = 0, in_use = 0;
    for (size_t at = 0; at < areas->records;) {
        lg_area *area = &areas->table[at];
        if (area->kind == LG_AREA_LOST) {
            at++;
            continue;
        }
        uint64_t first = area->start >> (class_index + LG_CLASS_MIN);
        uint64_t count = area->len >> (class_index + LG_CLASS_MIN);
        bool lost = false;
        for (uint64_t i = first; i < first + count; i++) {
            in_use += settle(class_index, area, i, &charge);
            lost = lost || lg_load_relaxed_64(&lg_region_at(class_index, i)->state) == LG_LOST;
        }
        if (area->kind != LG_AREA_FILE) {
            at++;
            continue;
        }
        /* The parent's pages are not in this process (or must not stay there); nobody else may get the
         * addresses as long as somebody may touch or free what was lost. */
        bool ours = close_hole(class_index, area);
        for (uint64_t at_region = area->start; LG_ASAN && at_region < area->start + area->len;
             at_region += lg_class_size(class_index))
            lg_unpoison(lg_area_address(class_index, at_region), lg_class_size(class_index));
        lg_file file = area->file;
        for (size_t i = at; i < areas->records; i++)
            if (lg_file_is(&areas->table[i].file, &file))
                areas->table[i].file = LG_NO_FILE;
        if (lg_file_is(&areas->file, &file))
            areas->file = LG_NO_FILE;
        lg_file_close(&file);
        if (lost || !ours) { /* without a reservation anything may come to lie there */
            lg_areas_lose(areas, at);
            at++;
        } else {
            lg_areas_remove(areas, at);
        }
    }
    lg_store_relaxed_64(&lg_in_use_lost[class_index],
                        lg_load_relaxed_64(&lg_in_use_lost[class_index]) + counted_in_use - in_use);
    return charge;
}

void lg_areas_abandon(void)
{
    for (unsigned c = 0; c < lg_layout_.stripes; c++) {
        lg_class_areas *areas = lg_areas_of(c);
        for (size_t at = 0; at < lg_min(areas->records, areas->committed / sizeof(lg_area)); at++) {
            const lg_area *area = &areas->table[at];
            bool sound = area->start < lg_layout_.stripe_bytes && area->len <= lg_layout_.stripe_bytes - area->start;
            if (area->kind == LG_AREA_FILE && sound && !area->inherited)
                (void)close_hole(c, area);
        }
        memset(areas, 0, sizeof(*areas));
        lg_store_relaxed_64(&lg_in_use_lost[c], 0);
    }
}
