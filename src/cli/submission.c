/* cli/submission.c - from standard input to a message for SMTP. */
#include "cli/submission.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/id.h"
#include "cli/address_list.h"
#include "message/date.h"
#include "message/header.h"

#define BLOCK KIB(64)

/* ---- line ends ---- */

void line_ends_init(struct line_ends *l, bool dot_ends)
{
    *l = (struct line_ends){.dot_ends = dot_ends};
}

static void end_line(struct line_ends *l, struct buf *out)
{
    if (l->has_dot)
        l->ended = true;
    else
        (void)buf_add(out, SLICE_LIT("\r\n"));
    l->has_dot = l->in_line = false;
}

/* A byte that is neither CR nor LF. */
static void take_byte(struct line_ends *l, uint8_t c, struct buf *out)
{
    if (!l->in_line && c == '.' && l->dot_ends) {
        l->has_dot = l->in_line = true;
        return;
    }
    if (l->has_dot)
        (void)buf_push(out, '.');
    l->has_dot = false;
    l->in_line = true;
    (void)buf_push(out, c);
}

int line_ends_feed(struct line_ends *l, struct slice in, struct buf *out)
{
    for (size_t i = 0; i < in.len && !l->ended; i++) {
        uint8_t c = in.ptr[i];

        if (c == '\r') {
            l->has_cr = true; /* several before one LF are one line end */
            continue;
        }
        if (l->has_cr || c == '\n') {
            l->has_cr = false;
            end_line(l, out);
        }
        if (c != '\n' && !l->ended)
            take_byte(l, c, out);
    }
    return buf_failed(out) ? -E2BIG : 0;
}

int line_ends_finish(struct line_ends *l, struct buf *out)
{
    if (!l->ended && (l->has_cr || l->in_line))
        end_line(l, out);
    return buf_failed(out) ? -E2BIG : 0;
}

/* ---- the header section ---- */

static const char *const recipient_fields[] = {"To", "Cc", "Bcc"};
static const char *const resent_fields[] = {"Resent-To", "Resent-Cc", "Resent-Bcc"};

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_case(name, slice_str(names[i])))
            return true;
    return false;
}

static bool is_bcc(struct slice name)
{
    return slice_eq_case(name, SLICE_LIT("Bcc")) || slice_eq_case(name, SLICE_LIT("Resent-Bcc"));
}

static int take_recipients(const struct header_field *f, const struct submission_options *o,
                           struct buf *why)
{
    const char *what = NULL;
    int r = address_list_each(f->value, o->on_recipient, o->ctx, &what);

    if (what)
        (void)buf_addf(why, "the %.*s field is no list of addresses: %s", SLICE_FMT(f->name), what);
    return r;
}

/* Base64, for the one place that needs it: a display name that is not ASCII. */
static void add_base64(struct buf *out, struct slice in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < in.len; i += 3) {
        uint32_t word = (uint32_t)in.ptr[i] << 16;

        if (i + 1 < in.len)
            word |= (uint32_t)in.ptr[i + 1] << 8;
        if (i + 2 < in.len)
            word |= in.ptr[i + 2];
        (void)buf_push(out, (uint8_t)digits[word >> 18]);
        (void)buf_push(out, (uint8_t)digits[word >> 12 & 63]);
        (void)buf_push(out, i + 1 < in.len ? (uint8_t)digits[word >> 6 & 63] : '=');
        (void)buf_push(out, i + 2 < in.len ? (uint8_t)digits[word & 63] : '=');
    }
}

/* RFC 2047, section 2: encoded words of at most 75 characters, cut between characters. */
static void add_encoded_words(struct buf *out, struct slice text)
{
    const char *before = "";

    while (text.len > 0) {
        size_t len = MIN_OF(text.len, (size_t)45);

        while (len < text.len && len > 1 && (text.ptr[len] & 0xc0) == 0x80)
            len--;
        (void)buf_addf(out, "%s=?utf-8?B?", before);
        add_base64(out, slice_sub(text, 0, len));
        (void)buf_add(out, SLICE_LIT("?="));
        before = "\r\n ";
        text = slice_from(text, len);
    }
}

