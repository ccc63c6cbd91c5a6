#include "metadata.h"

#include "os.h"

lg_a64 lg_metadata_bytes;

lg_lock lg_metadata_lock = LG_LOCK_INIT(LG_RANK_METADATA);
static uintptr_t base; /* const after init */
/* A bit for each page that is writable. Const after init, the bits protected by lg_metadata_lock. They are needed because
 * a page comes into use by a new mapping in its place (os_memory.c), which mustn't happen twice. */
static uint64_t *writable;

#define WORD_BITS 64

int lg_metadata_init(void *addr, size_t len)
{
    int error = lg_os_make_readable(addr, len);
    if (error != 0)
        return error;
    size_t start = 0, bytes = len / lg_os_page_size() / 8 + sizeof(uint64_t);
    lg_os_round_outward(&start, &bytes);
    void *bits;
    error = lg_os_reserve(bytes, &bits);
    if (error != 0)
        return error;
    error = lg_os_commit(bits, bytes);
    if (error != 0) {
        lg_os_unreserve(bits, bytes);
        return error;
    }
    base = (uintptr_t)addr;
    writable = bits;
    return 0;
}

static bool is_writable(size_t page)
{
    return (writable[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

/* Pages [first, end), none of them writable. */
static int commit_run(size_t first, size_t end)
{
    size_t size = lg_os_page_size();
    int error = lg_os_commit_readable((void *)(base + first * size), (end - first) * size);
    if (error != 0)
        return error;
    for (size_t page = first; page < end; page++)
        writable[page / WORD_BITS] |= (uint64_t)1 << page % WORD_BITS;
    lg_add_relaxed_64(&lg_metadata_bytes, (end - first) * size);
    return 0;
}

int lg_metadata_commit(void *addr, size_t len)
{
    size_t start = (uintptr_t)addr;
    lg_os_round_outward(&start, &len);
    size_t page = (start - base) / lg_os_page_size();
    size_t end = page + len / lg_os_page_size();
    int error = 0;
    lg_lock_acquire(&lg_metadata_lock);
    while (page < end && error == 0) {
        size_t first = page;
        bool done = is_writable(first);
        while (page < end && is_writable(page) == done)
            page++;
        if (!done)
            error = commit_run(first, page);
    }
    lg_lock_release(&lg_metadata_lock);
    return error;
}
