/* Vectors of the Region API in the model. */
#ifndef FUZZ_MODEL_REGIONS_H
#define FUZZ_MODEL_REGIONS_H

#include "state.h"

void model_region_new(model *m, input *in);
void model_region_step(model *m, slot *s, input *in);
void model_region_drop(model *m, slot *s);
void model_check_region(const slot *s);

static inline uint8_t model_byte(uint64_t seed, size_t at)
{
    return (uint8_t)((seed + at / 8) * 0x9e3779b97f4a7c15u >> 56 ^ at);
}

#endif
