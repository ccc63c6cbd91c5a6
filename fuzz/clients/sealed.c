/* Clients of sealed regions: pins, evictions, loads, and what else may happen to one meanwhile. */
#include "clients.h"
#include "world/fault.h"
#include "world/sealed.h"
#include "world/system.h"
#include "world/world.h"

#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "base/os.h"
#include "flow/evict.h"
#include "regions/arena.h"
#include "regions/class.h"
#include "regions/descriptor.h"

/* Four regions in two chunks. */
#define FOUR 8
#define SIZE ((size_t)16 << 20)

enum { VALUE = 7, NEXT = 9 };

static lgalloc_handle regions[4];
static lgalloc_status answers[XP_THREADS];

static void setup(void)
{
    memset(regions, 0, sizeof(regions));
    memset(answers, 0, sizeof(answers));
    world_cache_regions(FOUR, 0);
    world_spill(true);
}

static void seal(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        regions[i] = world_take(FOUR);
        world_seal(regions[i], VALUE + i);
    }
}

static void setup_resident(void)
{
    setup();
    seal(1);
}

static void setup_evicted(void)
{
    setup_resident();
    XP_CHECK(lgalloc_evict(regions[0]) == LGALLOC_STATUS_OK && world_places() == 1);
}

static void use(unsigned i)
{
    XP_CHECK(world_pin(regions[i], VALUE + i) == LGALLOC_STATUS_OK);
    world_unpin(regions[i], VALUE + i);
}

static void evict(unsigned i)
{
    lgalloc_status status = lgalloc_evict(regions[i]);
    XP_CHECK(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_BUSY);
}

static void drop(unsigned i)
{
    world_free(regions[i]);
    regions[i].len = 0;
}

static bool is_sealed(unsigned i)
{
    uint64_t offset = (uint64_t)((char *)regions[i].ptr - lg_arena_address(0));
    lg_class *cls = lg_class_at(FOUR);
    return lg_load_relaxed_64(&lg_descriptor_at(cls, lg_class_regions(cls, offset))->word) != 0;
}

/* Nothing is lost, and the disk is as full as it should be. */
static void check(void)
{
    world_check();
    world_limit(0);
    for (unsigned i = 0; i < 4; i++)
        if (regions[i].len != 0 && is_sealed(i))
            use(i);
    for (unsigned i = 0; i < 4; i++)
        drop(i);
    XP_CHECK(world_places() == 0 && "a place on disk is left");
    XP_CHECK(world_guarded_bytes() == 0);
    world_check_end();
}

/* ---- pins against evictions and loads */

static void pin_evict(unsigned id)
{
    if (id == 2)
        evict(0);
    else
        use(0);
}

static void pins_load(unsigned id)
{
    (void)id;
    use(0);
}

static void check_one_load(void)
{
    XP_CHECK(lg_load_relaxed_64(&lg_loads) == 1 && "pins at the same time share one load");
    check();
}

static void pin_and_evict(unsigned id)
{
    if (id == 0) {
        use(0);
        evict(0);
    } else {
        evict(0);
        use(0);
    }
}

static void evict_evict(unsigned id)
{
    (void)id;
    evict(0);
}

static void try_pin(unsigned id)
{
    if (id == 1) {
        evict(0);
    } else {
        lgalloc_status status = world_try_pin(regions[0], VALUE);
        XP_CHECK(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_NOT_RESIDENT);
        if (status == LGALLOC_STATUS_OK)
            world_unpin(regions[0], VALUE);
    }
}

static void read_evict_load(unsigned id)
{
    if (id == 0)
        XP_CHECK(world_read(regions[0], VALUE) == LGALLOC_STATUS_OK);
    else if (id == 1)
        use(0);
    else
        evict(0);
}

/* The region is sealed while somebody evicts whatever is next. */
static void setup_taken(void)
{
    setup();
    regions[0] = world_take(FOUR);
}

static void seal_evict(unsigned id)
{
    if (id == 0)
        world_seal(regions[0], VALUE);
    else
        (void)lg_evict_next(NULL);
}

/* ---- freeing and unsealing against them */

static void free_evict(unsigned id)
{
    if (id == 0)
        drop(0);
    else
        (void)lg_evict_next(NULL);
}

static uint64_t index_of; /* the region's, also when it is freed */

static void load_ahead(void)
{
    lg_load_ahead(NULL, lg_class_at(FOUR), index_of);
}

static void free_load(unsigned id)
{
    if (id == 0)
        drop(0);
    else
        load_ahead();
}

static void find_index(void)
{
    index_of = lg_class_regions(lg_class_at(FOUR), (uint64_t)((char *)regions[0].ptr - lg_arena_address(0)));
}

static void setup_free_load(void)
{
    setup_evicted();
    find_index();
}

static void unseal_pin(unsigned id)
{
    if (id == 0) {
        answers[0] = world_unseal(regions[0], VALUE, NEXT);
        XP_CHECK(answers[0] == LGALLOC_STATUS_OK || answers[0] == LGALLOC_STATUS_BUSY);
    } else {
        lgalloc_status status = world_pin(regions[0], VALUE);
        XP_CHECK(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_INVALID_ARGUMENT);
        if (status == LGALLOC_STATUS_OK)
            world_unpin(regions[0], VALUE);
    }
}

static void check_unsealed(void)
{
    world_check();
    if (answers[0] == LGALLOC_STATUS_OK)
        XP_CHECK(world_places() == 0 && lg_load_relaxed_64(regions[0].ptr) == NEXT);
    else
        use(0);
    drop(0);
    XP_CHECK(world_places() == 0 && "a place on disk is left");
    world_check_end();
}

