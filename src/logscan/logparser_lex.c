/*
 * logscan/logparser_lex.c - a command line down to its statement, the statement to tokens and files.
 *
 * The walk is by position and knows where FROM was: a glob there would else be a comment ("logs/" and
 * "*.log" joined) or an expression.
 */
#include "logscan/logparser_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* The bytes that may stand in a bare name. */
static bool is_name_byte(uint8_t c)
{
    return c > ' ' && c != 0x7f && !strchr(",;<>=!'\"@*[]()", c);
}

size_t logparser_quoted_end(struct slice text, size_t at)
{
    uint8_t close = text.ptr[at] == '[' ? ']' : text.ptr[at];

    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] != close)
            continue;
        if (close == ']' || i + 1 == text.len || text.ptr[i + 1] != close)
            return i + 1;
        i++; /* doubled: one of it */
    }
    return SIZE_MAX;
}

size_t logparser_blank_end(struct slice text, size_t at)
{
    while (at < text.len) {
        struct slice rest = slice_from(text, at);
        ptrdiff_t end;

        if (is_blank(rest.ptr[0])) {
            at++;
        } else if (slice_has_prefix(rest, SLICE_LIT("--"))) {
            end = slice_find(rest, '\n');
            at += end < 0 ? rest.len : (size_t)end + 1;
        } else if (slice_has_prefix(rest, SLICE_LIT("/*"))) {
            end = slice_find_slice(slice_from(rest, 2), SLICE_LIT("*/"));
            at += end < 0 ? rest.len : (size_t)end + 4;
        } else {
            break;
        }
    }
    return at;
}

bool logparser_is_option(struct slice word)
{
    size_t i = 1;

    if (word.len < 3 || word.ptr[0] != '-')
        return false;
    while (i < word.len && byte_is_alpha(word.ptr[i]))
        i++;
    return i > 1 && i < word.len && word.ptr[i] == ':';
}

/* ---- the statement within a command line ---- */

