/*
 * C++: containers whose large blocks are regions, owners of memory, and failures that say why.
 *
 *     c++ -std=c++17 containers.cpp $(pkg-config --cflags --libs lgalloc)
 */
#include <lgalloc.hpp>

#include <cstdio>
#include <numeric>
#include <unordered_map>
#include <vector>

int main()
try {
    lgalloc::config config;
    lgalloc_config_enable(config); /* options are set by the functions of lgalloc.h */
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_limit_bytes(config, std::size_t{64} << 20);
    config.apply();

    /* A container by its type: blocks from 64 KiB on are regions, smaller ones are operator new's. */
    std::vector<double, lgalloc::allocator<double>> numbers(1000000);
    std::iota(numbers.begin(), numbers.end(), 0.0);

    /* Or by a resource at run time, for everything that the container holds. */
    lgalloc::memory_resource resource;
    std::pmr::unordered_map<int, std::pmr::string> names(&resource);
    names.reserve(100000); /* the buckets are a region, the names aren't */
    names[7] = "seven";

    /* A vector that never moves its elements, with room for all that fits in the region. */
    auto squares = lgalloc::region<long>::mapped(100000);
    while (squares.size() < squares.capacity())
        squares.push_back(static_cast<long>(squares.size() * squares.size()));
    std::printf("%.0f, %s, %ld of %zu squares\n", numbers.back(), names[7].c_str(), squares.back(), squares.size());

    /* What may fail as a matter of course, without an exception: 128 MiB are above the limit. */
    auto memory = lgalloc::handle::try_allocate(std::size_t{128} << 20);
    if (!memory)
        std::printf("128 MiB: %s\n", lgalloc_status_str(memory.error().status));
    return memory ? 1 : 0;
} catch (const lgalloc::error &e) { /* a std::bad_alloc, which knows more */
    std::fprintf(stderr, "containers: %s\n", e.what());
    return 1;
}
