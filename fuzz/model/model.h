/*
 * What the allocator must look like from outside, for one thread: which allocations there are, what they
 * contain, what each call may answer, and what the statistics must say.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "state.h"

/* LLVMFuzzerInitialize() of these harnesses makes the directory's name known and the reservation small, so that verifying
 * is quick and large classes run out. */

/* From a fresh start: every option at its default, but enabled and with a path. */
void model_begin(model *m, bool lenient);
/* Drops everything, checks that nothing is left, and that all memory went back. */
void model_end(model *m);

/* One operation of the input's choice. */
void model_step(model *m, input *in);

#endif