static struct slice trim_blank(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static size_t word_end(struct slice s)
{
    size_t i = 0;

    while (i < s.len && !is_blank(s.ptr[i]))
        i++;
    return i;
}

/* "-i:CSV", and "-o:"a b"" with its quotes. */
static size_t option_end(struct slice s)
{
    size_t i = 0;

    while (i < s.len && !is_blank(s.ptr[i])) {
        size_t end = s.ptr[i] == '"' ? logparser_quoted_end(s, i) : i + 1;

        if (end == SIZE_MAX)
            return s.len;
        i = end;
    }
    return i;
}

static struct slice without_program(struct slice s)
{
    struct slice word = slice_sub(s, 0, word_end(s));

    if (slice_has_suffix_case(word, SLICE_LIT("logparser")) ||
        slice_has_suffix_case(word, SLICE_LIT("logparser.exe")))
        return trim_blank(slice_from(s, word.len));
    return s;
}

/* The last word, if it is an option, with the blank before it. Not the end of a string: '% -i:CSV'. */
static struct slice without_last_option(struct slice s)
{
    size_t i = s.len;

    while (i > 0 && !is_blank(s.ptr[i - 1]))
        i--;
    if (!logparser_is_option(slice_from(s, i)) || slice_find(slice_from(s, i), '\'') >= 0)
        return s;
    return trim_blank(slice_sub(s, 0, i));
}

static struct slice statement_of(struct slice text)
{
    struct slice s = without_program(trim_blank(text));
    size_t before;

    while (logparser_is_option(slice_sub(s, 0, word_end(s))))
        s = trim_blank(slice_from(s, option_end(s)));
    do {
        before = s.len;
        s = without_last_option(s);
    } while (s.len < before);
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        s = trim_blank(slice_sub(s, 1, s.len - 2));
    return s;
}

/* ---- tokens ---- */

static int add_token(struct logparser *l, enum token_kind kind, struct slice text)
{
    if (l->token_count == l->token_room) {
        size_t room = l->token_room ? l->token_room * 2 : 64;
        struct token *more = realloc(l->tokens, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        l->tokens = more;
        l->token_room = room;
    }
    l->tokens[l->token_count++] = (struct token){kind, text};
    return 0;
}

static size_t sign_len(struct slice s)
{
    static const char *const two[] = {"<>", "<=", ">=", "!=", "=="};

    for (size_t i = 0; i < ARRAY_SIZE(two); i++)
        if (slice_has_prefix(s, slice_str(two[i])))
            return 2;
    return 1;
}

/* One token from `at`; its end, or a negative error. */
static ptrdiff_t take_token(struct logparser *l, struct slice text, size_t at, struct buf *why)
{
    uint8_t c = text.ptr[at];
    enum token_kind kind = TOKEN_SIGN;
    size_t end;
    int r;

    if (c == '\'' || c == '"' || c == '[') {
        kind = c == '\'' ? TOKEN_STRING : c == '"' ? TOKEN_QUOTED : TOKEN_BRACKET;
        end = logparser_quoted_end(text, at);
    } else if (is_name_byte(c)) {
        kind = TOKEN_WORD;
        for (end = at; end < text.len && is_name_byte(text.ptr[end]); end++)
            continue;
    } else {
        end = at + sign_len(slice_from(text, at));
    }
    if (end == SIZE_MAX) {
        (void)buf_addf(why, "a %c is open to the end of the statement: %.*s", c,
                       SLICE_FMT(slice_sub(text, at, 40)));
        return -EINVAL;
    }
    r = add_token(l, kind, slice_sub(text, at, end - at));
    return r < 0 ? r : (ptrdiff_t)end;
}

/* ---- files ---- */

static int add_file(struct logparser *l, struct slice name, struct buf *why)
{
    char **more;

    if (name.len == 0) {
        (void)buf_add_str(why, "FROM names no file");
        return -EINVAL;
    }
    if (l->file_count == LOGPARSER_FILES_MAX) {
        (void)buf_addf(why, "FROM names more than %d files: use a glob", LOGPARSER_FILES_MAX);
        return -EINVAL;
    }
    more = realloc(l->files, (l->file_count + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    l->files = more;
    more[l->file_count] = strndup((const char *)name.ptr, name.len);
    if (!more[l->file_count])
        return -ENOMEM;
    l->file_count++;
    return 0;
}

/* 'it''s.log': a quote within is doubled. */
static int add_quoted_file(struct logparser *l, struct slice quoted, struct buf *why)
{
    struct slice name = slice_sub(quoted, 1, quoted.len - 2);
    int r = add_file(l, name, why);
    char *to = r == 0 ? l->files[l->file_count - 1] : NULL;

    for (const char *from = to; from && *from; from++) {
        *to++ = *from;
        from += *from == (char)quoted.ptr[0] && from[1] == *from;
    }
    if (to)
        *to = '\0';
    return r;
}

static size_t file_end(struct slice text, size_t at)
{
    size_t i = at;

    while (i < text.len && !is_blank(text.ptr[i]) && text.ptr[i] != ',' && text.ptr[i] != ';')
        i++;
    return i;
}

/* What follows the ';' between two files is a name, and that of no statement. */
static bool begins_statement(struct slice text, size_t at)
{
    const struct slice word = SLICE_LIT("SELECT");
    struct slice rest = slice_from(text, logparser_blank_end(text, at));

    return slice_has_prefix_case(rest, word) && rest.len > word.len && is_blank(rest.ptr[word.len]);
}

/* "*.log, 'a b.log'; c.log" from `at`; its end, or a negative error. */
static ptrdiff_t take_files(struct logparser *l, struct slice text, size_t at, struct buf *why)
{
    for (;;) {
        bool is_quoted;
        size_t end;
        int r;

        at = logparser_blank_end(text, at);
        is_quoted = at < text.len && (text.ptr[at] == '\'' || text.ptr[at] == '"');
        end = is_quoted ? logparser_quoted_end(text, at) : file_end(text, at);
        if (end == SIZE_MAX) {
            (void)buf_add_str(why, "the name of a file after FROM has a quote that does not end");
            return -EINVAL;
        }
        r = is_quoted ? add_quoted_file(l, slice_sub(text, at, end - at), why)
                      : add_file(l, slice_sub(text, at, end - at), why);
        if (r < 0)
            return r;
        at = logparser_blank_end(text, end);
        if (at < text.len && text.ptr[at] == ';' && begins_statement(text, at + 1)) {
            (void)buf_add_str(why, "one statement at a time");
            return -EINVAL;
        }
        if (at == text.len || (text.ptr[at] != ',' && text.ptr[at] != ';'))
            return (ptrdiff_t)at;
        if (text.ptr[at] == ';' && logparser_blank_end(text, at + 1) == text.len)
            return (ptrdiff_t)text.len; /* the end of the statement */
        at++;
    }
}

/* FROM logs and FROM (SELECT ...) are SQLite's. */
static bool is_table(struct slice text, size_t at)
{
    size_t end;

    at = logparser_blank_end(text, at);
    if (at < text.len && text.ptr[at] == '(')
        return true;
    for (end = at; end < text.len && (byte_is_alpha(text.ptr[end]) || text.ptr[end] == '_'); end++)
        continue;
    return slice_eq_case(slice_sub(text, at, end - at), SLICE_LIT("logs")) &&
           (end == text.len || is_blank(text.ptr[end]) || strchr(",;)", text.ptr[end]));
}

static bool is_word(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && slice_eq_case(t->text, slice_str(word));
}

/* Fills in all of the struct but for `text` and `len`, which are given. As logparser_read(). */
static int lex(struct logparser *l, struct buf *why)
{
    struct slice text = slice_make(l->text, l->len);
    size_t at = logparser_blank_end(text, 0);

    while (at < text.len) {
        ptrdiff_t end = take_token(l, text, at, why);
        const struct token *last;

        if (end < 0)
            return (int)end;
        last = &l->tokens[l->token_count - 1];
        if (l->token_count == 1 && !is_word(last, "SELECT"))
            return 0; /* WITH, VALUES, or what SQLite will complain of */
        if (!l->is_dialect && is_word(last, "FROM")) {
            if (is_table(text, (size_t)end))
                return 0;
            l->is_dialect = true;
            l->from = l->token_count - 1;
            l->token_count--;
            end = take_files(l, text, (size_t)end, why);
            if (end < 0)
                return (int)end;
            l->after_from = l->token_count;
        }
        at = logparser_blank_end(text, (size_t)end);
    }
    return 0;
}

/* ---- reading ---- */

int logparser_read(struct logparser **ret, struct slice text, struct buf *why)
{
    struct slice statement = statement_of(text);
    struct logparser *l;
    int r;

    if (text.len > LOGPARSER_TEXT_MAX) {
        (void)buf_addf(why, "a statement has at most %u bytes", (unsigned)LOGPARSER_TEXT_MAX);
        return -E2BIG;
    }
    if (statement.len == 0 || memchr(statement.ptr, 0, statement.len)) {
        (void)buf_add_str(why, statement.len == 0 ? "the statement is empty"
                                                  : "the statement has a NUL byte");
        return -EINVAL;
    }
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->text = strndup((const char *)statement.ptr, statement.len);
    l->len = statement.len;
    r = l->text ? lex(l, why) : -ENOMEM;
    if (r < 0)
        logparser_free(&l);
    else
        *ret = l;
    return r;
}

void logparser_free(struct logparser **l)
{
    if (!*l)
        return;
    for (size_t i = 0; i < (*l)->file_count; i++)
        free((*l)->files[i]);
    free((*l)->files);
    free((*l)->tokens);
    free((*l)->text);
    free(*l);
    *l = NULL;
}

bool logparser_is_dialect(const struct logparser *l)
{
    return l->is_dialect;
}

size_t logparser_file_count(const struct logparser *l)
{
    return l->file_count;
}

const char *logparser_file(const struct logparser *l, size_t i)
{
    return l->files[i];
}
