// What DuckDB gains: queries on lgalloc and on DuckDB's own allocator, in turns; processor time.
//
//     duckdb_try [ROUNDS]
#include "duckdb_allocator.hpp"
#include "try.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// `out_answer` is the query's one value.
static double run(bool on_lgalloc, const char *query, std::string &out_answer)
{
    duckdb::DBConfig config;

    config.SetOptionByName("threads", duckdb::Value::BIGINT(2));
    if (on_lgalloc)
        lgalloc_duckdb::use_lgalloc(config);
    duckdb::DuckDB database(nullptr, &config);
    duckdb::Connection connection(database);
    const double start = try_processor_ms();
    auto result = connection.Query(query);
    const double time = try_processor_ms() - start;
    out_answer = result->HasError() ? "error: " + result->GetError() : result->GetValue(0, 0).ToString();
    return time;
}

static double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

int main(int argc, char **argv)
{
    static const struct { const char *name, *query; } queries[] = {
        {"sort", "SELECT sum(x * r) FROM (SELECT x, row_number() OVER (ORDER BY hash(x)) AS r"
                 " FROM range(2000000) t(x))"},
        {"group", "SELECT sum(c * k) FROM (SELECT hash(x) % 1000000 AS k, count(*) AS c"
                  " FROM range(4000000) t(x) GROUP BY k)"},
    };
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;

    if (!try_configure())
        return EXIT_FAILURE;
    for (const auto &query : queries) {
        std::vector<double> with, without;
        for (int round = 0; round < rounds; round++) {
            std::string ours, theirs;
            with.push_back(run(true, query.query, ours));
            without.push_back(run(false, query.query, theirs));
            if (ours != theirs || ours.compare(0, 5, "error") == 0) {
                std::fprintf(stderr, "duckdb: %s: %s and %s\n", query.name, ours.c_str(), theirs.c_str());
                return EXIT_FAILURE;
            }
        }
        std::printf("duckdb %-8s %8.1f ms with lgalloc, %8.1f ms with its own: %.2f\n", query.name, median(with),
                    median(without), median(with) / median(without));
    }
    std::vector<lgalloc_size_class_stats> classes(LGALLOC_SIZE_CLASS_COUNT);
    lgalloc_stats(classes.data(), classes.size());
    unsigned long long regions = 0;
    for (const auto &one : classes)
        regions += one.allocations;
    std::printf("duckdb took %llu regions\n", regions);
    return regions > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
