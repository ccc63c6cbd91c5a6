/* Loading evicted regions. */
#include "../base/atomic.h"
#include "../base/os.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "../regions/thread.h"
#include "../store/spill.h"
#include "evict.h"
#include "io.h"
#include "thread_cache.h"

lg_a64 lg_loads;

/* What couldn't be loaded is evicted as it was. Should its guard be refused now, what was read so far can be seen without a pin,
 * which is no good but not worse than memory that nobody else gets. */
static void put_back(lg_thread *self, lg_class *cls, uint64_t index)
{
    if (!lg_seal_publish(lg_descriptor_at(cls, index), LG_SEAL_EVICTED, 0, 0))
        lg_evict_free(self, cls, index, true);
}

/* Reads it, charged, and publishes it. Returns 0 or an errno; ECANCELED: it was freed. */
static int bring_in(lg_thread *self, lg_class *cls, uint64_t index, uint64_t pins)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    void *address = lg_region_address(cls, index);
    int error = lg_os_unguard(address, lg_class_size(cls));
    if (error == 0)
        error = lg_spill_load(&region->place, address);
    if (error != 0) {
        lg_add_relaxed_64(&lg_spill_failures, 1);
        (void)lg_os_guard(address, lg_class_size(cls));
        lg_discharge(lg_class_size(cls));
        put_back(self, cls, index);
        return error;
    }
    lg_add_relaxed_64(&lg_loads, 1);
    lg_seal_account(cls, false);
    lg_seal_set_add(LG_SEAL_CANDIDATES, cls, index);
    if (lg_seal_publish(region, LG_SEAL_RESIDENT, LG_SEAL_USED, pins))
        return 0;
    lg_seal_set_remove(LG_SEAL_CANDIDATES, cls, index);
    lg_evict_free(self, cls, index, false);
    return ECANCELED;
}

lgalloc_status lg_load(lg_thread *self, lg_class *cls, uint64_t index, uint64_t pins, int *out_error)
{
    if (!lg_make_room(self, lg_class_size(cls))) {
        lg_add_relaxed_64(&lg_limit_failures, 1);
        put_back(self, cls, index);
        lg_seal_end();
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    }
    /* What nobody pins will be there to be evicted: others may wait for it. */
    if (pins == 0)
        lg_evict_begins();
    lg_seal_inside = true;
    int error = bring_in(self, cls, index, pins);
    lg_seal_inside = false;
    if (pins == 0)
        lg_evict_ends();
    else
        lg_seal_end();
    lg_io_look();
    *out_error = error;
    return error == 0 ? LGALLOC_STATUS_OK : error == ECANCELED ? LGALLOC_STATUS_INVALID_ARGUMENT : LGALLOC_STATUS_IO;
}

void lg_load_ahead(lg_thread *self, lg_class *cls, uint64_t index)
{
    uint64_t word;
    int error;
    if (lg_seal_claim_load(lg_descriptor_at(cls, index), &word))
        (void)lg_load(self, cls, index, 0, &error);
}
