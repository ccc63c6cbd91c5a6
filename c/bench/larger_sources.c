/*
 * The demo's sort of more than memory holds as it is, so that both measure the same code.
 */
#define _GNU_SOURCE 1

#include "../examples/demo/blocks.c"
#include "../examples/demo/crew.c"
#include "../examples/demo/larger_plan.c"
#include "../examples/demo/merge_many.c"
#include "../examples/demo/process.c"
#include "../examples/demo/runs.c"
