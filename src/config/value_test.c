/* config/value_test.c - each kind of value: what is taken, what is not, and how it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "config/settings.h"
#include "config/value.h"

static struct pool pool;
static struct buf text = {.cap = KIB(4)};

/* Reads and writes back one value; NULL: it is refused. */
static const char *through(const struct setting *s, const char *value)
{
    static struct config_target whole; /* the largest of all */
    _Static_assert(sizeof(whole) >= sizeof(double), "room for any value");
    int r;

    memset(&whole, 0, sizeof(whole));
    r = value_parse(s, slice_str(value), &whole, &pool, NULL);
    if (r < 0) {
        static const struct config_target untouched;

        assert_int_equal(r, -EINVAL);
        assert_memory_equal(&whole, &untouched, sizeof(whole));
        return NULL;
    }
    buf_clear(&text);
    value_format(s, &whole, &text);
    return buf_cstr(&text);
}

struct pair {
    const char *in, *out;
};

static void check(const struct setting *s, const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *out = through(s, pairs[i].in);

        if (!pairs[i].out) {
            assert_null(out);
            continue;
        }
        assert_non_null(out);
        assert_string_equal(out, pairs[i].out);
    }
}

static void durations(void **state)
{
    static const struct pair pairs[] = {
        {"10m", "10m"},
        {"600s", "10m"},
        {"48h", "48h"},
        {"2d", "48h"},
        {"7d", "7d"},
        {"1h30m", "90m"},
        {"500ms", "500ms"},
        {"0", "0"},
        {"0s", "0"},
        {"1500ms", "1500ms"},
        {"1500us", NULL},
        {"10", NULL},
        {"", NULL},
        {"m", NULL},
        {"10 m", NULL},
        {"10M", NULL},
        {"-1s", NULL},
        {"1.5h", NULL},
        {"10mx", NULL},
        {"18446744073709551615d", NULL},
        {"99999999999999999999s", NULL},
        {"213503982d", NULL},
    };
    struct setting s = {"d", VALUE_DURATION, UNIT_MS, .size = 8, .max = 1000000000000};

    (void)state;
    check(&s, pairs, ARRAY_SIZE(pairs));
}

static void sizes(void **state)
{
    static const struct pair pairs[] = {
        {"64MiB", "64MiB"},
        {"65536KiB", "64MiB"},
        {"150MB", "150000000B"},
        {"1GiB", "1GiB"},
        {"512", "512B"},
        {"512B", "512B"},
        {"1KB", "1000B"},
        {"1kB", "1000B"},
        {"0", "0"},
        {"1024", "1KiB"},
        {"", NULL},
        {"5 MiB", NULL},
        {"5mib", NULL},
        {"5M", NULL},
        {"-5", NULL},
        {"5MiBx", NULL},
        {"17179869184GiB", NULL},
    };
    struct setting s = {"s", VALUE_SIZE, .size = 8, .max = UINT64_MAX};

    (void)state;
    check(&s, pairs, ARRAY_SIZE(pairs));
}

static void percentages_and_words(void **state)
{
    static const struct pair percent[] = {
        {"20%", "20%"},     {"0%", "0%"},    {"0.5%", "0.5%"}, {"50%", "50%"}, {"enabled", "20%"},
        {"disabled", "0%"}, {"50.1%", NULL}, {"20", NULL},     {"%", NULL},    {".5%", NULL},
        {"1.25%", NULL},    {"-1%", NULL},   {"20 %", NULL},   {"1.x%", NULL},
    };
    static const struct pair boolean[] = {
        {"yes", "yes"}, {"No", "no"},       {"TRUE", "yes"},    {"false", "no"}, {"on", "yes"},
        {"off", "no"},  {"enabled", "yes"}, {"disabled", "no"}, {"1", NULL},     {"", NULL},
    };
    struct setting p = {"p", VALUE_PERCENT, .size = sizeof(double), .max = 50};
    struct setting b = {"b", VALUE_BOOL, .size = sizeof(bool)};

    (void)state;
    check(&p, percent, ARRAY_SIZE(percent));
    check(&b, boolean, ARRAY_SIZE(boolean));
}

