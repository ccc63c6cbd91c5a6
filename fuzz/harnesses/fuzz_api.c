/*
 * Sequences of calls of the whole public API by one thread, against the model. An input is a list of
 * operations, a few bytes each; see model.c.
 */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static model m;
    input in = {data, data + size};
    model_begin(&m, false);
    while (!input_empty(&in))
        model_step(&m, &in);
    model_end(&m);
    return 0;
}
