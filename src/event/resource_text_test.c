/* event/resource_text_test.c - what is written is read again; what is cut or wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/rand.h"
#include "event/resource_text.h"

static void assert_slice(struct slice s, const char *expected)
{
    assert_true(slice_eq(s, slice_str(expected)));
}

static void what_is_written_is_read_again(void **state)
{
    static const char expected[] = "memory=76%[high 71/73/75] "
                                   "spool_disk(\"/a ?b?/spool\")=41%[normal 94/97/99] "
                                   "uncommitted=18446744073709551615[medium 0/1/2]";
    struct buf b = BUF_INIT(KIB(1));
    struct resource_text r = {.name = SLICE_LIT("memory"),
                              .level = SLICE_LIT("high"),
                              .value = 76,
                              .normal = 71,
                              .medium = 73,
                              .high = 75,
                              .is_percent = true};
    struct slice left;

    (void)state;
    assert_int_equal(resource_text_add(&b, &r), 0);
    r.name = SLICE_LIT("spool_disk");
    r.path = SLICE_LIT("/a \"b\n/spool");
    r.level = SLICE_LIT("normal");
    r.value = 41;
    r.normal = 94;
    r.medium = 97;
    r.high = 99;
    assert_int_equal(resource_text_add(&b, &r), 0);
    r = (struct resource_text){.name = SLICE_LIT("uncommitted"),
                               .level = SLICE_LIT("medium"),
                               .value = UINT64_MAX,
                               .medium = 1,
                               .high = 2};
    assert_int_equal(resource_text_add(&b, &r), 0);
    assert_string_equal(buf_cstr(&b), expected);

    left = buf_slice(&b);
    assert_int_equal(resource_text_next(&left, &r), 1);
    assert_slice(r.name, "memory");
    assert_slice(r.level, "high");
    assert_int_equal(r.path.len, 0);
    assert_true(r.is_percent && r.value == 76 && r.normal == 71 && r.medium == 73 && r.high == 75);
    assert_int_equal(resource_text_next(&left, &r), 1);
    assert_slice(r.name, "spool_disk");
    assert_slice(r.path, "/a ?b?/spool");
    assert_int_equal(resource_text_next(&left, &r), 1);
    assert_true(!r.is_percent && r.value == UINT64_MAX && r.normal == 0 && r.high == 2);
    assert_int_equal(resource_text_next(&left, &r), 0);
    buf_done(&b);
}

static void a_full_buffer_keeps_whole_resources(void **state)
{
    struct resource_text r = {.name = SLICE_LIT("queue"), .level = SLICE_LIT("normal")};
    struct buf b = BUF_INIT(50);
    struct slice left;
    int count = 0;

    (void)state;
    assert_int_equal(resource_text_add(&b, &r), 0);
    assert_int_equal(resource_text_add(&b, &r), 0);
    assert_int_equal(resource_text_add(&b, &r), -E2BIG);
    for (left = buf_slice(&b); resource_text_next(&left, &r) == 1;)
        count++;
    assert_int_equal(count, 2);
    assert_int_equal(left.len, 0);
    buf_done(&b);
}

/* Cut anywhere, one resource is either whole or no resource. */
static void cut_text_is_refused(void **state)
{
    struct slice whole = SLICE_LIT("spool_disk(\"/spool\")=41%[normal 94/97/99]");

    (void)state;
    for (size_t len = 1; len < whole.len; len++) {
        struct slice left = slice_sub(whole, 0, len);
        struct resource_text r;

        assert_int_equal(resource_text_next(&left, &r), -EINVAL);
        assert_int_equal(left.len, len);
    }
}

static void wrong_text_is_refused(void **state)
{
    static const char *const cases[] = {
        "=1[normal 1/2/3]",
        "Memory=1[normal 1/2/3]",
        "memory=-1[normal 1/2/3]",
        "memory=1 [normal 1/2/3]",
        "memory=1%%[normal 1/2/3]",
        "memory=99999999999999999999[normal 1/2/3]",
        "memory=1[normal 1/2/3/4]",
        "memory=1[ 1/2/3]",
        "memory=1[normal 1/2/3]x=1[normal 1/2/3]",
        "memory(/x)=1[normal 1/2/3]",
        "memory(\"/x\"=1[normal 1/2/3]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice left = slice_str(cases[i]);
        struct resource_text r;

        if (resource_text_next(&left, &r) != -EINVAL)
            fail_msg("taken: %s", cases[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_full_buffer_keeps_whole_resources),
        cmocka_unit_test(cut_text_is_refused),
        cmocka_unit_test(wrong_text_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
