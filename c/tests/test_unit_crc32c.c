/* The checksum, in all ways that this processor knows. */

#include "internal.h"

#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 300000 };

static unsigned char data[MOST + 64];

/* As the definition has it, a bit at a time. */
static uint32_t by_definition(uint32_t crc, const unsigned char *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        }
    }
    return ~crc;
}

static void published_values(void **state)
{
    unsigned char bytes[32];
    assert_int_equal(lg_crc32c(0, "", 0), 0);
    assert_int_equal(lg_crc32c(0, "123456789", 9), 0xe3069283);
    /* RFC 3720, B.4 */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(lg_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(lg_crc32c(0, bytes, 32), 0x62a8ab43);
    for (size_t i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(lg_crc32c(0, bytes, 32), 0x46dd794e);
}

static void every_way_agrees(void **state)
{
    size_t count;
    const lg_crc32c_way *ways = lg_crc32c_ways(&count);
    assert_true(ways[count - 1].is_here());
    for (size_t w = 0; w < count; w++) {
        if (!ways[w].is_here()) {
            print_message("this processor has no %s\n", ways[w].name);
            continue;
        }
        for (size_t len = 0; len < 1200; len++) {
            size_t at = len % 61;
            assert_int_equal(lg_crc32c_in(&ways[w], 0, data + at, len), by_definition(0, data + at, len));
        }
        /* Three parts of any length, with any rest. */
        static const size_t lengths[] = {16383, 16384, 16385, 16407, 16408, 65536, 100001, 299992, MOST};
        for (size_t i = 0; i < TEST_COUNT(lengths); i++) {
            assert_int_equal(lg_crc32c_in(&ways[w], 17, data + i, lengths[i]), by_definition(17, data + i, lengths[i]));
        }
    }
}

static void pieces_make_the_whole(void **state)
{
    uint32_t whole = lg_crc32c(0, data, MOST);
    for (size_t cut = 1; cut < MOST; cut += 7919) {
        uint32_t first = lg_crc32c(0, data, cut);
        assert_int_equal(lg_crc32c(first, data + cut, MOST - cut), whole);
    }
}

static void every_changed_bit_shows(void **state)
{
    uint32_t before = lg_crc32c(0, data, 4096);
    for (size_t bit = 0; bit < 8 * 4096; bit += 13) {
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(lg_crc32c(0, data, 4096), before);
        data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

int main(void)
{
    uint64_t random = 5;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)test_random(&random);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(every_way_agrees),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(every_changed_bit_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
