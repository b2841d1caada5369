/*
 * cli/incident_text_test.c - a whole incident in both forms, to the letter; an empty one; and texts
 * of a hostile host, which must stay in their line and cell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/incident_text.h"

#define T0 INT64_C(1790000000000) /* 2026-09-21 14:13:20 */
#define SECOND 1000

static void make_attempt(struct incident *i, uint64_t id, int64_t at_ms, bool is_refused,
                         uint32_t number)
{
    struct attempt a = {.queue_id = id,
                        .at_ms = at_ms,
                        .number = number,
                        .result = is_refused ? ATTEMPT_RESULT_DEFERRED : ATTEMPT_RESULT_DELIVERED,
                        .code = is_refused ? 452 : 250,
                        .klass = is_refused ? REPLY_CAPACITY : REPLY_NONE,
                        .text = SLICE_LIT("452 4.3.1 Insufficient system resources"),
                        .host =
                            id % 2 ? SLICE_LIT("mx1.example.org") : SLICE_LIT("mx2.example.org"),
                        .domain = SLICE_LIT("example.org"),
                        .local = SLICE_LIT("192.0.2.7")};

    incident_attempt(i, &a);
}

static void make_incident(struct incident *i)
{
    struct verdict_facts f;

    incident_open(i, 12, SLICE_LIT("microsoft-365/default"), SLICE_LIT("microsoft-365"), "incident",
                  T0);
    for (unsigned n = 0; n < 100; n++)
        make_attempt(i, 1000 + n, T0 + n * SECOND, n % 25 == 0, 1);
    make_attempt(i, 1000, T0 + 600 * SECOND, false, 2);
    make_attempt(i, 1025, T0 + 601 * SECOND, true, 2);
    i->peak_share = 0.06;
    incident_changed(i, T0 + 10 * SECOND, SLICE_LIT("connections 20 -> 16, watch -> incident"));
    incident_facts(i, &f);
    f.others = 3;
    f.others_attempts = 5000;
    f.sample_min = 100;
    verdict_decide(&f, &i->verdict);
}

static void an_open_incident_reads_so(void **state)
{
    static struct incident i;
    struct buf to = BUF_INIT(INCIDENT_TEXT_MAX);

    (void)state;
    make_incident(&i);
    incident_text_write(&to, &i, T0 + 3600 * SECOND);
    assert_string_equal(
        buf_cstr(&to),
        "Incident 12: microsoft-365/default\n"
        "provider      microsoft-365\n"
        "kind          incident\n"
        "state         open since 2026-09-21 14:13:20 UTC (1h)\n"
        "refused       5 of 102 attempts\n"
        "capacity      490.2 per 10,000 attempts (5), at the worst 600.0\n"
        "first refusal 2026-09-21 14:13:20 UTC\n"
        "last refusal  2026-09-21 14:23:21 UTC\n"
        "\n"
        "Who said no\n"
        "verdict       receiver-side\n"
        "  - the remote hosts of one provider answered: 5 of 102 attempts refused, by 2\n"
        "    of 2 hosts\n"
        "  - the others are fine: 0 of 3 other providers refuse more than usual (5000\n"
        "    attempts)\n"
        "\n"
        "Delivery meanwhile\n"
        "first attempt 96.00 % (96 of 100 first attempts)\n"
        "retries       50.00 % (1 of 2 retries)\n"
        "in the end    100.00 % (97 of 97 that were delivered or failed for good)\n"
        "\n"
        "Reply texts\n"
        "  REFUSED  ATTEMPTS  FIRST (UTC)          LAST (UTC)\n"
        "        5         5  2026-09-21 14:13:20  2026-09-21 14:23:21  452 4.3.1 Insufficient "
        "system resources\n"
        "\n"
        "Remote hosts\n"
        "  REFUSED  ATTEMPTS  FIRST (UTC)          LAST (UTC)\n"
        "        3        51  2026-09-21 14:13:21  2026-09-21 14:23:21  mx1.example.org\n"
        "        2        51  2026-09-21 14:13:20  2026-09-21 14:23:20  mx2.example.org\n"
        "\n"
        "Sending addresses\n"
        "  REFUSED  ATTEMPTS  FIRST (UTC)          LAST (UTC)\n"
        "        5       102  2026-09-21 14:13:20  2026-09-21 14:23:21  192.0.2.7\n"
        "\n"
        "Recipient domains\n"
        "  REFUSED  ATTEMPTS  FIRST (UTC)          LAST (UTC)\n"
        "        5         5  2026-09-21 14:13:20  2026-09-21 14:23:21  example.org\n"
        "\n"
        "What was changed, when and why\n"
        "  - 2026-09-21 14:13:30 UTC connections 20 -> 16, watch -> incident\n"
        "\n"
        "Messages, some of those refused\n"
        "z8, 101, 10t, 11k\n");
    buf_done(&to);
}

static void markdown_reads_so(void **state)
{
    static struct incident i;
    struct buf to = BUF_INIT(INCIDENT_TEXT_MAX);
    const char *text;

    (void)state;
    make_incident(&i);
    incident_close(&i, T0 + 7200 * SECOND);
    incident_text_markdown(&to, &i, 0);
    text = buf_cstr(&to);
    assert_non_null(strstr(text, "# Incident 12: microsoft-365/default\n\n- provider: "));
    assert_non_null(strstr(text, "- state: closed; from 2026-09-21 14:13:20 to 2026-09-21 16:13:20 "
                                 "UTC (2h)\n"));
    assert_non_null(strstr(text, "\n## Who said no\n\n- verdict: receiver-side\n- the remote"));
    assert_non_null(strstr(text, "| 3 | 51 | 2026-09-21 14:13:21 | 2026-09-21 14:23:21 | "
                                 "mx1.example.org |\n"));
    assert_non_null(strstr(text, "- 2026-09-21 14:13:30 UTC connections 20 -\\> 16, watch"));
    assert_non_null(strstr(text, "\n\nz8, 101, 10t, 11k\n"));
    buf_done(&to);
}

