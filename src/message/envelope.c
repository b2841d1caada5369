/*
 * message/envelope.c - the bytes of envelopes and marks.
 *
 * Numbers are varints: seven bits a byte, the low ones first, the top bit set on all but the last;
 * the shortest form is the only legal one, so that equal envelopes have equal bytes. Times are
 * zigzag-coded first (0, -1, 1, -2, ...). A string is its length and its bytes.
 *
 *     envelope  version=1 flags arrival body_bytes sender envid client_ip client_helo client_name
 *               count recipient*
 *     recipient head(u8) address [orcpt] [state(u8) attempts code last_attempt next_attempt text]
 *     mark      version=1 kind(u8) at next_attempt count result*
 *     result    head(u8) step [code text]
 *
 * The step of a result is zigzag-coded: from the recipient one would expect (the one after the
 * last) to the one meant.
 */
#include "message/envelope.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"

#include <errno.h>

enum { VERSION = 1, VARINT_MAX = 10 };

enum recipient_head {
    HEAD_NOTIFY = 0x0f,
    HEAD_ORCPT = 0x10,
    HEAD_STATE = 0x20,
    HEAD_DELAY_DSN = 0x40,
};

enum result_head { RESULT_STATE = 0x07, RESULT_SAME = 0x08 };

/* ---- writing: the caller has reserved the room ---- */

static uint8_t *put_number(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static uint8_t *put_signed(uint8_t *p, int64_t v)
{
    return put_number(p, zigzag(v));
}

static uint8_t *put_string(uint8_t *p, struct slice s)
{
    p = put_number(p, s.len);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return p + s.len;
}

static struct slice cut_text(struct slice text)
{
    return slice_sub(text, 0, ENVELOPE_TEXT_MAX);
}

static bool has_state(const struct recipient *r)
{
    return r->state != RECIPIENT_PENDING || r->attempts || r->last_code || r->last_attempt_ms ||
           r->next_attempt_ms || r->last_text.len;
}

static size_t recipient_bytes_max(const struct recipient *r)
{
    size_t n = 1 + 2 * VARINT_MAX + r->address.len + r->orcpt.len;

    _Static_assert(2 + 7 * VARINT_MAX <= ENVELOPE_RECIPIENT_BYTES_MAX, "the same sum");

    return has_state(r) ? n + 1 + 5 * VARINT_MAX + cut_text(r->last_text).len : n;
}

static uint8_t *put_recipient(uint8_t *p, const struct recipient *r)
{
    bool state = has_state(r);

    *p++ = (uint8_t)((r->notify & HEAD_NOTIFY) | (r->orcpt.len ? HEAD_ORCPT : 0) |
                     (state ? HEAD_STATE : 0) | (r->delay_dsn_sent ? HEAD_DELAY_DSN : 0));
    p = put_string(p, r->address);
    if (r->orcpt.len)
        p = put_string(p, r->orcpt);
    if (!state)
        return p;
    *p++ = r->state;
    p = put_number(p, r->attempts);
    p = put_number(p, r->last_code);
    p = put_signed(p, r->last_attempt_ms);
    p = put_signed(p, r->next_attempt_ms);
    return put_string(p, cut_text(r->last_text));
}

int envelope_encode(const struct envelope *e, struct buf *to)
{
    size_t room = 1 + 9 * VARINT_MAX + e->sender.len + e->envid.len + e->client_ip.len +
                  e->client_helo.len + e->client_name.len;
    uint8_t *p;
    int r;

    if (e->recipient_count > ENVELOPE_RECIPIENTS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < e->recipient_count; i++) {
        ASSERT(e->recipients[i].address.len > 0);
        ASSERT(e->recipients[i].state <= RECIPIENT_REMOVED);
        room += recipient_bytes_max(&e->recipients[i]);
    }
    r = buf_reserve(to, room);
    if (r < 0)
        return r;
    p = buf_tail(to);
    *p++ = VERSION;
    p = put_number(p, e->flags);
    p = put_signed(p, e->arrival_ms);
    p = put_number(p, e->body_bytes);
    p = put_string(p, e->sender);
    p = put_string(p, e->envid);
    p = put_string(p, e->client_ip);
    p = put_string(p, e->client_helo);
    p = put_string(p, e->client_name);
    p = put_number(p, e->recipient_count);
    for (size_t i = 0; i < e->recipient_count; i++)
        p = put_recipient(p, &e->recipients[i]);
    buf_grew(to, (size_t)(p - buf_tail(to)));
    return 0;
}

static bool same_result(const struct mark_result *a, const struct mark_result *b)
{
    return a->code == b->code && slice_eq(a->text, b->text);
}

int mark_encode(const struct mark *m, struct buf *to)
{
    size_t room = 2 + 3 * VARINT_MAX;
    uint64_t expected = 0;
    uint8_t *p;
    int r;

    for (size_t i = 0; i < m->result_count; i++) {
        ASSERT(m->results[i].state <= RECIPIENT_REMOVED);
        room += 1 + VARINT_MAX;
        if (i == 0 || !same_result(&m->results[i], &m->results[i - 1]))
            room += 2 * VARINT_MAX + cut_text(m->results[i].text).len;
    }
    r = buf_reserve(to, room);
    if (r < 0)
        return r;
    p = buf_tail(to);
    *p++ = VERSION;
    *p++ = (uint8_t)m->kind;
    p = put_signed(p, m->at_ms);
    p = put_signed(p, m->next_attempt_ms);
    p = put_number(p, m->result_count);
    for (size_t i = 0; i < m->result_count; i++) {
        const struct mark_result *x = &m->results[i];
        bool same = i > 0 && same_result(x, &m->results[i - 1]);

        *p++ = (uint8_t)(x->state | (same ? RESULT_SAME : 0));
        p = put_signed(p, (int64_t)x->recipient - (int64_t)expected);
        expected = (uint64_t)x->recipient + 1;
        if (!same) {
            p = put_number(p, x->code);
            p = put_string(p, cut_text(x->text));
        }
    }
    buf_grew(to, (size_t)(p - buf_tail(to)));
    return 0;
}

/* ---- reading: nothing is trusted ---- */

static uint64_t take_number(struct cursor *c, uint64_t max)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);

        if (shift == 63 && byte > 1) /* over 64 bits */
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if ((byte == 0 && shift > 0) || v > max) /* not the shortest form */
            break;
        return v;
    }
    c->failed = true;
    return 0;
}

