/* The whole allocator's invariants as code, for tests and fuzzers. Compiled in with LG_TESTING only. */
#ifndef LG_VERIFY_H
#define LG_VERIFY_H

#include "../base/base.h"

/*
 * Checks, at a moment when no other thread is inside the library:
 *
 * 1. every region of a class's chunks is in one place: in use, in one thread cache, in the dirty or in the clean
 *    pool, and its state says so; no place holds a region outside of them, and descriptors there are vacant;
 * 2. free = thread + global + clean, and area bytes = (free + in use) * size; the pools' counts are exact;
 * 3. charged bytes equal in use plus dirty; with `contents`, no page of a clean region is in memory;
 * 4. mapped chunks have one class each, whole regions of it, and are of one kind within a region; areas don't overlap, and
 *    lie below the limit of their descriptors;
 * 5. the summaries of the bitmaps hide nothing, no region and no free thread record.
 *
 * Returns NULL, or what is wrong first, as a static text; *out_log2 says which class it is about.
 */
LG_HIDDEN const char *lg_verify(bool contents, unsigned *out_log2);

#endif
