/* base/base_test.c - the lowest layer: slices, buffers, cursors, checksums, maps, chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/size.h"
#include "base/slice.h"

static void slices_compare_and_cut(void **state)
{
    struct slice s = SLICE_LIT("Example.ORG");

    (void)state;
    assert_true(slice_eq_case(s, SLICE_LIT("eXAMPLE.org")));
    assert_false(slice_eq(s, SLICE_LIT("example.org")));
    assert_true(slice_has_suffix_case(s, SLICE_LIT(".org")));
    assert_false(slice_has_suffix_case(SLICE_LIT("g"), SLICE_LIT(".org")));
    assert_int_equal(slice_find(s, '.'), 7);
    assert_int_equal(slice_find(s, '!'), -1);
    assert_int_equal(slice_sub(s, 100, 5).len, 0);
    assert_true(slice_eq(slice_sub(s, 8, 99), SLICE_LIT("ORG")));
    assert_true(slice_eq(slice_trim(SLICE_LIT(" \t a b \t")), SLICE_LIT("a b")));
}

static void numbers_have_bounds(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 10, 0, 0},
        {"10", 10, 0, 10},
        {"11", 10, -ERANGE, 0},
        {"", 10, -EINVAL, 0},
        {"-1", 10, -EINVAL, 0},
        {"1x", 10, -EINVAL, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999999", UINT64_MAX, -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t v = 77;

        assert_int_equal(slice_to_u64(slice_str(cases[i].text), cases[i].max, &v), cases[i].result);
        assert_int_equal(v, cases[i].result == 0 ? cases[i].value : 77);
    }
}

static void buffers_keep_their_cap(void **state)
{
    struct buf b = BUF_INIT(10);
    size_t had;

    (void)state;
    assert_int_equal(buf_add_str(&b, "12345678"), 0);
    assert_int_equal(buf_add_str(&b, "abc"), -E2BIG);
    assert_true(buf_failed(&b));
    assert_int_equal(buf_len(&b), 8);
    assert_string_equal(buf_cstr(&b), "12345678");
    buf_consume(&b, 3);
    assert_string_equal(buf_cstr(&b), "45678");
    assert_int_equal(buf_relieve(&b), 0); /* it is not empty */
    buf_clear(&b);
    had = buf_memory(&b);
    assert_true(had > 0);
    assert_int_equal(buf_relieve(&b), had);
    assert_int_equal(buf_memory(&b), 0);
    assert_int_equal(buf_relieve(&b), 0);
    assert_false(buf_failed(&b));
    assert_int_equal(buf_addf(&b, "%d-%s", 42, "x"), 0);
    assert_string_equal(buf_cstr(&b), "42-x");
    buf_done(&b);
    assert_string_equal(buf_cstr(&b), "");
    buf_done(&b);
}

static void cursors_fail_once_and_for_good(void **state)
{
    struct buf b = BUF_INIT(100);
    struct cursor c;

    (void)state;
    assert_int_equal(buf_add(&b, SLICE_LIT("\x07\x2c\x01")), 0); /* 7 and 300 */
    assert_int_equal(buf_add_u32(&b, 70000) | buf_add_u64(&b, 1ull << 40), 0);
    c = cursor_make(buf_slice(&b));
    assert_int_equal(cursor_u8(&c), 7);
    assert_int_equal(cursor_u16(&c), 300);
    assert_int_equal(cursor_u32(&c), 70000);
    assert_int_equal(cursor_u64(&c), 1ull << 40);
    assert_true(cursor_ok(&c) && cursor_at_end(&c));
    assert_int_equal(cursor_u16(&c), 0);
    assert_false(cursor_ok(&c));
    buf_done(&b);
}

static void crc32c_matches_the_rfc(void **state)
{
    uint8_t bytes[1000] = {0};
    struct rand r;

    (void)state;
    /* RFC 3720, appendix B.4: 32 zeros; 0..31 ascending. */
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x8a9136aau);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, slice_make(bytes, 32)), 0x46dd794eu);
    assert_int_equal(crc32c(0, SLICE_LIT("123456789")), 0xe3069283u);
    rand_init(&r, 1);
    for (size_t n = 0; n < sizeof(bytes); n++) {
        struct slice s = slice_make(bytes, n);

        bytes[n] = (uint8_t)rand_u64(&r);
        assert_int_equal(crc32c(0, s), crc32c_portable(0, s));
        assert_int_equal(crc32c(crc32c(0, slice_sub(s, 0, n / 3)), slice_from(s, n / 3)),
                         crc32c(0, s));
    }
}

