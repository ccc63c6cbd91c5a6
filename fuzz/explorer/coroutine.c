/*
 * The switch is a dozen instructions for x86-64 and AArch64, since swapcontext() makes a system call for
 * the signal mask each time, which takes longer than all that a step of a schedule does. Elsewhere
 * swapcontext() does.
 */
#include "coroutine.h"

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

static coroutine *switched_from; /* who has just handed over */

static void arrived(coroutine *self)
{
#ifdef WITH_ASAN
    const void *stack;
    size_t size;
    __sanitizer_finish_switch_fiber(self->fake_stack, &stack, &size);
    if (switched_from->stack == NULL) {
        switched_from->stack = stack;
        switched_from->stack_size = size;
    }
#else
    (void)self;
#endif
}

static coroutine *entering;

/* Where a fresh coroutine begins. */
__attribute__((used)) static void begin(void)
{
    coroutine *self = entering;
    arrived(self);
    self->body(self->argument);
    __builtin_trap();
}

#if defined(__x86_64__)

void coroutine_swap(void **out_sp, void *sp);
__asm__(".text\n"
        ".globl coroutine_swap\n"
        ".hidden coroutine_swap\n"
        ".type coroutine_swap, @function\n"
        "coroutine_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size coroutine_swap, . - coroutine_swap\n"
        ".section .note.GNU-stack, \"\", @progbits\n"
        ".text\n");

static void prepare_stack(coroutine *c, void *stack, size_t size)
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    void **sp = (void **)top;
    *--sp = NULL;                     /* the return address of begin(): there is none */
    *--sp = (void *)(uintptr_t)begin; /* where the switch returns to */
    for (int i = 0; i < 6; i++)
        *--sp = NULL;
    c->sp = sp;
}

#elif defined(__aarch64__)

void coroutine_swap(void **out_sp, void *sp);
__asm__(".text\n"
        ".globl coroutine_swap\n"
        ".hidden coroutine_swap\n"
        ".type coroutine_swap, %function\n"
        "coroutine_swap:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n    str x9, [x0]\n    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size coroutine_swap, . - coroutine_swap\n"
        ".section .note.GNU-stack, \"\", %progbits\n"
        ".text\n");

static void prepare_stack(coroutine *c, void *stack, size_t size)
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    void **sp = (void **)(top - 160);
    memset(sp, 0, 160);
    sp[11] = (void *)(uintptr_t)begin; /* x30: where the switch returns to */
    c->sp = sp;
}

#else

static void prepare_stack(coroutine *c, void *stack, size_t size)
{
    getcontext(&c->context);
    c->context.uc_stack.ss_sp = stack;
    c->context.uc_stack.ss_size = size;
    c->context.uc_link = NULL;
    makecontext(&c->context, begin, 0);
}

#endif

void coroutine_prepare(coroutine *c, void *stack, size_t stack_size, void (*body)(void *), void *argument)
{
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(stack, stack_size); /* of frames that were abandoned */
#endif
    memset(c, 0, sizeof(*c));
    c->body = body;
    c->argument = argument;
    c->stack = stack;
    c->stack_size = stack_size;
    prepare_stack(c, stack, stack_size);
}

static void swap(coroutine *from, coroutine *to)
{
    entering = to;
    switched_from = from;
#if defined(__x86_64__) || defined(__aarch64__)
    coroutine_swap(&from->sp, to->sp);
#else
    swapcontext(&from->context, &to->context);
#endif
}

void coroutine_switch(coroutine *from, coroutine *to)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_size);
#endif
    swap(from, to);
    arrived(from);
}

void coroutine_leave(coroutine *from, coroutine *to)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(NULL, to->stack, to->stack_size);
#endif
    swap(from, to);
    __builtin_trap();
}
