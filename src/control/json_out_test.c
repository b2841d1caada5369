/* control/json_out_test.c - whatever goes in, what comes out is JSON and says the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/rand.h"
#include "control/json_out.h"

static void nests_and_separates(void **state)
{
    struct buf b = BUF_INIT(1000);
    struct json_out j;

    (void)state;
    json_out_init(&j, &b);
    json_out_object(&j, NULL);
    json_out_array(&j, "empty");
    json_out_array_end(&j);
    json_out_array(&j, "a");
    json_out_int(&j, NULL, -1);
    json_out_object(&j, NULL);
    json_out_object_end(&j);
    json_out_object(&j, NULL);
    json_out_uint(&j, "u", UINT64_MAX);
    json_out_object_end(&j);
    json_out_array_end(&j);
    json_out_bool(&j, "t", true);
    json_out_bool(&j, "f", false);
    json_out_null(&j, "n");
    json_out_str(&j, "s", NULL);
    json_out_object_end(&j);
    assert_string_equal(buf_cstr(&b), "{\"empty\":[],\"a\":[-1,{},{\"u\":18446744073709551615}],"
                                      "\"t\":true,\"f\":false,\"n\":null,\"s\":\"\"}");
    buf_done(&b);
}

static void texts_are_escaped(void **state)
{
    const struct {
        struct slice in;
        const char *out;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {SLICE_LIT("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {SLICE_LIT("\r\n\t\x01\x1f\x7f"), "\"\\r\\n\\t\\u0001\\u001f\\u007f\""},
        {SLICE_LIT("a\0b"), "\"a\\u0000b\""},
        {SLICE_LIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa7"),
         "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x93\xa7\""},
        {SLICE_LIT("x\xc3"), "\"x\xef\xbf\xbd\""},                               /* cut short */
        {SLICE_LIT("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {SLICE_LIT("\xff-"), "\"\xef\xbf\xbd-\""},                               /* never legal */
        {SLICE_LIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {SLICE_LIT("\xf4\x90\x80\x80"),
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* over U+10FFFF */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(1000);
        struct json_out j;

        json_out_init(&j, &b);
        json_out_text(&j, NULL, cases[i].in);
        assert_string_equal(buf_cstr(&b), cases[i].out);
        buf_done(&b);
    }
}

static void any_bytes_make_legal_json(void **state)
{
    struct rand r;

    (void)state;
    rand_init(&r, 20);
    for (int round = 0; round < 20000; round++) {
        struct buf b = BUF_INIT(1000);
        struct json_out j;
        uint8_t bytes[24];
        size_t len = (size_t)rand_below(&r, sizeof(bytes) + 1);
        json_t *read;

        for (size_t i = 0; i < len; i++) /* mostly bytes of multi-byte characters */
            bytes[i] = (uint8_t)(rand_below(&r, 4) ? 0x80 | rand_u64(&r) : rand_u64(&r));
        json_out_init(&j, &b);
        json_out_array(&j, NULL);
        json_out_text(&j, NULL, slice_make(bytes, len));
        json_out_array_end(&j);
        read = json_loadb(buf_cstr(&b), buf_len(&b), JSON_ALLOW_NUL, NULL);
        assert_non_null(read);
        json_decref(read);
        buf_done(&b);
    }
}

static void a_full_buffer_is_told(void **state)
{
    struct buf b = BUF_INIT(10);
    struct json_out j;

    (void)state;
    json_out_init(&j, &b);
    json_out_str(&j, NULL, "longer than the cap");
    assert_true(buf_failed(&b));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nests_and_separates),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(any_bytes_make_legal_json),
        cmocka_unit_test(a_full_buffer_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
