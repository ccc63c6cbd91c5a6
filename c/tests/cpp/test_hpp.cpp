/*
 * include/lgalloc.hpp: owners, containers, failures. Compiled in each standard from C++17 on; see check-hpp.sh. Ends with
 * nothing in use.
 */
#include "lgalloc.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace {

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                             \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (0)

template <class Function>
lgalloc_status thrown(Function function)
{
    try {
        function();
    } catch (const lgalloc::error &e) {
        CHECK(std::strcmp(e.what(), lgalloc_status_str(e.status())) == 0);
        return e.status();
    }
    return LGALLOC_STATUS_OK;
}

std::size_t in_use()
{
    lgalloc_global_stats stats;
    lgalloc_stats_global(&stats);
    return stats.in_use_bytes;
}

constexpr std::size_t mib = std::size_t{1} << 20;

/* Counts how many of its kind there are. */
struct counted {
    static inline int alive = 0;
    int value;
    explicit counted(int v) : value(v) { alive++; }
    counted(const counted &other) : value(other.value)
    {
        if (value < 0)
            throw value;
        alive++;
    }
    counted &operator=(const counted &) = default;
    ~counted() { alive--; }
};

struct alignas(4096) page {
    unsigned char bytes[4096];
};

/* ---------------------------------------------------------------- failures */

void disabled()
{
    auto memory = lgalloc::handle::try_allocate(mib);
    CHECK(!memory && memory.error().status == LGALLOC_STATUS_DISABLED);
    CHECK(thrown([] { (void)lgalloc::handle::allocate(mib); }) == LGALLOC_STATUS_DISABLED);
    CHECK(thrown([] { std::vector<char, lgalloc::allocator<char>> v(mib); }) == LGALLOC_STATUS_DISABLED);
    CHECK(thrown([&] { (void)memory.value(); }) == LGALLOC_STATUS_DISABLED);
    /* The heap is there all the same. */
    CHECK(!lgalloc::region<int>::automatic(mib).is_mapped());
    std::vector<char, lgalloc::allocator<char>> small(1000);
}

void configure()
{
    lgalloc::config config;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, static_cast<lgalloc_backing>(99));
    CHECK(config.try_apply() == LGALLOC_STATUS_INVALID_ARGUMENT);
    CHECK(thrown([&] { config.apply(); }) == LGALLOC_STATUS_INVALID_ARGUMENT);
    /* Files without a path: the system says why not. */
    lgalloc_config_with_backing(config, LGALLOC_BACKING_FILE);
    config.apply();
    auto nowhere = lgalloc::handle::try_allocate(mib);
    CHECK(nowhere.error().status == LGALLOC_STATUS_IO && nowhere.error().system_error == ENOENT);
    try {
        std::vector<char, lgalloc::allocator<char>> v(mib);
        CHECK(false);
    } catch (const std::bad_alloc &e) {
        auto why = dynamic_cast<const lgalloc::error *>(&e);
        CHECK(why != nullptr && why->status() == LGALLOC_STATUS_IO && why->system_error() == ENOENT);
    }
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc::config moved = std::move(config);
    moved.apply();
}

void limit()
{
    lgalloc::config config;
    lgalloc_config_limit_bytes(config, 4 * mib);
    config.apply();
    lgalloc_purge(); /* what is free and dirty may be used again above a new limit */
    std::vector<int, lgalloc::allocator<int>> vector;
    CHECK(thrown([&] {
              for (int i = 0;; i++)
                  vector.push_back(i);
          }) == LGALLOC_STATUS_OUT_OF_MEMORY);
    /* 2 MiB are full, and 4 MiB beside them are too much; nothing was lost. */
    CHECK(vector.size() == 2 * mib / sizeof(int) && vector.back() == static_cast<int>(vector.size()) - 1);
    CHECK(thrown([] { (void)lgalloc::region<char>::automatic(4 * mib); }) == LGALLOC_STATUS_OUT_OF_MEMORY);
    lgalloc_config_limit_bytes(config, 0);
    config.apply();
}

