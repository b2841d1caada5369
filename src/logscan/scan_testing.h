/*
 * logscan/scan_testing.h - for tests of formats: a log in, its facts as lines of text out, whole and cut into
 * chunks. Only what a fact has is shown:
 *
 *     reply 61097 m=4711 to=c@d.example host=mx.d.example ip=192.0.2.1 by=receiver 452 4.3.1 "text"
 *     attempt 61097 m=4711 to=c@d.example by-time deferred 452 4.3.1 "text"
 *
 * The number is milliseconds since 2026-03-01T00:00:00Z.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "base/buf.h"
#include "logscan/reply_form.h"
#include "logscan/scan.h"
#include "logscan/stamp.h"

#define TESTING_BASE_MS INT64_C(1772323200000)
#define TESTING_ALL (WANT_REPLIES | WANT_LIVES | WANT_SESSIONS)
#define TESTING_ACCEPTED (TESTING_ALL | WANT_ACCEPTED)
/* What stands before a log: only formats without years in their stamps look at it. */
#define TESTING_CARRY ((struct log_carry){.year = 2026, .month = 3})

/* ---- facts as text ---- */

static inline void testing_put(struct buf *to, const char *name, struct slice value)
{
    if (value.len > 0)
        assert_int_equal(buf_addf(to, " %s=%.*s", name, SLICE_FMT(value)), 0);
}

static inline void testing_put_reply(struct buf *to, const struct log_fact *f)
{
    char status[REPLY_FORM_STATUS_MAX];

    if (f->reply.code == 0 && f->reply.text.len == 0)
        return;
    if (f->kind == FACT_REPLY)
        assert_int_equal(buf_addf(to, " by=%s", log_issuer_name((enum log_issuer)f->issuer)), 0);
    assert_int_equal(buf_addf(to, " %s \"%.*s\"",
                              f->reply.code ? reply_form_status(&f->reply, status) : "0",
                              SLICE_FMT(f->reply.text)),
                     0);
}

static inline void testing_put_fact(struct buf *to, const struct log_fact *f)
{
    static const char *const kinds[] = {"reply",   "arrival", "recipient", "begin",
                                        "attempt", "expiry",  "end"};
    static const char *const numberings[] = {"by-begin", "by-time", "by-recipient", "given",
                                             "no-life"};

    assert_int_equal(buf_addf(to, "%s %" PRId64, kinds[f->kind], f->at_ms - TESTING_BASE_MS), 0);
    testing_put(to, "m", f->message);
    testing_put(to, "next", f->next);
    testing_put(to, "from", f->sender);
    testing_put(to, "to", f->recipient);
    testing_put(to, "host", f->host);
    testing_put(to, "ip", f->address);
    testing_put(to, "source", f->source);
    testing_put(to, "via", f->connector);
    if (f->number)
        assert_int_equal(buf_addf(to, " number=%" PRIu32, f->number), 0);
    if ((f->kind == FACT_REPLY || f->kind == FACT_ATTEMPT) && f->phase != SMTP_PHASE_IDLE)
        testing_put(to, "phase", slice_str(smtp_phase_name((enum smtp_phase)f->phase)));
    if (f->is_from_here)
        assert_int_equal(buf_add_str(to, " from-here"), 0);
    if (f->is_copy)
        assert_int_equal(buf_add_str(to, " copy"), 0);
    if (f->is_other_host)
        assert_int_equal(buf_add_str(to, " other-host"), 0);
    if (f->kind == FACT_ATTEMPT)
        assert_int_equal(buf_addf(to, " %s %s%s", numberings[f->numbering],
                                  log_outcome_name((enum log_outcome)f->outcome),
                                  f->counts ? "" : " not-counted"),
                         0);
    testing_put_reply(to, f);
    assert_int_equal(buf_add(to, SLICE_LIT("\n")), 0);
}

static inline void testing_put_facts(struct buf *to, const struct log_scan *s)
{
    for (size_t i = 0; i < s->fact_count; i++) {
        assert_true(i == 0 || s->facts[i - 1].offset <= s->facts[i].offset);
        assert_in_range(s->facts[i].offset, s->offset, s->offset + s->bytes.len);
        testing_put_fact(to, &s->facts[i]);
    }
}

/* ---- scans ---- */

struct testing_found {
    struct buf facts;       /* lines of text */
    struct log_carry carry; /* at the end */
    uint64_t rows, skipped[LOG_SKIPS];
};

static inline void testing_found_done(struct testing_found *f)
{
    buf_done(&f->facts);
}

/* The end of the first line that ends at or after `at`; text.len where there is none. */
static inline size_t testing_line_end(struct slice text, size_t at)
{
    ptrdiff_t found = slice_find(slice_from(text, at), '\n');

    return found < 0 ? text.len : at + (size_t)found + 1;
}

/* Reads a log in chunks of about `chunk` bytes, each in memory of its own size, so that a sanitizer sees
 * who reads past the end. The caller calls testing_found_done(). */
