/*
 * Real work: expressions over large arrays, evaluated as array libraries do it, one operation at a time
 * into a new array.
 */
#include "bench.h"
#include "measure.h"

#include <math.h>

struct array {
    double *values;
    size_t count;
};

static const struct contestant *memory;

static struct array array_new(size_t count)
{
    const struct array array = {memory->allocate(count * sizeof(double)), count};

    if (array.values == NULL)
        give_up("out of memory");
    return array;
}

static void array_free(struct array array)
{
    memory->release(array.values, array.count * sizeof(double));
}

#define ARRAY_OPERATION(name, operator)                      \
    static struct array name(struct array a, struct array b) \
    {                                                        \
        const struct array result = array_new(a.count);      \
        double *restrict to = result.values;                 \
        const double *x = a.values;                          \
        const double *y = b.values;                          \
        for (size_t i = 0; i < result.count; i++)            \
            to[i] = x[i] operator y[i];                      \
        return result;                                       \
    }

ARRAY_OPERATION(array_add, +)
ARRAY_OPERATION(array_subtract, -)
ARRAY_OPERATION(array_multiply, *)
ARRAY_OPERATION(array_divide, /)

static struct array array_fill(size_t count, double first, double step)
{
    const struct array array = array_new(count);

    for (size_t i = 0; i < count; i++)
        array.values[i] = first + step * (double)(i % 1000);
    return array;
}

/* a * b + c - a / c, four arrays made on the way */
static struct array expression(struct array a, struct array b, struct array c)
{
    const struct array product = array_multiply(a, b);
    const struct array sum = array_add(product, c);
    array_free(product);
    const struct array quotient = array_divide(a, c);
    const struct array result = array_subtract(sum, quotient);
    array_free(sum);
    array_free(quotient);
    return result;
}

static void check(struct array d, struct array a, struct array b, struct array c)
{
    for (size_t i = 0; i < d.count; i += 997) {
        const double wanted = a.values[i] * b.values[i] + c.values[i] - a.values[i] / c.values[i];
        if (!(fabs(d.values[i] - wanted) <= 1e-9 * fabs(wanted)))
            give_up("element %zu is %g, not %g", i, d.values[i], wanted);
    }
}

/* Milliseconds per expression; every result is kept until the next one has been made. */
void run_arrays(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { MOST = 101 };
    const size_t count = workload->size / sizeof(double);
    const uint64_t budget = settings.budget_ns * 6;
    double times[MOST];
    unsigned done = 0;

    memory = contestant;
    const struct array a = array_fill(count, 1, 0.25);
    const struct array b = array_fill(count, 2, 0.5);
    const struct array c = array_fill(count, 3, 0.125);
    struct array d = expression(a, b, c);
    const uint64_t start = now_ns();
    do {
        const uint64_t before = now_ns();
        const struct array next = expression(a, b, c);
        array_free(d);
        d = next;
        times[done++] = (double)(now_ns() - before) / 1e6;
    } while (done < 5 || (done < MOST && now_ns() - start < budget));
    check(d, a, b, c);
    out->values[0] = quantile(times, done, 0.5);
}