/* ---------------------------------------------------------------- owners */

void handles()
{
    lgalloc::handle none;
    CHECK(!none && none.size() == 0 && none.data() != nullptr);
    std::size_t before = in_use();
    auto memory = lgalloc::handle::allocate(mib + 1);
    CHECK(memory && memory.size() == 2 * mib && in_use() == before + 2 * mib);
    void *first = memory.data();
    std::memset(first, 1, memory.size());
    CHECK(memory.populate(0, mib) == LGALLOC_STATUS_OK && memory.prefetch(0, mib) == LGALLOC_STATUS_OK);
    CHECK(memory.discard(0, 2 * mib) == LGALLOC_STATUS_OK && *static_cast<char *>(first) == 0);
    CHECK(memory.discard(mib, 2 * mib) == LGALLOC_STATUS_OUT_OF_BOUNDS);

    lgalloc::handle moved = std::move(memory);
    CHECK(moved.data() == first && !memory); // NOLINT: what was moved from holds nothing
    memory = std::move(moved);
    lgalloc::handle other = lgalloc::handle::allocate_zeroed(64 * 1024);
    CHECK(std::accumulate(static_cast<char *>(other.data()), static_cast<char *>(other.data()) + other.size(), 0) == 0);
    swap(memory, other);
    CHECK(other.data() == first);
    memory = std::move(other);
    CHECK(in_use() == before + 2 * mib);
    lgalloc_handle raw = memory.release();
    CHECK(!memory && raw.ptr == first && in_use() == before + 2 * mib);
    memory = lgalloc::handle::adopt(raw);
    memory.reset();
    CHECK(in_use() == before);

    auto wrong = lgalloc::handle::try_allocate(1);
    CHECK(wrong.error().status == LGALLOC_STATUS_INVALID_SIZE_CLASS && wrong.error().system_error == 0);
    lgalloc::handle taken = *lgalloc::handle::try_allocate(mib);
    CHECK(lgalloc::handle::try_allocate(1).value_or(std::move(taken)).size() == mib);
}

void regions()
{
    lgalloc::region<int> empty;
    CHECK(empty.empty() && empty.capacity() == 0 && empty.begin() == empty.end());
    CHECK(thrown([&] { empty.push_back(1); }) == LGALLOC_STATUS_CAPACITY_EXCEEDED);

    auto numbers = lgalloc::region<int>::mapped(100000);
    CHECK(numbers.is_mapped() && numbers.capacity() == 512 * 1024 / sizeof(int));
    numbers.append({1, 2, 3});
    numbers.append(numbers.begin(), numbers.end());
    std::istringstream text("4 5");
    numbers.append(std::istream_iterator<int>(text), std::istream_iterator<int>());
    CHECK(numbers.size() == 8 && numbers.back() == 5 && numbers[3] == 1 && *numbers.rbegin() == 5);
    CHECK(std::accumulate(numbers.cbegin(), numbers.cend(), 0) == 21);
    std::memset(numbers.spare(), 0, numbers.spare_size() * sizeof(int));
    numbers.set_size(numbers.capacity());
    CHECK(thrown([&] { numbers.append({1}); }) == LGALLOC_STATUS_CAPACITY_EXCEEDED);
    CHECK(thrown([&] { numbers.set_size(numbers.capacity() + 1); }) == LGALLOC_STATUS_CAPACITY_EXCEEDED);
    CHECK(lgalloc_cold(numbers.borrowed(), 0, 4096) == LGALLOC_STATUS_OK);
    int *first = &numbers.front();
    lgalloc::region<int> moved = std::move(numbers);
    CHECK(moved.data() == first && numbers.empty() && numbers.capacity() == 0); // NOLINT: it holds nothing
#if __cplusplus >= 202002L
    std::span<const int> span(moved);
    CHECK(span.size() == moved.size());
#endif
    lgalloc_region given = moved.release();
    CHECK(given.ptr == first && given.len == 512 * 1024 / sizeof(int) && moved.empty());
    lgalloc_region_drop(&given);

    auto heap = lgalloc::region<std::string>::automatic(2);
    CHECK(!heap.is_mapped() && heap.capacity() == 2);
    heap.emplace_back(std::size_t{100}, 'x');
    heap.push_back("y");
    heap.pop_back();
    CHECK(heap.size() == 1 && heap.front().size() == 100);
    CHECK(lgalloc::region<char>::try_on_heap(SIZE_MAX).error().status == LGALLOC_STATUS_OUT_OF_MEMORY);
    CHECK(lgalloc::region<int>::try_mapped(SIZE_MAX).error().status == LGALLOC_STATUS_INVALID_ARGUMENT);
    CHECK(reinterpret_cast<std::uintptr_t>(lgalloc::region<page>::mapped(16).data()) % alignof(page) == 0);
}

