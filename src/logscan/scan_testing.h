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

#include <inttypes.h>
#include <stdbool.h>

#include "base/buf.h"
#include "logscan/reply_form.h"
#include "logscan/scan.h"
#include "logscan/stamp.h"

#define TESTING_BASE_MS INT64_C(1772323200000)
#define TESTING_ALL (WANT_REPLIES | WANT_LIVES | WANT_SESSIONS)

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
    if (f->is_copy)
        assert_int_equal(buf_add_str(to, " copy"), 0);
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

/* The end of the first line that ends at or after `at`; text.len where there is none. */
static inline size_t testing_line_end(struct slice text, size_t at)
{
    ptrdiff_t found = slice_find(slice_from(text, at), '\n');

    return found < 0 ? text.len : at + (size_t)found + 1;
}

/* The facts of a log that is read in chunks of about `chunk` bytes, each in memory of its own. What was
 * skipped is added to `skipped` (of LOG_SKIPS), rows to `*rows`. */
static inline void testing_scan(const struct log_format *format, struct slice log, unsigned wants,
                                size_t chunk, struct buf *to, uint64_t *skipped, uint64_t *rows)
{
    struct log_carry carry = {0};
    void *state = NULL;

    for (size_t at = 0, end; at < log.len; at = end) {
        struct log_scan s = {
            .format = format, .offset = at, .wants = wants, .carry = carry, .carry_end = carry};
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
        testing_put_facts(to, &s);
        for (size_t i = 0; i < LOG_SKIPS; i++)
            skipped[i] += s.tally.skipped[i];
        *rows += s.tally.rows;
        carry = s.carry_end;
        log_scan_done(&s);
        free(copy);
    }
    if (format->free_state && state)
        format->free_state(&state);
}

/* The log has these facts, however it is cut. `*ret_skipped` of LOG_SKIPS and rows of it as a whole. */
static inline void testing_expect(const struct log_format *format, const char *log, unsigned wants,
                                  const char *facts, uint64_t *ret_skipped, uint64_t *ret_rows)
{
    struct slice text = slice_str(log);

    for (size_t chunk = text.len + 1; chunk > 0; chunk = chunk > 1 ? chunk / 2 : 0) {
        uint64_t skipped[LOG_SKIPS] = {0}, rows = 0;
        struct buf got;

        buf_init(&got, MIB(1));
        testing_scan(format, text, wants, chunk, &got, skipped, &rows);
        if (!slice_eq(buf_slice(&got), slice_str(facts)))
            fail_msg("in chunks of %zu bytes:\n%.*snot:\n%s", chunk, SLICE_FMT(buf_slice(&got)),
                     facts);
        buf_done(&got);
        if (chunk > text.len) {
            memcpy(ret_skipped, skipped, sizeof(skipped));
            *ret_rows = rows;
        }
    }
}
