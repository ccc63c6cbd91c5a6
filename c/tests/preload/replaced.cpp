// Replaces the plain new and delete alone, as libraries from before C++14 do: whatever form is called must come here.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

static long taken, given;

void *operator new(std::size_t size)
{
    taken++;
    // No block of malloc begins here, so that who frees it as such goes wrong.
    char *block = static_cast<char *>(std::malloc(size + 64));
    if (block == nullptr)
        throw std::bad_alloc();
    return block + 64;
}

void operator delete(void *ptr) noexcept
{
    given += ptr != nullptr;
    if (ptr != nullptr)
        std::free(static_cast<char *>(ptr) - 64);
}

int main()
{
    {
        std::vector<char> large(3000000, 'x');
        std::unique_ptr<int[]> array(new int[500000]());
        std::unique_ptr<double> one(new double(1));
        char *plain = new (std::nothrow) char[2000000];
        operator delete[](plain, std::nothrow);
        operator delete(operator new(2000000), std::size_t{2000000});
        operator delete[](operator new[](2000000), std::size_t{2000000});
    }
    std::printf("%ld %ld\n", taken, given);
    return taken == given ? 0 : 1;
}