void elements()
{
    {
        auto region = lgalloc::region<counted>::mapped(mib / sizeof(counted));
        for (int i = 0; i < 100; i++)
            region.emplace_back(i);
        CHECK(counted::alive == 100);
        region.pop_back();
        lgalloc::region<counted> moved = std::move(region);
        CHECK(counted::alive == 99);
        /* The third copy throws; the two before it are gone again. */
        std::vector<counted> source;
        source.reserve(3);
        for (int value : {1, 2, -1})
            source.emplace_back(value);
        bool caught = false;
        try {
            moved.append(source.begin(), source.end());
        } catch (int) {
            caught = true;
        }
        CHECK(caught && moved.size() == 99 && counted::alive == 99 + 3);
        moved = lgalloc::region<counted>();
        CHECK(counted::alive == 3);
    }
    CHECK(counted::alive == 0);
}

/* ---------------------------------------------------------------- containers */

template <class T>
using of = lgalloc::allocator<T>;

void containers()
{
    std::size_t before = in_use();
    std::vector<int, of<int>> vector(100);
    CHECK(in_use() == before); /* small */
    for (int i = 0; i < 1000000; i++)
        vector.push_back(i);
    CHECK(in_use() >= before + 4 * mib && vector.back() == 999999);
    auto copy = vector;
    auto moved = std::move(vector);
    CHECK(copy == moved);
    moved.shrink_to_fit();
    copy.clear();
    copy.shrink_to_fit();
    CHECK(in_use() == before + 4 * mib);

    std::basic_string<char, std::char_traits<char>, of<char>> string(mib, 'x');
    string += string;
    CHECK(string.size() == 2 * mib && string.back() == 'x');
    std::deque<page, of<page>> deque(100);
    std::list<int, of<int>> list(1000, 7);
    list.splice(list.end(), std::list<int, of<int>>(10, 8));
    CHECK(list.size() == 1010 && list.back() == 8);
    std::map<int, std::string, std::less<>, of<std::pair<const int, std::string>>> map;
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>, of<std::pair<const int, int>>> table;
    table.reserve(1000000); /* the buckets are a region */
    for (int i = 0; i < 1000; i++) {
        map[i] = std::to_string(i);
        table[i] = i;
    }
    CHECK(map[999] == "999" && table.at(999) == 999 && in_use() > before + 8 * mib);
    std::vector<page, of<page>> pages(100);
    CHECK(reinterpret_cast<std::uintptr_t>(pages.data()) % alignof(page) == 0);
    std::vector<bool, of<bool>> bits(10 * mib, true);
    CHECK(bits.back());
}

void allocators()
{
    of<int> a;
    of<long> b(a);
    CHECK(a == b && !(a != b));
    bool overflow = false;
    try {
        (void)b.allocate(SIZE_MAX / 2);
    } catch (const std::bad_array_new_length &) {
        overflow = true;
    }
    CHECK(overflow);
    /* The sizes around both borders, each freed as it was allocated. */
    of<char> chars;
    for (std::size_t size : {std::size_t{0}, lgalloc::default_threshold - 1, lgalloc::default_threshold,
                             lgalloc::default_threshold + 1, mib, mib + 1}) {
        std::size_t before = in_use();
        char *ptr = chars.allocate(size);
        CHECK((in_use() > before) == (size >= lgalloc::default_threshold));
        std::memset(ptr, 1, size);
        chars.deallocate(ptr, size);
    }
#if !defined(SANITIZED) /* there operator new ends the program */
    bool none = false;
    try {
        (void)chars.allocate(std::size_t{1} << 60);
    } catch (const std::bad_alloc &) {
        none = true;
    }
    CHECK(none);
#endif
#if defined(__cpp_lib_allocate_at_least)
    auto most = b.allocate_at_least(100000);
    CHECK(most.count == mib / sizeof(long));
    b.deallocate(most.ptr, most.count);
    CHECK(chars.allocate_at_least(100).count >= 100);
#endif
}

