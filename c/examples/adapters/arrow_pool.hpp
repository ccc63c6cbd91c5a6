// Arrow on lgalloc: a MemoryPool, for whatever takes one.
#ifndef ARROW_POOL_HPP
#define ARROW_POOL_HPP

#include "lgalloc.h"

#include <arrow/memory_pool.h>
#include <arrow/status.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>

// From 64 KiB on buffers are regions; smaller ones are the heap's.
class LgallocMemoryPool : public arrow::MemoryPool {
public:
    using arrow::MemoryPool::Allocate;
    using arrow::MemoryPool::Free;
    using arrow::MemoryPool::Reallocate;

    arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t **out) override
    {
        if (size < 0)
            return arrow::Status::Invalid("negative size");
        if (size == 0) {
            *out = nothing();
            return arrow::Status::OK();
        }
        void *const block = lgalloc_any_aligned(static_cast<size_t>(alignment), static_cast<size_t>(size));
        if (block == nullptr)
            return arrow::Status::OutOfMemory("lgalloc: no memory for ", size, " bytes");
        *out = static_cast<uint8_t *>(block);
        count(size, true);
        return arrow::Status::OK();
    }

    arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t **ptr) override
    {
        // A region stays where it is, or its pages move without being copied. What a heap moves may lose its alignment.
        if (lgalloc_usable_size(*ptr) != 0 && new_size >= border) {
            void *const block = lgalloc_any_realloc(*ptr, static_cast<size_t>(new_size));
            if (block == nullptr)
                return arrow::Status::OutOfMemory("lgalloc: no memory for ", new_size, " bytes");
            *ptr = static_cast<uint8_t *>(block);
            if (reinterpret_cast<uintptr_t>(block) % static_cast<uintptr_t>(alignment) == 0) {
                count(new_size - old_size, new_size > old_size);
                return arrow::Status::OK();
            }
            count(new_size - old_size, false); // if there was no region; it is copied once more
            old_size = new_size;
        }
        uint8_t *copy = nullptr;
        ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &copy));
        std::memcpy(copy, *ptr, static_cast<size_t>(std::min(old_size, new_size)));
        Free(*ptr, old_size, alignment);
        *ptr = copy;
        return arrow::Status::OK();
    }

    void Free(uint8_t *buffer, int64_t size, int64_t) override
    {
        if (buffer == nothing())
            return;
        lgalloc_any_free(buffer);
        count(-size, false);
    }

    void ReleaseUnused() override { lgalloc_purge(); }
    int64_t bytes_allocated() const override { return in_use.load(std::memory_order_relaxed); }
    int64_t max_memory() const override { return most.load(std::memory_order_relaxed); }
    int64_t total_bytes_allocated() const override { return total.load(std::memory_order_relaxed); }
    int64_t num_allocations() const override { return allocations.load(std::memory_order_relaxed); }
    std::string backend_name() const override { return "lgalloc"; }

private:
    static constexpr int64_t border = 64 * 1024;

    // Of buffers of no bytes; nobody reads or writes there.
    static uint8_t *nothing()
    {
        alignas(64) static uint8_t place[64];
        return place;
    }

    void count(int64_t difference, bool taken)
    {
        const int64_t now = in_use.fetch_add(difference, std::memory_order_relaxed) + difference;
        for (int64_t seen = most; now > seen && !most.compare_exchange_weak(seen, now, std::memory_order_relaxed);)
            ;
        if (!taken)
            return;
        total.fetch_add(difference, std::memory_order_relaxed);
        allocations.fetch_add(1, std::memory_order_relaxed);
    }

    std::atomic<int64_t> in_use{0}, most{0}, total{0}, allocations{0};
};

#endif
