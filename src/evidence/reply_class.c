/*
 * evidence/reply_class.c - the classes by name, and what a reply means by its codes alone.
 */
#include <errno.h>

#include "base/err.h"
#include "evidence/replies_int.h"

static const struct {
    const char *name, *what;
} classes[] = {
#define CLASS_ROW(constant, name, what) [constant] = {name, what},
    REPLY_CLASS_TABLE(CLASS_ROW)};

const char *reply_class_name(enum reply_class c)
{
    return classes[c].name;
}

const char *reply_class_what(enum reply_class c)
{
    return classes[c].what;
}

enum reply_class reply_class_find(struct slice name)
{
    enum reply_class c = REPLY_NONE;

    while (c < REPLY_CLASSES && !slice_eq(name, slice_str(classes[c].name)))
        c++;
    return c;
}

enum reply_action reply_class_action(enum reply_class c)
{
    switch (c) {
    case REPLY_CAPACITY:
        return REPLY_ACTION_THROTTLE;
    case REPLY_RATE:
        return REPLY_ACTION_PACE;
    case REPLY_POLICY:
    case REPLY_AUTHENTICATION:
        return REPLY_ACTION_ALERT;
    case REPLY_BATCH:
        return REPLY_ACTION_SPLIT;
    case REPLY_NONE:
    case REPLY_MAILBOX_FULL:
    case REPLY_MAILBOX_UNKNOWN:
    case REPLY_MAILBOX_DISABLED:
    case REPLY_CONTENT:
    case REPLY_GREYLIST:
    case REPLY_PROTOCOL:
    case REPLY_CONNECTION:
    case REPLY_DNS:
    case REPLY_TLS:
    case REPLY_OTHER:
    case REPLY_CLASSES:
        break;
    }
    return REPLY_ACTION_NOTHING;
}

enum smtp_phase reply_phase_find(struct slice name)
{
    enum smtp_phase p = SMTP_PHASE_CONNECT;

    while (p <= SMTP_PHASE_CLOSED && !slice_eq(name, slice_str(smtp_phase_name(p))))
        p++;
    return p;
}

/* ---- by the codes ---- */

/* Details of RFC 3463 and of the registry of RFC 5248, and
 * those that Exchange Online took for itself; the first row that fits holds. */
static const struct {
    uint16_t subject, from, to;
    enum reply_class klass;
} enhanced_classes[] = {
    {1, 2, 2, REPLY_DNS},
    {1, 7, 8, REPLY_AUTHENTICATION},
    {1, 0, 0, REPLY_OTHER},
    {1, 0, 999, REPLY_MAILBOX_UNKNOWN},
    {2, 1, 1, REPLY_MAILBOX_DISABLED},
    {2, 2, 2, REPLY_MAILBOX_FULL},
    {2, 3, 3, REPLY_CONTENT},
    {2, 0, 999, REPLY_OTHER},
    {3, 1, 1, REPLY_CAPACITY},
    {3, 3, 3, REPLY_PROTOCOL},
    {3, 4, 4, REPLY_CONTENT},
    {3, 0, 999, REPLY_OTHER},
    {4, 3, 4, REPLY_DNS},
    {4, 5, 5, REPLY_CAPACITY},
    {4, 6, 6, REPLY_OTHER},
    {4, 0, 999, REPLY_CONNECTION},
    {5, 3, 3, REPLY_BATCH},
    {5, 0, 999, REPLY_PROTOCOL},
    {6, 0, 999, REPLY_CONTENT},
    {7, 8, 8, REPLY_AUTHENTICATION},
    {7, 9, 9, REPLY_AUTHENTICATION},
    {7, 10, 10, REPLY_TLS},
    {7, 11, 14, REPLY_AUTHENTICATION},
    {7, 20, 24, REPLY_AUTHENTICATION},
    {7, 25, 27, REPLY_AUTHENTICATION},
    {7, 28, 28, REPLY_RATE},
    {7, 29, 29, REPLY_AUTHENTICATION},
    {7, 30, 30, REPLY_TLS},
    {7, 57, 57, REPLY_AUTHENTICATION},
    {7, 509, 509, REPLY_AUTHENTICATION},
    {7, 515, 515, REPLY_AUTHENTICATION},
    {7, 0, 999, REPLY_POLICY},
};

