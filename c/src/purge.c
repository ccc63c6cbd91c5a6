/* Giving memory back on request. */
#include "init.h"
#include "thread_cache.h"

LG_API size_t lgalloc_purge(void)
{
    return lg_ready() ? lg_reclaim_all(lg_self()) : 0;
}

LG_API void lgalloc_thread_flush(void)
{
    if (lg_self() != NULL)
        lg_cache_flush(lg_self());
}
