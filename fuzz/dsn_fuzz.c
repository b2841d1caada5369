/*
 * fuzz/dsn_fuzz.c - a report of a hostile envelope around a hostile original: its lines end in CRLF
 * and have at most 998 bytes, no byte is 8-bit that is not declared, and the delimiters are ours
 * alone. Cutting the original changes nothing.
 *
 * Input: three bytes of settings, then six strings (a length byte each), then the original. The
 * fuzzer knows the boundary: in the original, byte 0x1d stands for our delimiter.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "message/dsn.h"

#define DELIMITER "--=_0000000000000007_id"
#define REPORT_MAX MIB(4)

static void add_original(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        ASSERT(buf_add(to, s.ptr[i] == 0x1d ? SLICE_LIT(DELIMITER) : slice_sub(s, i, 1)) == 0);
}

static void compose(const struct dsn *d, struct slice original, size_t step, struct buf *to)
{
    struct dsn_writer w;
    int r = 0;

    ASSERT(dsn_begin(&w, d, to) == 0);
    for (size_t at = 0; at < original.len && r == 0; at += step)
        r = dsn_add_original(&w, slice_sub(original, at, step), to);
    ASSERT(r >= 0);
    ASSERT(dsn_end(&w, to) == 0);
}

/* The lines of a report, and which part each is in. */
static void check_report(struct slice report, bool utf8_to)
{
    unsigned delimiters = 0;
    bool head = true, eight_bit = utf8_to;

    while (report.len) {
        ptrdiff_t end = slice_find(report, '\n');
        struct slice line;

        ASSERT(end > 0 && report.ptr[end - 1] == '\r' && end - 1 <= 998);
        line = slice_sub(report, 0, (size_t)end - 1);
        report = slice_from(report, (size_t)end + 1);
        if (slice_has_prefix(line, SLICE_LIT(DELIMITER))) {
            delimiters++;
            head = true;
            eight_bit = false;
        } else if (head && line.len == 0) {
            head = false;
        } else if (head && slice_eq(line, SLICE_LIT("Content-Transfer-Encoding: 8bit"))) {
            eight_bit = true;
        }
        for (size_t i = 0; i < line.len; i++) {
            uint8_t c = line.ptr[i];

            ASSERT(c >= 0x80 ? eight_bit : (c >= ' ' && c != 0x7f) || c == '\t');
        }
        ASSERT(delimiters < 4 || report.len == 0);
    }
    ASSERT(delimiters == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(slice_make(data, size));
    uint8_t flags = cursor_u8(&c), more = cursor_u8(&c), step = cursor_u8(&c);
    struct slice text[6];
    struct envelope e = {.flags = flags & (ENVELOPE_8BITMIME | ENVELOPE_SMTPUTF8 |
                                           ENVELOPE_RET_FULL | ENVELOPE_RET_HDRS)};
    struct recipient to = {.last_code = (uint16_t)(more >> 4) * 100};
    struct dsn_recipient told = {.recipient = &to, .relayed = flags & 128};
    struct dsn d = {.envelope = &e,
                    .recipients = &told,
                    .recipient_count = 1,
                    .hostname = SLICE_LIT("mail.example.net"),
                    .id = SLICE_LIT("id"),
                    .original_id = SLICE_LIT("original"),
                    .random = 7,
                    .retry_until_ms = more & 4,
                    .full_max = 1000};
    struct buf original = BUF_INIT(REPORT_MAX), whole = BUF_INIT(REPORT_MAX),
               cut = BUF_INIT(REPORT_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(text); i++)
        text[i] = cursor_take(&c, cursor_u8(&c));
    e.sender = text[0].len ? text[0] : SLICE_LIT("a");
    e.envid = text[1];
    to.address = text[2].len ? text[2] : SLICE_LIT("a");
    to.orcpt = text[3];
    told.remote_mta = text[4];
    if (more & 8)
        told.reply = text[5];
    else
        to.last_text = text[5];
    told.status = text[5];
    d.kind = (enum dsn_kind)(1 + more % 3);
    add_original(&original, slice_sub(c.left, 0, 100000));
    compose(&d, buf_slice(&original), SIZE_MAX / 2, &whole);
    check_report(buf_slice(&whole), !address_is_ascii(e.sender));
    compose(&d, buf_slice(&original), 1 + step % 32, &cut);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    buf_done(&original);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
