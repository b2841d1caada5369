/*
 * logscan/facts_kit.h - for tests of scanners: text in, the facts as lines of text out.
 *
 *     "reply receiver 452 4.3.1|text m=ID r=a@b h=host[ip] rcpt"
 *     "attempt deferred 452 4.3.1|text m=ID r=a@b h=host[ip]"
 *     "arrival m=ID 2", "begin m=ID 2", "expiry m=ID", "end m=ID"
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "logscan/reply_form.h"
#include "logscan/scan.h"
#include "logscan/stamp.h"

#define FACTS_ALL (WANT_REPLIES | WANT_ACCEPTED | WANT_LIVES)
#define FACTS_TEXT_MAX 65536

struct facts_kit {
    char text[FACTS_TEXT_MAX]; /* of the facts, one a line */
    size_t len;
    struct log_tally tally;
    struct log_carry carry;
};

static inline void facts_put(struct facts_kit *k, const char *name, struct slice value)
{
    int n = value.len == 0 ? 0
                           : snprintf(k->text + k->len, sizeof(k->text) - k->len, "%s%.*s", name,
                                      SLICE_FMT(value));

    ASSERT(n >= 0 && (size_t)n < sizeof(k->text) - k->len);
    k->len += (size_t)n;
}

static inline void facts_put_reply(struct facts_kit *k, const struct log_reply *r)
{
    char status[REPLY_FORM_STATUS_MAX];

    if (r->code == 0 && r->text.len == 0)
        return;
    facts_put(k, " ", slice_str(reply_form_status(r, status)));
    facts_put(k, "|", r->text);
}

static inline void facts_put_fact(struct facts_kit *k, const struct log_fact *f)
{
    static const char *const kinds[] = {"reply",   "arrival", "recipient", "begin",
                                        "attempt", "expiry",  "end"};
    char number[16];

    facts_put(k, "", slice_str(kinds[f->kind]));
    if (f->kind == FACT_REPLY)
        facts_put(k, " ", slice_str(f->is_other_host ? "other" : log_issuer_name(f->issuer)));
    if (f->kind == FACT_ATTEMPT)
        facts_put(k, " ", slice_str(log_outcome_name(f->outcome)));
    facts_put_reply(k, &f->reply);
    facts_put(k, " m=", f->message);
    facts_put(k, " s=", f->sender);
    facts_put(k, " r=", f->recipient);
    facts_put(k, " h=", f->host);
    facts_put(k, " a=", f->address);
    if (f->phase != SMTP_PHASE_CONNECT && f->phase != SMTP_PHASE_IDLE)
        facts_put(k, " ", slice_str(smtp_phase_name(f->phase)));
    (void)snprintf(number, sizeof(number), " %u", (unsigned)f->number);
    facts_put(k, "", f->number > 0 ? slice_str(number) : slice_make(NULL, 0));
    facts_put(k, "", SLICE_LIT("\n"));
}

/* Scans `text` in chunks of about `chunk` bytes, cut at line ends, the carry handed on; each in memory
 * of its own size, so that a sanitizer sees who reads past the end. */
static inline void facts_scan(struct facts_kit *k, const struct log_format *f, struct slice text,
                              size_t chunk, struct log_carry carry)
{
    void *state = NULL;

    memset(k, 0, sizeof(*k));
    k->carry = carry;
    for (size_t at = 0; at < text.len;) {
        struct log_scan s = {.format = f,
                             .offset = at,
                             .wants = FACTS_ALL,
                             .carry = k->carry,
                             .carry_end = k->carry};
        size_t len = MIN_OF(chunk, text.len - at);
        uint8_t *copy;

        while (at + len < text.len && text.ptr[at + len - 1] != '\n')
            len++;
        copy = malloc(len);
        ASSERT(copy);
        memcpy(copy, text.ptr + at, len);
        s.bytes = slice_make(copy, len);
        f->scan(&s);
        ASSERT(!f->merge || f->merge(&state, &s) == 0);
        ASSERT(s.error == 0);
        for (size_t i = 0; i < s.fact_count; i++)
            facts_put_fact(k, &s.facts[i]);
        k->tally.rows += s.tally.rows;
        for (size_t i = 0; i < LOG_SKIPS; i++)
            k->tally.skipped[i] += s.tally.skipped[i];
        k->carry = s.carry_end;
        free(s.facts);
        arena_done(&s.arena);
        free(copy);
        at += len;
    }
    if (f->free_state)
        f->free_state(&state);
}

/* One line, without its end, in a year; false: it was skipped. The facts, without the last line end, are
 * in k->text. */
static inline bool facts_of_line(struct facts_kit *k, const struct log_format *f, const char *line)
{
    char text[8192];
    int n = snprintf(text, sizeof(text), "%s\n", line);

    ASSERT(n > 0 && (size_t)n < sizeof(text));
    facts_scan(k, f, slice_make(text, (size_t)n), SIZE_MAX,
               (struct log_carry){.year = 2026, .month = 3});
    if (k->len > 0)
        k->text[--k->len] = '\0';
    return k->tally.rows == 1;
}
