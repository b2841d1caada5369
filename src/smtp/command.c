/*
 * smtp/command.c - a table of verbs, and for MAIL and RCPT a table of parameters. Each function
 * takes its piece or says which reply the piece deserves.
 */
#include "smtp/command.h"

#include <errno.h>
#include <string.h>

#include "base/utf8.h"

#define ENVID_MAX 100 /* RFC 3461, section 4.4 */
#define ORCPT_MAX 500 /* section 4.2 */

struct parse {
    struct slice rest;
    unsigned extensions;
    unsigned seen; /* parameters, by index in the table */
    struct smtp_command *cmd;
    struct smtp_fault *fault;
};

static int fail(struct parse *p, unsigned code, struct smtp_enhanced enhanced, const char *text)
{
    *p->fault = (struct smtp_fault){.code = code, .enhanced = enhanced, .text = text};
    return -EPROTO;
}

static int bad_argument(struct parse *p, const char *text)
{
    return fail(p, 501, SMTP_ENHANCED(5, 5, 4), text);
}

static int parse_any(struct parse *p)
{
    (void)p;
    return 0;
}

static int parse_none(struct parse *p)
{
    return p->rest.len == 0 ? 0 : bad_argument(p, "This command takes no argument");
}

static int parse_hello(struct parse *p)
{
    for (size_t i = 0; i < p->rest.len; i++)
        if (p->rest.ptr[i] <= 32 || p->rest.ptr[i] == 127)
            return bad_argument(p, "The host name is not valid");
    return p->rest.len ? 0 : bad_argument(p, "A host name must follow");
}

static int parse_vrfy(struct parse *p)
{
    return p->rest.len ? 0 : bad_argument(p, "A name or an address must follow");
}

/* "BDAT 1000", "BDAT 1000 LAST" (RFC 3030, section 2). */
static int parse_bdat(struct parse *p)
{
    ptrdiff_t blank = slice_find(p->rest, ' ');
    struct slice size = blank < 0 ? p->rest : slice_sub(p->rest, 0, (size_t)blank);
    struct slice last =
        blank < 0 ? slice_make(NULL, 0) : slice_trim(slice_from(p->rest, (size_t)blank));

    if (slice_to_u64(size, UINT64_MAX / 2, &p->cmd->u.bdat.size) < 0)
        return bad_argument(p, "A chunk size must follow");
    if (last.len && !slice_eq_case(last, SLICE_LIT("LAST")))
        return bad_argument(p, "Only LAST may follow the chunk size");
    p->cmd->u.bdat.is_last = last.len > 0;
    return 0;
}

/* ---- xtext ---- */

/* The value of a hexadecimal digit; RFC 3461 wants capitals. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_qchar(uint8_t c)
{
    return c >= 33 && c <= 126 && c != '+' && c != '=';
}

static size_t put_utf8(uint8_t to[static 4], uint32_t point)
{
    if (point < 0x80) {
        to[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (uint8_t)(0xc0 | point >> 6);
        to[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        to[0] = (uint8_t)(0xe0 | point >> 12);
        to[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | point >> 18);
    to[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* "\x{3B1}" at *at: RFC 6533, section 3, EmbeddedUnicodeChar. Its bytes, or 0. */
static size_t take_unicode(struct slice s, size_t *at, uint8_t to[static 4])
{
    uint32_t point = 0;
    size_t i = *at + 3, digits = 0;

    if (!slice_has_prefix(slice_from(s, *at), SLICE_LIT("\\x{")))
        return 0;
    for (; i < s.len && hex_value(s.ptr[i]) >= 0 && digits < 6; i++, digits++)
        point = point << 4 | (uint32_t)hex_value(s.ptr[i]);
    if (i >= s.len || s.ptr[i] != '}' || digits < 2 || point == 0 || point > 0x10ffff)
        return 0;
    *at = i + 1;
    return put_utf8(to, point);
}

/* One character of xtext at *at; its bytes, or 0 where it is not valid. */
static size_t take_xchar(struct slice s, size_t *at, bool is_utf8, uint8_t to[static 4])
{
    uint8_t c = s.ptr[*at];

    if (is_utf8 && c == '\\')
        return take_unicode(s, at, to);
    if (!is_utf8 && c == '+') {
        int high = *at + 2 < s.len ? hex_value(s.ptr[*at + 1]) : -1;
        int low = high >= 0 ? hex_value(s.ptr[*at + 2]) : -1;

        if (low < 0)
            return 0;
        *at += 3;
        to[0] = (uint8_t)(high << 4 | low);
        return 1;
    }
    (*at)++;
    to[0] = c;
    return is_qchar(c) || (is_utf8 && c >= 0x80) ? 1 : 0;
}

