/*
 * The store's place in the explored library: a disk that costs nothing. What a region contains is the one word at its
 * beginning, which clients write there; what is on disk of it is that word. Others may go on in the middle of reading and
 * writing, which shows who changes or takes away what is being written, and who looks at what is being read.
 */
#include "base/atomic.h"
#include "base/lock.h"
#include "base/options.h"
#include "base/os.h"
#include "store/place.h"
#include "store/spill.h"

#include "fault.h"
#include "sealed.h"
#include "system.h"

enum { PLACES = 32 };

#define HALF_READ UINT64_C(0x68616c66)

lg_lock lg_spill_lock = LG_LOCK_INIT(LG_RANK_SPILL);

static struct {
    bool taken, written;
    uint64_t word;
} places[PLACES];
static uint32_t this_process = 1; /* a child of a fork has none of its parent's places */
static bool spill_is_on;

void world_spill(bool on)
{
    spill_is_on = on;
    lg_store_relaxed_64(&lg_options[LG_OPTION_spill_threads], 0); /* threads of the library's own can't be had here */
}

unsigned world_places(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PLACES; i++)
        count += places[i].taken;
    return count;
}

bool lg_spill_on(void)
{
    return spill_is_on;
}

int lg_spill_probe(const char *directory)
{
    (void)directory;
    return 0;
}

static bool is_here(const lg_place *place)
{
    return place->file == this_process;
}

int lg_spill_take(uint64_t used, lg_place *out)
{
    xp_point();
    int fault = world_fault(LG_SYS_ALLOCATE);
    if (fault != 0 || !spill_is_on)
        return fault != 0 ? fault : ENOENT;
    for (uint32_t i = 0; i < PLACES; i++) {
        if (places[i].taken)
            continue;
        places[i].taken = true;
        places[i].written = false;
        *out = (lg_place){.used = used, .at = i, .file = this_process};
        return 0;
    }
    return ENOSPC;
}

int lg_spill_write(lg_place *place, const void *from)
{
    lg_a64 *word = (lg_a64 *)(uintptr_t)from;
    XP_CHECK(is_here(place) && places[place->at].taken && !places[place->at].written);
    uint64_t begin = lg_load_relaxed_64(word);
    xp_point();
    int fault = world_fault(LG_SYS_WRITE);
    if (fault != 0)
        return fault;
    if (lg_load_relaxed_64(word) != begin)
        xp_fail("a region changes while it is written", NULL);
    places[place->at].word = begin;
    places[place->at].written = true;
    xp_point();
    return 0;
}

static int read_place(const lg_place *place, uint64_t *out)
{
    xp_point();
    XP_CHECK(is_here(place) && places[place->at].taken && places[place->at].written);
    int fault = world_fault(LG_SYS_READ);
    if (fault == 0)
        *out = places[place->at].word;
    return fault;
}

int lg_spill_load(const lg_place *place, void *to)
{
    lg_a64 *word = to;
    uint64_t read = 0;
    lg_store_relaxed_64(word, HALF_READ);
    int error = read_place(place, &read);
    if (error != 0)
        return error;
    if (lg_load_relaxed_64(word) != HALF_READ)
        xp_fail("a region changes while it is loaded", NULL);
    lg_store_relaxed_64(word, read);
    world_loaded(to);
    return 0;
}

int lg_spill_read(const lg_place *place, uint64_t offset, uint64_t len, void *out)
{
    uint64_t word = 0;
    XP_CHECK(offset == 0 && len == sizeof(word));
    int error = read_place(place, &word);
    if (error == 0)
        memcpy(out, &word, sizeof(word));
    return error;
}

bool lg_spill_release(lg_place *place)
{
    if (place->file != 0 && is_here(place)) {
        XP_CHECK(places[place->at].taken);
        places[place->at].taken = false;
    }
    *place = LG_NO_PLACE;
    return false;
}

uint64_t lg_spill_trim(bool all)
{
    (void)all;
    return 0;
}

uint64_t lg_spill_bytes(void)
{
    return world_places() * LG_SPILL_UNIT;
}

/* Nobody reads or writes files here. */

int lg_os_read_at(int fd, void *to, uint64_t len, uint64_t offset)
{
    (void)fd;
    (void)to;
    (void)len;
    (void)offset;
    return ENOSYS;
}

int lg_os_write_at(int fd, const void *from, uint64_t len, uint64_t offset)
{
    (void)fd;
    (void)from;
    (void)len;
    (void)offset;
    return ENOSYS;
}

int lg_os_leave_cache(int fd, uint64_t offset, uint64_t len, bool written)
{
    (void)fd;
    (void)offset;
    (void)len;
    (void)written;
    return ENOSYS;
}

int lg_os_go_cached(int fd)
{
    (void)fd;
    return ENOSYS;
}

void lg_spill_forked(void)
{
    memset(places, 0, sizeof(places));
    this_process++;
}

void lg_spill_abandon(void)
{
    lg_spill_forked();
}
