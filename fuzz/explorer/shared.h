/* Which addresses are points in a walk: see shared.c. */
#ifndef FUZZ_EXPLORER_SHARED_H
#define FUZZ_EXPLORER_SHARED_H

#include "explore.h"

void shared_forget(void);
void shared_next_execution(void);
void shared_note(const void *at, bool writes, unsigned thread);
bool shared_is(const void *at);
bool shared_has_grown(void); /* in this execution */
unsigned shared_count(void);

#endif