ptrdiff_t smtp_xtext_decode(struct slice xtext, bool is_utf8, uint8_t *to, size_t size)
{
    size_t at = 0, n = 0;

    while (at < xtext.len) {
        uint8_t one[4];
        size_t len = take_xchar(xtext, &at, is_utf8, one);

        if (len == 0)
            return -EINVAL;
        if (len > size - n)
            return -E2BIG;
        memcpy(to + n, one, len);
        n += len;
    }
    if (is_utf8 && !utf8_is_valid(slice_make(to, n)))
        return -EINVAL;
    return (ptrdiff_t)n;
}

/* Valid, and nothing in it that could break a header or a line of ours. */
static bool xtext_is_printable(struct slice xtext, bool is_utf8)
{
    uint8_t raw[ORCPT_MAX];
    ptrdiff_t n = smtp_xtext_decode(xtext, is_utf8, raw, sizeof(raw));

    if (n <= 0)
        return false;
    for (ptrdiff_t i = 0; i < n; i++)
        if (raw[i] < 32 || raw[i] == 127 || (!is_utf8 && raw[i] > 127))
            return false;
    return true;
}

/* ---- parameters of MAIL and RCPT ---- */

static int param_size(struct parse *p, struct slice value)
{
    struct smtp_mail *mail = &p->cmd->u.mail;
    int r = value.len <= 20 ? slice_to_u64(value, UINT64_MAX, &mail->size) : -EINVAL;

    if (r == -ERANGE)
        mail->size = UINT64_MAX;
    else if (r < 0)
        return bad_argument(p, "SIZE needs a number of octets");
    mail->has_size = true;
    return 0;
}

static int param_body(struct parse *p, struct slice value)
{
    if (slice_eq_case(value, SLICE_LIT("7BIT")))
        p->cmd->u.mail.body = SMTP_BODY_7BIT;
    else if (slice_eq_case(value, SLICE_LIT("8BITMIME")))
        p->cmd->u.mail.body = SMTP_BODY_8BITMIME;
    else
        return bad_argument(p, "BODY is 7BIT or 8BITMIME");
    return 0;
}

static int param_smtputf8(struct parse *p, struct slice value)
{
    (void)value;
    p->cmd->u.mail.smtputf8 = true;
    return 0;
}

static int param_ret(struct parse *p, struct slice value)
{
    if (slice_eq_case(value, SLICE_LIT("FULL")))
        p->cmd->u.mail.ret = SMTP_RET_FULL;
    else if (slice_eq_case(value, SLICE_LIT("HDRS")))
        p->cmd->u.mail.ret = SMTP_RET_HDRS;
    else
        return bad_argument(p, "RET is FULL or HDRS");
    return 0;
}

static int param_envid(struct parse *p, struct slice value)
{
    if (value.len > ENVID_MAX || !xtext_is_printable(value, false))
        return bad_argument(p, "ENVID is not valid xtext of at most 100 octets");
    p->cmd->u.mail.envid = value;
    return 0;
}

static int param_notify(struct parse *p, struct slice value)
{
    static const struct {
        const char *name;
        unsigned flag;
    } words[] = {{"NEVER", SMTP_NOTIFY_NEVER},
                 {"SUCCESS", SMTP_NOTIFY_SUCCESS},
                 {"FAILURE", SMTP_NOTIFY_FAILURE},
                 {"DELAY", SMTP_NOTIFY_DELAY}};
    unsigned notify = 0;

    for (bool more = true; more;) {
        ptrdiff_t comma = slice_find(value, ',');
        struct slice word = comma < 0 ? value : slice_sub(value, 0, (size_t)comma);
        unsigned flag = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            if (slice_eq_case(word, slice_str(words[i].name)))
                flag = words[i].flag;
        if (!flag || (notify & flag))
            return bad_argument(p, "NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY");
        notify |= flag;
        more = comma >= 0;
        value = more ? slice_from(value, (size_t)comma + 1) : value;
    }
    if ((notify & SMTP_NOTIFY_NEVER) && notify != SMTP_NOTIFY_NEVER)
        return bad_argument(p, "NOTIFY=NEVER stands alone");
    p->cmd->u.rcpt.notify = notify;
    return 0;
}

