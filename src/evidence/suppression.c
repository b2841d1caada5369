/*
 * evidence/suppression.c - permanent failures, and entries made of them.
 *
 * Both are one struct in one allocation, its texts behind it; only what may be done with it
 * differs, and the header keeps that apart.
 */
#include "evidence/suppression.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "message/date.h"
#include "smtp/address.h"

struct suppression {
    atomic_uint refs;
    struct suppression_view view; /* its slices point into `texts` */
    char texts[];
};

struct permanent_failure {
    struct suppression *made;
};

static const size_t text_fields[] = {
    offsetof(struct suppression_view, address), offsetof(struct suppression_view, text),
    offsetof(struct suppression_view, host),    offsetof(struct suppression_view, source),
    offsetof(struct suppression_view, note),
};

const char *suppression_kind_name(enum suppression_kind k)
{
    return k == SUPPRESSION_OPERATOR ? "operator" : "automatic";
}

/* ---- addresses ---- */

int suppression_address(struct slice text, uint8_t ret[static SUPPRESSION_ADDRESS_MAX],
                        size_t *ret_len, const char **why)
{
    struct smtp_address a;
    int r = smtp_mailbox_parse(slice_trim(text), SMTP_ALLOW_UTF8, &a, why);

    if (r < 0)
        return -EINVAL;
    _Static_assert(sizeof(a.text) == SUPPRESSION_ADDRESS_MAX, "every address fits");
    for (size_t i = 0; i < a.len; i++)
        ret[i] = byte_lower(a.text[i]);
    *ret_len = a.len;
    return 0;
}

/* ---- what may be on the list ---- */

/* The same for a reply and for what was kept of one. NULL: it may. */
static const char *refusal_of(uint16_t code, struct smtp_enhanced enhanced, enum reply_class klass)
{
    if (code < 500 || code > 599)
        return "an automatic entry needs a permanent reply code, 500 to 599";
    if (code == 551)
        return "551 says that the mailbox is elsewhere, not that it is gone";
    if (enhanced.klass != 0 && enhanced.klass != 5)
        return "the enhanced status code of an automatic entry begins with 5";
    if (klass != REPLY_MAILBOX_UNKNOWN && klass != REPLY_MAILBOX_DISABLED)
        return "the class of an automatic entry is mailbox-unknown or mailbox-disabled";
    return NULL;
}

/* ---- making ---- */

static struct slice *field_of(struct suppression_view *v, size_t i)
{
    return (struct slice *)(void *)((char *)v + text_fields[i]);
}

/* One line, whatever the host has sent: it goes into reports, tables and files of lines. */
static void copy_line(char *to, struct slice from)
{
    for (size_t i = 0; i < from.len; i++)
        to[i] = (char)(from.ptr[i] < 32 || from.ptr[i] == 127 ? ' ' : from.ptr[i]);
}

static struct suppression *make(const struct suppression_view *v)
{
    struct suppression_view from = *v;
    struct suppression *s;
    size_t bytes = 0;
    char *at;

    from.text = slice_sub(from.text, 0, ATTEMPT_TEXT_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++)
        bytes += field_of(&from, i)->len;
    s = malloc(sizeof(*s) + bytes);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->view = from;
    at = s->texts;
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++) {
        struct slice *text = field_of(&s->view, i);

        copy_line(at, *text);
        text->ptr = (const uint8_t *)at;
        at += text->len;
    }
    return s;
}

/* The reply is about that mailbox, not about the session, the sender or several recipients. */
static bool is_about_one_mailbox(const struct attempt *a)
{
    return a->recipient.len > 0 &&
           (a->phase == SMTP_PHASE_RCPT || (a->phase == SMTP_PHASE_END && a->recipients == 1));
}

/* "mx.example.org[192.0.2.1]" */
static struct slice host_of(const struct attempt *a, char text[static 512])
{
    struct buf to = BUF_INIT(511);
    size_t len = 0;

    if (buf_addf(&to, a->peer.len ? "%.*s[%.*s]" : "%.*s%.*s", SLICE_FMT(a->host),
                 SLICE_FMT(a->peer)) == 0) {
        len = buf_len(&to);
        memcpy(text, buf_cstr(&to), len);
    }
    buf_done(&to);
    return slice_make(text, len);
}