/* ---------------------------------------------------------------- std::pmr */

#if defined(__cpp_lib_memory_resource)
class counting : public std::pmr::memory_resource {
public:
    int blocks = 0;

private:
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        blocks++;
        return std::pmr::new_delete_resource()->allocate(bytes, align);
    }
    void do_deallocate(void *ptr, std::size_t bytes, std::size_t align) override
    {
        blocks--;
        std::pmr::new_delete_resource()->deallocate(ptr, bytes, align);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override { return this == &other; }
};

void resources()
{
    std::size_t before = in_use();
    counting upstream;
    {
        lgalloc::memory_resource resource(&upstream);
        CHECK(resource.upstream() == &upstream && resource.threshold() == 64 * 1024);
        std::pmr::vector<int> vector(10, &resource);
        CHECK(upstream.blocks == 1);
        vector.resize(1000000);
        CHECK(upstream.blocks == 0 && in_use() == before + 4 * mib);
        std::pmr::unordered_map<int, std::pmr::string> map(&resource);
        for (int i = 0; i < 10000; i++)
            map[i] = "a string that is too long for the small one of the library";
        CHECK(map[7].get_allocator().resource() == &resource && in_use() > before + 4 * mib);
        std::pmr::monotonic_buffer_resource arena(mib, &resource);
        std::pmr::vector<std::pmr::string> strings(1000, "another string that is too long to be small", &arena);
        std::pmr::unsynchronized_pool_resource pool(&resource);
        std::pmr::list<int> list(1000, 3, &pool);

        /* An alignment above the size is upstream's; up to the size, a region has it. */
        void *aligned = resource.allocate(64 * 1024, 64 * 1024);
        CHECK(reinterpret_cast<std::uintptr_t>(aligned) % (64 * 1024) == 0);
        resource.deallocate(aligned, 64 * 1024, 64 * 1024);
        int blocks = upstream.blocks;
        aligned = resource.allocate(64 * 1024, mib);
        CHECK(upstream.blocks == blocks + 1 && reinterpret_cast<std::uintptr_t>(aligned) % mib == 0);
        resource.deallocate(aligned, 64 * 1024, mib);

        lgalloc::memory_resource same(&upstream), least(&upstream, 0), mine;
        CHECK(resource.is_equal(same) && !resource.is_equal(least) && !resource.is_equal(mine));
        CHECK(!resource.is_equal(upstream) && least.threshold() == 32 * 1024 + 1);
        void *odd = least.allocate(32 * 1024 + 1);
        least.deallocate(odd, 32 * 1024 + 1);
        /* Memory of one may be freed by the other. */
        std::pmr::vector<int> there(100000, &resource), here(&same);
        here = std::move(there);
    }
    CHECK(upstream.blocks == 0 && in_use() == before);
}
#endif

void threads()
{
    std::vector<std::vector<long, of<long>>> vectors;
    std::thread([&] {
        for (int i = 0; i < 4; i++)
            vectors.emplace_back(100000, i);
    }).join();
    std::thread([&] {
        CHECK(vectors[3].back() == 3);
        vectors.clear();
    }).join();
}

} /* namespace */

int main()
{
    disabled();
    configure();
    handles();
    regions();
    elements();
    containers();
    allocators();
#if defined(__cpp_lib_memory_resource)
    resources();
#endif
    threads();
    limit();
    CHECK(in_use() == 0);
    return 0;
}