static void unseal_evict(unsigned id)
{
    if (id == 0)
        answers[0] = world_unseal(regions[0], VALUE, NEXT);
    else
        (void)lg_evict_next(NULL);
    XP_CHECK(answers[0] == LGALLOC_STATUS_OK || id != 0);
}

/* ---- the limit */

static void setup_full(void)
{
    setup();
    world_limit(2 * SIZE);
    seal(2);
}

static void take_one(unsigned i)
{
    regions[i] = world_take(FOUR);
    XP_CHECK(regions[i].len != 0 && "what isn't pinned makes room");
}

static void take_pin(unsigned id)
{
    if (id == 0)
        take_one(2);
    else
        use(0);
}

static void take_take(unsigned id)
{
    take_one(2 + id);
}

static void setup_only_one(void)
{
    setup();
    world_limit(SIZE);
    seal(1);
}

static void take_evict(unsigned id)
{
    if (id == 0)
        evict(0);
    else
        take_one(1);
}

static void setup_one_out(void)
{
    setup();
    world_limit(2 * SIZE);
    seal(3);
}

static void load_load(unsigned id)
{
    use(id);
}

/* ---- failures */

static unsigned fails;

static int fail_once(unsigned call)
{
    if (call != fails)
        return 0;
    fails = LG_SYS_COUNT;
    return EIO;
}

static void setup_write_fails(void)
{
    setup_resident();
    fails = LG_SYS_WRITE;
    world_fault_plan = fail_once;
}

static void setup_read_fails(void)
{
    setup_evicted();
    fails = LG_SYS_READ;
    world_fault_plan = fail_once;
}

static void try_to(unsigned id)
{
    lgalloc_status status = id == 0 ? lgalloc_evict(regions[0]) : world_pin(regions[0], VALUE);
    if (id != 0 && status == LGALLOC_STATUS_OK)
        world_unpin(regions[0], VALUE);
    XP_CHECK(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_BUSY || status == LGALLOC_STATUS_IO);
}

/* ---- forks */

static void setup_fork(void)
{
    setup_resident();
    find_index();
}

static void fork_evict(unsigned id)
{
    if (id == 0) {
        evict(0);
        load_ahead(); /* without a pin, which would stay in the child */
        return;
    }
    world_fork(true);
    XP_CHECK(world_places() == 0);
    lgalloc_status status = world_try_pin(regions[0], VALUE);
    if (status == LGALLOC_STATUS_OK) {
        world_unpin(regions[0], VALUE);
        evict(0);
        use(0);
    }
    lgalloc_deallocate(regions[0]);
    regions[0].len = 0;
    XP_CHECK(world_places() == 0);
}

static void check_child(void)
{
    world_check();
}

#define MOST 3000

/* clang-format off */
const client clients_sealed[] = {
    {"seal-pin-evict", "two pin a region and one evicts it", 3, setup_resident, pin_evict, check, {2, 1, MOST}, false, true},
    {"seal-pins-load", "two pin a region that is out", 2, setup_evicted, pins_load, check_one_load, {2, 1, MOST}, false, true},
    {"seal-pin-and-evict", "two pin and evict a region, in both orders", 2, setup_resident, pin_and_evict, check,
     {2, 1, MOST}, false, true},
    {"seal-evict-evict", "two evict a region", 2, setup_resident, evict_evict, check, {3, 1, MOST}, false, true},
    {"seal-try-pin", "a pin without waiting, and an eviction", 2, setup_resident, try_pin, check, {3, 1, MOST}, false, true},
    {"seal-read", "a copy while the region is loaded and evicted", 3, setup_evicted, read_evict_load, check, {2, 1, MOST},
     false, true},
    {"seal-seal-evict", "a region is sealed while the next one is evicted", 2, setup_taken, seal_evict, check, {3, 2, MOST},
     false, true},
    {"seal-free-evict", "a region is freed while it is evicted", 2, setup_resident, free_evict, check, {3, 1, MOST}, false,
     true},
    {"seal-free-load", "a region is freed while it is loaded", 2, setup_free_load, free_load, check, {3, 1, MOST}, false,
     true},
    {"seal-unseal-pin", "a region is unsealed while it is pinned", 2, setup_resident, unseal_pin, check_unsealed,
     {3, 1, MOST}, false, true},
    {"seal-unseal-out", "the same with one that is out", 2, setup_evicted, unseal_pin, check_unsealed, {2, 1, MOST}, false,
     true},
    {"seal-unseal-evict", "a region is unsealed while it is evicted", 2, setup_resident, unseal_evict, check_unsealed,
     {3, 1, MOST}, false, true},
    {"seal-limit-pin", "room is made while one of two is pinned", 2, setup_full, take_pin, check, {2, 1, MOST}, false, true},
    {"seal-limit-takes", "two make room at the same time", 2, setup_full, take_take, check, {2, 1, MOST}, false, false},
    {"seal-limit-evict", "room is made while another evicts the one region that could go", 2, setup_only_one, take_evict, check,
     {2, 1, MOST}, false, false},
    {"seal-limit-loads", "two load, and make room for that", 2, setup_one_out, load_load, check, {2, 1, MOST}, false, false},
    {"seal-write-fails", "an eviction that fails, and a pin", 2, setup_write_fails, try_to, check, {3, 1, MOST}, false, true},
    {"seal-read-fails", "a load that fails, and an eviction", 2, setup_read_fails, try_to, check, {3, 1, MOST}, false, true},
    {"seal-fork", "a fork, seen from the child, at any moment of an eviction and a load", 2, setup_fork, fork_evict,
     check_child, {2, 1, MOST}, false, false},
};
/* clang-format on */
const unsigned clients_sealed_count = sizeof(clients_sealed) / sizeof(*clients_sealed);