static int param_orcpt(struct parse *p, struct slice value)
{
    ptrdiff_t semicolon = slice_find(value, ';');
    struct slice type, address;
    bool is_utf8;

    if (semicolon <= 0 || value.len > ORCPT_MAX)
        return bad_argument(p, "ORCPT is an address type, a semicolon and xtext");
    type = slice_sub(value, 0, (size_t)semicolon);
    address = slice_from(value, (size_t)semicolon + 1);
    for (size_t i = 0; i < type.len; i++)
        if (!byte_is_alpha(type.ptr[i]) && !byte_is_digit(type.ptr[i]) && type.ptr[i] != '-')
            return bad_argument(p, "The address type of ORCPT is not valid");
    is_utf8 = slice_eq_case(type, SLICE_LIT("utf-8"));
    if (!smtp_is_ascii(address) && !(p->extensions & SMTP_EXT_SMTPUTF8))
        return bad_argument(p, "ORCPT has bytes over 127");
    if (!xtext_is_printable(address, is_utf8))
        return bad_argument(p, "The address of ORCPT is not valid xtext");
    p->cmd->u.rcpt.orcpt = value;
    return 0;
}

static const struct param {
    const char *name;
    enum smtp_verb verb;
    unsigned extension;
    bool has_value;
    int (*parse)(struct parse *p, struct slice value);
} params[] = {
    {"SIZE", SMTP_VERB_MAIL, SMTP_EXT_SIZE, true, param_size},
    {"BODY", SMTP_VERB_MAIL, SMTP_EXT_8BITMIME, true, param_body},
    {"SMTPUTF8", SMTP_VERB_MAIL, SMTP_EXT_SMTPUTF8, false, param_smtputf8},
    {"RET", SMTP_VERB_MAIL, SMTP_EXT_DSN, true, param_ret},
    {"ENVID", SMTP_VERB_MAIL, SMTP_EXT_DSN, true, param_envid},
    {"NOTIFY", SMTP_VERB_RCPT, SMTP_EXT_DSN, true, param_notify},
    {"ORCPT", SMTP_VERB_RCPT, SMTP_EXT_DSN, true, param_orcpt},
};

static int parse_param(struct parse *p, struct slice word)
{
    ptrdiff_t equals = slice_find(word, '=');
    struct slice name = equals < 0 ? word : slice_sub(word, 0, (size_t)equals);
    struct slice value = equals < 0 ? slice_make(NULL, 0) : slice_from(word, (size_t)equals + 1);

    for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
        const struct param *param = &params[i];

        if (param->verb != p->cmd->verb || !(param->extension & p->extensions) ||
            !slice_eq_case(name, slice_str(param->name)))
            continue;
        if (p->seen & 1u << i)
            return bad_argument(p, "A parameter is given twice");
        p->seen |= 1u << i;
        if (param->has_value != (equals >= 0 && value.len > 0) ||
            (!param->has_value && equals >= 0))
            return bad_argument(p, param->has_value ? "A parameter lacks its value"
                                                    : "A parameter takes no value");
        return param->parse(p, value);
    }
    return fail(p, 555, SMTP_ENHANCED(5, 5, 4), "A parameter is unknown or not offered here");
}

static int parse_params(struct parse *p)
{
    if (p->rest.len && p->rest.ptr[0] != ' ')
        return bad_argument(p, "Something follows the address");
    for (;;) {
        struct slice word;
        ptrdiff_t blank;
        int r;

        p->rest = slice_trim(p->rest);
        if (p->rest.len == 0)
            return 0;
        blank = slice_find(p->rest, ' ');
        word = blank < 0 ? p->rest : slice_sub(p->rest, 0, (size_t)blank);
        r = parse_param(p, word);
        if (r < 0)
            return r;
        p->rest = slice_from(p->rest, word.len);
    }
}

/* ---- MAIL and RCPT ---- */

static int parse_path(struct parse *p, struct slice prefix, unsigned allow,
                      struct smtp_enhanced syntax, struct smtp_address *ret)
{
    const char *why = NULL;
    size_t used = 0;
    int r;

