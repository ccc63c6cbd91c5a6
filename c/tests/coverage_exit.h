/* Included before everything in coverage builds: a child of fork() that ends with _exit() would keep to itself what it
 * has covered. No header is included here, since each source says first what it wants of them. */
extern __attribute__((noreturn)) void _exit(int status);
extern void __gcov_dump(void);

static inline __attribute__((noreturn)) void coverage_exit(int status)
{
    __gcov_dump();
    _exit(status);
}

#define _exit coverage_exit

/* The compiler's own fork() sets all counts to zero in the child, after the library's handler has run there. */
extern int coverage_fork(void) __asm__("fork");
#define fork coverage_fork
