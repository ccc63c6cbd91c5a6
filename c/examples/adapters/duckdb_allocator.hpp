// DuckDB on lgalloc: an allocator for DBConfig.
#ifndef DUCKDB_ALLOCATOR_HPP
#define DUCKDB_ALLOCATOR_HPP

#include "lgalloc.h"

#include "duckdb.hpp"
#include "duckdb/common/allocator.hpp"

namespace lgalloc_duckdb {

// DuckDB asks for blocks of 256 KiB, for vectors of a few KiB, and for hash tables of megabytes: from 64 KiB on they
// are regions, the small ones are the heap's. It takes no nullptr: an exception becomes the query's error.
inline duckdb::data_ptr_t allocate(duckdb::PrivateAllocatorData *, duckdb::idx_t size)
{
    void *const block = lgalloc_any_malloc(size);

    if (block == nullptr)
        throw duckdb::OutOfMemoryException("lgalloc: no memory for %llu bytes", size);
    return static_cast<duckdb::data_ptr_t>(block);
}

inline void release(duckdb::PrivateAllocatorData *, duckdb::data_ptr_t block, duckdb::idx_t)
{
    lgalloc_any_free(block);
}

inline duckdb::data_ptr_t resize(duckdb::PrivateAllocatorData *, duckdb::data_ptr_t block, duckdb::idx_t,
                                 duckdb::idx_t size)
{
    void *const larger = lgalloc_any_realloc(block, size);

    if (larger == nullptr)
        throw duckdb::OutOfMemoryException("lgalloc: no memory for %llu bytes", size);
    return static_cast<duckdb::data_ptr_t>(larger);
}

// For the DBConfig that a database is made with; several databases may share lgalloc.
inline void use_lgalloc(duckdb::DBConfig &config)
{
    config.allocator = duckdb::make_uniq<duckdb::Allocator>(allocate, release, resize, nullptr);
}

} // namespace lgalloc_duckdb

#endif
