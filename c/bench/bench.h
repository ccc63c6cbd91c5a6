/*
 * What the parts of the benchmark share.
 *
 * A workload is run on a contestant in a child process of its own, which sends back one sample. So
 * every measurement starts from the same state, and nobody inherits another's memory, files, or
 * settings. Rounds are interleaved: every contestant has its turn before anybody has the next one.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

enum { MAX_VALUES = 8, MAX_SERIES = 400, MAX_ROUNDS = 101, MAX_PEERS = 4, PAGE = 4096 };

/* ---------------------------------------------------------------- contestants */

enum contestant_id {
    LGALLOC_FILE,
    LGALLOC_ANONYMOUS,
    LGALLOC_POPULATE,
    LGALLOC_EMBEDDED,
    FLOOR,
    FLOOR_FILE,
    GLIBC,
    JEMALLOC,
    MIMALLOC,
    TCMALLOC,
    GLIBC_COPIED,
    MMAP,
    MMAP_SMALL,
    MMAP_HUGE,
    MMAP_POPULATE,
    HAND_FILE,
    NOTHING,
    ZERO_FILE,
    ZERO_FILE_MEMSET,
    ZERO_FILE_DISCARD,
    ZERO_ANON,
    ZERO_ANON_MEMSET,
    ZERO_ANON_DISCARD,
    LGALLOC_SEALED,
    PAGED,
    PAGED_128K,
    PAGED_OUT,
    READ_BY_HAND,
    PEER_FIRST,
    PEER_LAST = PEER_FIRST + MAX_PEERS - 1,
    CONTESTANTS
};

#define SET(id) (UINT32_C(1) << (id))
#define SET_LGALLOC (SET(LGALLOC_FILE) | SET(LGALLOC_ANONYMOUS))
#define SET_EMBEDDED SET(LGALLOC_EMBEDDED)
#define SET_MALLOC (SET(GLIBC) | SET(JEMALLOC) | SET(MIMALLOC) | SET(TCMALLOC))
#define SET_PEERS (SET(PEER_FIRST) | SET(PEER_FIRST + 1) | SET(PEER_FIRST + 2) | SET(PEER_LAST))
#define SET_USUAL (SET_LGALLOC | SET(FLOOR) | SET_MALLOC | SET(MMAP) | SET_PEERS)

/* Sizes are 64 KiB at least, and powers of two where a workload doesn't say otherwise. Only `start` may be NULL besides what says so. */
struct contestant {
    const char *name;
    /* In the child, before anything else; ends it through give_up() where the contestant is missing. */
    void (*start)(void);
    void *(*allocate)(size_t size); /* NULL: out of memory */
    void (*release)(void *ptr, size_t size);
    void (*trim)(void);                       /* gives back what is free; NULL: cannot be asked to */
    void (*clear)(void *ptr, size_t size);    /* empties memory in use with one system call; NULL */
    void (*version)(char *text, size_t size); /* NULL: none of its own */
};

/* NULL where there is no such peer. */
const struct contestant *contestant_get(unsigned id);

/* The parts of the table. */
extern const struct contestant lgalloc_contestants[3];
extern const struct contestant embedded_contestant;
extern const struct contestant floor_contestants[2];
void *floor_allocate(size_t size);
void floor_release(void *ptr, size_t size);
extern const struct contestant malloc_contestants[5];
extern const struct contestant hand_contestants[6];
extern const struct contestant zero_contestants[6];
extern const struct contestant paging_contestants[5]; /* names alone */

/* `NAME=FILE`: a contestant in a shared library, see contestant_peer.c. False: the text is not like that. */
bool peer_add(const char *text);
const struct contestant *peer_get(unsigned index);

/* Switches the background worker of this library on, in the child. */
void lgalloc_contestant_background(uint64_t interval_ns);

/* Sealed regions below a limit, 0 for none, in the child; ends it where they can't be had. */
void sealed_configure(size_t limit, unsigned io_threads);

/* By hand: memory from the kernel, aligned to `alignment`; they end the child where there is none. */
void *hand_map_anonymous(size_t bytes, size_t alignment, bool huge);
void *hand_map_file(const char *directory, size_t bytes);

/* ---------------------------------------------------------------- workloads */

struct sample {
    bool ok;
    char note[160]; /* why not */
    double values[MAX_VALUES];
    uint32_t series_count;
    double series[MAX_SERIES];
};

