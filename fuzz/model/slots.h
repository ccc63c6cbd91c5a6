/* Raw allocations of the model. */
#ifndef FUZZ_MODEL_SLOTS_H
#define FUZZ_MODEL_SLOTS_H

#include "state.h"

void model_allocate(model *m, input *in, bool zeroed);
void model_free(model *m, slot *s);
void model_resize(model *m, slot *s, input *in);
void model_write(model *m, slot *s, input *in);
void model_hint(model *m, slot *s, input *in);
void model_discard(model *m, slot *s, input *in);
void model_check_words(const slot *s);
void model_misuse(model *m, slot *s, input *in);
slot *model_slot(model *m, input *in);
slot *model_empty_slot(model *m);

typedef struct request {
    size_t capacity, elem_size, elem_align;
} request;
request model_request(input *in);

#endif
