#include "crc32c.h"

/*
 * All that is below works on the state of the division: the remainder, whose lowest bit stands for the highest power. The
 * checksum is the state inverted, before and after, so that zeros at the beginning count.
 */
#define CRC_POLYNOMIAL 0x82f63b78u

/* ---- by tables: for every processor, and for the ends of what others do in larger pieces */

/* crc_slices[k][byte]: what a byte comes to with k zeros behind it. Each is a sum of what its bits come to. */
#define CRC_BIT(byte, i, sum) (((byte) >> (i)&1) != 0 ? (sum) : 0u)
#define CRC_ENTRY(n, a, b, c, d, e, f, g, h)                                                                          \
    CRC_BIT(n, 0, a) ^ CRC_BIT(n, 1, b) ^ CRC_BIT(n, 2, c) ^ CRC_BIT(n, 3, d) ^ CRC_BIT(n, 4, e) ^ CRC_BIT(n, 5, f) ^ \
        CRC_BIT(n, 6, g) ^ CRC_BIT(n, 7, h)
#define CRC_FOUR(n, ...)                                                                         \
    CRC_ENTRY(n, __VA_ARGS__), CRC_ENTRY((n) + 1, __VA_ARGS__), CRC_ENTRY((n) + 2, __VA_ARGS__), \
        CRC_ENTRY((n) + 3, __VA_ARGS__)
#define CRC_SIXTEEN(n, ...)                                                                   \
    CRC_FOUR(n, __VA_ARGS__), CRC_FOUR((n) + 4, __VA_ARGS__), CRC_FOUR((n) + 8, __VA_ARGS__), \
        CRC_FOUR((n) + 12, __VA_ARGS__)
#define CRC_SIXTY_FOUR(n, ...)                                                                           \
    CRC_SIXTEEN(n, __VA_ARGS__), CRC_SIXTEEN((n) + 16, __VA_ARGS__), CRC_SIXTEEN((n) + 32, __VA_ARGS__), \
        CRC_SIXTEEN((n) + 48, __VA_ARGS__)
#define CRC_SLICE(...)                                                                                     \
    {                                                                                                      \
        CRC_SIXTY_FOUR(0, __VA_ARGS__), CRC_SIXTY_FOUR(64, __VA_ARGS__), CRC_SIXTY_FOUR(128, __VA_ARGS__), \
            CRC_SIXTY_FOUR(192, __VA_ARGS__)                                                               \
    }

static const uint32_t crc_slices[4][256] = {
    CRC_SLICE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    CRC_SLICE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    CRC_SLICE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    CRC_SLICE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
};

static uint32_t add_by_tables(uint32_t state, const unsigned char *data, size_t len)
{
    for (; len >= 4; len -= 4, data += 4) {
        state ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        state = crc_slices[3][state & 255] ^ crc_slices[2][state >> 8 & 255] ^ crc_slices[1][state >> 16 & 255] ^
                crc_slices[0][state >> 24];
    }
    for (; len != 0; len--, data++)
        state = state >> 8 ^ crc_slices[0][(state ^ *data) & 255];
    return state;
}

static bool is_always_here(void)
{
    return true;
}

/* ---- by the processor's instruction, on three parts at once */

#if defined(__x86_64__) && !LG_MSAN
#define CRC_HAS_STEPS 1
#include <immintrin.h>

#define CRC_WITH_STEPS __attribute__((target("sse4.2")))

CRC_WITH_STEPS LG_INLINE uint32_t crc_step(uint32_t state, const unsigned char *data)
{
    uint64_t eight;
    memcpy(&eight, data, 8);
    return (uint32_t)_mm_crc32_u64(state, eight);
}

static bool steps_are_here(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}
#elif defined(__aarch64__) && !LG_MSAN
#define CRC_HAS_STEPS 1
#include <sys/auxv.h>

#define CRC_WITH_STEPS
#define HWCAP_HAS_CRC32 (1 << 7) /* of asm/hwcap.h */

LG_INLINE uint32_t crc_step(uint32_t state, const unsigned char *data)
{
    uint64_t eight;
    memcpy(&eight, data, 8);
#ifdef __AARCH64EB__
    eight = __builtin_bswap64(eight);
#endif
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(state) : "r"(eight));
    return state;
}

static bool steps_are_here(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_HAS_CRC32) != 0;
}
#else
#define CRC_HAS_STEPS 0
#endif

#if CRC_HAS_STEPS
/* The product of two remainders. */
static uint32_t crc_times(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (unsigned bit = 32; bit-- > 0;) {
        product ^= b & (0u - (a >> bit & 1));
        b = b >> 1 ^ (CRC_POLYNOMIAL & (0u - (b & 1)));
    }
    return product;
}

/* What the state becomes when `len` zeros follow. */
static uint32_t crc_shift(uint32_t state, size_t len)
{
    uint32_t power = 1u << 23; /* of one byte */
    for (; len != 0; len >>= 1) {
        if ((len & 1) != 0)
            state = crc_times(state, power);
        power = crc_times(power, power);
    }
    return state;
}

