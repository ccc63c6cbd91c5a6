/*
 * The operators delete of C++, by their symbols. Those of its own library come to free() anyway. But mallocs that programs
 * are linked with bring operators of their own, and theirs take what is a region for a block of their own. News are as
 * they were: what they return is a block of the next malloc, or came from here.
 *
 * Each derived form calls the plain one by way of the dynamic linker, as C++ has it, so that a program which has replaced
 * that one alone gets what it expects. That is why nothing here may be inlined.
 */
#include <stddef.h>
#include <stdlib.h>

#define OPERATOR __attribute__((visibility("default"), noinline)) void

OPERATOR _ZdlPv(void *ptr);
OPERATOR _ZdaPv(void *ptr);
OPERATOR _ZdlPvSt11align_val_t(void *ptr, size_t align);
OPERATOR _ZdaPvSt11align_val_t(void *ptr, size_t align);
OPERATOR _ZdlPvm(void *ptr, size_t size);
OPERATOR _ZdaPvm(void *ptr, size_t size);
OPERATOR _ZdlPvRKSt9nothrow_t(void *ptr, const void *nothrow);
OPERATOR _ZdaPvRKSt9nothrow_t(void *ptr, const void *nothrow);
OPERATOR _ZdlPvmSt11align_val_t(void *ptr, size_t size, size_t align);
OPERATOR _ZdaPvmSt11align_val_t(void *ptr, size_t size, size_t align);
OPERATOR _ZdlPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align, const void *nothrow);
OPERATOR _ZdaPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align, const void *nothrow);

void _ZdlPv(void *ptr)
{
    free(ptr);
}

void _ZdaPv(void *ptr)
{
    _ZdlPv(ptr);
}

void _ZdlPvSt11align_val_t(void *ptr, size_t align)
{
    (void)align;
    free(ptr);
}

void _ZdaPvSt11align_val_t(void *ptr, size_t align)
{
    _ZdlPvSt11align_val_t(ptr, align);
}

/* With the size. */

void _ZdlPvm(void *ptr, size_t size)
{
    (void)size;
    _ZdlPv(ptr);
}

void _ZdaPvm(void *ptr, size_t size)
{
    (void)size;
    _ZdaPv(ptr);
}

void _ZdlPvmSt11align_val_t(void *ptr, size_t size, size_t align)
{
    (void)size;
    _ZdlPvSt11align_val_t(ptr, align);
}

void _ZdaPvmSt11align_val_t(void *ptr, size_t size, size_t align)
{
    (void)size;
    _ZdaPvSt11align_val_t(ptr, align);
}

/* For constructors that threw after a new that doesn't. */

void _ZdlPvRKSt9nothrow_t(void *ptr, const void *nothrow)
{
    (void)nothrow;
    _ZdlPv(ptr);
}

void _ZdaPvRKSt9nothrow_t(void *ptr, const void *nothrow)
{
    (void)nothrow;
    _ZdaPv(ptr);
}

void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align, const void *nothrow)
{
    (void)nothrow;
    _ZdlPvSt11align_val_t(ptr, align);
}

void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align, const void *nothrow)
{
    (void)nothrow;
    _ZdaPvSt11align_val_t(ptr, align);
}
