/*
 * Runs a harness without a fuzzer: replays the files named as arguments, and all files of directories, in the
 * order of their names. With --random SECONDS [SEED] it makes inputs of its own, by chance and by changing
 * the files given; a failing one is written to the current directory.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "input.h"

#define LARGEST ((size_t)1 << 16)

typedef struct sample {
    uint8_t *data;
    size_t size;
} sample;

static sample *samples;
static size_t sample_count;
static uint64_t executions;

/* The input that runs now, for whoever wants to keep it when it fails. */
static sample current;
static bool keep_failing;

static void run(const uint8_t *data, size_t size)
{
    current.data = (uint8_t *)(uintptr_t)data;
    current.size = size;
    executions++;
    (void)LLVMFuzzerTestOneInput(data, size);
}

void fuzz_keep_input(void);
void fuzz_keep_input(void)
{
    if (!keep_failing)
        return;
    FILE *file = fopen("crash-random", "wb");
    if (file == NULL || fwrite(current.data, 1, current.size, file) != current.size || fclose(file) != 0)
        return;
    fputs("the input was written to crash-random\n", stderr);
}

static bool replay_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    uint8_t *data = malloc(LARGEST);
    if (file == NULL || data == NULL) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        return false;
    }
    size_t size = fread(data, 1, LARGEST, file);
    fclose(file);
    /* A copy of the exact size, so that reading beyond it is seen. */
    uint8_t *exact = malloc(size != 0 ? size : 1);
    sample *more = realloc(samples, (sample_count + 1) * sizeof(*samples));
    if (exact == NULL || more == NULL)
        return false;
    memcpy(exact, data, size);
    free(data);
    samples = more;
    samples[sample_count++] = (sample){exact, size};
    if (getenv("FUZZ_VERBOSE") != NULL)
        fprintf(stderr, "%s\n", name);
    run(exact, size);
    return true;
}

static bool replay(const char *name)
{
    struct stat status;
    if (stat(name, &status) != 0 || !S_ISDIR(status.st_mode))
        return replay_file(name);
    struct dirent **entries;
    int count = scandir(name, &entries, NULL, alphasort);
    bool fine = count >= 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", name, entries[i]->d_name);
            fine = replay(path) && fine;
        }
        free(entries[i]);
    }
    free(entries);
    return fine;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void run_random(double seconds, uint64_t seed)
{
    static uint8_t data[1024];
    keep_failing = true;
    double end = now() + seconds;
    do {
        uint64_t r = next_random(&seed);
        size_t size = r % sizeof(data);
        if (sample_count != 0 && (r >> 32) % 4 != 0) {
            const sample *base = &samples[next_random(&seed) % sample_count];
            size = base->size < sizeof(data) ? base->size : sizeof(data);
            memcpy(data, base->data, size);
            for (unsigned i = 0; i < 4 && size != 0; i++) {
                r = next_random(&seed);
                data[r % size] = (uint8_t)(r >> 32);
            }
        } else {
            for (size_t i = 0; i < size; i++)
                data[i] = (uint8_t)next_random(&seed);
        }
        uint8_t *exact = malloc(size != 0 ? size : 1);
        if (exact == NULL)
            return;
        memcpy(exact, data, size);
        run(exact, size);
        free(exact);
    } while (now() < end);
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerInitialize(&argc, &argv);
    double seconds = 0;
    uint64_t seed = 1;
    double start = now();
    bool fine = true;
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--random") == 0 && i + 1 < argc) {
            seconds = atof(argv[++i]);
            if (i + 1 < argc && strspn(argv[i + 1], "0123456789") == strlen(argv[i + 1]))
                seed = strtoull(argv[++i], NULL, 10);
        } else {
            fine = replay(argv[i]) && fine;
        }
    }
    if (seconds > 0)
        run_random(seconds, seed);
    double elapsed = now() - start;
    printf("%llu inputs in %.1f s, %.0f per second\n", (unsigned long long)executions, elapsed,
           (double)executions / (elapsed > 0 ? elapsed : 1));
    for (size_t i = 0; i < sample_count; i++)
        free(samples[i].data);
    free(samples);
    return fine ? 0 : 2;
}
