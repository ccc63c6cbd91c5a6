/* Coroutines: stacks that hand the one thread to each other. */
#ifndef FUZZ_COROUTINE_H
#define FUZZ_COROUTINE_H

#include <stddef.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

typedef struct coroutine {
#if defined(__x86_64__) || defined(__aarch64__)
    void *sp; /* of the suspended one: its registers are on its stack */
#else
    ucontext_t context;
#endif
    void (*body)(void *argument); /* must not return: it switches away for good at its end */
    void *argument;
    const void *stack; /* NULL for the thread's own, until it was left for the first time */
    size_t stack_size;
    void *fake_stack; /* AddressSanitizer's */
} coroutine;

/* Prepares `c` to run `body` on the stack when it is first switched to. A stack may be used again at any time,
 * whatever was on it. */
void coroutine_prepare(coroutine *c, void *stack, size_t stack_size, void (*body)(void *), void *argument);

/* Suspends the caller, which is `from`, and resumes `to`. */
void coroutine_switch(coroutine *from, coroutine *to);
/* The same for a caller that is never resumed. */
void coroutine_leave(coroutine *from, coroutine *to);

#endif