static void add_display_name(struct buf *out, struct slice name)
{
    bool is_plain = true, is_ascii = true;

    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        is_ascii &= c < 0x80 && c >= ' ' && c != 0x7f;
        is_plain &= byte_is_alpha(c) || byte_is_digit(c) || memchr(" -_'!#$%&*+/=?^`{|}~", c, 20);
    }
    if (!is_ascii) {
        add_encoded_words(out, name);
    } else if (is_plain) {
        (void)buf_add(out, name);
    } else {
        (void)buf_push(out, '"');
        for (size_t i = 0; i < name.len; i++) {
            if (name.ptr[i] == '"' || name.ptr[i] == '\\')
                (void)buf_push(out, '\\');
            (void)buf_push(out, name.ptr[i]);
        }
        (void)buf_push(out, '"');
    }
}

static void add_from(struct buf *out, const struct submission_options *o)
{
    (void)buf_add(out, SLICE_LIT("From: "));
    if (o->full_name.len > 0) {
        add_display_name(out, o->full_name);
        (void)buf_add(out, SLICE_LIT(" <"));
    }
    (void)buf_add(out, o->from);
    (void)buf_add(out, o->full_name.len > 0 ? SLICE_LIT(">\r\n") : SLICE_LIT("\r\n"));
}

static void add_message_id(struct buf *out, const struct submission_options *o)
{
    char time[ID_TEXT_MAX], unique[ID_TEXT_MAX];

    (void)id_format((uint64_t)o->now_ms, time);
    (void)id_format(o->unique, unique);
    (void)buf_addf(out, "Message-ID: <%s.%s@%.*s>\r\n", time, unique, SLICE_FMT(o->host_name));
}

int submission_edit_header(struct slice header, const struct submission_options *o, struct buf *out,
                           struct buf *why)
{
    const char *const *names = recipient_fields;
    bool has_from = false, has_date = false, has_id = false;
    struct header_field f;
    char date[DATE_RFC5322_MAX];
    struct slice left = header;

    while (header_next(&left, &f))
        if (is_one_of(f.name, resent_fields, ARRAY_SIZE(resent_fields)))
            names = resent_fields;
    left = header;
    while (header_next(&left, &f)) {
        has_from |= slice_eq_case(f.name, SLICE_LIT("From"));
        has_date |= slice_eq_case(f.name, SLICE_LIT("Date"));
        has_id |= slice_eq_case(f.name, SLICE_LIT("Message-ID"));
        if (o->on_recipient && is_one_of(f.name, names, ARRAY_SIZE(recipient_fields))) {
            int r = take_recipients(&f, o, why);

            if (r != 0)
                return r;
        }
        if (!o->on_recipient || !is_bcc(f.name))
            (void)buf_add(out, f.whole);
    }
    if (!has_from)
        add_from(out, o);
    if (!has_date) {
        (void)date_rfc5322(o->now_ms, date);
        (void)buf_addf(out, "Date: %s\r\n", date);
    }
    if (!has_id)
        add_message_id(out, o);
    if (buf_failed(out))
        (void)buf_add_str(why, "the header section is too long");
    return buf_failed(out) ? -E2BIG : 0;
}

/* ---- the message ---- */

struct reading {
    struct submission *s;
    const struct submission_options *o;
    struct buf *why;
    struct buf head;  /* the message's beginning, until its header section is whole */
    size_t looked_at; /* of `head`, for the empty line */
    bool in_body;
};

static int body_error(struct reading *r)
{
    int err = errno ? -errno : -EIO;

    (void)buf_addf(r->why, "the temporary file for the body cannot be written: %s", err_str(err));
    return err;
}

static int add_body(struct reading *r, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len && !r->s->has_8bit; i++)
        r->s->has_8bit = bytes.ptr[i] >= 0x80;
    r->s->body_bytes += bytes.len;
    errno = 0;
    if (bytes.len == 0)
        return 0;
    return fwrite(bytes.ptr, 1, bytes.len, r->s->body) == bytes.len ? 0 : body_error(r);
}

/* Without the "From " line of a mailbox file, which some programs leave at the front. */
static struct slice without_mailbox_line(struct slice head)
{
    ptrdiff_t end = slice_find(head, '\n');

