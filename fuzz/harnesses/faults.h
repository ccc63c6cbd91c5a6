/* System calls that fail as an input says: which, when, how often, with what errno. */
#ifndef FUZZ_FAULTS_H
#define FUZZ_FAULTS_H

#include "base/os.h"

typedef struct fault {
    enum lg_system_call call;
    unsigned after; /* so many succeed first */
    unsigned times; /* so many fail then */
    int error;
} fault;

/* The errno that a call fails with; 0: it doesn't. */
static inline int fault_next(fault *faults, unsigned count, enum lg_system_call call)
{
    for (unsigned i = 0; i < count; i++) {
        if (faults[i].call != call)
            continue;
        if (faults[i].after != 0) {
            faults[i].after--;
        } else if (faults[i].times != 0) {
            faults[i].times--;
            return faults[i].error;
        }
    }
    return 0;
}

#endif