    if (!slice_has_prefix_case(p->rest, prefix))
        return bad_argument(p, p->cmd->verb == SMTP_VERB_MAIL ? "FROM: and an address must follow"
                                                              : "TO: and an address must follow");
    /* A blank after the colon is wrong and common; nobody can misread it. */
    p->rest = slice_trim(slice_from(p->rest, prefix.len));
    if (p->extensions & SMTP_EXT_SMTPUTF8)
        allow |= SMTP_ALLOW_UTF8;
    r = smtp_path_parse(p->rest, allow, ret, &used, &why);
    if (r == -EILSEQ)
        return fail(p, 553, SMTP_ENHANCED(5, 6, 7), why);
    if (r < 0)
        return fail(p, 501, syntax, why);
    p->rest = slice_from(p->rest, used);
    return 0;
}

static int parse_mail(struct parse *p)
{
    struct smtp_mail *mail = &p->cmd->u.mail;
    int r;

    mail->size = 0;
    mail->has_size = mail->smtputf8 = false;
    mail->body = SMTP_BODY_NOT_GIVEN;
    mail->ret = SMTP_RET_NOT_GIVEN;
    mail->envid = slice_make(NULL, 0);
    r = parse_path(p, SLICE_LIT("FROM:"), SMTP_ALLOW_NULL, SMTP_ENHANCED(5, 1, 7), &mail->sender);
    if (r == 0)
        r = parse_params(p);
    if (r == 0 && mail->sender.is_utf8 && !mail->smtputf8)
        r = fail(p, 553, SMTP_ENHANCED(5, 6, 7), "The address needs the SMTPUTF8 parameter");
    return r;
}

static int parse_rcpt(struct parse *p)
{
    struct smtp_rcpt *rcpt = &p->cmd->u.rcpt;
    int r;

    rcpt->notify = 0;
    rcpt->orcpt = slice_make(NULL, 0);
    r = parse_path(p, SLICE_LIT("TO:"), SMTP_ALLOW_POSTMASTER, SMTP_ENHANCED(5, 1, 3),
                   &rcpt->recipient);
    return r < 0 ? r : parse_params(p);
}

/* ---- the line ---- */

static const struct {
    const char *name;
    unsigned extension; /* 0: always there */
    int (*parse)(struct parse *p);
} verbs[SMTP_VERB_COUNT] = {
    [SMTP_VERB_HELO] = {"HELO", 0, parse_hello},
    [SMTP_VERB_EHLO] = {"EHLO", 0, parse_hello},
    [SMTP_VERB_LHLO] = {"LHLO", 0, parse_hello},
    [SMTP_VERB_MAIL] = {"MAIL", 0, parse_mail},
    [SMTP_VERB_RCPT] = {"RCPT", 0, parse_rcpt},
    [SMTP_VERB_DATA] = {"DATA", 0, parse_none},
    [SMTP_VERB_BDAT] = {"BDAT", SMTP_EXT_CHUNKING, parse_bdat},
    [SMTP_VERB_RSET] = {"RSET", 0, parse_none},
    [SMTP_VERB_NOOP] = {"NOOP", 0, parse_any},
    [SMTP_VERB_QUIT] = {"QUIT", 0, parse_none},
    [SMTP_VERB_VRFY] = {"VRFY", 0, parse_vrfy},
    [SMTP_VERB_EXPN] = {"EXPN", 0, parse_vrfy},
    [SMTP_VERB_HELP] = {"HELP", 0, parse_any},
    [SMTP_VERB_STARTTLS] = {"STARTTLS", SMTP_EXT_STARTTLS, parse_none},
};

const char *smtp_verb_name(enum smtp_verb verb)
{
    return verb < SMTP_VERB_COUNT ? verbs[verb].name : "";
}

int smtp_command_parse(struct slice line, unsigned extensions, struct smtp_command *ret,
                       struct smtp_fault *ret_fault)
{
    struct parse p = {.extensions = extensions, .cmd = ret, .fault = ret_fault};
    ptrdiff_t blank = slice_find(line, ' ');
    struct slice word = slice_trim(blank < 0 ? line : slice_sub(line, 0, (size_t)blank));

    p.rest = ret->argument = slice_trim(slice_from(line, word.len));
    for (ret->verb = 0; ret->verb < SMTP_VERB_COUNT; ret->verb++)
        if (slice_eq_case(word, slice_str(verbs[ret->verb].name)))
            break;
    if (ret->verb == SMTP_VERB_COUNT)
        return fail(&p, 500, SMTP_ENHANCED(5, 5, 2), "Command not recognized");
    if (verbs[ret->verb].extension & ~extensions)
        return fail(&p, 502, SMTP_ENHANCED(5, 5, 1), "Command not offered here");
    return verbs[ret->verb].parse(&p);
}
