/*
 * lgalloc-bench: measures this library, other allocators, and what the machine could do, side by side.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include "measure.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { EXIT_MISUSE = 2, TMPFS_FILES = 0x01021994, ROUNDS = 9, QUICK_ROUNDS = 3 };

struct settings settings;

/* ---------------------------------------------------------------- options */

static void usage(void)
{
    puts("usage: lgalloc-bench [--quick] [--json FILE] [--charts DIR] [--filter NAME] [--rounds N]\n"
         "                     [--markdown] [--path DIR] [--tmpfs DIR] [--input FILE]\n"
         "                     [--peer NAME=LIBRARY]...\n"
         "       lgalloc-bench --memory [--markdown] [--path DIR]\n"
         "       lgalloc-bench --list\n"
         "\n"
         "  --quick    fewer rounds and shorter ones, two minutes at most\n"
         "  --json     writes every round, the machine, and the versions\n"
         "  --charts   writes charts as SVG; needs gnuplot\n"
         "  --filter   only workloads whose name contains NAME, or equals it with '=' in front\n"
         "  --rounds   rounds; default: 9, or 3 with --quick\n"
         "  --markdown prints Markdown tables\n"
         "  --path     directory for files; default: TMPDIR, or /var/tmp\n"
         "  --tmpfs    directory on tmpfs; default: /dev/shm where that is one\n"
         "  --input    the file to sort; default: the C compiler, or another large file of a toolchain\n"
         "  --peer     one more contestant, in a shared library (up to four)\n"
         "  --memory   the table of what is held after work instead\n"
         "  --list     the names of the workloads");
}

static bool is_writable_directory(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && access(path, W_OK | X_OK) == 0;
}

static const char *find_tmpfs(void)
{
    static const char *const usual = "/dev/shm";
    struct statfs status;

    if (!is_writable_directory(usual) || statfs(usual, &status) != 0 || status.f_type != TMPFS_FILES)
        return NULL;
    return usual;
}

static bool matches(const struct workload *workload)
{
    if (settings.filter == NULL)
        return true;
    if (settings.filter[0] == '=')
        return strcmp(workload->name, settings.filter + 1) == 0;
    return strstr(workload->name, settings.filter) != NULL;
}

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("lgalloc-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_MISUSE);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"quick", no_argument, NULL, 'q'},        {"memory", no_argument, NULL, 'm'},
        {"list", no_argument, NULL, 'l'},         {"help", no_argument, NULL, 'h'},
        {"json", required_argument, NULL, 'j'},   {"charts", required_argument, NULL, 'c'},
        {"filter", required_argument, NULL, 'f'}, {"rounds", required_argument, NULL, 'r'},
        {"path", required_argument, NULL, 'p'},   {"tmpfs", required_argument, NULL, 't'},
        {"input", required_argument, NULL, 'i'},  {"peer", required_argument, NULL, 'e'},
        {"markdown", no_argument, NULL, 'd'},     {NULL, 0, NULL, 0},
    };
    const char *temporary = getenv("TMPDIR");
    static char name[] = "lgalloc-bench";

    argv[0] = name; /* getopt's messages begin as the others do */
    settings.path = temporary != NULL && *temporary != '\0' ? temporary : "/var/tmp";
    settings.tmpfs = find_tmpfs();
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 'q': settings.quick = true; break;
        case 'm': settings.memory = true; break;
        case 'd': settings.markdown = true; break;
        case 'j': settings.json = optarg; break;
        case 'c': settings.charts = optarg; break;
        case 'f': settings.filter = optarg; break;
        case 'p': settings.path = optarg; break;
        case 't': settings.tmpfs = optarg; break;
        case 'i': settings.input = optarg; break;
        case 'r':
            settings.rounds = (unsigned)strtoul(optarg, NULL, 10);
            settings.rounds_asked_for = true;
            if (settings.rounds < 1 || settings.rounds > MAX_ROUNDS)
                refuse("--rounds '%s': a number from 1 to 101 is wanted", optarg);
            break;
        case 'e':
            if (!peer_add(optarg))
                refuse("--peer '%s': NAME=LIBRARY is wanted, four at most", optarg);
            break;
        case 'l':
            for (size_t i = 0; i < workload_count; i++)
                printf("%-20s %s\n", workloads[i].name, workloads[i].title);
            exit(EXIT_SUCCESS);
        case 'h': usage(); exit(EXIT_SUCCESS);
        default: exit(EXIT_MISUSE);
        }
    if (optind < argc)
        refuse("'%s': not an option", argv[optind]);
    bool any = false;
    for (size_t i = 0; i < workload_count; i++)
        any = any || matches(&workloads[i]);
    if (!any)
        refuse("--filter '%s': no workload has such a name; --list shows them", settings.filter);
    if (!is_writable_directory(settings.path))
        refuse("--path '%s': not a directory that can be written to", settings.path);
    if (settings.tmpfs != NULL && !is_writable_directory(settings.tmpfs))
        refuse("--tmpfs '%s': not a directory that can be written to", settings.tmpfs);
}