/* Each line of a list is one row, whatever the text; in Markdown each row has its five cells. */
static void hostile_texts_stay_in_their_place(void **state)
{
    static struct incident i;
    struct buf to = BUF_INIT(INCIDENT_TEXT_MAX);
    struct attempt a = {.code = 452,
                        .klass = REPLY_CAPACITY,
                        .result = ATTEMPT_RESULT_DEFERRED,
                        .text = SLICE_LIT("452 |\n| \x1b[2J `<script>` \\| # *x*")};
    struct slice left;

    (void)state;
    incident_open(&i, 1, SLICE_LIT("a|b/*"), SLICE_LIT("a\nb"), "incident", T0);
    incident_attempt(&i, &a);
    incident_text_write(&to, &i, T0);
    assert_true(slice_find(buf_slice(&to), 0x1b) < 0);
    buf_clear(&to);
    incident_text_markdown(&to, &i, T0);
    assert_true(slice_find(buf_slice(&to), 0x1b) < 0);
    assert_true(slice_has_prefix(buf_slice(&to), SLICE_LIT("# Incident 1: a\\|b/\\*\n")));
    assert_true(slice_find_slice(buf_slice(&to), SLICE_LIT("\\`\\<script\\>\\`")) > 0);
    for (left = buf_slice(&to); left.len;) {
        ptrdiff_t end = slice_find(left, '\n');
        struct slice line = slice_sub(left, 0, (size_t)end);
        size_t cells = 0;

        assert_true(end >= 0);
        for (size_t n = 0; n < line.len; n++)
            cells += line.ptr[n] == '|' && (n == 0 || line.ptr[n - 1] != '\\');
        assert_true(cells == 0 || cells == 6);
        left = slice_from(left, (size_t)end + 1);
    }
    buf_done(&to);
}

static void an_empty_one_has_no_lists(void **state)
{
    static struct incident i;
    struct buf to = BUF_INIT(INCIDENT_TEXT_MAX);
    struct verdict_facts f;

    (void)state;
    incident_open(&i, 1, SLICE_LIT("a/b"), SLICE_LIT("a"), "throttle", T0);
    incident_facts(&i, &f);
    verdict_decide(&f, &i.verdict);
    incident_text_write(&to, &i, T0);
    assert_non_null(strstr(buf_cstr(&to), "first refusal never\n"));
    assert_non_null(
        strstr(buf_cstr(&to), "verdict       undecided\nmissing       nothing was refused"));
    assert_non_null(strstr(buf_cstr(&to), "retries       no retries\n"));
    assert_null(strstr(buf_cstr(&to), "REFUSED"));
    assert_null(strstr(buf_cstr(&to), "Messages"));
    buf_done(&to);
}

/* The largest fits the cap. */
static void any_incident_fits(void **state)
{
    static struct incident i;
    struct buf to = BUF_INIT(INCIDENT_TEXT_MAX);
    char worst[INCIDENT_ITEM_MAX];

    (void)state;
    memset(worst, '|', sizeof(worst));
    incident_open(&i, UINT64_MAX, slice_make(worst, sizeof(worst)), SLICE_LIT("a"), "throttle", T0);
    for (unsigned n = 0; n < 100; n++) {
        struct attempt a = {.code = 452,
                            .klass = REPLY_CAPACITY,
                            .result = ATTEMPT_RESULT_DEFERRED,
                            .queue_id = UINT64_MAX - n};

        (void)snprintf(worst, 10, "%09u", n);
        worst[9] = '|';
        a.text = a.host = a.local = a.domain = slice_make(worst, sizeof(worst));
        incident_attempt(&i, &a);
        incident_changed(&i, INT64_MAX, a.text);
    }
    incident_text_markdown(&to, &i, T0);
    assert_false(buf_failed(&to));
    assert_non_null(strstr(buf_cstr(&to), "| | | | others |\n"));
    buf_done(&to);
}

static void a_list_of_them(void **state)
{
    static struct incident i;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    struct table t;

    (void)state;
    assert_non_null(to);
    table_init(&t, incident_text_columns, INCIDENT_TEXT_COLUMNS, 0, to);
    make_incident(&i);
    assert_int_equal(incident_text_row(&t, &i, T0 + 60 * SECOND), 0);
    incident_close(&i, T0 + 7200 * SECOND);
    assert_int_equal(incident_text_row(&t, &i, T0), 0);
    table_flush(&t);
    table_done(&t);
    assert_int_equal(fclose(to), 0);
    assert_string_equal(text,
                        "ID  LANE                   SINCE (UTC)          LASTED  VERDICT        "
                        "KIND      REFUSED   OF\n"
                        "12  microsoft-365/default  2026-09-21 14:13:20     1m+  receiver-side  "
                        "incident        5  102\n"
                        "12  microsoft-365/default  2026-09-21 14:13:20      2h  receiver-side  "
                        "incident        5  102\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_incident_reads_so),
        cmocka_unit_test(markdown_reads_so),
        cmocka_unit_test(hostile_texts_stay_in_their_place),
        cmocka_unit_test(an_empty_one_has_no_lists),
        cmocka_unit_test(any_incident_fits),
        cmocka_unit_test(a_list_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
