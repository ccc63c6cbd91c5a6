/*
 * Static probes: places where perf, bpftrace, SystemTap and gdb can stop in a library that runs. Each is one nop and a
 * note in the library that says where it is and where its arguments are. None is on the hot path. They are there if
 * <sys/sdt.h> is when the library is compiled (Debian: systemtap-sdt-dev), and not with LG_NO_PROBES.
 *
 *     refill(region bytes, regions)                     a thread claimed regions from a shared pool
 *     steal(region bytes, regions)                      a thread took regions from others' caches
 *     area_map(region bytes, address, bytes, error)     an area was mapped; error 0, or an errno, or -1: no addresses
 *     chunk_change(region bytes, address, bytes, held)  free chunks became ones of this class; held: with their memory
 *     area_release(region bytes, address, bytes, dirty) an area was given back; dirty: bytes that may have held memory
 *     clear(region bytes, address, bytes, error)        free neighbours were cleared; error 0, or an errno
 *     refuse(bytes asked for, status, errno)            an allocation was refused; errno is 0 but with LGALLOC_STATUS_IO
 */
#ifndef LG_PROBE_H
#define LG_PROBE_H

#include "base.h"

#define LG_PROBES 0
#if !defined(LG_NO_PROBES) && !defined(LG_EXPLORE) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#undef LG_PROBES
#define LG_PROBES 1
#if defined(__clang__)
/* The header's macros do what -Wpedantic is against, where they are used. */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#endif
#endif

#if LG_PROBES
#define LG_PROBE2(name, a, b) STAP_PROBE2(lgalloc, name, a, b)
#define LG_PROBE3(name, a, b, c) STAP_PROBE3(lgalloc, name, a, b, c)
#define LG_PROBE4(name, a, b, c, d) STAP_PROBE4(lgalloc, name, a, b, c, d)
#else
#define LG_PROBE2(name, a, b) ((void)(a), (void)(b))
#define LG_PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define LG_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
