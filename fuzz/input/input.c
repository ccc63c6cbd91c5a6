#include <unistd.h>

#include "input.h"

/* The driver's, if it is there: libFuzzer keeps failing inputs by itself. */
void fuzz_keep_input(void) __attribute__((weak));

_Noreturn void fuzz_fail(const char *file, int line, const char *what, const char *more)
{
    fprintf(stderr, "%s:%d: failed: %s%s%s\n", file, line, what, more != NULL ? ": " : "", more != NULL ? more : "");
    if (fuzz_keep_input != NULL)
        fuzz_keep_input();
    abort();
}

/* A heap that has no more is a status, and the harnesses ask for it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:detect_stack_use_after_return=0";
}