static void names(void **state)
{
    static const struct pair host[] = {
        {"example.org", "example.org"},
        {"mx-1.Example.ORG", "mx-1.Example.ORG"},
        {"a", "a"},
        {"_x.example", "_x.example"},
        {"", NULL},
        {".a", NULL},
        {"a.", NULL},
        {"a..b", NULL},
        {"-a.b", NULL},
        {"a-.b", NULL},
        {"a b", NULL},
        {"m\xc3\xbcller.example", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", NULL}, /* 64 */
    };
    static const struct pair mailbox[] = {
        {"postmaster", "postmaster"},
        {"a.b+c@example.org", "a.b+c@example.org"},
        {"@example.org", NULL},
        {"a@", NULL},
        {"a b@c", NULL},
        {"<a@b>", NULL},
        {"a@b@c", NULL},
        {"", NULL},
    };
    struct setting h = {"h", VALUE_HOST, .size = sizeof(char *)};
    struct setting m = {"m", VALUE_MAILBOX, .size = sizeof(char *)};

    (void)state;
    check(&h, host, ARRAY_SIZE(host));
    check(&m, mailbox, ARRAY_SIZE(mailbox));
}

static void targets(void **state)
{
    static const struct pair pairs[] = {
        {"mx.example.org:2525", "mx.example.org:2525"},
        {"smtp:h", "smtp:h"},
        {"192.0.2.1:25", "192.0.2.1:25"},
        {"[2001:db8::1]:25", "[2001:db8::1]:25"},
        {"[2001:db8::1]", "[2001:db8::1]"},
        {"lmtp:h:24", "lmtp:h:24"},
        {"lmtp:unix:/run/x", "lmtp:unix:/run/x"},
        {"MX", "MX"},
        {"mx:example.org", "mx:example.org"},
        {"discard", "discard"},
        {"none", ""},
        {"", ""},
        {"mx:", NULL},
        {"h:", NULL},
        {"h:0", NULL},
        {"h:65536", NULL},
        {"h:25x", NULL},
        {":25", NULL},
        {"2001:db8::1:25", NULL},
        {"[2001:db8::1", NULL},
        {"[2001:db8::1]25", NULL},
        {"[h]:25", NULL},
        {"[]:25", NULL},
        {"[127.0.0.1:5]:25", NULL},
        {"lmtp:unix:", NULL},
        {"smtp:", NULL},
    };
    struct setting s = {"t", VALUE_TARGET, .size = sizeof(struct config_target), .optional = true};

    (void)state;
    check(&s, pairs, ARRAY_SIZE(pairs));
}

static void parts_of_policies(void **state)
{
    static const struct pair change[] = {
        {"-20%", "-20%"}, {"-0.5%", NULL}, {"-1%", "-1%"},   {"-12.5%", "-12.5%"},
        {"-90%", "-90%"}, {"-91%", NULL},  {"-90.1%", NULL}, {"20%", NULL},
        {"--20%", NULL},  {"-20", NULL},   {"-%", NULL},     {"-12.55%", NULL},
        {"", NULL},       {"-", NULL},     {"%", NULL},      {"-99999999999%", NULL},
    };
    static const struct pair share[] = {
        {"0.02%", "0.02%"},  {"0.0001%", "0.0001%"},   {"100%", "100%"},   {"0.1000%", "0.1%"},
        {"10%", "10%"},      {"33.3333%", "33.3333%"}, {"0.00001%", NULL}, {"0%", NULL},
        {"100.0001%", NULL}, {"0.02", NULL},           {".5%", NULL},      {"5.%", NULL},
        {"-1%", NULL},       {"1.2.3%", NULL},         {"%", NULL},
    };
    static const struct pair factor[] = {
        {"1", "1"},    {"1.5", "1.5"},  {"2.25", "2.25"}, {"1.50", "1.5"},
        {"10", "10"},  {"10.01", NULL}, {"0.99", NULL},   {"1.255", NULL},
        {"1,5", NULL}, {"x", NULL},     {"", NULL},
    };
    static const struct pair rate[] = {
        {"10/s", "10/s"},    {"600/m", "600/m"}, {"5000/h", "5000/h"},
        {"0", "0"},          {"0/h", "0"},       {"1000000/h", "1000000/h"},
        {"1000001/h", NULL}, {"10", NULL},       {"10/", NULL},
        {"10/d", NULL},      {"/s", NULL},       {"1.5/s", NULL},
        {"-1/s", NULL},      {"10/s/s", NULL},   {"", NULL},
    };
    static const struct pair date[] = {
        {"2026-11-23", "2026-11-23"},
        {"2024-02-29", "2024-02-29"},
        {"2000-02-29", "2000-02-29"},
        {"1971-01-01", "1971-01-01"},
        {"9999-12-31", "9999-12-31"},
        {"none", ""},
        {"", ""},
        {"2026-02-29", NULL},
        {"2100-02-29", NULL},
        {"2026-04-31", NULL},
        {"2026-13-01", NULL},
        {"2026-00-01", NULL},
        {"2026-01-00", NULL},
        {"1970-01-01", NULL},
        {"2026-1-1", NULL},
        {"2026/01/01", NULL},
        {"26-01-01", NULL},
        {"2026-01-01x", NULL},
        {"+026-01-01", NULL},
    };
    static const struct pair destination[] = {
        {"a.example", "a.example"},
        {".a.example", ".a.example"},
        {"*", "*"},
        {"microsoft-domains", "microsoft-domains"},
        {"localhost.", "localhost."},
        {"mx:*.a.example", "mx:*.a.example"},
        {"mx:mx?.a", "mx:mx?.a"},
        {"mx:*", "mx:*"},
        {"route:[::1]:25", "route:[::1]:25"},
        {"", NULL},
        {".", NULL},
        {"*.example", NULL},
        {"mx:", NULL},
        {"mx:.a", NULL},
        {"mx:a b", NULL},
        {"route:", NULL},
        {"a..", NULL},
    };
    struct setting c = {"c", VALUE_CHANGE, .size = sizeof(double), .min = 1, .max = 90};
    struct setting s = {"s", VALUE_SHARE, .size = sizeof(double), .min = 1, .max = 1000000};
    struct setting f = {"f", VALUE_FACTOR, .size = sizeof(double), .min = 100, .max = 1000};
    struct setting r = {"r", VALUE_RATE, .size = sizeof(struct config_rate), .max = 1000000};
    struct setting d = {"d", VALUE_DATE, .size = sizeof(int64_t), .optional = true};
    struct setting n = {"n", VALUE_DESTINATION, .size = sizeof(char *)};

    (void)state;
    check(&c, change, ARRAY_SIZE(change));
    check(&s, share, ARRAY_SIZE(share));
    check(&f, factor, ARRAY_SIZE(factor));
    check(&r, rate, ARRAY_SIZE(rate));
    check(&d, date, ARRAY_SIZE(date));
    check(&n, destination, ARRAY_SIZE(destination));
}

static void members_of_a_pool(void **state)
{
    static const struct pair pairs[] = {
        {"out1", "out1"},
        {"out1 x 3", "out1 x 3"},
        {"out1 X3", "out1 x 3"},
        {"out1 x 1", "out1"},
        {"a  x  10000", "a x 10000"},
        {"a x 0", "a x 0"},
        {"a x 10001", NULL},
        {"a x", NULL},
        {"a 3", NULL},
        {"a x -1", NULL},
        {"", NULL},
        {"x", "x"},
        {"a b", NULL},
        {"a/b", NULL},
    };
    struct setting s = {"m", VALUE_MEMBERS, .size = sizeof(struct config_members)};

    (void)state;
    check(&s, pairs, ARRAY_SIZE(pairs));
}

/* The table itself: names once each, defaults that read and write back, sentences that end. */
static void check_table(const struct settings *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct setting *s = &t->list[i];
        size_t len = strlen(s->what);

        assert_ptr_equal(settings_find(t, slice_str(s->name)), s);
        assert_true(len > 0 && (s->what[len - 1] == '.'));
        assert_true(s->min <= s->max || s->type == VALUE_ADDRESS);
        assert_true(s->type != VALUE_ENUM || s->words);
        if (s->inherits) {
            const struct setting *from = settings_find(&settings_main, slice_str(s->inherits));

            assert_non_null(from);
            assert_true(from->type == s->type && from->size == s->size);
        }
        if (s->sub)
            check_table(s->sub);
    }
}

static void the_table_is_sound(void **state)
{
    (void)state;
    check_table(&settings_main);
}

static int done(void **state)
{
    (void)state;
    pool_done(&pool);
    buf_done(&text);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(percentages_and_words),
        cmocka_unit_test(names),
        cmocka_unit_test(targets),
        cmocka_unit_test(parts_of_policies),
        cmocka_unit_test(members_of_a_pool),
        cmocka_unit_test(the_table_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
