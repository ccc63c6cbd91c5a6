/*
 * What a program sees of malloc and its like, small and large, printed: the same with the preload library as without.
 * What arguments say is not in the output:
 *   semantics                    nothing is expected of where blocks come from
 *   semantics THRESHOLD          from so many bytes on they are regions, which are aligned to their size
 *   semantics THRESHOLD nofork   and children don't touch what they inherit, since it is on files
 */
#define _GNU_SOURCE

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Compilers must not know that a call can't succeed, nor that a block isn't used. */
static void *volatile hidden;
static volatile size_t huge = PTRDIFF_MAX;
static const size_t sizes[] = {0, 1, 100, 65536, MIB - 1, MIB, MIB + 1, 3 * MIB, 33 * MIB};

static int failures;

static void check_at(int line, int holds, const char *what)
{
    if (!holds) {
        printf("line %d does not hold: %s\n", line, what);
        failures++;
    }
}
#define CHECK(condition) check_at(__LINE__, (condition) != 0, #condition)

static void fill(unsigned char *ptr, size_t size)
{
    for (size_t i = 0; i < size; i += 251)
        ptr[i] = (unsigned char)(i * 3 >> 2);
}

static int filled(const unsigned char *ptr, size_t size)
{
    for (size_t i = 0; i < size; i += 251)
        if (ptr[i] != (unsigned char)(i * 3 >> 2))
            return 0;
    return 1;
}

static void say(const char *what, size_t size, const void *ptr, int error)
{
    printf("%s %zu: %s, %s\n", what, size, ptr != NULL ? "a block" : "NULL", error != 0 ? strerror(error) : "no error");
}

/* ---------------------------------------------------------------- the functions one by one */

static void allocating(void)
{
    for (size_t i = 0; i < COUNT(sizes); i++) {
        errno = 0;
        unsigned char *ptr = malloc(sizes[i]);
        say("malloc", sizes[i], ptr, errno);
        CHECK((uintptr_t)ptr % (sizes[i] < 16 ? 8 : 16) == 0 && malloc_usable_size(ptr) >= sizes[i]);
        fill(ptr, sizes[i]);
        errno = 4711;
        free(ptr);
        CHECK(errno == 4711);
        ptr = calloc(sizes[i], 1); /* what was just written is zero again */
        for (size_t k = 0; k < sizes[i]; k += 97)
            CHECK(ptr[k] == 0);
        free(ptr);
    }
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
    errno = 0;
    hidden = malloc(huge);
    say("malloc", huge, hidden, errno);
    errno = 0;
    hidden = calloc(huge, 4);
    say("calloc", huge, hidden, errno);
    errno = 0;
    hidden = calloc(huge / MIB, 2 * MIB + 1);
    say("calloc", huge / MIB, hidden, errno);
}

static void resizing(void)
{
    size_t old = 10;
    unsigned char *volatile block = realloc(NULL, old);
    unsigned char *ptr = block;
    fill(ptr, old);
    static const size_t steps[] = {1000, 2 * MIB, 2 * MIB - 10, 5 * MIB, 100, 40 * MIB, 80 * MIB, 35 * MIB, MIB, 1};
    for (size_t i = 0; i < COUNT(steps); i++) {
        ptr = realloc(ptr, steps[i]);
        CHECK(ptr != NULL && malloc_usable_size(ptr) >= steps[i]);
        CHECK(filled(ptr, old < steps[i] ? old : steps[i]));
        fill(ptr, old = steps[i]);
    }
    static const size_t both[] = {100, 2 * MIB};
    for (size_t i = 0; i < COUNT(both); i++) {
        block = realloc(ptr, both[i]);
        fill(block, both[i]);
        errno = 0;
        hidden = realloc(block, huge);
        say("realloc", huge, hidden, errno);
        errno = 0;
        hidden = reallocarray(block, huge + 3, 2); /* 4, modulo what a size can be */
        say("reallocarray", huge + 3, hidden, errno);
        CHECK(filled(block, both[i]));
        block = reallocarray(block, both[i], 2);
        CHECK(filled(block, both[i]));
        errno = 0;
        hidden = realloc(block, 0);
        say("realloc to", 0, hidden, errno);
        ptr = NULL;
    }
}