/* What is too large for this machine is made smaller; the report says how large it was. */
static void choose_sizes(void)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t available = available_memory();

    settings.processors = processors < 1 ? 1 : (unsigned)processors;
    if (settings.rounds == 0)
        settings.rounds = settings.quick ? QUICK_ROUNDS : ROUNDS;
    settings.budget_ns = settings.quick ? 15 * 1000 * 1000 : 60 * 1000 * 1000;
    settings.touch_bytes = settings.quick || available < 3 * GIB ? 256 * MIB : GIB;
    /* Some allocators write to every region: four GiB in a million pages. */
    settings.million = settings.quick || available < 8 * GIB ? 100 * 1000 : 1000 * 1000;
}

/*
 * Some allocators keep thread-local memory in the part of it that libc sets aside for libraries, and it
 * sets aside too little for those that are opened later. It can be told to, but only before it starts.
 */
static void make_room_for_libraries(char **argv)
{
    static const char name[] = "GLIBC_TUNABLES";
    static const char wanted[] = "glibc.rtld.optional_static_tls";
    const char *given = getenv(name);
    char *value = NULL;

    if (given != NULL && strstr(given, wanted) != NULL)
        return;
    if (asprintf(&value, "%s%s%s=16384", given != NULL ? given : "", given != NULL ? ":" : "", wanted) < 0)
        return;
    if (setenv(name, value, 1) == 0)
        execv("/proc/self/exe", argv); /* where that fails, a library or two is missing, and said to be */
    free(value);
}

/* ---------------------------------------------------------------- rounds */

unsigned choose_contestants(const struct workload *workload, unsigned *out_ids)
{
    unsigned count = 0;

    for (unsigned id = 0; id < CONTESTANTS; id++)
        if ((workload->contestants & SET(id)) != 0 && contestant_get(id) != NULL)
            out_ids[count++] = id;
    return count;
}

unsigned usual_rounds(const struct workload *workload)
{
    const bool fewer = workload->max_rounds != 0 && workload->max_rounds < settings.rounds;

    if (settings.quick && !settings.rounds_asked_for && workload->bounds[0].who == 0)
        return 1; /* there is nothing to judge */
    return fewer ? workload->max_rounds : settings.rounds;
}

static void measure(const struct workload *workload, struct results *out)
{
    const unsigned rounds = schedule_rounds(workload, usual_rounds(workload));
    unsigned ids[CONTESTANTS];
    const unsigned count = choose_contestants(workload, ids);

    out->workload = workload;
    for (unsigned i = 0; i < count; i++) {
        out->of[ids[i]].samples = calloc(rounds, sizeof *out->of[ids[i]].samples);
        if (out->of[ids[i]].samples == NULL)
            refuse("%s", strerror(ENOMEM));
    }
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned turn = 0; turn < count; turn++) {
            /* Everybody begins a round once: whoever follows a noisy neighbour changes too. */
            const unsigned id = ids[(turn + round) % count];
            struct contestant_results *of = &out->of[id];
            const bool hopeless = round > 0 && !of->samples[round - 1].ok;
            schedule_turn(workload, round, rounds, contestant_get(id)->name);
            if (hopeless)
                of->samples[round] = of->samples[round - 1];
            else
                run_child(workload, contestant_get(id), &of->samples[round]);
            of->rounds = round + 1;
        }
    out->seconds = schedule_done();
}

int main(int argc, char **argv)
{
    make_room_for_libraries(argv);
    parse(argc, argv);
    choose_sizes();
    (settings.markdown ? markdown_machine : report_machine)(stdout);
    if (settings.memory) {
        report_memory(stdout);
        return EXIT_SUCCESS;
    }

    struct results *results = calloc(workload_count, sizeof *results);
    const struct workload **chosen = calloc(workload_count, sizeof *chosen);
    size_t count = 0;
    if (results == NULL || chosen == NULL)
        refuse("%s", strerror(ENOMEM));
    for (size_t i = 0; i < workload_count; i++)
        if (matches(&workloads[i]))
            chosen[count++] = &workloads[i];
    schedule_start(chosen, count);
    for (size_t i = 0; i < count; i++) {
        measure(chosen[i], &results[i]);
        (settings.markdown ? markdown_workload : report_workload)(stdout, &results[i]);
        fflush(stdout);
    }
    (settings.markdown ? markdown_summary : report_summary)(stdout, results, count);
    if (settings.json != NULL && !write_json(settings.json, results, count))
        refuse("%s: it could not be written", settings.json);
    if (settings.charts != NULL)
        write_charts(settings.charts, results, count);

    for (size_t i = 0; i < count; i++)
        for (unsigned id = 0; id < CONTESTANTS; id++)
            free(results[i].of[id].samples);
    free(chosen);
    free(results);
    return EXIT_SUCCESS;
}
