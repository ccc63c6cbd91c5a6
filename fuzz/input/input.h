/* A fuzzer's input as a stream of bytes that ends in zeros, and the checks of all harnesses. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct input {
    const uint8_t *at;
    const uint8_t *end;
} input;

static inline bool input_empty(const input *in)
{
    return in->at == in->end;
}

static inline uint8_t input_u8(input *in)
{
    return in->at != in->end ? *in->at++ : 0;
}

static inline uint64_t input_bytes(input *in, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)input_u8(in) << 8 * i;
    return value;
}

/* One of [0, n), n <= 256. */
static inline unsigned input_below(input *in, unsigned n)
{
    return input_u8(in) % n;
}

/* Prints what did not hold, and aborts: a fuzzer keeps the input then. */
_Noreturn void fuzz_fail(const char *file, int line, const char *what, const char *more);

#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition, NULL))

/* What every harness has. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
