// What Arrow gains: the same work on lgalloc's pool and on Arrow's own pools, in turns; processor time.
//
//     arrow_try [ROUNDS]
#include "arrow_pool.hpp"
#include "try.h"

#include <arrow/buffer.h>
#include <arrow/builder.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

// An array of 32 Mi numbers, one by one: its buffer doubles until it has 256 MiB.
static arrow::Result<int64_t> growing(arrow::MemoryPool *pool)
{
    arrow::Int64Builder builder(arrow::int64(), pool);

    for (int64_t i = 0; i < (int64_t{32} << 20); i++)
        ARROW_RETURN_NOT_OK(builder.Append(i));
    ARROW_ASSIGN_OR_RAISE(auto array, builder.Finish());
    const auto &numbers = static_cast<const arrow::Int64Array &>(*array);
    return numbers.Value(12345) + numbers.length();
}

// Batches as they come and go in a pipeline: 8 columns of 4 MiB, written and dropped.
static arrow::Result<int64_t> batches(arrow::MemoryPool *pool)
{
    int64_t sum = 0;

    for (int batch = 0; batch < 20; batch++) {
        std::vector<std::shared_ptr<arrow::Buffer>> columns;
        for (int column = 0; column < 8; column++) {
            ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateBuffer(int64_t{4} << 20, pool));
            std::memset(buffer->mutable_data(), column, static_cast<size_t>(buffer->size()));
            columns.push_back(std::move(buffer));
        }
        for (const auto &column : columns)
            sum += column->data()[batch];
    }
    return sum;
}

static double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

static int complain(const char *what, const arrow::Status &status)
{
    std::fprintf(stderr, "arrow: %s: %s\n", what, status.ok() ? "wrong result" : status.ToString().c_str());
    return EXIT_FAILURE;
}

// Alignments that a heap must not lose on the way, sizes across the border, and none at all; the contents go along.
static int check_alignment(arrow::MemoryPool &pool)
{
    uint8_t *block = nullptr;
    int64_t before = 0;
    arrow::Status status = pool.Allocate(before, 4096, &block);

    for (const int64_t size : {100, 70000, 50, 1 << 20, 1 << 25, 80000, 100, 0}) {
        if (status.ok())
            status = pool.Reallocate(before, size, 4096, &block);
        if (!status.ok() || (size > 0 && reinterpret_cast<uintptr_t>(block) % 4096 != 0))
            return complain("reallocating", status);
        if (before > 0 && size > 0 && block[0] != 77)
            return complain("contents", status);
        if (size > 0)
            block[0] = 77;
        before = size;
    }
    pool.Free(block, 0, 4096);
    return pool.bytes_allocated() == 0 ? EXIT_SUCCESS : complain("the account", status);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; arrow::Result<int64_t> (*work)(arrow::MemoryPool *); } works[] = {
        {"growing to 256 MiB", growing}, {"batches of 32 MiB", batches}};
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
    LgallocMemoryPool ours;
    arrow::MemoryPool *const pools[] = {&ours, arrow::default_memory_pool(), arrow::system_memory_pool()};
    constexpr size_t count = sizeof pools / sizeof *pools;

    if (!try_configure())
        return EXIT_FAILURE;
    for (const auto &work : works) {
        std::vector<double> times[count];
        int64_t first = 0;
        for (int round = 0; round < rounds; round++)
            for (size_t who = 0; who < count; who++) {
                const double start = try_processor_ms();
                const auto result = work.work(pools[who]);
                times[who].push_back(try_processor_ms() - start);
                if (!result.ok() || (round + who > 0 && *result != first))
                    return complain(work.name, result.status());
                first = *result;
            }
        for (size_t who = 1; who < count; who++)
            std::printf("arrow  %-22s %8.1f ms with lgalloc, %8.1f ms with %s: %.2f\n", work.name, median(times[0]),
                        median(times[who]), pools[who]->backend_name().c_str(), median(times[0]) / median(times[who]));
    }
    std::printf("arrow  took %lld buffers, %lld bytes at most\n", static_cast<long long>(ours.num_allocations()),
                static_cast<long long>(ours.max_memory()));
    return check_alignment(ours);
}