    if (end >= 0 &&
        (slice_has_prefix(head, SLICE_LIT("From ")) || slice_has_prefix(head, SLICE_LIT(">From "))))
        return slice_from(head, (size_t)end + 1);
    return head;
}

/* The header section is in `head`, whole; what follows it there begins the body. */
static int end_header(struct reading *r)
{
    struct slice all = without_mailbox_line(buf_slice(&r->head)), left = all, header;
    struct header_field f;
    int err;

    while (header_next(&left, &f))
        continue;
    header = slice_sub(all, 0, all.len - left.len);
    err = submission_edit_header(header, r->o, &r->s->header, r->why);
    for (size_t i = 0; i < header.len && !r->s->has_8bit; i++)
        r->s->has_8bit = header.ptr[i] >= 0x80;
    r->in_body = true;
    if (err == 0 && !slice_has_prefix(left, SLICE_LIT("\r\n")))
        err = add_body(r, SLICE_LIT("\r\n"));
    return err ? err : add_body(r, left);
}

static bool header_is_whole(struct reading *r)
{
    struct slice head = buf_slice(&r->head);
    size_t from = r->looked_at > 3 ? r->looked_at - 3 : 0;

    r->looked_at = head.len;
    return slice_has_prefix(head, SLICE_LIT("\r\n")) ||
           slice_find_slice(slice_from(head, from), SLICE_LIT("\r\n\r\n")) >= 0;
}

/* A text without an empty line is no endless header where some line of it is no field. */
static bool has_line_of_body(struct reading *r)
{
    struct slice left = without_mailbox_line(buf_slice(&r->head));
    struct header_field f;

    while (header_next(&left, &f))
        continue;
    return slice_find(left, '\n') >= 0;
}

static int add_text(struct reading *r, struct slice text)
{
    int err = 0;

    if (!r->in_body && buf_add(&r->head, text) == 0)
        return header_is_whole(r) ? end_header(r) : 0;
    if (!r->in_body && !has_line_of_body(r)) {
        (void)buf_add_str(r->why, "the header section is longer than 1 MiB");
        return -E2BIG;
    }
    if (!r->in_body)
        err = end_header(r);
    return err ? err : add_body(r, text);
}

static int read_all(struct reading *r, FILE *in)
{
    uint8_t block[BLOCK];
    struct buf text = BUF_INIT(2 * BLOCK + 8); /* every byte may be a line end */
    struct line_ends ends;
    size_t n;
    int err = 0;

    line_ends_init(&ends, r->o->dot_ends);
    while (err == 0 && !ends.ended && (n = fread(block, 1, sizeof(block), in)) > 0) {
        buf_clear(&text);
        err = line_ends_feed(&ends, slice_make(block, n), &text);
        if (err == 0)
            err = add_text(r, buf_slice(&text));
    }
    buf_clear(&text);
    if (err == 0)
        err = line_ends_finish(&ends, &text);
    if (err == 0)
        err = add_text(r, buf_slice(&text));
    if (err == 0 && !r->in_body)
        err = end_header(r);
    if (err == 0 && ferror(in)) {
        (void)buf_add_str(r->why, "standard input cannot be read");
        err = -EIO;
    }
    buf_done(&text);
    return err;
}

int submission_read(struct submission *s, FILE *in, const struct submission_options *o,
                    struct buf *why)
{
    struct reading r = {.s = s, .o = o, .why = why};
    int err;

    *s = (struct submission){0};
    buf_init(&s->header, 2 * SUBMISSION_HEADER_MAX);
    buf_init(&r.head, SUBMISSION_HEADER_MAX);
    errno = 0;
    s->body = tmpfile();
    if (!s->body)
        return body_error(&r);
    err = read_all(&r, in);
    errno = 0;
    if (err == 0 && (fflush(s->body) == EOF || fseek(s->body, 0, SEEK_SET) < 0))
        err = body_error(&r);
    buf_done(&r.head);
    return err;
}

void submission_done(struct submission *s)
{
    buf_done(&s->header);
    if (s->body)
        (void)fclose(s->body);
    s->body = NULL;
}