static void aligning(void)
{
    for (size_t align = 1; align <= 8 * MIB; align *= 2) {
        for (size_t i = 1; i < COUNT(sizes); i++) {
            void *blocks[3] = {memalign(align, sizes[i]), aligned_alloc(align, sizes[i]), NULL};
            if (align >= sizeof(void *)) {
                errno = 4711;
                CHECK(posix_memalign(&blocks[2], align, sizes[i]) == 0 && errno == 4711);
            }
            for (size_t k = 0; k < 3; k++) {
                CHECK(blocks[k] != NULL || (k == 2 && align < sizeof(void *)));
                CHECK((uintptr_t)blocks[k] % align == 0);
                if (blocks[k] != NULL)
                    memset(blocks[k], 1, sizes[i]);
                free(blocks[k]);
            }
        }
    }
    static const size_t odd[] = {0, 1, 3, 4, 24, 4097};
    for (size_t i = 0; i < COUNT(odd); i++) {
        for (size_t size = 100; size <= 2 * MIB; size += 2 * MIB - 100) {
            void *ptr = &failures;
            errno = 4711;
            printf("posix_memalign %zu %zu: %s", odd[i], size, strerror(posix_memalign(&ptr, odd[i], size)));
            printf(", the pointer %s, errno %d\n", ptr == &failures ? "stays" : "changes", errno);
            errno = 0;
            ptr = aligned_alloc(odd[i], size);
            say("aligned_alloc", odd[i], ptr, errno);
            free(ptr);
            if (odd[i] != 0) {
                errno = 0;
                ptr = memalign(odd[i], size);
                say("memalign", odd[i], ptr, errno);
                free(ptr);
            }
        }
    }
    void *ptr = &failures;
    printf("posix_memalign of all: %s, ", strerror(posix_memalign(&ptr, 64, huge)));
    printf("the pointer %s\n", ptr == &failures ? "stays" : "changes");
    errno = 0;
    hidden = pvalloc(SIZE_MAX);
    say("pvalloc", SIZE_MAX, hidden, errno);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 1; i < COUNT(sizes); i++) {
        void *one = valloc(sizes[i]), *other = pvalloc(sizes[i]);
        CHECK(one != NULL && (uintptr_t)one % page == 0);
        CHECK(other != NULL && (uintptr_t)other % page == 0);
        CHECK(malloc_usable_size(other) >= (sizes[i] + page - 1) / page * page);
        free(one);
        free(other);
    }
}

/* ---------------------------------------------------------------- what the C library allocates itself */

static void within_libc(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    for (int i = 0; i < 300000; i++)
        fprintf(stream, "line %d ", i);
    fclose(stream);
    printf("open_memstream: %zu bytes\n", len);
    FILE *file = tmpfile();
    if (file != NULL) {
        fwrite(text, 1, len, file);
        rewind(file);
        char *line = NULL;
        size_t capacity = 0;
        printf("getline: %zd bytes\n", getline(&line, &capacity, file));
        CHECK(memcmp(line, text, len) == 0);
        free(line);
        fclose(file);
    }
    char *copy = strdup(text), *printed = NULL;
    CHECK(strcmp(copy, text) == 0);
    CHECK(asprintf(&printed, "%s%s", text, copy) == (int)(2 * len));
    free(printed);
    free(copy);
    free(text);
    char *path = realpath("/", NULL);
    printf("realpath: %s\n", path);
    free(path);
}

/* ---------------------------------------------------------------- threads and children */

#define PASSED 64
static void *_Atomic passed[PASSED];
static pthread_key_t key;

static void free_late(void *ptr)
{
    free(ptr);
    free(malloc(2 * MIB));
}

static void *trade(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg;
    pthread_setspecific(key, malloc(2 * MIB));
    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245u + 12345u;
        size_t size = random % 64 == 0 ? 4 * MIB : random % 4 == 0 ? MIB + random % MIB : random % 5000;
        unsigned char *ptr = random % 3 == 0 ? calloc(1, size + 1) : malloc(size + 1);
        if (ptr != NULL)
            ptr[size] = (unsigned char)random;
        free(atomic_exchange(&passed[random >> 8 & (PASSED - 1)], ptr));
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[4];
    pthread_key_create(&key, free_late);
    for (size_t i = 0; i < COUNT(thread); i++)
        CHECK(pthread_create(&thread[i], NULL, trade, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < COUNT(thread); i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < PASSED; i++)
        free(passed[i]);
    printf("threads have ended\n");
}

static void children(int touch)
{
    static const size_t both[] = {1000, 5 * MIB};
    for (size_t i = 0; i < COUNT(both); i++) {
        unsigned char *ptr = malloc(both[i]), *other = malloc(both[i]);
        fill(ptr, both[i]);
        fill(other, both[i]);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            int right = 1;
            if (touch) {
                right = filled(ptr, both[i]);
                memset(ptr, 0, both[i]);
                other = realloc(other, 3 * both[i]);
                right = right && other != NULL && filled(other, both[i]);
            }
            free(ptr);
            free(other);
            ptr = malloc(both[i]);
            fill(ptr, both[i]);
            _exit(right && filled(ptr, both[i]) ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        printf("child: %d\n", status);
        CHECK(filled(ptr, both[i]) && filled(other, both[i]));
        free(ptr);
        free(other);
    }
}

/* ---------------------------------------------------------------- where blocks come from */

static void are_regions(size_t threshold)
{
    for (size_t size = threshold; size <= 32 * MIB; size *= 2) {
        void *one = malloc(size), *other = malloc(size + size / 2);
        CHECK((uintptr_t)one % size == 0 && malloc_usable_size(one) == size);
        CHECK((uintptr_t)other % (2 * size) == 0 && malloc_usable_size(other) == 2 * size);
        free(one);
        free(other);
    }
    void *below = malloc(threshold - 1);
    CHECK((uintptr_t)below % threshold != 0);
    free(below);
}

int main(int argc, char **argv)
{
    size_t threshold = argc > 1 ? (size_t)atol(argv[1]) : 0;
    int touch = argc < 3;
    allocating();
    resizing();
    aligning();
    within_libc();
    children(touch);
    threads();
    children(touch);
    if (threshold != 0)
        are_regions(threshold);
    printf("%d failures\n", failures);
    return failures != 0;
}