static int64_t take_signed(struct cursor *c)
{
    uint64_t v = take_number(c, UINT64_MAX);

    return (int64_t)((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

static struct slice take_string(struct cursor *c)
{
    return cursor_take(c, (size_t)take_number(c, UINT32_MAX));
}

static struct slice take_text(struct cursor *c)
{
    return cursor_take(c, (size_t)take_number(c, ENVELOPE_TEXT_MAX));
}

static void take_recipient(struct cursor *c, struct recipient *ret)
{
    uint8_t head = cursor_u8(c);

    *ret = (struct recipient){.notify = head & HEAD_NOTIFY};
    if (head & 0x80)
        c->failed = true;
    ret->delay_dsn_sent = head & HEAD_DELAY_DSN;
    ret->address = take_string(c);
    if (ret->address.len == 0)
        c->failed = true;
    if (head & HEAD_ORCPT) {
        ret->orcpt = take_string(c);
        if (ret->orcpt.len == 0)
            c->failed = true;
    }
    if (!(head & HEAD_STATE))
        return;
    ret->state = cursor_u8(c);
    ret->attempts = (uint16_t)take_number(c, UINT16_MAX);
    ret->last_code = (uint16_t)take_number(c, UINT16_MAX);
    ret->last_attempt_ms = take_signed(c);
    ret->next_attempt_ms = take_signed(c);
    ret->last_text = take_text(c);
    if (ret->state > RECIPIENT_REMOVED || !has_state(ret))
        c->failed = true;
}

int envelope_decode(struct slice bytes, struct recipient *recipients, size_t room,
                    struct envelope *ret)
{
    struct cursor c = cursor_make(bytes);
    struct envelope e = {0};

    if (cursor_u8(&c) != VERSION)
        return -ERR_DAMAGED;
    e.flags = (uint32_t)take_number(&c, UINT32_MAX);
    e.arrival_ms = take_signed(&c);
    e.body_bytes = take_number(&c, UINT64_MAX);
    e.sender = take_string(&c);
    e.envid = take_string(&c);
    e.client_ip = take_string(&c);
    e.client_helo = take_string(&c);
    e.client_name = take_string(&c);
    e.recipient_count = (size_t)take_number(&c, ENVELOPE_RECIPIENTS_MAX);
    if (!cursor_ok(&c))
        return -ERR_DAMAGED;
    if (e.recipient_count > room) {
        *ret = e;
        return -ENOBUFS;
    }
    e.recipients = recipients;
    for (size_t i = 0; i < e.recipient_count && cursor_ok(&c); i++)
        take_recipient(&c, &recipients[i]);
    if (!cursor_ok(&c) || !cursor_at_end(&c))
        return -ERR_DAMAGED;
    *ret = e;
    return 0;
}

struct results { /* reads the results of one mark */
    struct cursor cursor;
    struct mark_result last;
    uint64_t expected, left;
};

static int results_open(struct results *it, struct slice bytes, struct mark *ret)
{
    struct cursor c = cursor_make(bytes);
    uint8_t kind;

    if (cursor_u8(&c) != VERSION)
        return -ERR_DAMAGED;
    kind = cursor_u8(&c);
    *ret = (struct mark){.kind = (enum mark_kind)kind};
    ret->at_ms = take_signed(&c);
    ret->next_attempt_ms = take_signed(&c);
    *it = (struct results){.left = take_number(&c, ENVELOPE_RECIPIENTS_MAX)};
    it->cursor = c;
    return cursor_ok(&c) && kind >= MARK_ATTEMPT && kind <= MARK_DELAY_DSN ? 0 : -ERR_DAMAGED;
}

/* 1: `*ret` is the next result. 0: there are no more. -ERR_DAMAGED. */
static int results_next(struct results *it, struct mark_result *ret)
{
    struct cursor *c = &it->cursor;
    uint8_t head;
    int64_t step;
    bool first = it->expected == 0;

    if (it->left == 0)
        return cursor_at_end(c) ? 0 : -ERR_DAMAGED;
    it->left--;
    head = cursor_u8(c);
    step = take_signed(c);
    if (!(head & RESULT_SAME)) {
        it->last.code = (uint16_t)take_number(c, UINT16_MAX);
        it->last.text = take_text(c);
    } else if (first) {
        return -ERR_DAMAGED;
    }
    if (!cursor_ok(c) || head > (RESULT_SAME | RECIPIENT_REMOVED) ||
        (head & RESULT_STATE) > RECIPIENT_REMOVED || step < -(int64_t)it->expected ||
        step >= (int64_t)ENVELOPE_RECIPIENTS_MAX - (int64_t)it->expected)
        return -ERR_DAMAGED;
    it->last.recipient = (uint32_t)((int64_t)it->expected + step);
    it->last.state = head & RESULT_STATE;
    it->expected = (uint64_t)it->last.recipient + 1;
    *ret = it->last;
    return 1;
}

static int apply_result(struct envelope *e, const struct mark *m, const struct mark_result *x)
{
    struct recipient *r;

    if (x->recipient >= e->recipient_count)
        return -ERR_DAMAGED;
    r = &e->recipients[x->recipient];
    if (m->kind == MARK_DELAY_DSN)
        r->delay_dsn_sent = true;
    if (m->kind != MARK_ATTEMPT)
        return 0;
    r->state = x->state;
    r->attempts = (uint16_t)MIN_OF(r->attempts + 1, UINT16_MAX);
    r->last_code = x->code;
    r->last_text = x->text;
    r->last_attempt_ms = m->at_ms;
    r->next_attempt_ms = x->state == RECIPIENT_PENDING ? m->next_attempt_ms : 0;
    return 0;
}

static int apply_mark(struct envelope *e, struct slice bytes)
{
    struct results it;
    struct mark m;
    struct mark_result x;
    int r = results_open(&it, bytes, &m);

    if (r < 0)
        return r;
    if (m.kind == MARK_HOLD)
        e->flags |= ENVELOPE_HELD;
    if (m.kind == MARK_RELEASE)
        e->flags &= ~(uint32_t)ENVELOPE_HELD;
    while ((r = results_next(&it, &x)) > 0) {
        r = apply_result(e, &m, &x);
        if (r < 0)
            break;
    }
    return r;
}

/* The next mark of the run, without its length. 1, 0 at the end, -ERR_DAMAGED. */
static int next_mark(struct cursor *c, struct slice *ret)
{
    if (cursor_at_end(c))
        return 0;
    *ret = cursor_take(c, cursor_u32(c));
    return cursor_ok(c) ? 1 : -ERR_DAMAGED;
}

int envelope_apply_marks(struct envelope *e, struct slice marks)
{
    struct cursor c = cursor_make(marks);
    struct slice bytes;
    int r;

    while ((r = next_mark(&c, &bytes)) > 0) {
        r = apply_mark(e, bytes);
        if (r < 0)
            return r;
    }
    return r;
}

static int walk_mark(struct slice bytes, int (*fn)(void *ctx, const struct mark *m), void *ctx)
{
    struct mark_result batch[MARK_RESULTS_AT_ONCE];
    struct results it;
    struct mark m;
    int more = 1, called = 0;
    int r = results_open(&it, bytes, &m);

    if (r < 0)
        return r;
    m.results = batch;
    while (more > 0) {
        m.result_count = 0;
        while (m.result_count < MARK_RESULTS_AT_ONCE &&
               (more = results_next(&it, &batch[m.result_count])) > 0)
            m.result_count++;
        if (more < 0)
            return more;
        if (m.result_count == 0 && called) /* the batch before was full and the last */
            return 0;
        called = 1;
        r = fn(ctx, &m);
        if (r != 0)
            return r;
    }
    return 0;
}

int marks_each(struct slice marks, int (*fn)(void *ctx, const struct mark *m), void *ctx)
{
    struct cursor c = cursor_make(marks);
    struct slice bytes;
    int r;

    while ((r = next_mark(&c, &bytes)) > 0) {
        r = walk_mark(bytes, fn, ctx);
        if (r != 0)
            return r;
    }
    return r;
}

bool envelope_is_pending(const struct envelope *e)
{
    for (size_t i = 0; i < e->recipient_count; i++)
        if (e->recipients[i].state == RECIPIENT_PENDING)
            return true;
    return false;
}

struct slice address_domain(struct slice address)
{
    ptrdiff_t at = slice_rfind(address, '@');

    return at < 0 ? slice_make(NULL, 0) : slice_from(address, (size_t)at + 1);
}

bool address_is_ascii(struct slice address)
{
    for (size_t i = 0; i < address.len; i++)
        if (address.ptr[i] >= 0x80)
            return false;
    return true;
}
