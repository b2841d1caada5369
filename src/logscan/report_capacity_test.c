/*
 * logscan/report_capacity_test.c - capacity replies counted to whom, with bands, lists and retries.
 */
#include "logscan/attempt_kit.h"
#include "logscan/bands.h"
#include "logscan/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <math.h>

#include "config/settings.h"
#include "logscan/report_test_kit.h"

#define OK OUTCOME_DELIVERED
#define LATER OUTCOME_DEFERRED
#define NO OUTCOME_FAILED

#define CAPACITY "452 4.3.1 Insufficient system resources"
#define OTHER_TEXT "452 4.3.1 Insufficient system storage"
#define GREY "450 4.2.0 Greylisted, see https://x.example"

static void counts_to_whom(void **state)
{
    struct log_fact facts[] = {
        kit_arrival("1", 100, 2),
        kit_attempt("1", 110, "a@One.example", LATER, "mx1.a.example", CAPACITY),
        kit_attempt("1", 110, "b@two.example", LATER, "mx1.a.example", GREY),
        kit_attempt("1", 500, "a@One.example", OK, "mx2.a.example", "250 ok"),
        kit_attempt("1", 500, "b@two.example", LATER, "mx2.a.example", OTHER_TEXT),
        kit_arrival("2", 600, 1),
        kit_attempt("2", 610, "c@one.example", OK, "mx.b.example", "250 ok"),
        kit_attempt("2", 620, "d@one.example", LATER, "", "Connection timed out"),
        /* Nobody's message; a transaction that is no recipient's; and one at our own server. */
        kit_attempt("9", 700, "e@one.example", NO, "mx1.a.example", "550 5.1.1 no such user"),
        kit_attempt("9", 710, "", LATER, "mx1.a.example", CAPACITY),
        kit_attempt("9", 720, "f@one.example", LATER, "mx1.a.example", CAPACITY),
    };
    static const struct kit_want wants[] = {
        {"total", "all", "attempts", "9"},
        {"total", "all", "capacity", "4"},
        {"total", "all", "s452_4_3_1", "4"},
        {"total", "all", "delivered", "2"},
        {"total", "all", "deferred", "6"},
        {"total", "all", "failed", "1"},
        {"total", "all", "capacity_per_10k", "4444"},
        {"total", "all", "band", "watch"},
        {"total", "all", "retries", "3"},
        {"total", "all", "retry_success", "0.3333"},
        {"total", "all", "capacity_first_ms", "110"},
        {"total", "all", "capacity_last_ms", "720"},
        {"total", "all", "first_ms", "110"},
        {"by_provider", "a.example", "attempts", "7"},
        {"by_provider", "a.example", "capacity", "4"},
        {"by_provider", "a.example", "sources", "192.0.2.1 (3), 192.0.2.2 (1)"},
        {"by_provider", "a.example", "domains", "one.example (2), two.example (1)"},
        {"by_provider", "a.example", "last_ms", "720"},
        {"by_provider", "b.example", "band", "normal"},
        {"by_provider", "b.example", "capacity_first_ms", "-"},
        {"by_provider", "b.example", "sources", "-"},
        {"by_provider", "none", "attempts", "1"},
        {"by_domain", "one.example", "attempts", "6"},
        {"by_domain", "two.example", "capacity", "1"},
        {"by_domain", "none", "attempts", "1"},
        {"by_remote", "mx1.a.example", "attempts", "3"},
        {"by_remote", "mx1.a.example", "capacity", "1"},
        {"by_remote", "mx2.a.example", "retry_success", "0.5"},
        {"by_remote", "none", "attempts", "1"},
    };
    struct kit k = kit_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
        facts[i].source = i == 4 ? SLICE_LIT("192.0.2.2") : SLICE_LIT("192.0.2.1");
    facts[9].counts = COUNTS_TOTAL | COUNTS_DOMAIN;
    facts[10].counts = COUNTS_TOTAL | COUNTS_DOMAIN;
    facts[10].issuer = ISSUER_OWN_SERVER;
    kit_run(&k, &capacity_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    assert_int_equal(k.report.note_count, 2);
    /* Most capacity replies first, then most attempts. */
    assert_true(
        slice_eq(kit_sheet(&k, "by_domain")->cells[0].value.text, SLICE_LIT("one.example")));
    kit_done(&k);
}

static void leaves_out_what_is_outside(void **state)
{
    const struct log_fact facts[] = {
        kit_attempt("1", 99, "a@x.example", LATER, "mx.a.example", CAPACITY),
        kit_attempt("1", 100, "a@x.example", LATER, "mx.a.example", CAPACITY),
        kit_attempt("1", 199, "a@x.example", LATER, "mx.a.example", CAPACITY),
        kit_attempt("1", 200, "a@x.example", LATER, "mx.a.example", CAPACITY),
    };
    static const struct kit_want wants[] = {
        {"total", "all", "attempts", "2"},
        {"total", "all", "first_ms", "100"},
        {"total", "all", "last_ms", "199"},
    };
    struct kit k = kit_new();

    (void)state;
    k.options.since_ms = 100;
    k.options.until_ms = 200;
    kit_run(&k, &capacity_report, facts, ARRAY_SIZE(facts));
    kit_check(&k, wants, ARRAY_SIZE(wants));
    kit_done(&k);
}

static void limits_rows(void **state)
{
    const struct log_fact facts[] = {
        kit_attempt("1", 1, "a@x.example", OK, "mx.a.example", "250 ok"),
        kit_attempt("1", 2, "a@y.example", LATER, "mx.b.example", CAPACITY),
        kit_attempt("1", 3, "a@z.example", OK, "mx.c.example", "250 ok"),
    };
    struct kit k = kit_new();

    (void)state;
    k.options.rows_max = 1;
    kit_run(&k, &capacity_report, facts, ARRAY_SIZE(facts));
    assert_int_equal(kit_sheet(&k, "by_domain")->row_count, 1);
    assert_int_equal(kit_sheet(&k, "by_domain")->rows_left_out, 2);
    assert_int_equal(kit_cell(&k, "by_domain", "y.example", "capacity")->value.count, 1);
    kit_done(&k);
}

static void bands_as_the_controller(void **state)
{
    static const struct {
        uint64_t capacity, attempts;
        enum band band;
    } cases[] = {
        {0, 0, BAND_NORMAL},        {0, 1000, BAND_NORMAL},        {1, 5, BAND_WATCH},
        {3, 3, BAND_WATCH},         {2, 200, BAND_WATCH},          {3, 199, BAND_WATCH},
        {3, 200, BAND_INCIDENT},    {1, 10000, BAND_WATCH},        {1, 10001, BAND_NORMAL},
        {4, 10000, BAND_WATCH},     {20, 10000, BAND_THROTTLE},    {21, 10000, BAND_THROTTLE},
        {200, 1000000, BAND_WATCH}, {300, 1000000, BAND_THROTTLE}, {2300, 1000000, BAND_INCIDENT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (bands_of(cases[i].capacity, cases[i].attempts) != cases[i].band)
            fail_msg("%llu of %llu is %s", (unsigned long long)cases[i].capacity,
                     (unsigned long long)cases[i].attempts,
                     band_name(bands_of(cases[i].capacity, cases[i].attempts)));
}

static double setting(const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));
    char *end = NULL;
    double value;

    value = strtod(s ? s->def : "there is none", &end);
    return *end == '%' ? value / 100 : value;
}

static void bands_are_those_of_the_settings(void **state)
{
    static const struct {
        const char *name;
        double value;
    } cases[] = {
        {"lanes.watch", BANDS_WATCH_SHARE},
        {"lanes.throttle", BANDS_THROTTLE_SHARE},
        {"lanes.incident", BANDS_INCIDENT_SHARE},
        {"lanes.sample_min", BANDS_SAMPLE_MIN},
        {"lanes.hits_min", BANDS_HITS_MIN},
        {"lanes.confidence", 1 - BANDS_ALPHA},
        {"lanes.baseline_factor", BANDS_BASELINE_FACTOR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (fabs(setting(cases[i].name) - cases[i].value) > 1e-9)
            fail_msg("%s is %g by default", cases[i].name, setting(cases[i].name));
}

/* More values than a list keeps, each refused once but one. */
static void lists_are_bounded(void **state)
{
    struct log_list *list = NULL;
    static const struct sheet_column column = {"list", "LIST", SHEET_TEXT};
    struct log_sheet sheet;
    struct sheet_cell *cell;
    struct log_table texts;
    char value[32];

    (void)state;
    log_list_texts_init(&texts, 1);
    for (int i = 0; i < LOG_LIST_KEPT + 5; i++) {
        (void)snprintf(value, sizeof(value), "v%04d", i);
        assert_int_equal(log_list_add(&list, &texts, slice_str(value)), 0);
    }
    assert_int_equal(log_list_add(&list, &texts, SLICE_LIT("v0777")), 0);
    assert_int_equal(log_list_add(&list, &texts, SLICE_LIT("")), 0);
    assert_int_equal(list->used, LOG_LIST_KEPT);
    assert_int_equal(list->others, 5);
    sheet_init(&sheet, "s", "S", &column, 1);
    cell = sheet_row(&sheet);
    assert_int_equal(log_list_cell(&sheet, cell, list, &texts), 0);
    assert_true(slice_eq(cell->value.text,
                         SLICE_LIT("v0777 (2), v0000 (1), v0001 (1), v0002 (1), v0003 (1), "
                                   "v0004 (1), v0005 (1), v0006 (1) and 1016 or more")));
    sheet_done(&sheet);
    log_list_free(&list);
    log_table_done(&texts);
    assert_null(list);
}

/* Several lists over the same texts, whatever the order they come in. */
static void lists_share_texts(void **state)
{
    static const char *const values[] = {"c", "a", "b", "a", "c", "b", "c", "d"};
    struct log_list *lists[2] = {NULL, NULL};
    static const struct sheet_column column = {"list", "LIST", SHEET_TEXT};
    struct log_sheet sheet;
    struct sheet_cell *cell;
    struct log_table texts;

    (void)state;
    log_list_texts_init(&texts, 1);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        assert_int_equal(log_list_add(&lists[0], &texts, slice_str(values[i])), 0);
    for (size_t i = ARRAY_SIZE(values); i-- > 1;)
        assert_int_equal(log_list_add(&lists[1], &texts, slice_str(values[i])), 0);
    assert_int_equal(log_table_count(&texts), 4);
    sheet_init(&sheet, "s", "S", &column, 1);
    cell = sheet_row(&sheet);
    assert_int_equal(log_list_cell(&sheet, cell, lists[0], &texts), 0);
    assert_true(slice_eq(cell->value.text, SLICE_LIT("c (3), a (2), b (2), d (1)")));
    assert_int_equal(log_list_cell(&sheet, cell, lists[1], &texts), 0);
    assert_true(slice_eq(cell->value.text, SLICE_LIT("c (2), a (2), b (2), d (1)")));
    sheet_done(&sheet);
    log_list_free(&lists[0]);
    log_list_free(&lists[1]);
    log_table_done(&texts);
}

static void classes_are_remembered(void **state)
{
    struct replies *replies = NULL;
    struct providers *providers = NULL;
    struct log_report_options o = {.seed = 5};
    struct log_classes *c = calloc(1, sizeof(*c));
    struct buf why = BUF_INIT(KIB(8));
    const struct log_fact capacity = kit_attempt("", 1, "a@x", LATER, "h", CAPACITY),
                          grey = kit_attempt("", 1, "a@x", LATER, "h", GREY),
                          fine = kit_attempt("", 1, "a@x", OK, "h", "250 ok"),
                          silent = kit_attempt("", 1, "a@x", LATER, "", "timed out");

    (void)state;
    assert_non_null(c);
    assert_int_equal(knowledge_new(&o.knowledge, &replies, &providers, &why), 0);
    log_classes_init(c, &o);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(log_class_of(c, &capacity, SLICE_LIT("p")), REPLY_CAPACITY);
        assert_int_equal(log_class_of(c, &grey, SLICE_LIT("p")), REPLY_GREYLIST);
        assert_int_equal(log_class_of(c, &fine, SLICE_LIT("p")), REPLY_NONE);
        assert_int_equal(log_class_of(c, &silent, SLICE_LIT("p")), REPLY_NONE);
    }
    /* Asked again without the rules: the answer is the one remembered. */
    c->replies = NULL;
    assert_int_equal(log_class_of(c, &capacity, SLICE_LIT("p")), REPLY_CAPACITY);
    free(c);
    knowledge_unref(&o.knowledge);
    buf_done(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_to_whom),
        cmocka_unit_test(leaves_out_what_is_outside),
        cmocka_unit_test(limits_rows),
        cmocka_unit_test(bands_as_the_controller),
        cmocka_unit_test(bands_are_those_of_the_settings),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(lists_share_texts),
        cmocka_unit_test(classes_are_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