enum against { AGAINST_CONTESTANT, AGAINST_BEST_MALLOC, AGAINST_CRATE, AGAINST_OLD_CRATE, AGAINST_SELF, ABSOLUTE };

/* `value` of the contestants `who` is at most `factor` times what it is compared with. */
struct bound {
    uint32_t who;
    unsigned value;
    enum against against;
    unsigned other; /* the contestant's id, or with AGAINST_SELF the other value */
    double factor;
};

enum { MAX_BOUNDS = 6 };

struct workload {
    const char *name;
    const char *title;
    const char *unit;
    const char *value_names[MAX_VALUES]; /* NULL ends them; none at all: one value without a name */
    uint32_t contestants;
    void (*run)(const struct workload *workload, const struct contestant *contestant, struct sample *out);
    size_t size; /* bytes per region */
    unsigned threads;
    unsigned count;                  /* regions per batch */
    unsigned max_rounds;             /* 0: as many as there are */
    bool on_tmpfs;                   /* files are in settings.tmpfs */
    bool start_late;                 /* run() starts the contestant itself */
    bool killed_is_one;              /* a child that the kernel killed for a system call has the value 1 */
    struct bound bounds[MAX_BOUNDS]; /* factor 0 and who 0 end them */
};

extern const struct workload workloads[];
extern const size_t workload_count;
unsigned workload_values(const struct workload *workload);

void run_direct(const struct workload *, const struct contestant *, struct sample *);
void run_hot_pair(const struct workload *, const struct contestant *, struct sample *);
void run_batch(const struct workload *, const struct contestant *, struct sample *);
void run_scaling(const struct workload *, const struct contestant *, struct sample *);
void run_live(const struct workload *, const struct contestant *, struct sample *);
void run_handoff(const struct workload *, const struct contestant *, struct sample *);
void run_thread_start(const struct workload *, const struct contestant *, struct sample *);
void run_steal(const struct workload *, const struct contestant *, struct sample *);
void run_written(const struct workload *, const struct contestant *, struct sample *);
void run_first_touch(const struct workload *, const struct contestant *, struct sample *);
void run_clear(const struct workload *, const struct contestant *, struct sample *);
void run_clear_steps(const struct workload *, const struct contestant *, struct sample *);
void run_clear_faults(const struct workload *, const struct contestant *, struct sample *);
void run_zeroed(const struct workload *, const struct contestant *, struct sample *);
void run_zeroed_only(const struct workload *, const struct contestant *, struct sample *);
void run_million(const struct workload *, const struct contestant *, struct sample *);
void run_stats(const struct workload *, const struct contestant *, struct sample *);
void run_system_calls_pair(const struct workload *, const struct contestant *, struct sample *);
void run_system_calls_stats(const struct workload *, const struct contestant *, struct sample *);
void run_instructions(const struct workload *, const struct contestant *, struct sample *);
void run_latency(const struct workload *, const struct contestant *, struct sample *);
void run_memory_over_time(const struct workload *, const struct contestant *, struct sample *);
void run_vector(const struct workload *, const struct contestant *, struct sample *);
void run_arrays(const struct workload *, const struct contestant *, struct sample *);
void run_phases(const struct workload *, const struct contestant *, struct sample *);
void run_class_walk(const struct workload *, const struct contestant *, struct sample *);
void run_mix(const struct workload *, const struct contestant *, struct sample *);
void run_class_change(const struct workload *, const struct contestant *, struct sample *);
void run_pins_random(const struct workload *, const struct contestant *, struct sample *);
void run_pins_in_order(const struct workload *, const struct contestant *, struct sample *);
void run_spill(const struct workload *, const struct contestant *, struct sample *);
void run_spill_not(const struct workload *, const struct contestant *, struct sample *);
void run_pin_resident(const struct workload *, const struct contestant *, struct sample *);
void run_sort_larger(const struct workload *, const struct contestant *, struct sample *);
void run_sort(const struct workload *, const struct contestant *, struct sample *);

/* Bucket of a latency in nanoseconds in a sample's series, and the least latency of a bucket. */
unsigned latency_bucket(uint64_t ns);
double latency_bucket_ns(unsigned bucket);

/* Seconds at least between the samples of run_memory_over_time(). Its series is resident MiB, and then, as many, MiB that the work
 * itself had in use. */
