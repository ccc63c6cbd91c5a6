/*
 * A schedule explorer: logical threads are coroutines of one real thread, and every atomic operation, lock,
 * memory barrier and pause of the library is a point where a chooser says who goes on.
 *
 * Memory: a store that isn't sequentially consistent goes to its thread's buffer first. The chooser says
 * when another thread sees it: at that thread's next access to the same address, or at a later one. With
 * XP_TSO stores become visible in the order of the program (x86). With XP_PSO relaxed stores may pass each
 * other, release stores come after all before them, and relaxed read-modify-writes drain nothing (a part of
 * what weaker machines do). Fences, locks, sequentially consistent stores and read-modify-writes drain the
 * own buffer, membarrier everybody's. Loads are never reordered.
 */
#ifndef FUZZ_EXPLORE_H
#define FUZZ_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xp_order { XP_RELAXED, XP_ACQUIRE, XP_RELEASE, XP_SEQ_CST };
enum xp_operation { XP_ADD, XP_SUB, XP_OR, XP_AND };

/* ---- what the library calls */

uint64_t xp_load(const void *at, unsigned size, enum xp_order order);
void xp_store(void *at, unsigned size, uint64_t value, enum xp_order order);
uint64_t xp_modify(void *at, unsigned size, enum xp_operation operation, uint64_t operand, enum xp_order order);
bool xp_compare_exchange(void *at, unsigned size, uint64_t *expected, uint64_t desired, enum xp_order order);
void xp_fence(void);
void xp_membarrier(void);
void xp_lock(uint32_t *word);
void xp_unlock(uint32_t *word);
/* Waits for another thread to do something. */
void xp_pause(void);

/* ---- what clients call */

#define XP_THREADS 4 /* besides the main one, which sets up and checks */
#define XP_MAIN XP_THREADS

/* The calling logical thread: [0, XP_THREADS), or XP_MAIN. */
unsigned xp_self(void);
/* A place where others may go first, for clients' own steps. */
void xp_point(void);
/* The number of the calling thread's last store; whether a store has become visible to other threads. With XP_WEAK the
 * number of its last step, and whether `reader` or the calling thread knows of it. */
uint64_t xp_last_store(void);
bool xp_is_visible(unsigned thread, uint64_t store, unsigned reader);
/* The execution is wrong: prints the schedule and what led to it. */
_Noreturn void xp_fail(const char *what, const char *more);
#define XP_CHECK(condition) ((condition) ? (void)0 : xp_fail("failed: " #condition, NULL))

/* From now on the calling thread is the only one; the others vanish where they are. What they had stored is
 * visible. */
void xp_vanish_others(void);

/* ---- running */

enum xp_memory { XP_TSO, XP_PSO, XP_WEAK };

typedef struct xp_program {
    unsigned threads;
    void (*reset)(void);       /* brings all memory that the threads use to its first state */
    void (*setup)(void);       /* by the main thread, before the others */
    void (*body)(unsigned id); /* by each thread */
    void (*check)(void);       /* by the main thread, when all have ended */
    enum xp_memory memory;
    /* What thread-locals live in: saved and restored at each switch; each thread begins with `fresh`. */
    void *locals;
    size_t locals_size;
    const void *locals_fresh;
} xp_program;

/* The calling thread's locals are those of a new thread. */
void xp_fresh_locals(void);

/* Walks schedules with at most so many preemptions and late stores each, all of them unless there are more than
 * `most`. Returns how many. */
typedef struct xp_bounds {
    unsigned preemptions;
    unsigned late_stores;
    uint64_t most;
} xp_bounds;
typedef struct xp_result {
    uint64_t schedules;
    uint64_t steps; /* of all schedules */
    bool complete;
    unsigned shared; /* addresses that several threads use, which are where schedules differ */
} xp_result;
xp_result xp_walk(const xp_program *program, xp_bounds bounds);

/* One execution, scheduled by bytes. */
void xp_run_bytes(const xp_program *program, const uint8_t *bytes, size_t count);

/* One execution, scheduled as xp_fail() printed it. */
bool xp_run_text(const xp_program *program, const char *text);

/* A bound of another kind: where others may go before an access, for the execution whose setup sets it. NULL: anywhere; it
 * is asked with NULL for what is no access. */
extern bool (*xp_may_switch)(const void *at);
/* Called once with each address that memory was written to, for those who reset it. */
extern void (*xp_written)(void *at, unsigned size);
/* Says in a trace what an address is; may be NULL. */
extern void (*xp_describe)(const void *at, char *text, size_t size);
/* Prints every step, and what clients say of theirs. */
extern bool xp_trace;
void xp_say(const char *what, uint64_t a, uint64_t b);

#endif
