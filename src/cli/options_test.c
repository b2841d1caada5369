/* cli/options_test.c - options as they are typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cli/options.h"

#define SEEN_MAX 64
#define REST_MAX 256

struct options {
    bool all, json;
    const char *config;
    char seen[SEEN_MAX]; /* by read_value() */
    uint64_t number;
    uint32_t small;
    struct option_list set;
};

static int read_value(const char *value, void *to)
{
    char *seen = to;
    size_t len = strlen(seen);

    (void)snprintf(seen + len, SEEN_MAX - len, "%s", value ? value : "-");
    return value && strcmp(value, "bad") == 0 ? EXIT_USAGE : EXIT_DONE;
}

/* Reads `line`, cut at spaces; the options that are none are left, joined by commas. */
static int read_line(const char *line, struct options *o, char rest[static REST_MAX])
{
    const struct option_spec specs[] = {OPTION_FLAG("all", 'a', &o->all),
                                        OPTION_FLAG("json", 0, &o->json),
                                        OPTION_TEXT("config", 'c', &o->config),
                                        OPTION_READ("age", 0, read_value, o->seen),
                                        OPTION_READ_MAYBE("watch", 'w', read_value, o->seen),
                                        OPTION_NUMBER("number", 'n', 2, UINT64_MAX, &o->number),
                                        OPTION_NUMBER_32("small", 0, 0, 7, &o->small),
                                        OPTION_LIST("set", 0, &o->set)};
    static char copy[256];
    char *argv[32] = {(char[]){"test"}}, *save = NULL;
    int argc = 1, r;

    *o = (struct options){.seen = ""};
    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    optind = 0; /* begins anew */
    r = options_read("test", argc, argv, specs, ARRAY_SIZE(specs));
    rest[0] = '\0';
    for (int i = optind; i < argc; i++) {
        size_t len = strlen(rest);

        (void)snprintf(rest + len, REST_MAX - len, "%s,", argv[i]);
    }
    return r;
}

static void options_are_read_in_any_place(void **state)
{
    static const struct {
        const char *line;
        int code;
        bool all, json;
        const char *config, *seen, *rest;
    } cases[] = {
        {"", EXIT_DONE, false, false, NULL, "", ""},
        {"list --json", EXIT_DONE, false, true, NULL, "", "list,"},
        {"--json list -a x", EXIT_DONE, true, true, NULL, "", "list,x,"},
        {"-c file --config=other", EXIT_DONE, false, false, "other", "", ""},
        {"-cfile -- -a", EXIT_DONE, false, false, "file", "", "-a,"},
        {"--age 3h --age=1m", EXIT_DONE, false, false, NULL, "3h1m", ""},
        {"--watch --watch=5 -w -w7", EXIT_DONE, false, false, NULL, "-5-7", ""},
        {"--watch 5", EXIT_DONE, false, false, NULL, "-", "5,"},
        {"--age bad --all", EXIT_USAGE, false, false, NULL, "bad", NULL},
        {"--none", EXIT_USAGE, false, false, NULL, "", NULL},
        {"-x", EXIT_USAGE, false, false, NULL, "", NULL},
        {"--age", EXIT_USAGE, false, false, NULL, "", NULL},
        {"--all=yes", EXIT_USAGE, false, false, NULL, "", NULL},
        {"--al --js", EXIT_DONE, true, true, NULL, "", ""}, /* cut short and still one */
        {"--a", EXIT_USAGE, false, false, NULL, "", NULL},  /* all? age? */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o;
        char rest[REST_MAX];
        int code = read_line(cases[i].line, &o, rest);

        if (code != cases[i].code)
            print_message("'%s'\n", cases[i].line);
        assert_int_equal(code, cases[i].code);
        assert_int_equal(o.all, cases[i].all);
        assert_int_equal(o.json, cases[i].json);
        assert_string_equal(o.config ? o.config : "-", cases[i].config ? cases[i].config : "-");
        assert_string_equal(o.seen, cases[i].seen);
        if (cases[i].rest)
            assert_string_equal(rest, cases[i].rest);
    }
}

static void numbers_are_in_their_range(void **state)
{
    static const struct {
        const char *line;
        int code;
        uint64_t number;
        uint32_t small;
    } cases[] = {
        {"-n 2 --small 7", EXIT_DONE, 2, 7},
        {"--number=18446744073709551615 --small=0", EXIT_DONE, UINT64_MAX, 0},
        {"-n 5 -n 6", EXIT_DONE, 6, 0},
        {"-n 1", EXIT_USAGE, 0, 0},
        {"-n 18446744073709551616", EXIT_USAGE, 0, 0},
        {"--small 8", EXIT_USAGE, 0, 0},
        {"--small 4294967296", EXIT_USAGE, 0, 0},
        {"--small=", EXIT_USAGE, 0, 0},
        {"--small -1", EXIT_USAGE, 0, 0},
        {"--small 3x", EXIT_USAGE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o;
        char rest[REST_MAX];

        assert_int_equal(read_line(cases[i].line, &o, rest), cases[i].code);
        assert_true(o.number == cases[i].number);
        assert_int_equal(o.small, cases[i].small);
    }
}

static void a_list_has_its_order_and_its_bound(void **state)
{
    static struct options o;
    static char test[] = "test", set[] = "--set", value[] = "a=b";
    static char *argv[2 * (OPTION_LIST_MAX + 1) + 1] = {test};
    const struct option_spec specs[] = {OPTION_LIST("set", 0, &o.set)};
    char rest[REST_MAX];

    (void)state;
    assert_int_equal(read_line("--set a=1 --all --set=b=2", &o, rest), EXIT_DONE);
    assert_int_equal(o.set.count, 2);
    assert_string_equal(o.set.items[0], "a=1");
    assert_string_equal(o.set.items[1], "b=2");
    for (int over = 0; over < 2; over++) {
        int argc = 1;

        for (int i = 0; i < OPTION_LIST_MAX + over; i++) {
            argv[argc++] = set;
            argv[argc++] = value;
        }
        o.set.count = 0;
        optind = 0;
        assert_int_equal(options_read("test", argc, argv, specs, ARRAY_SIZE(specs)),
                         over ? EXIT_USAGE : EXIT_DONE);
        assert_int_equal(o.set.count, OPTION_LIST_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read_in_any_place),
        cmocka_unit_test(numbers_are_in_their_range),
        cmocka_unit_test(a_list_has_its_order_and_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