static inline void testing_scan(const struct log_format *format, struct slice log,
                                struct log_carry carry, unsigned wants, size_t chunk,
                                struct testing_found *ret)
{
    void *state = NULL;

    *ret = (struct testing_found){.facts = BUF_INIT(MIB(1)), .carry = carry};
    for (size_t at = 0, end; at < log.len; at = end) {
        struct log_scan s = {.format = format,
                             .offset = at,
                             .wants = wants,
                             .carry = ret->carry,
                             .carry_end = ret->carry};
        uint8_t *copy;

        end = chunk >= log.len - at ? log.len : testing_line_end(log, at + chunk - 1);
        copy = malloc(end - at);
        assert_non_null(copy);
        memcpy(copy, log.ptr + at, end - at);
        s.bytes = slice_make(copy, end - at);
        format->scan(&s);
        assert_int_equal(s.error, 0);
        if (format->merge)
            assert_int_equal(format->merge(&state, &s), 0);
        assert_null(s.session_rows);
        testing_put_facts(&ret->facts, &s);
        for (size_t i = 0; i < LOG_SKIPS; i++)
            ret->skipped[i] += s.tally.skipped[i];
        ret->rows += s.tally.rows;
        ret->carry = s.carry_end;
        log_scan_done(&s);
        free(copy);
    }
    if (format->free_state && state)
        format->free_state(&state);
}

/* ---- cases ---- */

struct testing_case {
    const char *log, *facts;
    unsigned wants; /* 0: what all cases do */
    unsigned skips; /* 1 << SKIP_...: one row is skipped for each */
    uint64_t rows;  /* 0: one, or none where one is skipped */
};

/* The log has these facts, however it is cut. */
static inline void testing_expect(const struct log_format *format, unsigned wants,
                                  const struct testing_case *c)
{
    struct slice log = slice_str(c->log);
    struct testing_found got;

    for (size_t chunk = log.len + 1; chunk > 0; chunk = chunk > 1 ? chunk / 2 : 0) {
        testing_scan(format, log, TESTING_CARRY, wants, chunk, &got);
        if (!slice_eq(buf_slice(&got.facts), slice_str(c->facts)))
            fail_msg("'%s' in chunks of %zu bytes:\n%.*snot:\n%s", c->log, chunk,
                     SLICE_FMT(buf_slice(&got.facts)), c->facts);
        if (chunk > log.len) {
            for (unsigned k = 0; k < LOG_SKIPS; k++)
                if (got.skipped[k] != (c->skips >> k & 1))
                    fail_msg("'%s': %" PRIu64 " rows %s", c->log, got.skipped[k],
                             log_skip_text((enum log_skip)k));
            if (got.rows != (c->rows > 0 ? c->rows : c->skips == 0))
                fail_msg("'%s': %" PRIu64 " rows", c->log, got.rows);
        }
        testing_found_done(&got);
    }
}

static inline void testing_cases(const struct log_format *format, unsigned wants,
                                 const struct testing_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        testing_expect(format, cases[i].wants ? cases[i].wants : wants, &cases[i]);
}

/* A line may end anywhere; what is read past its end shows under a sanitizer. For logs of one line. */
static inline void testing_cut_cases(const struct log_format *format,
                                     const struct testing_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t len = 1; len < strlen(cases[i].log); len++) {
            struct buf line = BUF_INIT(KIB(4));
            struct testing_found got;

            assert_int_equal(buf_add(&line, slice_make(cases[i].log, len)), 0);
            assert_int_equal(buf_push(&line, '\n'), 0);
            testing_scan(format, buf_slice(&line), TESTING_CARRY, TESTING_ACCEPTED, SIZE_MAX, &got);
            assert_true(got.rows <= 1);
            testing_found_done(&got);
            buf_done(&line);
        }
}

/* ---- rows, as split() gives them ---- */

struct testing_field {
    const char *line;
    int column;
    const char *want; /* NULL: it is no row */
};

static inline void testing_fields(const struct log_format *format, struct slice reply_name,
                                  const struct testing_field *cases, size_t count)
{
    const struct log_carry carry = TESTING_CARRY;
    const struct log_columns *columns = log_columns_of(slice_str(format->columns));
    struct slice fields[LOG_COLUMNS_MAX];
    struct arena a = {0};

    assert_int_equal(log_columns_find(columns, reply_name), format->reply_column);
    for (size_t i = 0; i < count; i++) {
        int n = format->split(&carry, slice_str(cases[i].line), &a, fields);

        assert_int_equal(n, cases[i].want ? (int)columns->count : -EINVAL);
        if (cases[i].want && !slice_eq(fields[cases[i].column], slice_str(cases[i].want)))
            fail_msg("'%s': '%.*s', not '%s'", cases[i].line, SLICE_FMT(fields[cases[i].column]),
                     cases[i].want);
    }
    arena_done(&a);
}

/* For cmocka_run_group_tests(): local times are UTC. */
static inline int testing_utc(void **state)
{
    (void)state;
    return stamp_zone("UTC");
}
