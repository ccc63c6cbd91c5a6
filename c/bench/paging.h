/*
 * The kernel's paging of a file mapping, as what sealed regions are measured by: in as much memory, with a readahead that is
 * known.
 */
#ifndef BENCH_PAGING_H
#define BENCH_PAGING_H

#include <stdbool.h>
#include <stddef.h>

/* From here to paging_unlimit() the process has so much memory, page cache included; ends the child where no memory cgroup can
 * be made. */
void paging_limit(size_t bytes);
void paging_unlimit(void);

/* A file of so many bytes in the working directory, without a name; all of it on disk and, where it is `filled`, nothing
 * of it in the page cache. Ends the child where that can't be. */
int paging_file(size_t bytes, bool filled);

/* Opens it once more, with so much readahead; 0: the system's. Ends the child where it can't be set. */
int paging_reopen(int fd, unsigned readahead_kib);

#endif
