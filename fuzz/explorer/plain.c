#include "plain.h"

#include "common.h"

void (*xp_written)(void *at, unsigned size);

uint64_t memory_read(const void *at, unsigned size)
{
    if (size == 4)
        return *(const uint32_t *)at;
    return *(const uint64_t *)at;
}

void memory_write(void *at, unsigned size, uint64_t value)
{
    if (size == 4)
        *(uint32_t *)at = (uint32_t)value;
    else
        *(uint64_t *)at = value;
    if (xp_written != NULL)
        xp_written(at, size);
    note_progress();
}