/* Joining the parts takes a microsecond. */
#define WORTH_THREE_PARTS (16 * LG_KIB)

/* An instruction takes three cycles, and one can begin in each. */
CRC_WITH_STEPS static uint32_t add_by_steps(uint32_t state, const unsigned char *data, size_t len)
{
    if (len >= WORTH_THREE_PARTS) {
        size_t part = len / 3 & ~(size_t)7;
        uint32_t second = 0, third = 0;
        for (const unsigned char *end = data + part; data < end; data += 8) {
            state = crc_step(state, data);
            second = crc_step(second, data + part);
            third = crc_step(third, data + 2 * part);
        }
        state = crc_shift(crc_shift(state, part) ^ second, part) ^ third;
        data += 2 * part;
        len -= 3 * part;
    }
    for (; len >= 8; len -= 8, data += 8)
        state = crc_step(state, data);
    return add_by_tables(state, data, len);
}
#endif

/* ---- by vectors: x86-64 with AVX-512 and products of polynomials in all of it (from 2019 on) */

#if defined(__x86_64__) && CRC_HAS_STEPS
static bool vectors_are_here(void)
{
    return steps_are_here() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0;
}

/*
 * 256 bytes are kept that leave the same remainder as all that came before. To take in the next 256, each half of 16
 * bytes is multiplied by what 256 bytes of zeros would do to it, and the products, of 16 bytes, are added to what comes
 * there: x^(2048+32) for the first half, x^(2048-32) for the second, the shift of 32 being that of the format.
 */
#define CRC_FOLD_FIRST 0xdcb17aa4
#define CRC_FOLD_SECOND 0xb9e02b86
#define CRC_KEPT 256

#define CRC_FOLD(kept, at)                                                                                        \
    _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(kept, by, 0x00), _mm512_clmulepi64_epi128(kept, by, 0x11), \
                              _mm512_loadu_si512(at), 0x96) /* the sum of the three */

#define CRC_WITH_VECTORS __attribute__((target("sse4.2,avx512f,vpclmulqdq")))

/* Adds 64 bytes of what is kept, from a register: gcc's fake stacks for AddressSanitizer aren't aligned for these. */
#define CRC_ADD_QUARTER(state, kept, i)                                                                             \
    (uint32_t) _mm_crc32_u64(_mm_crc32_u64(state, (uint64_t)_mm_cvtsi128_si64(_mm512_extracti32x4_epi32(kept, i))), \
                             (uint64_t)_mm_extract_epi64(_mm512_extracti32x4_epi32(kept, i), 1))

CRC_WITH_VECTORS LG_INLINE uint32_t add_vector(uint32_t state, __m512i kept)
{
    state = CRC_ADD_QUARTER(state, kept, 0);
    state = CRC_ADD_QUARTER(state, kept, 1);
    state = CRC_ADD_QUARTER(state, kept, 2);
    return CRC_ADD_QUARTER(state, kept, 3);
}

CRC_WITH_VECTORS static uint32_t add_by_vectors(uint32_t state, const unsigned char *data, size_t len)
{
    if (len < 2 * CRC_KEPT)
        return add_by_steps(state, data, len);
    const __m512i by = _mm512_set4_epi64(CRC_FOLD_SECOND, CRC_FOLD_FIRST, CRC_FOLD_SECOND, CRC_FOLD_FIRST);
    __m512i a = _mm512_loadu_si512(data), b = _mm512_loadu_si512(data + 64);
    __m512i c = _mm512_loadu_si512(data + 128), d = _mm512_loadu_si512(data + 192);
    a = _mm512_xor_si512(a, _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
    for (data += CRC_KEPT, len -= CRC_KEPT; len >= CRC_KEPT; data += CRC_KEPT, len -= CRC_KEPT) {
        a = CRC_FOLD(a, data);
        b = CRC_FOLD(b, data + 64);
        c = CRC_FOLD(c, data + 128);
        d = CRC_FOLD(d, data + 192);
    }
    state = add_vector(add_vector(add_vector(add_vector(0, a), b), c), d);
    return add_by_steps(state, data, len);
}
#endif

/* ---- the choice */

static const lg_crc32c_way crc_ways[] = {
#if defined(__x86_64__) && CRC_HAS_STEPS
    {"vectors", vectors_are_here, add_by_vectors},
#endif
#if CRC_HAS_STEPS
    {"instruction", steps_are_here, add_by_steps},
#endif
    {"tables", is_always_here, add_by_tables},
};

uint32_t lg_crc32c(uint32_t crc, const void *data, size_t len)
{
    const lg_crc32c_way *way = crc_ways;
    while (!way->is_here())
        way++;
    return ~way->add(~crc, data, len);
}

#ifdef LG_TESTING
const lg_crc32c_way *lg_crc32c_ways(size_t *out_count)
{
    *out_count = sizeof(crc_ways) / sizeof(*crc_ways);
    return crc_ways;
}

uint32_t lg_crc32c_in(const lg_crc32c_way *way, uint32_t crc, const void *data, size_t len)
{
    return ~way->add(~crc, data, len);
}
#endif
