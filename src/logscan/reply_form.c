/*
 * logscan/reply_form.c - one reply of one line, of many, or of many joined to one; and what varies in
 * a text masked.
 */
#include "logscan/reply_form.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define HEX_RUN_MIN 4  /* digits and hex digits in a row that are an id, not a number to read */
#define CODE_LEN 3     /* "452" */
#define ADDRESS_MAX 46 /* INET6_ADDRSTRLEN */

/* 0: `s` does not begin with a reply code. */
static unsigned code_of(struct slice s)
{
    if (s.len < CODE_LEN || s.ptr[0] < '2' || s.ptr[0] > '5' || !byte_is_digit(s.ptr[1]) ||
        !byte_is_digit(s.ptr[2]))
        return 0;
    return (unsigned)(s.ptr[0] - '0') * 100 + (unsigned)(s.ptr[1] - '0') * 10 +
           (unsigned)(s.ptr[2] - '0');
}

bool reply_form_line(struct slice line, struct log_reply *ret)
{
    unsigned code = code_of(line);
    size_t used = 0;

    if (code == 0 ||
        (line.len > CODE_LEN && line.ptr[CODE_LEN] != ' ' && line.ptr[CODE_LEN] != '-'))
        return false;
    *ret = (struct log_reply){.code = (uint16_t)code, .text = slice_from(line, CODE_LEN + 1)};
    if (smtp_enhanced_parse(ret->text, &ret->enhanced, &used))
        ret->text = slice_from(ret->text, used);
    return true;
}

bool reply_form_is_continued(struct slice line)
{
    return code_of(line) != 0 && line.len > CODE_LEN && line.ptr[CODE_LEN] == '-';
}

static bool same_status(struct smtp_enhanced a, struct smtp_enhanced b)
{
    return a.klass == b.klass && a.subject == b.subject && a.detail == b.detail;
}

/* The text of a further line: its status code belongs to it where it is not the first line's. */
static struct slice further_text(const struct log_reply *first, struct slice line)
{
    struct log_reply r;

    if (!reply_form_line(line, &r))
        return line;
    return same_status(r.enhanced, first->enhanced) ? r.text : slice_from(line, CODE_LEN + 1);
}

/* A text that grows in memory that was measured before. */
struct joined {
    uint8_t *bytes;
    size_t len;
};

static void join(struct joined *j, struct slice s)
{
    if (s.len > 0)
        memcpy(j->bytes + j->len, s.ptr, s.len);
    j->len += s.len;
}

bool reply_form_lines(const struct slice *lines, size_t count, struct arena *a,
                      struct log_reply *ret)
{
    struct joined all = {0};
    size_t room = 0;

    if (count == 0 || !reply_form_line(lines[0], ret))
        return false;
    if (count == 1)
        return true;
    for (size_t i = 0; i < count; i++)
        room += lines[i].len + 1;
    all.bytes = arena_take(a, room);
    if (!all.bytes)
        return true;
    join(&all, ret->text);
    for (size_t i = 1; i < count; i++) {
        join(&all, SLICE_LIT(" "));
        join(&all, further_text(ret, lines[i]));
    }
    ret->text = slice_make(all.bytes, all.len);
    return true;
}

/* Is `s`, which follows a joint, a further line of the reply? A blank is a joint of which texts are
 * full, so there the status code has to be the first line's, too. */
static bool is_further(const struct log_reply *first, struct slice s, bool is_blank)
{
    struct log_reply r;

    if (!reply_form_line(s, &r) || r.code != first->code)
        return false;
    if (!is_blank)
        return true;
    return s.len > CODE_LEN &&
           (first->enhanced.klass == 0 || same_status(r.enhanced, first->enhanced));
}

/* Where the joint before the next line of the reply is, from `at` on; text.len: there is none. */
static size_t find_joint(const struct log_reply *first, struct slice text, size_t at,
                         struct slice joint, bool is_blank)
{
    while (at < text.len) {
        ptrdiff_t found = slice_find_slice(slice_from(text, at), joint);

        if (found < 0)
            break;
        at += (size_t)found;
        if (is_further(first, slice_from(text, at + joint.len), is_blank))
            return at;
        at++;
    }
    return text.len;
}

bool reply_form_joined(struct slice text, struct slice joint, struct arena *a,
                       struct log_reply *ret)
{
    const bool is_blank = slice_eq(joint, SLICE_LIT(" "));
    struct log_reply first;
    struct joined all = {0};
    size_t begin, end;

    if (!reply_form_line(text, &first))
        return false;
    *ret = first;
    if (!reply_form_is_continued(text) || joint.len == 0)
        return true;
    begin = text.len - first.text.len;
    /* A first line without a text: the blank after its status code is the joint. */
    end = find_joint(&first, text, begin - (first.enhanced.klass != 0), joint, is_blank);
    if (end >= text.len)
        return true;
    all.bytes = arena_take(a, text.len);
    if (!all.bytes)
        return true;
    if (end > begin)
        join(&all, slice_make(text.ptr + begin, end - begin));
    while (end < text.len) {
        size_t next = find_joint(&first, text, end + joint.len, joint, is_blank);

        begin = end + joint.len;
        join(&all, SLICE_LIT(" "));
        join(&all, further_text(&first, slice_make(text.ptr + begin, next - begin)));
        end = next;
    }
    ret->text = slice_make(all.bytes, all.len);
    return true;
}

