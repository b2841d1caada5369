/*
 * message/dsn.c - who gets a report, and all of it but the original's bytes (dsn_original.c).
 *
 * Every string that came from outside (addresses, replies, ENVID, ORCPT, host names) goes through
 * put_clean() or put_words(), which let no control byte through and no 8-bit byte that the part
 * does not declare. The first error is kept in the sink, so that each function checks nothing and
 * the callers check once.
 */
#include "message/dsn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "message/date.h"
#include "smtp/address.h"
#include "smtp/command.h"

enum {
    FOLD_AT = 76,
    WORD_MAX = 900, /* longer ones are cut in two: a line may have 998 bytes */
    ADDRESS_MAX = 500,
    REPLY_MAX = 4096,
    XTEXT_MAX = 600,
    ID_MAX = 32,
};

bool dsn_wanted(const struct envelope *e, const struct recipient *r, enum dsn_kind kind)
{
    if (e->sender.len == 0 || e->flags & ENVELOPE_IS_DSN || r->notify & NOTIFY_NEVER)
        return false;
    switch (kind) {
    case DSN_FAILURE:
        return r->notify == 0 || r->notify & NOTIFY_FAILURE;
    case DSN_DELAY:
        return r->notify == 0 || r->notify & NOTIFY_DELAY;
    case DSN_SUCCESS:
        return r->notify & NOTIFY_SUCCESS;
    default:
        return false;
    }
}

/* ---- what the report is like ---- */

static bool returns_whole(const struct dsn *d)
{
    return d->kind == DSN_FAILURE && !(d->envelope->flags & ENVELOPE_RET_HDRS) &&
           d->envelope->body_bytes <= d->full_max;
}

static bool is_global(const struct dsn *d)
{
    return d->envelope->flags & ENVELOPE_SMTPUTF8;
}

/* Whether the third part has 8-bit bytes. A header section without SMTPUTF8 has no business with
 * them, and a 7-bit report passes everywhere. */
static bool original_is_8bit(const struct dsn *d)
{
    return is_global(d) || (returns_whole(d) && d->envelope->flags & ENVELOPE_8BITMIME);
}

void dsn_envelope(const struct dsn *d, struct recipient *storage, struct envelope *ret)
{
    *storage = (struct recipient){.address = d->envelope->sender};
    *ret =
        (struct envelope){.flags = ENVELOPE_IS_DSN, .arrival_ms = d->now_ms, .recipients = storage};
    ret->recipient_count = 1;
    if (original_is_8bit(d))
        ret->flags |= ENVELOPE_8BITMIME;
    if (!address_is_ascii(d->envelope->sender))
        ret->flags |= ENVELOPE_SMTPUTF8 | ENVELOPE_8BITMIME;
}

/* ---- the sink ---- */

struct sink {
    struct buf *to;
    int err;
    size_t column;
    bool fresh; /* at the start of a line, after its indent: the next word needs no space */
    bool utf8;
};

static void put(struct sink *s, struct slice bytes)
{
    if (s->err == 0)
        s->err = buf_add(s->to, bytes);
    s->column += bytes.len;
    s->fresh = false;
}

static void put_str(struct sink *s, const char *text)
{
    put(s, slice_str(text));
}

static void end_line(struct sink *s)
{
    put_str(s, "\r\n");
    s->column = 0;
    s->fresh = true;
}

static void put_indent(struct sink *s, const char *indent)
{
    put_str(s, indent);
    s->fresh = true;
}

static void put_line(struct sink *s, const char *text)
{
    put_str(s, text);
    end_line(s);
}

/* At most `max` bytes, not ending inside a UTF-8 sequence. */
static struct slice cut(struct slice text, size_t max)
{
    size_t n = MIN_OF(text.len, max);

    while (n > 0 && n < text.len && (text.ptr[n] & 0xc0) == 0x80)
        n--;
    return slice_sub(text, 0, n);
}