static enum reply_class by_enhanced(const struct reply_facts *f)
{
    const struct smtp_enhanced *e = &f->enhanced;

    /* The same status is the receiver's trouble in a 4xx and another thing in a 5xx. */
    if (e->klass == 4 && e->subject == 3 && e->detail <= 2)
        return REPLY_CAPACITY;
    if (e->klass == 4 && e->subject == 7 && e->detail == 0 && f->code == 421)
        return REPLY_RATE;
    if (e->klass == 4 && e->subject == 7 && e->detail >= 500 && e->detail <= 699)
        return REPLY_RATE;
    for (size_t i = 0; i < ARRAY_SIZE(enhanced_classes); i++)
        if (enhanced_classes[i].subject == e->subject && e->detail >= enhanced_classes[i].from &&
            e->detail <= enhanced_classes[i].to)
            return enhanced_classes[i].klass;
    return REPLY_OTHER;
}

static bool is_before_mail(enum smtp_phase phase)
{
    return phase < SMTP_PHASE_MAIL;
}

static enum reply_class by_code(const struct reply_facts *f)
{
    switch (f->code) {
    case 421: /* service not available */
    case 431:
    case 432:
    case 452: /* insufficient system storage */
        return REPLY_CAPACITY;
    case 454: /* RFC 3207 at STARTTLS, RFC 4954 at AUTH */
        return f->phase == SMTP_PHASE_STARTTLS ? REPLY_TLS : REPLY_AUTHENTICATION;
    case 523:
    case 538:
        return REPLY_TLS;
    case 530:
    case 534:
    case 535:
        return REPLY_AUTHENTICATION;
    case 500:
    case 501:
    case 502:
    case 503:
    case 504:
    case 455:
    case 555:
        return REPLY_PROTOCOL;
    case 550:
        return f->phase == SMTP_PHASE_RCPT ? REPLY_MAILBOX_UNKNOWN : REPLY_POLICY;
    case 551:
        return REPLY_MAILBOX_UNKNOWN;
    case 552: /* at MAIL it is the announced SIZE (RFC 1870, section 6.1) */
        return f->phase == SMTP_PHASE_MAIL ? REPLY_CONTENT : REPLY_MAILBOX_FULL;
    case 553:
        return f->phase == SMTP_PHASE_RCPT ? REPLY_MAILBOX_UNKNOWN : REPLY_POLICY;
    case 521:
    case 541:
    case 571:
        return REPLY_POLICY;
    case 554:
        return is_before_mail(f->phase) || f->phase == SMTP_PHASE_END ? REPLY_POLICY : REPLY_OTHER;
    case 556: /* RFC 7504: the domain takes no mail */
        return REPLY_DNS;
    default:
        return REPLY_OTHER;
    }
}

/* Nobody answered. */
static enum reply_class by_error(const struct reply_facts *f)
{
    if (f->err == -ERR_DNS_TEMP || f->err == -ERR_DNS_NONE)
        return REPLY_DNS;
    if (f->err == -EMSGSIZE)
        return REPLY_CONTENT;
    if (f->err == -ERR_TLS || f->phase == SMTP_PHASE_TLS || f->phase == SMTP_PHASE_STARTTLS ||
        (f->enhanced.subject == 7 && f->enhanced.klass))
        return REPLY_TLS;
    if (f->err == -EOPNOTSUPP) /* an extension that this message needs */
        return REPLY_CONTENT;
    if (f->err == -EPROTO || f->err == -E2BIG)
        return REPLY_PROTOCOL;
    if (f->err == 0 && f->enhanced.klass &&
        (f->enhanced.subject == 1 || (f->enhanced.subject == 4 && f->enhanced.detail >= 3)))
        return REPLY_DNS;
    return REPLY_CONNECTION;
}

enum reply_class reply_class_by_codes(const struct reply_facts *f)
{
    if (f->code == 0)
        return by_error(f);
    if (f->code < 400)
        return REPLY_NONE;
    return f->enhanced.klass ? by_enhanced(f) : by_code(f);
}
