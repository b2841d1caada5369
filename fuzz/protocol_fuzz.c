/*
 * fuzz/protocol_fuzz.c - any bytes as a protocol log of Exchange: in one piece and in chunks it gives the
 * same facts, rows and skipped lines.
 *
 * The first byte chooses the log and what is wanted, the second the size of the chunks; from the third
 * on it is the log, behind the usual header.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "logscan/formats.h"

#define HEADER                                                                                     \
    "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,"   \
    "event,data,context\n"
#define TOLD_MAX MIB(64)

static void add_slice(struct buf *to, struct slice s)
{
    uint64_t len = s.len;

    ASSERT(buf_add(to, slice_make(&len, sizeof(len))) == 0 && buf_add(to, s) == 0);
}

static void add_fact(struct buf *to, const struct log_fact *f)
{
    const uint64_t numbers[] = {
        f->offset,
        (uint64_t)f->at_ms,
        f->kind,
        f->issuer,
        f->outcome,
        f->numbering,
        f->counts,
        f->phase,
        f->is_other_host,
        f->has_seconds,
        f->number,
        f->reply.code,
        f->reply.enhanced.klass,
        f->reply.enhanced.subject,
        f->reply.enhanced.detail,
    };

    ASSERT(buf_add(to, slice_make(numbers, sizeof(numbers))) == 0);
    add_slice(to, f->reply.text);
    add_slice(to, f->message);
    add_slice(to, f->sender);
    add_slice(to, f->recipient);
    add_slice(to, f->host);
    add_slice(to, f->address);
    add_slice(to, f->source);
    add_slice(to, f->connector);
}

struct totals {
    uint64_t rows, headers, skipped[LOG_SKIPS];
};

static void read_chunk(struct log_scan *s, struct slice bytes, void **state, struct buf *told,
                       struct totals *totals)
{
    uint8_t *copy = malloc(bytes.len); /* exactly so long, and gone afterwards */
    uint64_t last = 0;

    ASSERT(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    s->bytes = slice_make(copy, bytes.len);
    s->format->scan(s);
    ASSERT(s->error == 0 && s->format->merge(state, s) == 0);
    for (size_t i = 0; i < s->fact_count; i++) {
        ASSERT(s->facts[i].offset >= last && s->facts[i].offset < s->offset + bytes.len);
        last = s->facts[i].offset;
        add_fact(told, &s->facts[i]);
    }
    totals->rows += s->tally.rows;
    totals->headers += s->tally.headers;
    for (int i = 0; i < LOG_SKIPS; i++)
        totals->skipped[i] += s->tally.skipped[i];
    free(copy);
}

static struct totals read_log(const struct log_format *f, unsigned wants, struct slice text,
                              size_t every, struct buf *told)
{
    struct log_scan s = {.format = f, .wants = wants};
    struct totals totals = {0};
    void *state = NULL;

    while (text.len > 0) {
        size_t at = every < text.len ? every : text.len;
        ptrdiff_t end = slice_find(slice_from(text, at - 1), '\n');
        size_t len = end < 0 ? text.len : at + (size_t)end;

        read_chunk(&s, slice_sub(text, 0, len), &state, told, &totals);
        text = slice_from(text, len);
        s = (struct log_scan){.format = f,
                              .wants = wants,
                              .offset = s.offset + len,
                              .carry = s.carry_end,
                              .facts = s.facts,
                              .fact_room = s.fact_room,
                              .arena = s.arena};
        arena_clear(&s.arena);
    }
    log_scan_done(&s);
    f->free_state(&state);
    ASSERT(!state);
    return totals;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text, whole, cut;
    struct totals in_one, in_many;
    const struct log_format *f;
    unsigned wants;

    if (size < 2)
        return 0;
    f = data[0] & 1 ? &exchange_send_format : &exchange_receive_format;
    wants = WANT_LIVES | WANT_REPLIES | (data[0] & 2 ? WANT_ACCEPTED : 0);
    buf_init(&text, TOLD_MAX);
    buf_init(&whole, TOLD_MAX);
    buf_init(&cut, TOLD_MAX);
    ASSERT(buf_add_str(&text, HEADER) == 0);
    ASSERT(buf_add(&text, slice_make(data + 2, size - 2)) == 0 && buf_push(&text, '\n') == 0);
    in_one = read_log(f, wants, buf_slice(&text), SIZE_MAX, &whole);
    in_many = read_log(f, wants, buf_slice(&text), 1 + (size_t)data[1] * 4, &cut);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    ASSERT(memcmp(&in_one, &in_many, sizeof(in_one)) == 0);
    buf_done(&text);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
