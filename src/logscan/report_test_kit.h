/*
 * logscan/report_test_kit.h - for tests of reports: facts by hand in, cells by their names out.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "logscan/reply_form.h"
#include "logscan/report.h"

struct kit {
    struct log_report_options options;
    struct log_report report;
};

/* Runs a report on facts, as two chunks. The options are the usual ones but for what is set. */
static inline void kit_run(struct kit *k, const struct log_report_kind *kind,
                           const struct log_fact *facts, size_t count)
{
    struct replies *replies = NULL;
    struct providers *providers = NULL;
    struct buf why = BUF_INIT(KIB(8));
    struct log_fact *copy = calloc(count + 1, sizeof(*copy));
    void *state = NULL;

    assert_non_null(copy);
    if (count > 0)
        memcpy(copy, facts, count * sizeof(*copy));
    assert_int_equal(knowledge_new(&k->options.knowledge, &replies, &providers, &why), 0);
    k->options.seed = 11;
    assert_int_equal(kind->create(&state, &k->options, &why), 0);
    for (size_t part = 0; part < 2; part++) {
        size_t from = part == 0 ? 0 : count / 2, to = part == 0 ? count / 2 : count;
        struct log_scan s = {.facts = copy + from, .fact_count = to - from};

        assert_int_equal(kind->facts(state, &s), 0);
    }
    assert_int_equal(kind->finish(state, &k->report), 0);
    kind->free(&state);
    assert_null(state);
    free(copy);
    buf_done(&why);
    knowledge_unref(&k->options.knowledge);
}

static inline const struct log_sheet *kit_sheet(const struct kit *k, const char *name)
{
    for (size_t i = 0; i < k->report.sheet_count; i++)
        if (strcmp(k->report.sheets[i].name, name) == 0)
            return &k->report.sheets[i];
    fail_msg("there is no sheet %s", name);
    return NULL;
}

/* The cell of a column in the row whose first cell is that text. */
static inline const struct sheet_cell *kit_cell(const struct kit *k, const char *sheet,
                                                const char *row, const char *column)
{
    const struct log_sheet *s = kit_sheet(k, sheet);
    size_t at = 0;

    while (at < s->column_count && strcmp(s->columns[at].name, column) != 0)
        at++;
    if (at == s->column_count)
        fail_msg("%s has no column %s", sheet, column);
    for (size_t i = 0; i < s->row_count; i++) {
        const struct sheet_cell *cells = &s->cells[i * s->column_count];

        if (slice_eq(cells->value.text, slice_str(row)))
            return &cells[at];
    }
    fail_msg("%s has no row %s", sheet, row);
    return NULL;
}

struct kit_want { /* of a cell, as text: "3", "0.25", "-" (empty), "some text" */
    const char *sheet, *row, *column, *value;
};

static inline void kit_show(enum sheet_kind kind, const struct sheet_cell *c, char *to, size_t room)
{
    if (c->is_empty)
        (void)snprintf(to, room, "-");
    else if (kind == SHEET_TEXT || kind == SHEET_SPARK)
        (void)snprintf(to, room, "%.*s", SLICE_FMT(c->value.text));
    else if (kind == SHEET_COUNT)
        (void)snprintf(to, room, "%llu", (unsigned long long)c->value.count);
    else if (kind == SHEET_SHARE || kind == SHEET_RATE)
        (void)snprintf(to, room, "%.4g", c->value.number);
    else
        (void)snprintf(to, room, "%lld", (long long)c->value.ms);
}

static inline void kit_check(const struct kit *k, const struct kit_want *wants, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct kit_want *w = &wants[i];
        const struct log_sheet *s = kit_sheet(k, w->sheet);
        const struct sheet_cell *c = kit_cell(k, w->sheet, w->row, w->column);
        char shown[4096];

        for (size_t at = 0; at < s->column_count; at++)
            if (strcmp(s->columns[at].name, w->column) == 0)
                kit_show(s->columns[at].kind, c, shown, sizeof(shown));
        if (strcmp(shown, w->value) != 0)
            fail_msg("%s, %s, %s: is %s, not %s", w->sheet, w->row, w->column, shown, w->value);
    }
}

static inline void kit_done(struct kit *k)
{
    log_report_done(&k->report);
    *k = (struct kit){0};
}

static inline struct kit kit_new(void)
{
    return (struct kit){.options = {.since_ms = INT64_MIN, .until_ms = INT64_MAX}};
}

/* ---- facts ---- */

static inline struct log_fact kit_arrival(const char *message, int64_t at_ms, uint32_t recipients)
{
    return (struct log_fact){
        .kind = FACT_ARRIVAL, .message = slice_str(message), .at_ms = at_ms, .number = recipients};
}

/* `reply` as on the wire: "452 4.3.1 text"; code 0: "" and what happened. */
static inline struct log_fact kit_attempt(const char *message, int64_t at_ms, const char *recipient,
                                          enum log_outcome outcome, const char *host,
                                          const char *reply)
{
    struct log_fact f = {.kind = FACT_ATTEMPT,
                         .message = slice_str(message),
                         .at_ms = at_ms,
                         .recipient = slice_str(recipient),
                         .outcome = (uint8_t)outcome,
                         .numbering = NUMBERING_TIME,
                         .counts = COUNTS_ALL,
                         .host = slice_str(host),
                         .address = slice_str(host)};

    if (!reply_form_line(slice_str(reply), &f.reply)) {
        f.reply.text = slice_str(reply);
        f.issuer = ISSUER_OWN_CLIENT;
    }
    return f;
}
