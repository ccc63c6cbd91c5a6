/* Included before everything in coverage builds: a child of fork() that ends with _exit() would keep to itself what it
 * has covered. */
#include <unistd.h>

extern void __gcov_dump(void);

static inline __attribute__((noreturn)) void coverage_exit(int status)
{
    __gcov_dump();
    _exit(status);
}

#define _exit coverage_exit
