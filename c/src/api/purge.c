/* Giving memory back on request. */
#include "../base/process.h"
#include "../flow/evict.h"
#include "../flow/reclaim.h"
#include "../flow/thread_cache.h"
#include "../regions/thread.h"
#include "../store/spill.h"

LG_API size_t lgalloc_purge(void)
{
    if (!lg_ready())
        return 0;
    lg_thread *self = lg_thread_known();
    lg_evict_sweep(self);
    uint64_t cleared = lg_reclaim_all(self);
    (void)lg_spill_trim(true);
    return cleared;
}

LG_API void lgalloc_thread_flush(void)
{
    lg_thread *self = lg_ready() ? lg_thread_known() : NULL;
    if (self != NULL)
        lg_cache_flush(self);
}
