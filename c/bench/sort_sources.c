/*
 * The demo's sort as it is, so that both measure the same code.
 */
#define _GNU_SOURCE 1

#include "../examples/demo/input.c"
#include "../examples/demo/merge_pool.c"
#include "../examples/demo/queue.c"
#include "../examples/demo/sort.c"
#include "../examples/demo/words.c"