bool permanent_failure_of(const struct attempt *a, struct permanent_failure **ret)
{
    uint8_t address[SUPPRESSION_ADDRESS_MAX];
    struct suppression_view v = {.kind = SUPPRESSION_AUTOMATIC};
    struct permanent_failure *f;
    char host[512];
    const char *why;
    size_t len;

    if (a->result != ATTEMPT_RESULT_FAILED || !a->is_explicit || !is_about_one_mailbox(a) ||
        refusal_of(a->code, a->enhanced, a->klass) ||
        suppression_address(a->recipient, address, &len, &why) < 0)
        return false;
    v.address = slice_make(address, len);
    v.at_ms = a->at_ms;
    v.code = a->code;
    v.enhanced = a->enhanced;
    v.klass = a->klass;
    v.text = a->text;
    v.host = host_of(a, host);
    v.queue_id = a->queue_id;
    v.source = a->source;
    f = malloc(sizeof(*f));
    if (!f)
        return false;
    f->made = make(&v);
    if (!f->made) {
        free(f);
        return false;
    }
    *ret = f;
    return true;
}

void permanent_failure_free(struct permanent_failure **f)
{
    if (!*f)
        return;
    suppression_unref(&(*f)->made);
    free(*f);
    *f = NULL;
}

struct suppression *suppression_of_failure(struct permanent_failure **f)
{
    struct suppression *s = (*f)->made;

    (*f)->made = NULL;
    permanent_failure_free(f);
    return s;
}

static int make_operators(struct suppression **ret, const struct suppression_view *v,
                          const char **why)
{
    struct suppression_view own = {
        .kind = SUPPRESSION_OPERATOR, .at_ms = v->at_ms, .note = v->note};
    uint8_t address[SUPPRESSION_ADDRESS_MAX];
    size_t len;

    if (suppression_address(v->address, address, &len, why) < 0)
        return -EINVAL;
    if (v->note.len > SUPPRESSION_NOTE_MAX) {
        *why = "The note is longer than 200 bytes";
        return -EINVAL;
    }
    own.address = slice_make(address, len);
    *ret = make(&own);
    return *ret ? 0 : -ENOMEM;
}

int suppression_by_operator(struct suppression **ret, struct slice address, struct slice note,
                            int64_t at_ms, const char **why)
{
    const struct suppression_view v = {.address = address, .note = note, .at_ms = at_ms};

    return make_operators(ret, &v, why);
}

int suppression_restore(struct suppression **ret, const struct suppression_view *v,
                        const char **why)
{
    struct suppression_view copy = *v;
    uint8_t address[SUPPRESSION_ADDRESS_MAX];
    size_t len;

    if (v->kind == SUPPRESSION_OPERATOR)
        return make_operators(ret, v, why);
    *why = refusal_of(v->code, v->enhanced, v->klass);
    if (*why || suppression_address(v->address, address, &len, why) < 0)
        return -EINVAL;
    copy.address = slice_make(address, len);
    copy.note = (struct slice){0};
    copy.host = slice_sub(copy.host, 0, 511);
    copy.source = slice_sub(copy.source, 0, 255);
    *ret = make(&copy);
    return *ret ? 0 : -ENOMEM;
}

struct suppression *suppression_ref(struct suppression *s)
{
    (void)atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void suppression_unref(struct suppression **sp)
{
    struct suppression *s = *sp;

    *sp = NULL;
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

const struct suppression_view *suppression_get(const struct suppression *s)
{
    return &s->view;
}

/* ---- for people ---- */

/* RFC 3463: what the host said of the mailbox; of the operator's, X.7.1, "not authorized". */
static struct smtp_enhanced status_of(const struct suppression_view *v)
{
    if (v->kind == SUPPRESSION_OPERATOR)
        return SMTP_ENHANCED(5, 7, 1);
    return v->klass == REPLY_MAILBOX_DISABLED ? SMTP_ENHANCED(5, 2, 1) : SMTP_ENHANCED(5, 1, 1);
}

void suppression_reason(const struct suppression_view *v, struct buf *to)
{
    struct smtp_enhanced e = status_of(v);
    char time[DATE_RFC5322_MAX];
    struct slice since = slice_make(time, date_rfc5322(v->at_ms, time));

    (void)buf_addf(to, "%u.%u.%u not tried: this address is on our suppression list since %.*s, ",
                   e.klass, e.subject, e.detail, SLICE_FMT(since));
    if (v->kind == SUPPRESSION_AUTOMATIC)
        (void)buf_addf(to, "when %.*s said: %.*s", SLICE_FMT(v->host), SLICE_FMT(v->text));
    else if (v->note.len)
        (void)buf_addf(to, "put there by the administrator: %.*s", SLICE_FMT(v->note));
    else
        (void)buf_add_str(to, "put there by the administrator");
}
