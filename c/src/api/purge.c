/* Giving memory back on request. */
#include "../base/process.h"
#include "../flow/reclaim.h"
#include "../flow/thread_cache.h"
#include "../regions/thread.h"

LG_API size_t lgalloc_purge(void)
{
    return lg_ready() ? lg_reclaim_all(lg_thread_known()) : 0;
}

LG_API void lgalloc_thread_flush(void)
{
    lg_thread *self = lg_ready() ? lg_thread_known() : NULL;
    if (self != NULL)
        lg_cache_flush(self);
}
