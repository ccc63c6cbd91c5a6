/*
 * Zeroed memory from what was used before: where discarding becomes cheaper than memset.
 */
#include "bench.h"
#include "measure.h"

#include <string.h>

enum { SIZES = 8, MAX_TIMES = 256 };

/* Microseconds per MiB to have a dirty region zeroed, and written whole if `write`. */
static double zero_one(const struct contestant *contestant, size_t size, bool write)
{
    double times[MAX_TIMES];
    size_t count = 0;
    const uint64_t enough = now_ns() + settings.budget_ns;

    for (int warm_up = 1; count == 0 || (now_ns() < enough && count < MAX_TIMES); warm_up = 0) {
        const uint64_t start = now_ns();
        char *ptr = contestant->allocate(size);
        if (ptr == NULL)
            give_up("out of memory");
        if (write)
            memset(ptr, 1, size);
        const uint64_t end = now_ns();
        if (!write)
            memset(ptr, 1, size); /* dirty for the next */
        escape(ptr);
        contestant->release(ptr, size);
        if (warm_up == 0) /* the first region is a new one, which nobody has to clear */
            times[count++] = (double)(end - start) / 1e3 * (double)MIB / (double)size;
    }
    return quantile(times, count, 0.5);
}

static void run(const struct contestant *contestant, bool write, struct sample *out)
{
    /* From 64 KiB in steps of four; the last is as large as the machine allows. */
    for (unsigned i = 0; i < SIZES; i++) {
        const size_t size = 64 * KIB << 2 * i;
        out->values[i] = zero_one(contestant, size < settings.touch_bytes ? size : settings.touch_bytes, write);
    }
}

void run_zeroed(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    (void)workload;
    run(contestant, true, out);
}

void run_zeroed_only(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    (void)workload;
    run(contestant, false, out);
}