const char *reply_form_status(const struct log_reply *r, char ret[static REPLY_FORM_STATUS_MAX])
{
    const struct smtp_enhanced *e = &r->enhanced;

    if (e->klass == 0)
        (void)snprintf(ret, REPLY_FORM_STATUS_MAX, "%u -", (unsigned)r->code);
    else
        (void)snprintf(ret, REPLY_FORM_STATUS_MAX, "%u %u.%u.%u", (unsigned)r->code,
                       (unsigned)e->klass, (unsigned)e->subject, (unsigned)e->detail);
    return ret;
}

/* ---- masking ---- */

/* What stands between the words of a text. */
static bool is_border(uint8_t c)
{
    return c <= ' ' || c == '(' || c == ')' || c == '[' || c == ']' || c == '<' || c == '>' ||
           c == ',' || c == ';' || c == '"' || c == '\'' || c == '=';
}

static bool is_hex(uint8_t c)
{
    return byte_is_digit(c) || (byte_lower(c) >= 'a' && byte_lower(c) <= 'f');
}

static bool is_address(struct slice word, int family)
{
    char text[ADDRESS_MAX];
    uint8_t ignored[sizeof(struct in6_addr)];

    if (word.len < 3 || word.len >= sizeof(text))
        return false;
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    return inet_pton(family, text, ignored) == 1;
}

/* The bytes of the address at the begin of `word`, 0: there is none. It is all of the word, but for
 * the port of an IPv4 address. */
static size_t address_len(struct slice word)
{
    ptrdiff_t colon = slice_find(word, ':'), dot = slice_find(word, '.');

    if (dot > 0 && (colon < 0 || dot < colon)) {
        struct slice v4 = slice_sub(word, 0, colon < 0 ? word.len : (size_t)colon);

        return is_address(v4, AF_INET) ? v4.len : 0;
    }
    return colon >= 0 && is_address(word, AF_INET6) ? word.len : 0;
}

/* A word without the marks that end a sentence. */
static struct slice without_marks(struct slice word)
{
    while (word.len > 0 && (word.ptr[word.len - 1] == '.' || word.ptr[word.len - 1] == ':' ||
                            word.ptr[word.len - 1] == '?' || word.ptr[word.len - 1] == '!'))
        word.len--;
    return word;
}

static void mask_runs(struct joined *j, struct slice word)
{
    size_t at = 0;

    while (at < word.len) {
        size_t end = at;
        bool has_digit = false;

        while (end < word.len && is_hex(word.ptr[end])) {
            has_digit = has_digit || byte_is_digit(word.ptr[end]);
            end++;
        }
        if (end - at >= HEX_RUN_MIN && has_digit)
            join(j, SLICE_LIT("#"));
        else
            join(j, slice_make(word.ptr + at, end - at));
        if (end < word.len)
            join(j, slice_make(word.ptr + end, 1));
        at = end + 1;
    }
}

static void mask_word(struct joined *j, struct slice word, bool is_in_brackets)
{
    struct slice core = without_marks(word);
    ptrdiff_t at = slice_find(core, '@');
    size_t address = address_len(core);

    if (at > 0 && (size_t)at + 1 < core.len) {
        join(j, SLICE_LIT("<...>"));
    } else if (address > 0) {
        join(j, is_in_brackets ? SLICE_LIT("ip") : SLICE_LIT("[ip]"));
        mask_runs(j, slice_from(core, address));
    } else {
        mask_runs(j, core);
    }
    join(j, slice_from(word, core.len));
}

struct slice reply_form_masked(struct slice text, struct arena *a)
{
    /* "<>" of 2 bytes becomes "<...>" of 5; nothing grows more. */
    struct joined j = {.bytes = arena_take(a, text.len * 3 + 1)};
    ptrdiff_t last_close = slice_rfind(text, '>');
    size_t at = 0;

    if (!j.bytes)
        return slice_make(NULL, 0);
    while (at < text.len) {
        size_t end = at;

        if (text.ptr[at] == '<' && last_close > (ptrdiff_t)at) {
            at += (size_t)slice_find(slice_from(text, at), '>') + 1;
            join(&j, SLICE_LIT("<...>"));
            continue;
        }
        if (is_border(text.ptr[at])) {
            join(&j, slice_make(text.ptr + at++, 1));
            continue;
        }
        while (end < text.len && !is_border(text.ptr[end]))
            end++;
        mask_word(&j, slice_make(text.ptr + at, end - at), at > 0 && text.ptr[at - 1] == '[');
        at = end;
    }
    return slice_make(j.bytes, j.len);
}
