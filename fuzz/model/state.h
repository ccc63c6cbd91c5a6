/* What is known of the allocator: its allocations, the configuration in force, the accounts. */
#ifndef FUZZ_MODEL_STATE_H
#define FUZZ_MODEL_STATE_H

#include "input/input.h"
#include "lgalloc.h"

#define MODEL_SLOTS 12
#define MODEL_WORDS 6 /* words of an allocation whose contents are followed */
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

typedef struct slot {
    enum { SLOT_EMPTY, SLOT_HANDLE, SLOT_REGION } kind;
    lgalloc_handle handle; /* SLOT_HANDLE */
    struct {
        size_t offset;
        uint64_t value;
        bool known;
    } words[MODEL_WORDS];
    lgalloc_region region; /* SLOT_REGION; its bytes [0, written) are model_byte(seed, i) */
    size_t written;
    uint64_t seed;
} slot;

typedef struct model {
    slot slots[MODEL_SLOTS];
    /* The configuration in force. */
    bool enabled;
    bool path_known; /* a path was set */
    bool path_good;  /* and area files can be made there */
    bool reserve_blocks;
    lgalloc_backing backing;
    size_t limit;
    size_t charge_bound; /* bytes in use or dirty never exceed this while a limit is set */
    /* A system call may fail at any time: then more answers are right. */
    bool lenient;
    /* Accounts. */
    size_t in_use[LGALLOC_SIZE_CLASS_COUNT];
    uint64_t allocations[LGALLOC_SIZE_CLASS_COUNT];
    uint64_t deallocations[LGALLOC_SIZE_CLASS_COUNT];
    uint64_t heap_fallbacks;
    uint64_t tag; /* changes with everything that is written */
    lgalloc_size_class_stats last[LGALLOC_SIZE_CLASS_COUNT];
} model;

extern const char *model_directory; /* where area files go */

/* All that must hold between two calls. */
void model_check(model *m);

void model_set_defaults(model *m);
void model_apply(model *m, lgalloc_config *config);
void model_configure(model *m, input *in);
void model_statistics(model *m, input *in);

/* The statuses that a request may be answered with, one bit each. */
unsigned model_expected(const model *m, size_t capacity, size_t elem_size, size_t elem_align);
/* Whether a request may be made at all: it would not fill this machine's memory or disk. */
bool model_affordable(const model *m, size_t bytes, bool zeroed);
void model_note_in_use(model *m, size_t len, bool taken);

#endif
