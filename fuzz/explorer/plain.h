/* Memory as it is, without any order. */
#ifndef FUZZ_EXPLORER_PLAIN_H
#define FUZZ_EXPLORER_PLAIN_H

#include "explore.h"

uint64_t memory_read(const void *at, unsigned size);
void memory_write(void *at, unsigned size, uint64_t value);

#endif
