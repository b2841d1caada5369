/*
 * smtp/address.c - one pass from left to right; each function reads one piece of the grammar at
 * `at` and leaves `at` behind it, or sets `err` and `why`.
 */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/utf8.h"

#define LABEL_MAX 63
#define LITERAL_TEXT_MAX 64 /* the longest IPv6 address is 45 */

struct scan {
    struct slice in;
    size_t at;
    unsigned allow;
    const char *why;
};

static int fail(struct scan *sc, int err, const char *why)
{
    sc->why = why;
    return err;
}

static int peek(const struct scan *sc)
{
    return sc->at < sc->in.len ? sc->in.ptr[sc->at] : -1;
}

static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_atext(int c)
{
    return is_alnum(c) || c >= 0x80 || (c > 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool smtp_is_ascii(struct slice s)
{
    uint8_t all = 0;

    for (size_t i = 0; i < s.len; i++)
        all |= s.ptr[i];
    return all < 0x80;
}

static int check_bytes(struct scan *sc, struct slice s, bool *ret_is_utf8)
{
    if (smtp_is_ascii(s))
        return 0;
    if (!(sc->allow & SMTP_ALLOW_UTF8))
        return fail(sc, -EILSEQ, "The address has bytes over 127 and SMTPUTF8 was not asked for");
    if (!utf8_is_valid(s))
        return fail(sc, -EILSEQ, "The address is not valid UTF-8");
    *ret_is_utf8 = true;
    return 0;
}

/* ---- domains ---- */

/* "label.label": the end of it, or 0 where there is none. Length limits of labels included. */
static size_t domain_end(struct slice s, size_t at)
{
    size_t start = at, label = at;

    for (;; at++) {
        int c = at < s.len ? s.ptr[at] : -1;

        if (is_alnum(c) || c >= 0x80 || (c == '-' && at > label))
            continue;
        if (at == label || at - label > LABEL_MAX || s.ptr[at - 1] == '-')
            return 0;
        if (c != '.')
            return at > start ? at : 0;
        label = at + 1;
    }
}

static bool ip_is_valid(int family, struct slice s)
{
    char text[LITERAL_TEXT_MAX];
    uint8_t raw[16];

    if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(family, text, raw) == 1;
}

/* What is between the brackets: IPv4, "IPv6:...", or "tag:content" (RFC 5321, section 4.1.3). */
static bool literal_is_valid(struct slice s)
{
    ptrdiff_t colon = slice_find(s, ':');
    struct slice tag, content;

    if (s.len == 0)
        return false;
    if (colon < 0)
        return ip_is_valid(AF_INET, s);
    tag = slice_sub(s, 0, (size_t)colon);
    content = slice_from(s, (size_t)colon + 1);
    if (slice_eq_case(tag, SLICE_LIT("IPv6")))
        return content.len > 0 && ip_is_valid(AF_INET6, content);
    if (tag.len == 0 || content.len == 0 || !is_alnum(tag.ptr[tag.len - 1]))
        return false;
    for (size_t i = 0; i < tag.len; i++)
        if (!is_alnum(tag.ptr[i]) && tag.ptr[i] != '-')
            return false;
    for (size_t i = 0; i < content.len; i++)
        if (content.ptr[i] < 33 || content.ptr[i] > 126)
            return false;
    return true;
}

/* Where the literal that starts with the '[' at `at` ends, behind its ']'; 0: there is none. */
static size_t literal_end(struct slice s, size_t at)
{
    size_t end = at + 1;

    while (end < s.len && s.ptr[end] != ']' && s.ptr[end] != '[' && s.ptr[end] != '\\')
        end++;
    if (end >= s.len || s.ptr[end] != ']')
        return 0;
    return literal_is_valid(slice_sub(s, at + 1, end - at - 1)) ? end + 1 : 0;
}

bool smtp_domain_is_valid(struct slice s, bool allow_utf8)
{
    if (s.len == 0 || s.len > SMTP_DOMAIN_MAX)
        return false;
    if (!smtp_is_ascii(s) && !(allow_utf8 && utf8_is_valid(s)))
        return false;
    return (s.ptr[0] == '[' ? literal_end(s, 0) : domain_end(s, 0)) == s.len;
}

static int take_domain(struct scan *sc, struct slice *ret, bool *ret_is_literal, bool *ret_is_utf8)
{
    bool is_literal = peek(sc) == '[';
    size_t end = is_literal ? literal_end(sc->in, sc->at) : domain_end(sc->in, sc->at);
    int r;

    if (end == 0)
        return fail(sc, -EINVAL,
                    is_literal ? "The address literal is not valid" : "The domain is not valid");
    *ret = slice_sub(sc->in, sc->at, end - sc->at);
    if (ret->len > SMTP_DOMAIN_MAX)
        return fail(sc, -E2BIG, "The domain is longer than 255 octets");
    r = check_bytes(sc, *ret, ret_is_utf8);
    if (r < 0)
        return r;
    *ret_is_literal = is_literal;
    sc->at = end;
    return 0;
}

/* ---- local parts ---- */

static bool is_dot_atom(const uint8_t *p, size_t len)
{
    bool at_start = true;

    for (size_t i = 0; i < len; i++) {
        if (p[i] == '.' && at_start)
            return false;
        at_start = p[i] == '.';
        if (!at_start && !is_atext(p[i]))
            return false;
    }
    return !at_start;
}

/* Writes `raw` as the local part, quoted only where it must be. */
static int put_local(struct scan *sc, const uint8_t *raw, size_t len, struct smtp_address *a)
{
    size_t n = 0;

    if (is_dot_atom(raw, len)) {
        memcpy(a->text, raw, len);
        n = len;
    } else {
        a->text[n++] = '"';
        for (size_t i = 0; i < len; i++) {
            if (raw[i] == '"' || raw[i] == '\\')
                a->text[n++] = '\\';
            a->text[n++] = raw[i];
        }
        a->text[n++] = '"';
    }
    if (n > SMTP_LOCAL_MAX)
        return fail(sc, -E2BIG, "The local part is longer than 64 octets");
    a->len = a->local_len = (uint16_t)n;
    return check_bytes(sc, slice_make(a->text, n), &a->is_utf8);
}

static int take_quoted(struct scan *sc, struct smtp_address *a)
{
    uint8_t raw[SMTP_LOCAL_MAX];
    size_t n = 0;

    for (sc->at++;; sc->at++) { /* behind the opening quote */
        int c = peek(sc);

        if (c == '"')
            break;
        if (c == '\\') {
            sc->at++;
            c = peek(sc);
            if (c >= 0x80)
                return fail(sc, -EINVAL, "A backslash in the local part quotes a byte over 127");
        }
        if (c < 0)
            return fail(sc, -EINVAL, "The quoted local part has no closing quote");
        if (c < 32 || c == 127)
            return fail(sc, -EINVAL, "The quoted local part has a control character");
        if (n == sizeof(raw))
            return fail(sc, -E2BIG, "The local part is longer than 64 octets");
        raw[n++] = (uint8_t)c;
    }
    sc->at++;
    return put_local(sc, raw, n, a);
}

static int take_local(struct scan *sc, struct smtp_address *a)
{
    size_t start = sc->at, len;

    if (peek(sc) == '"')
        return take_quoted(sc, a);
    while (is_atext(peek(sc)) || peek(sc) == '.')
        sc->at++;
    len = sc->at - start;
    if (len > SMTP_LOCAL_MAX)
        return fail(sc, -E2BIG, "The local part is longer than 64 octets");
    if (!is_dot_atom(sc->in.ptr + start, len))
        return fail(sc, -EINVAL, "The local part is not valid");
    return put_local(sc, sc->in.ptr + start, len, a);
}

/* ---- the whole ---- */

static bool is_postmaster(const struct smtp_address *a)
{
    return slice_eq_case(slice_make(a->text, a->len), SLICE_LIT("postmaster"));
}

static int take_mailbox(struct scan *sc, struct smtp_address *a)
{
    struct slice domain;
    bool is_utf8 = false;
    int r = take_local(sc, a);

    if (r < 0)
        return r;
    if (peek(sc) != '@') {
        if ((sc->allow & SMTP_ALLOW_POSTMASTER) && is_postmaster(a))
            return 0;
        return fail(sc, -EINVAL, "The address has no domain");
    }
    sc->at++;
    r = take_domain(sc, &domain, &a->is_literal, &is_utf8);
    if (r < 0)
        return r;
    if (a->local_len + 1 + domain.len + 2 > SMTP_PATH_MAX)
        return fail(sc, -E2BIG, "The path is longer than 256 octets");
    a->text[a->len++] = '@';
    for (size_t i = 0; i < domain.len; i++)
        a->text[a->len++] = a->is_literal ? domain.ptr[i] : byte_lower(domain.ptr[i]);
    a->is_utf8 |= is_utf8;
    return 0;
}

/* "@a,@b:", RFC 5321, appendix C: read, checked, forgotten. */
static int skip_source_route(struct scan *sc)
{
    struct slice ignored;
    bool is_literal, is_utf8;

    while (peek(sc) == '@') {
        int r;

        sc->at++;
        r = take_domain(sc, &ignored, &is_literal, &is_utf8);
        if (r < 0)
            return r;
        if (peek(sc) == ':') {
            sc->at++;
            return 0;
        }
        if (peek(sc) != ',')
            break;
        sc->at++;
    }
    return fail(sc, -EINVAL, "The source route is not valid");
}

static int take_path(struct scan *sc, struct smtp_address *a)
{
    int r = 0;

    if (peek(sc) != '<')
        return fail(sc, -EINVAL, "The address must be in angle brackets");
    sc->at++;
    if (peek(sc) == '>' && (sc->allow & SMTP_ALLOW_NULL)) {
        sc->at++;
        return 0;
    }
    if (peek(sc) == '>')
        return fail(sc, -EINVAL, "The address is empty");
    if (peek(sc) == '@')
        r = skip_source_route(sc);
    if (r == 0)
        r = take_mailbox(sc, a);
    if (r < 0)
        return r;
    if (peek(sc) != '>')
        return fail(sc, -EINVAL, "The address is not valid or lacks its closing bracket");
    sc->at++;
    return 0;
}

int smtp_path_parse(struct slice in, unsigned allow, struct smtp_address *ret, size_t *ret_used,
                    const char **ret_why)
{
    struct scan sc = {.in = in, .allow = allow};
    struct smtp_address a;
    int r;

    a.len = a.local_len = 0;
    a.is_literal = a.is_utf8 = false;
    r = take_path(&sc, &a);
    if (r < 0) {
        *ret_why = sc.why;
        return r;
    }
    memcpy(ret->text, a.text, a.len);
    ret->len = a.len;
    ret->local_len = a.local_len;
    ret->is_literal = a.is_literal;
    ret->is_utf8 = a.is_utf8;
    *ret_used = sc.at;
    return 0;
}

int smtp_mailbox_parse(struct slice in, unsigned allow, struct smtp_address *ret,
                       const char **ret_why)
{
    struct scan sc = {.in = in, .allow = allow};
    struct smtp_address a = {.len = 0};
    int r;

    if (in.len == 0 && (allow & SMTP_ALLOW_NULL)) {
        *ret = a;
        return 0;
    }
    r = take_mailbox(&sc, &a);
    if (r == 0 && sc.at != in.len)
        r = fail(&sc, -EINVAL, "Something follows the address");
    if (r < 0) {
        *ret_why = sc.why;
        return r;
    }
    *ret = a;
    return 0;
}
