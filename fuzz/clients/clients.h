/* Small programs for the exhaustive walk. */
#ifndef FUZZ_CLIENTS_H
#define FUZZ_CLIENTS_H

#include "explorer/explore.h"

typedef struct client {
    const char *name;
    const char *what;
    unsigned threads;
    void (*setup)(void);
    void (*body)(unsigned id);
    void (*check)(void);
    xp_bounds bounds; /* what a test has time for */
    bool fences_too;  /* also as on a system without membarrier */
    bool weak_too;    /* also with memory as C11 describes it */
} client;

extern const client clients_parts[], clients_whole[], clients_chunks[], clients_process[], clients_sealed[];
extern const unsigned clients_parts_count, clients_whole_count, clients_chunks_count, clients_process_count,
    clients_sealed_count;

/* Set before a client's setup: the run is one without membarrier. */
extern bool client_fences;

#endif
