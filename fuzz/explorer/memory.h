/* Store buffers, and the atomic operations on top of them. */
#ifndef FUZZ_EXPLORER_MEMORY_H
#define FUZZ_EXPLORER_MEMORY_H

#include "explore.h"

void memory_reset(void);
/* Makes all stores of a thread visible; whether there were any. */
bool drain(unsigned thread);

#endif
