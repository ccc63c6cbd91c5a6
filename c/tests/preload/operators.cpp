// C++ takes its memory by way of malloc: containers, operators and what they throw; prints what must stay the same.
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

int main()
{
    std::vector<std::string> words;
    std::vector<double> numbers;
    std::map<int, std::vector<char>> table;
    for (int i = 0; i < 300000; i++) {
        words.push_back("word " + std::to_string(i));
        numbers.push_back(i * 0.5);
        if (i % 10000 == 0)
            table[i].resize(2000000u + static_cast<unsigned>(i));
    }
    std::string text;
    for (const std::string &word : words)
        text += word;
    std::printf("%zu %zu %zu %g\n", words.size(), text.size(), table.rbegin()->second.size(), numbers.back());

    struct alignas(8192) Page {
        char bytes[3000000];
    };
    std::unique_ptr<Page> page(new Page());
    std::printf("aligned: %d\n", reinterpret_cast<std::uintptr_t>(page.get()) % 8192 == 0);
    volatile std::size_t huge = SIZE_MAX / 4;
    try {
        delete[] new char[huge];
        std::puts("there was so much");
    } catch (const std::bad_alloc &) {
        std::puts("bad_alloc");
    }
    std::printf("nothrow: %d\n", new (std::nothrow) char[huge] == nullptr);
    std::shared_ptr<int[]> shared(new int[1000000]());
    std::printf("zero: %d\n", shared[999999]);
    return 0;
}
