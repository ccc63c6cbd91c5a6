/*
 * Real work: the demo's sort of a file's words.
 */
#include "bench.h"
#include "measure.h"

#include "../examples/demo/input.h"
#include "../examples/demo/sort.h"
#include "../examples/demo/words.h"

#include <stdlib.h>
#include <string.h>

/* Milliseconds, the median of some sorts in a row, after one that warms up. */
void run_sort(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { TIMES = 5 };
    const struct allocator allocator = {contestant->name, contestant->allocate, contestant->release};
    const struct sort_options options = {workload->threads, NULL, NULL};
    struct input input;
    uint64_t fingerprint = 0;
    char *problem = NULL;
    double times[TIMES];

    if (!input_open(settings.input, &input, &problem))
        give_up("%s", problem != NULL ? problem : "no input");
    if (input_fingerprint(&input, NULL, NULL, &fingerprint) != 0)
        give_up("%s cannot be read", input.path);
    for (int i = -1; i < TIMES; i++) {
        struct sort_result result;
        const int error = sort_file(&allocator, input.fd, input.count, &options, &result);
        if (error != 0)
            give_up("%s", strerror(error));
        if (!words_are_sorted(result.words, result.count) ||
            words_fingerprint(result.words, result.count) != fingerprint)
            give_up("the result is wrong");
        sort_result_release(&allocator, &result);
        if (i >= 0)
            times[i] = result.seconds * 1e3;
    }
    out->values[0] = quantile(times, TIMES, 0.5);
    input_close(&input);
}