double memory_over_time_step(void);

/* ---------------------------------------------------------------- settings */

/* Constant once main() has read its arguments; a child may change its own. */
struct settings {
    bool quick;
    bool memory;
    bool markdown;
    const char *json;
    const char *charts;
    const char *filter;
    const char *path;
    const char *tmpfs; /* NULL: none */
    const char *input; /* for the sort; NULL: a large file of the toolchain */
    unsigned rounds;
    bool rounds_asked_for;
    unsigned processors;
    uint64_t budget_ns; /* per measurement */
    size_t touch_bytes; /* for first touch and clearing */
    size_t million;     /* regions for the workload of that name */
};

extern struct settings settings;

/* ---------------------------------------------------------------- running */

/* One turn in a child process; `name` says what runs where it does not end well. */
void run_child(const struct workload *workload, const struct contestant *contestant, struct sample *out);

/* In a child: ends it with a sample that says why there is no figure. */
__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *format, ...);

/* ---------------------------------------------------------------- results */

struct contestant_results {
    unsigned rounds;
    struct sample *samples; /* by round */
};

struct results {
    const struct workload *workload;
    double seconds; /* that it took, all rounds of all contestants */
    struct contestant_results of[CONTESTANTS];
};

/* Median, least and greatest of a value over the rounds; false where there is no figure. */
bool results_median(const struct results *results, unsigned id, unsigned value, double *out);
bool results_range(const struct results *results, unsigned id, unsigned value, double *out_min, double *out_max);

enum outcome { NOT_MEASURED, NOT_JUDGED, MISSED, WITHIN_SCATTER, REACHED };

struct verdict {
    double ratio; /* or the value itself with ABSOLUTE */
    enum outcome outcome;
    char against[64];
    char why_not[96];
};

/* A bound of one contestant. The ratio is the median over the rounds of each round's ratio, so that a slow minute of the
 * machine is in both. Within the scatter: it is above the bound, but in a quarter of the rounds it was not. Not judged: the
 * machine was busy with other things, as the floor's rounds tell, or there were too few rounds to tell by. */
struct verdict judge(const struct results *results, const struct bound *bound, unsigned id);

/* The fastest of a set by the median of a value; CONTESTANTS where there is none. */
unsigned results_fastest(const struct results *results, uint32_t set, unsigned value);

void report_machine(FILE *to);
void report_workload(FILE *to, const struct results *results);
void report_summary(FILE *to, const struct results *results, size_t count);

/* The same as Markdown. */
void markdown_machine(FILE *to);
void markdown_workload(FILE *to, const struct results *results);
void markdown_summary(FILE *to, const struct results *results, size_t count);

/* In a word or two, or why there is none. */
const char *report_outcome(const struct verdict *verdict);

/* With as many digits as are worth reading. */
const char *report_number(char text[16], double value);

/* ---------------------------------------------------------------- time */

/* Before the first workload: what all of them will be. */
void schedule_start(const struct workload *const *chosen, size_t count);

/* Rounds of the next workload, `wanted` at most: with --quick fewer where all that is left would take too long, and none
 * once the time is over. */
unsigned schedule_rounds(const struct workload *workload, unsigned wanted);

/* A turn is about to begin; says on the terminal, or now and then in a log, which it is and how long all will take. */
void schedule_turn(const struct workload *workload, unsigned round, unsigned rounds, const char *who);

/* The workload is done. Returns the seconds that it took. */
double schedule_done(void);

/* Rounds of a workload where nothing is in a hurry. */
unsigned usual_rounds(const struct workload *workload);

/* Who takes part, in the order of the table. */
unsigned choose_contestants(const struct workload *workload, unsigned *out_ids);

/* Why a workload has no rounds at all; NULL where it has. */
const char *report_left_out(const struct results *results);

bool write_json(const char *path, const struct results *results, size_t count);
void write_charts(const char *directory, const struct results *results, size_t count);

/* The table of what is held after the same work; see memory.c. */
void report_memory(FILE *to);

/* What the machine is: name and value, for the report and for the JSON. */
struct fact {
    const char *name;
    char text[160];
};

enum { MAX_FACTS = 32 };

size_t machine_facts(struct fact *out_facts, size_t capacity);

/* Processor, kernel, date, and what kind of run: a line for charts. */
void machine_line(char *text, size_t size);

#endif
