/* The library as the explorer runs it. Its object file's name is what explore.ld looks for. */
#include "../../c/lgalloc.c"