static void maps_keep_what_is_put(void **state)
{
    enum { COUNT = 2000 };
    static char keys[COUNT][12];
    static bool present[COUNT];
    struct map m;
    struct rand r;
    size_t count = 0;

    (void)state;
    map_init(&m, 99);
    rand_init(&r, 7);
    for (int i = 0; i < COUNT; i++)
        (void)snprintf(keys[i], sizeof(keys[i]), "Key%d", i);
    for (int step = 0; step < 50000; step++) {
        size_t i = (size_t)rand_below(&r, COUNT);
        struct slice key = slice_str(keys[i]);

        if (rand_below(&r, 2)) {
            assert_int_equal(map_put(&m, key, keys[i]), 0);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_remove(&m, key), present[i] ? keys[i] : NULL);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(map_count(&m), count);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(map_get(&m, slice_str(keys[i])), present[i] ? keys[i] : NULL);
    map_done(&m);
    assert_null(map_get(&m, SLICE_LIT("key1")));
}

static void chance_stays_in_range(void **state)
{
    struct rand a, b;

    (void)state;
    rand_init(&a, 42);
    rand_init(&b, 42);
    for (int i = 0; i < 10000; i++) {
        double d = rand_symmetric(&a);

        assert_true(d >= -1.0 && d < 1.0);
        (void)rand_symmetric(&b);
        assert_true(rand_below(&a, 7) < 7);
        (void)rand_below(&b, 7);
    }
    assert_int_equal(rand_u64(&a), rand_u64(&b));
}

static void lists_pop_in_order(void **state)
{
    struct list head, a, b;

    (void)state;
    list_init(&head);
    list_add_tail(&head, &a);
    list_add_head(&head, &b);
    assert_ptr_equal(list_pop(&head), &b);
    list_del(&a);
    list_del(&a);
    assert_null(list_pop(&head));
    assert_true(list_is_empty(&head));
}

static void ids_are_one_text_each(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t id;
    } cases[] = {
        {"0", 0, 0},
        {"z", 0, 31},
        {"10", 0, 32},
        {"fzzzzzzzzzzzz", 0, UINT64_MAX},
        {"FZZZZZZZZZZZZ", 0, UINT64_MAX},
        {"000000000001z", 0, 63},
        {"g000000000000", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"00000000000001", -EINVAL, 0},
        {"1O", 0, 32},
        {"il", 0, 33},
        {"u", -EINVAL, 0},
        {"a-b", -EINVAL, 0},
    };
    char text[ID_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t id = 77, again;
        size_t len;

        assert_int_equal(id_parse(slice_str(cases[i].text), &id), cases[i].result);
        assert_int_equal(id, cases[i].result == 0 ? cases[i].id : 77);
        len = id_format(id, text);
        assert_int_equal(len, slice_str(text).len);
        assert_int_equal(id_parse(slice_str(text), &again), 0);
        assert_true(again == id);
    }
}

static void sizes_are_told_in_two_digits(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *whole, *brief;
    } cases[] = {
        {0, "0 B", "0"},
        {1023, "1023 B", "1023"},
        {1024, "1.0 KiB", "1.0K"},
        {2150, "2.1 KiB", "2.1K"},
        {KIB(10) - 1, "10 KiB", "10K"},
        {1048524, "1.0 MiB", "1.0M"},
        {MIB(1) - 1, "1.0 MiB", "1.0M"},
        {MIB(38), "38 MiB", "38M"},
        {MIB(150), "150 MiB", "150M"},
        {GIB(6) / 10, "614 MiB", "614M"},
        {UINT64_MAX, "16 EiB", "16E"},
    };
    char text[SIZE_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_format(cases[i].bytes, text);
        assert_string_equal(text, cases[i].whole);
        size_format_short(cases[i].bytes, text);
        assert_string_equal(text, cases[i].brief);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_one_text_each),
        cmocka_unit_test(slices_compare_and_cut),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(buffers_keep_their_cap),
        cmocka_unit_test(cursors_fail_once_and_for_good),
        cmocka_unit_test(crc32c_matches_the_rfc),
        cmocka_unit_test(maps_keep_what_is_put),
        cmocka_unit_test(chance_stays_in_range),
        cmocka_unit_test(lists_pop_in_order),
        cmocka_unit_test(sizes_are_told_in_two_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