/* `text` as it is, save that what may not stand there becomes '?'. No folding. */
static void put_clean(struct sink *s, struct slice text, size_t max)
{
    bool keep_8bit;

    text = cut(text, max);
    keep_8bit = s->utf8 && utf8_is_valid(text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool ok = c >= 0x80 ? keep_8bit : c >= ' ' && c != 0x7f;

        put(s, ok ? slice_sub(text, i, 1) : SLICE_LIT("?"));
    }
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Writes the words of `text`, a space between them, and goes on in a new line that begins with
 * `indent` where one would not fit. A '\n' in the text is a new line too. */
static void put_words(struct sink *s, struct slice text, const char *indent)
{
    size_t at = 0;

    text = cut(text, REPLY_MAX);
    while (at < text.len) {
        size_t from = at;
        bool broken = false;
        struct slice word;

        for (; from < text.len && is_space(text.ptr[from]); from++)
            broken |= text.ptr[from] == '\n';
        at = from;
        while (at < text.len && !is_space(text.ptr[at]))
            at++;
        if (at == from)
            return;
        word = cut(slice_sub(text, from, at - from), WORD_MAX);
        at = from + word.len;
        if (!s->fresh && (broken || s->column + 1 + word.len > FOLD_AT)) {
            end_line(s);
            put_indent(s, indent);
        }
        if (!s->fresh)
            put_str(s, " ");
        put_clean(s, word, WORD_MAX);
    }
}

static void put_date(struct sink *s, const char *before, int64_t at_ms)
{
    char text[DATE_RFC5322_MAX];

    (void)date_rfc5322(at_ms, text);
    put_str(s, before);
    put_str(s, text);
}

static void put_date_field(struct sink *s, const char *name, int64_t at_ms)
{
    put_date(s, name, at_ms);
    end_line(s);
}

/* ---- our header ---- */

static const char *subject(enum dsn_kind kind)
{
    switch (kind) {
    case DSN_DELAY:
        return "Subject: Your message is delayed";
    case DSN_SUCCESS:
        return "Subject: Your message was delivered";
    case DSN_FAILURE:
    default:
        return "Subject: Your message could not be delivered";
    }
}

/* The name in quotes, without what would end them. */
static void put_display_name(struct sink *s, struct slice name)
{
    put_str(s, "\"");
    for (size_t i = 0; i < MIN_OF(name.len, 100); i++)
        if (name.ptr[i] != '"' && name.ptr[i] != '\\')
            put_clean(s, slice_sub(name, i, 1), 1);
    put_str(s, "\"");
}

static void put_from(struct sink *s, const struct dsn *d)
{
    put_str(s, "From: ");
    put_display_name(s, d->from_name.len ? d->from_name : SLICE_LIT("Mail Delivery System"));
    put_str(s, " <");
    if (d->from.len) {
        put_clean(s, d->from, ADDRESS_MAX);
    } else {
        put_str(s, "MAILER-DAEMON@");
        put_clean(s, d->hostname, ADDRESS_MAX);
    }
    put_line(s, ">");
}

static void put_header(struct sink *s, const struct dsn *d, const char *boundary)
{
    put_from(s, d);
    s->utf8 = !address_is_ascii(d->envelope->sender); /* then the report goes by SMTPUTF8 */
    put_str(s, "To: <");
    put_clean(s, d->envelope->sender, ADDRESS_MAX);
    put_line(s, ">");
    s->utf8 = false;
    put_line(s, subject(d->kind));
    put_date_field(s, "Date: ", d->now_ms);
    put_str(s, "Message-ID: <");
    put_clean(s, d->id, ID_MAX);
    put_str(s, "@");
    put_clean(s, d->hostname, ADDRESS_MAX);
    put_line(s, ">");
    put_line(s, "Auto-Submitted: auto-replied");
    put_line(s, "MIME-Version: 1.0");
    put_str(s, "Content-Type: multipart/report; report-type=");
    put_str(s, is_global(d) ? "global-delivery-status" : "delivery-status");
    put_line(s, ";");
    put_str(s, "    boundary=\"");
    put_str(s, boundary);
    put_line(s, "\"");
    if (original_is_8bit(d))
        put_line(s, "Content-Transfer-Encoding: 8bit");
    end_line(s);
    put_line(s, "This is a delivery report in the MIME format of RFC 3464.");
}

static void begin_part(struct sink *s, const char *boundary, const char *description,
                       const char *type, bool is_8bit)
{
    end_line(s);
    put_str(s, "--");
    put_line(s, boundary);
    put_str(s, "Content-Description: ");
    put_line(s, description);
    put_str(s, "Content-Type: ");
    put_line(s, type);
    put_line(s, is_8bit ? "Content-Transfer-Encoding: 8bit" : "Content-Transfer-Encoding: 7bit");
    end_line(s);
}

/* ---- the part for people ---- */

static void put_paragraph(struct sink *s, const char *text)
{
    put_words(s, slice_str(text), "");
}

static void put_summary(struct sink *s, const struct dsn *d)
{
    char date[DATE_RFC5322_MAX];

    put_words(s, SLICE_LIT("This is the mail server"), "");
    put_words(s, d->hostname, "");
    end_line(s);
    end_line(s);
    (void)date_rfc5322(d->envelope->arrival_ms, date);
    put_paragraph(s, "Your message that was received here on");
    put_words(s, slice_str(date), "");
    put_paragraph(s, "and got the queue id");
    put_words(s, cut(d->original_id, ID_MAX), "");
    switch (d->kind) {
    case DSN_DELAY:
        put_paragraph(s, "has not been delivered yet to the recipients below. You need not "
                         "send it again: it stays in the queue and is tried again and again.");
        break;
    case DSN_SUCCESS:
        put_paragraph(s, "was delivered to the recipients below. You get this report because you, "
                         "or your mail program, asked for it.");
        break;
    case DSN_FAILURE:
    default:
        put_paragraph(s, "could not be delivered to the recipients below. It will not be tried "
                         "again. The reason is given for each of them.");
        break;
    }
    end_line(s);
    if (d->kind == DSN_DELAY && d->retry_until_ms != 0) {
        (void)date_rfc5322(d->retry_until_ms, date);
        put_paragraph(s, "If it cannot be delivered by");
        put_words(s, slice_str(date), "");
        put_paragraph(s, "you will get another report.");
        end_line(s);
    }
}

static const char *verdict(const struct dsn *d, const struct dsn_recipient *r)
{
    switch (d->kind) {
    case DSN_DELAY:
        return "Not delivered yet.";
    case DSN_SUCCESS:
        return r->relayed ? "Handed on to a mail server that makes no delivery reports: you may "
                            "get no further notice about this recipient."
                          : "Delivered.";
    case DSN_FAILURE:
    default:
        return "Not delivered.";
    }
}

static void put_told_recipient(struct sink *s, const struct dsn *d, const struct dsn_recipient *r)
{
    static const char indent[] = "    ";
    struct slice happened = r->reply.len ? r->reply : r->recipient->last_text;

    end_line(s);
    put_str(s, "<");
    put_clean(s, r->recipient->address, ADDRESS_MAX);
    put_line(s, ">");
    put_indent(s, indent);
    put_words(s, slice_str(verdict(d, r)), indent);
    if (r->remote_mta.len) {
        put_words(s, SLICE_LIT("The mail server"), indent);
        put_words(s, cut(r->remote_mta, ADDRESS_MAX), indent);
        put_words(s, SLICE_LIT("said:"), indent);
    } else if (happened.len) {
        put_words(s, SLICE_LIT("What happened:"), indent);
    }
    if (happened.len) {
        end_line(s);
        put_indent(s, "        ");
        put_words(s, happened, "        ");
    }
    end_line(s);
}

/* ---- the part for programs ---- */

/* The length of a status code "5.1.10" (RFC 3463) at the front; 0: there is none. */
static size_t status_len(struct slice s)
{
    size_t at = 1;

    if (s.len < 5 || (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5'))
        return 0;
    for (int part = 0; part < 2; part++) {
        size_t digits = 0;

        if (at >= s.len || s.ptr[at++] != '.')
            return 0;
        while (at < s.len && byte_is_digit(s.ptr[at]) && digits < 4) {
            at++;
            digits++;
        }
        if (digits == 0 || digits > 3)
            return 0;
    }
    return at == s.len || is_space(s.ptr[at]) ? at : 0;
}

/* The status code of a reply, "550 5.1.1 text" or "550-5.1.1 text"; empty: it has none. */
static struct slice reply_status(struct slice reply)
{
    struct slice s = slice_from(reply, 4);

    for (size_t i = 0; i < MIN_OF(reply.len, 3); i++)
        if (!byte_is_digit(reply.ptr[i]))
            return slice_make(NULL, 0);
    return slice_sub(s, 0, status_len(s));
}

static bool status_fits(struct slice status, enum dsn_kind kind)
{
    if (status.len == 0)
        return false;
    if (kind == DSN_FAILURE) /* "4": given up after too long (RFC 3464, section 2.3.4) */
        return status.ptr[0] != '2';
    return status.ptr[0] == (kind == DSN_DELAY ? '4' : '2');
}

static struct slice status_of(const struct dsn *d, const struct dsn_recipient *r)
{
    const struct slice found[] = {
        slice_sub(r->status, 0, status_len(r->status) == r->status.len ? r->status.len : 0),
        reply_status(r->reply), reply_status(r->recipient->last_text)};

    for (size_t i = 0; i < ARRAY_SIZE(found); i++)
        if (status_fits(found[i], d->kind))
            return found[i];
    if (d->kind == DSN_SUCCESS)
        return SLICE_LIT("2.0.0");
    if (d->kind == DSN_DELAY)
        return r->recipient->last_code ? SLICE_LIT("4.0.0") : SLICE_LIT("4.4.1");
    return r->recipient->last_code / 100 == 5 ? SLICE_LIT("5.0.0") : SLICE_LIT("4.4.7");
}

static const char *action(enum dsn_kind kind, bool relayed)
{
    switch (kind) {
    case DSN_DELAY:
        return "delayed";
    case DSN_SUCCESS:
        return relayed ? "relayed" : "delivered";
    case DSN_FAILURE:
    default:
        return "failed";
    }
}

/* "rfc822;x+2By@z": the type as it is, the address decoded. What cannot be decoded, or would not
 * be ASCII where it must be, stays as it was given. */
static void put_original_recipient(struct sink *s, struct slice orcpt)
{
    ptrdiff_t semicolon = slice_find(orcpt, ';');
    struct slice type = slice_sub(orcpt, 0, (size_t)MAX_OF(semicolon, 0)), address;
    bool is_utf8 = slice_eq_case(type, SLICE_LIT("utf-8"));
    uint8_t raw[XTEXT_MAX];
    ptrdiff_t n;

    if (semicolon <= 0)
        return;
    address = slice_from(orcpt, (size_t)semicolon + 1);
    n = smtp_xtext_decode(address, is_utf8, raw, sizeof(raw));
    if (n > 0 && (s->utf8 || address_is_ascii(slice_make(raw, (size_t)n))))
        address = slice_make(raw, (size_t)n);
    put_str(s, "Original-Recipient: ");
    put_clean(s, type, 30);
    put_str(s, "; ");
    put_clean(s, address, ADDRESS_MAX);
    end_line(s);
}

static void put_final_recipient(struct sink *s, struct slice address)
{
    bool ascii = address_is_ascii(address);

    put_str(s, s->utf8 && !ascii ? "Final-Recipient: utf-8; " : "Final-Recipient: rfc822; ");
    put_clean(s, address, ADDRESS_MAX);
    end_line(s);
}

static void put_message_fields(struct sink *s, const struct dsn *d)
{
    uint8_t raw[XTEXT_MAX];
    ptrdiff_t n = smtp_xtext_decode(d->envelope->envid, false, raw, sizeof(raw));

    if (n > 0) {
        put_str(s, "Original-Envelope-Id: ");
        put_clean(s, slice_make(raw, (size_t)n), XTEXT_MAX);
        end_line(s);
    }
    put_str(s, "Reporting-MTA: dns; ");
    put_clean(s, d->hostname, ADDRESS_MAX);
    end_line(s);
    put_str(s, "X-Penstock-Queue-Id: ");
    put_clean(s, d->original_id, ID_MAX);
    end_line(s);
    put_date_field(s, "Arrival-Date: ", d->envelope->arrival_ms);
}

static void put_recipient_fields(struct sink *s, const struct dsn *d, const struct dsn_recipient *r)
{
    struct slice status = status_of(d, r);

    end_line(s);
    put_original_recipient(s, r->recipient->orcpt);
    put_final_recipient(s, r->recipient->address);
    put_str(s, "Action: ");
    put_line(s, action(d->kind, r->relayed));
    put_str(s, "Status: ");
    put(s, status);
    end_line(s);
    if (r->remote_mta.len) {
        put_str(s, "Remote-MTA: dns; ");
        put_clean(s, r->remote_mta, ADDRESS_MAX);
        end_line(s);
    }
    if (r->reply.len || r->recipient->last_text.len) {
        put_str(s, r->reply.len ? "Diagnostic-Code: smtp;" : "Diagnostic-Code: X-Penstock;");
        put_words(s, r->reply.len ? r->reply : r->recipient->last_text, "    ");
        end_line(s);
    }
    if (r->recipient->last_attempt_ms != 0)
        put_date_field(s, "Last-Attempt-Date: ", r->recipient->last_attempt_ms);
    if (d->kind == DSN_DELAY && d->retry_until_ms != 0)
        put_date_field(s, "Will-Retry-Until: ", d->retry_until_ms);
}

/* ---- the whole ---- */

/* "=_" can stand neither in base64 nor in quoted-printable (RFC 2045, section 6.7). */
static void make_boundary(const struct dsn *d, char ret[static DSN_BOUNDARY_MAX])
{
    int len = snprintf(ret, DSN_BOUNDARY_MAX, "=_%016llx_", (unsigned long long)d->random);

    for (size_t i = 0; i < MIN_OF(d->id.len, ID_MAX); i++)
        if (byte_is_alpha(d->id.ptr[i]) || byte_is_digit(d->id.ptr[i]))
            ret[len++] = (char)d->id.ptr[i];
    ret[len] = '\0';
}

static const char *original_type(const struct dsn *d)
{
    if (returns_whole(d))
        return is_global(d) ? "message/global" : "message/rfc822";
    return is_global(d) ? "message/global-headers" : "text/rfc822-headers";
}

int dsn_begin(struct dsn_writer *w, const struct dsn *d, struct buf *to)
{
    struct sink s = {.to = to, .fresh = true};

    ASSERT(d->recipient_count > 0 && d->recipient_count <= DSN_RECIPIENTS_MAX);
    ASSERT(d->envelope->sender.len > 0);
    *w = (struct dsn_writer){
        .full = returns_whole(d), .utf8 = is_global(d), .eight_bit = original_is_8bit(d)};
    make_boundary(d, w->boundary);
    put_header(&s, d, w->boundary);
    s.utf8 = w->utf8;
    begin_part(&s, w->boundary, "Notification",
               w->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", w->utf8);
    put_summary(&s, d);
    for (size_t i = 0; i < d->recipient_count; i++)
        put_told_recipient(&s, d, &d->recipients[i]);
    begin_part(&s, w->boundary, "Delivery report",
               w->utf8 ? "message/global-delivery-status" : "message/delivery-status", w->utf8);
    put_message_fields(&s, d);
    for (size_t i = 0; i < d->recipient_count; i++)
        put_recipient_fields(&s, d, &d->recipients[i]);
    begin_part(&s, w->boundary, w->full ? "Your message" : "The header of your message",
               original_type(d), w->eight_bit);
    return s.err;
}
