/*
 * What sealed regions are to everybody else: who pins which, and what is guarded. A region's contents are one word at its
 * beginning, which is read and written as the explorer's memory is.
 */
#ifndef FUZZ_WORLD_SEALED_H
#define FUZZ_WORLD_SEALED_H

#include "explorer/explore.h"
#include "lgalloc.h"

/* ---- for clients */

/* Writes a value into a region that the caller has, and seals it. */
void world_seal(lgalloc_handle handle, uint64_t value);
/* Pins, and looks whether the value is there. Returns what lgalloc_pin() answers. */
lgalloc_status world_pin(lgalloc_handle handle, uint64_t value);
lgalloc_status world_try_pin(lgalloc_handle handle, uint64_t value);
/* Looks once more, and unpins. */
void world_unpin(lgalloc_handle handle, uint64_t value);
/* Makes it writable; if that may be, writes another value. */
lgalloc_status world_unseal(lgalloc_handle handle, uint64_t value, uint64_t next);
/* A copy of the value, whether it is resident or not. */
lgalloc_status world_read(lgalloc_handle handle, uint64_t value);

/* ---- for what takes the place of system calls */

void world_guarded(const void *addr, size_t len);
void world_unguarded(const void *addr, size_t len);
void world_loaded(const void *addr);
/* Before each execution; whether readers are looked after, which takes XP_WEAK. */
void world_forget_sealed(void);
extern bool world_tells_readers;
/* Bytes that are guarded: in use, and not in memory. */
size_t world_guarded_bytes(void);

#endif
