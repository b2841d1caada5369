/*
 * logscan/logparser.c - a statement's tokens, written once more as SQLite has it.
 *
 * A statement of the dialect is cut into its clauses and put together again in SQLite's order. Within a
 * clause tokens go over one by one: there is no tree, so nothing is nested but aliases (at most
 * LOGPARSER_ALIASES_MAX deep, none within itself) and the arguments of PROPCOUNT.
 */
#include "logscan/logparser.h"

#include <errno.h>
#include <stdarg.h>

#include "logscan/logparser_int.h"

enum clause {
    CLAUSE_SELECT,
    CLAUSE_USING,
    CLAUSE_INTO,
    CLAUSE_WHERE,
    CLAUSE_GROUP,
    CLAUSE_HAVING,
    CLAUSE_ORDER,
    CLAUSES
};
struct range { /* of tokens */
    size_t begin, end;
};
struct alias {
    struct slice name;
    struct range what;
    bool is_open; /* being written: within itself its name is a column's */
};
struct writer {
    const struct logparser *l;
    const struct logparser_table *table;
    struct buf *out, *why;
    struct range clauses[CLAUSES];
    bool has[CLAUSES];
    struct alias aliases[LOGPARSER_ALIASES_MAX];
    size_t alias_count;
    struct slice top; /* the number after TOP */
    bool is_distinct;
};

static int refuse(const struct writer *w, const char *format, ...) PRINTF_LIKE(2, 3);
static int refuse(const struct writer *w, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)buf_vaddf(w->why, format, ap);
    va_end(ap);
    return -EINVAL;
}

static const struct token *token_at(const struct writer *w, size_t i)
{
    return &w->l->tokens[i];
}

static bool is_word(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && slice_eq_case(t->text, slice_str(word));
}

static bool is_sign(const struct token *t, char c)
{
    return t->kind == TOKEN_SIGN && t->text.len == 1 && t->text.ptr[0] == (uint8_t)c;
}

static int depth_change(const struct token *t)
{
    return is_sign(t, '(') ? 1 : is_sign(t, ')') ? -1 : 0;
}

/* ---- clauses ---- */

static const char *const clause_names[CLAUSES] = {"SELECT", "USING",  "INTO", "WHERE",
                                                  "GROUP",  "HAVING", "ORDER"};

static int clause_of(const struct token *t)
{
    for (int i = 0; i < CLAUSES; i++)
        if (is_word(t, clause_names[i]))
            return i;
    return -1;
}

static int begin_clause(struct writer *w, int clause, size_t at)
{
    bool has_by = clause == CLAUSE_GROUP || clause == CLAUSE_ORDER;
    size_t begin = at + 1 + has_by;

    if (w->has[clause])
        return refuse(w, "the statement has two clauses %.*s", SLICE_FMT(token_at(w, at)->text));
    if (has_by && (at + 1 >= w->l->token_count || !is_word(token_at(w, at + 1), "BY")))
        return refuse(w, "%.*s without BY", SLICE_FMT(token_at(w, at)->text));
    w->has[clause] = true;
    w->clauses[clause] = (struct range){begin, begin};
    return 0;
}

/* Text between the files and the next clause, such as a second name without a comma. */
static int check_after_files(const struct writer *w)
{
    static const char *const others[] = {"UNION", "EXCEPT", "INTERSECT", "JOIN", "LIMIT", "OFFSET"};
    const struct logparser *l = w->l;
    const struct token *t;

    if (l->after_from >= l->token_count || clause_of(token_at(w, l->after_from)) >= 0)
        return 0;
    t = token_at(w, l->after_from);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (is_word(t, others[i]))
            return refuse(
                w,
                "%s is not Log Parser's: it has FROM a.log, b.log and SELECT TOP 10; or write FROM "
                "logs in a statement of SQLite's, and name the files after it",
                others[i]);
    return refuse(
        w,
        "after FROM: '%.*s' is no clause; files are separated by commas, a name with blanks "
        "stands in quotes",
        SLICE_FMT(t->text));
}

static int find_clauses(struct writer *w)
{
    int depth = 0, current = -1, r = check_after_files(w);

    for (size_t i = 0; r == 0 && i < w->l->token_count; i++) {
        const struct token *t = token_at(w, i);
        int clause = depth == 0 ? clause_of(t) : -1;

        depth += depth_change(t);
        if (depth < 0)
            return refuse(w, "a ')' without a '('");
        if (depth == 0 && is_sign(t, ';') && i + 1 == w->l->token_count)
            break; /* the end of the statement */
        if (clause >= 0) {
            r = begin_clause(w, clause, i);
            current = clause;
        } else if (i >= w->clauses[current].begin) {
            w->clauses[current].end = i + 1;
        }
    }
    if (r == 0 && depth > 0)
        return refuse(w, "a '(' is open to the end of the statement");
    for (size_t i = 0; r == 0 && i < CLAUSES; i++)
        if (w->has[i] && w->clauses[i].end == w->clauses[i].begin)
            r = refuse(w, "%s: what? There is nothing after it", clause_names[i]);
    return r;
}

static int check_into(const struct writer *w)
{
    struct slice first;

    if (!w->has[CLAUSE_INTO])
        return 0;
    first = token_at(w, w->clauses[CLAUSE_INTO].begin)->text;
    if (slice_eq_case(first, SLICE_LIT("STDOUT")))
        return 0;
    return refuse(w, "INTO %.*s is not taken: leave it out and write --csv (or --json) > %.*s",
                  SLICE_FMT(first), SLICE_FMT(first));
}

/* The end of the list's item that begins at `at`: its comma, or the list's end. */
static size_t item_end(const struct writer *w, struct range list, size_t at)
{
    int depth = 0;

    for (size_t i = at; i < list.end; i++) {
        const struct token *t = token_at(w, i);

        if (depth == 0 && is_sign(t, ','))
            return i;
        depth += depth_change(t);
    }
    return list.end;
}

/* The index after the ')' that closes the '(' at `open`. */
static size_t after_bracket(const struct writer *w, size_t open)
{
    int depth = 0;

    for (size_t i = open; i < w->l->token_count; i++) {
        depth += depth_change(token_at(w, i));
        if (depth == 0)
            return i + 1;
    }
    return w->l->token_count;
}

/* ---- names ---- */

static struct slice name_of(const struct token *t)
{
    struct slice name = t->text;

    if (t->kind == TOKEN_BRACKET || t->kind == TOKEN_QUOTED)
        name = slice_sub(name, 1, name.len - 2);
    if (slice_has_prefix_case(name, SLICE_LIT("#Fields:")))
        name = slice_trim(slice_from(name, SLICE_LIT("#Fields:").len));
    return name;
}

static void add_name(struct buf *out, struct slice name)
{
    (void)buf_push(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            (void)buf_push(out, '"');
        (void)buf_push(out, name.ptr[i]);
    }
    (void)buf_push(out, '"');
}

static bool has_column(const struct writer *w, struct slice name)
{
    return w->table->has_column(w->table->ctx, name);
}

static void add_column(struct writer *w, struct slice name)
{
    /* What its CSV format has beside the file's fields. */
    if (slice_eq_case(name, SLICE_LIT("Filename")) && !has_column(w, name))
        name = SLICE_LIT("file");
    else if (slice_eq_case(name, SLICE_LIT("RowNumber")) && !has_column(w, name))
        name = SLICE_LIT("line");
    add_name(w->out, name);
}

static struct alias *find_alias(struct writer *w, struct slice name)
{
    for (size_t i = 0; i < w->alias_count; i++)
        if (!w->aliases[i].is_open && slice_eq_case(w->aliases[i].name, name))
            return &w->aliases[i];
    return NULL;
}

static int add_alias(struct writer *w, struct slice name, struct range what)
{
    if (w->alias_count == LOGPARSER_ALIASES_MAX)
        return refuse(w, "more than %d aliases", LOGPARSER_ALIASES_MAX);
    w->aliases[w->alias_count++] = (struct alias){.name = name, .what = what};
    return 0;
}

/* "expression AS name": cuts the two last off *item; false: it has none. */
static bool take_alias(const struct writer *w, struct range *item, struct slice *ret)
{
    if (item->end - item->begin < 3 || !is_word(token_at(w, item->end - 2), "AS"))
        return false;
    *ret = name_of(token_at(w, item->end - 1));
    item->end -= 2;
    return true;
}

static int collect_aliases(struct writer *w, struct range list, bool is_using)
{
    size_t at = list.begin;
    int r = 0;

    while (r == 0 && at < list.end) {
        struct range item = {at, item_end(w, list, at)};
        struct slice name;

        at = item.end + 1;
        if (take_alias(w, &item, &name))
            r = add_alias(w, name, item);
        else if (is_using)
            r = refuse(w, "USING: each expression has an alias (USING expression AS name)");
    }
    return r;
}

/* ---- expressions ---- */

static int write_range(struct writer *w, struct range r);

static bool is_keyword(struct slice word)
{
    static const char *const words[] = {
        "AND",  "OR",  "NOT",  "LIKE", "IN",   "BETWEEN", "IS",   "NULL",
        "CASE", "END", "WHEN", "THEN", "ELSE", "ASC",     "DESC", "DISTINCT",
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (slice_eq_case(word, slice_str(words[i])))
            return true;
    return false;
}

static bool is_number(struct slice word)
{
    size_t i = word.len > 1 && (word.ptr[0] == '-' || word.ptr[0] == '+');

    if (!byte_is_digit(word.ptr[i]))
        return false;
    for (; i < word.len; i++)
        if (!byte_is_digit(word.ptr[i]) && word.ptr[i] != '.')
            return false;
    return true;
}

static bool hex4(struct slice s, uint32_t *ret)
{
    uint32_t v = 0;

    if (s.len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = byte_lower(s.ptr[i]);

        if (byte_is_digit(c))
            v = v * 16 + (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return v > 0 && (v < 0xd800 || v > 0xdfff);
}

static void add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        (void)buf_push(out, (uint8_t)c);
    } else if (c < 0x800) {
        (void)buf_push(out, (uint8_t)(0xc0 | c >> 6));
        (void)buf_push(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        (void)buf_push(out, (uint8_t)(0xe0 | c >> 12));
        (void)buf_push(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        (void)buf_push(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* In the dialect a backslash is written twice, and \u0041 is a character. A single one before anything
 * else stays as it is, for so do paths that people paste. */
static void write_string(struct buf *out, struct slice s)
{
    uint8_t quote = s.ptr[0];

    (void)buf_push(out, '\'');
    for (size_t i = 1; i + 1 < s.len; i++) {
        uint32_t code;

        if (s.ptr[i] == '\\' && s.ptr[i + 1] == '\\' && i + 2 < s.len) {
            i++;
        } else if (s.ptr[i] == '\\' && s.ptr[i + 1] == 'u' && hex4(slice_from(s, i + 2), &code)) {
            if (code == '\'')
                (void)buf_push(out, '\'');
            add_utf8(out, code);
            i += 5;
            continue;
        } else if (s.ptr[i] == quote) {
            i++; /* doubled */
        }
        if (s.ptr[i] == '\'')
            (void)buf_push(out, '\'');
        (void)buf_push(out, s.ptr[i]);
    }
    (void)buf_push(out, '\'');
}

static int write_name(struct writer *w, const struct token *t)
{
    struct slice name = name_of(t);
    struct alias *alias = find_alias(w, name);
    int r = 0;

    if (!alias && t->kind == TOKEN_QUOTED && !has_column(w, name)) {
        write_string(w->out, t->text);
    } else if (!alias) {
        add_column(w, name);
    } else {
        alias->is_open = true;
        (void)buf_push(w->out, '(');
        r = write_range(w, alias->what);
        (void)buf_push(w->out, ')');
        alias->is_open = false;
    }
    return r;
}

/* Functions whose names mean something else to SQLite. */
static struct slice function_name(struct slice name)
{
    static const char *const other[][2] = {
        {"SUBSTR", "LP_SUBSTR"}, {"TRIM", "LP_TRIM"}, {"LTRIM", "LP_LTRIM"},
        {"RTRIM", "LP_RTRIM"},   {"ADD", "LP_ADD"},   {"TIMESTAMP", "TO_TIMESTAMP"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        if (slice_eq_case(name, slice_str(other[i][0])))
            return slice_str(other[i][1]);
    return name;
}

/* A name goes over as it stands, so it must not begin a comment: "a--b(". */
static int write_function(struct writer *w, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alpha(name.ptr[i]) && !byte_is_digit(name.ptr[i]) && name.ptr[i] != '_')
            return refuse(w, "'%.*s' is no name of a function", SLICE_FMT(name));
    (void)buf_add(w->out, function_name(name));
    return 0;
}

/* ---- PROPCOUNT and PROPSUM ---- */

struct share {
    const char *function; /* COUNT or SUM */
    struct range what;    /* arguments */
    struct range on;      /* empty: of all */
    size_t end;           /* the token after it */
};

static int read_share(struct writer *w, size_t at, struct range in, struct share *ret)
{
    size_t end = after_bracket(w, at + 1);

    *ret = (struct share){.function = is_word(token_at(w, at), "PROPSUM") ? "SUM" : "COUNT",
                          .what = {at + 2, end - 1},
                          .end = end};
    if (ret->what.begin < ret->what.end && is_word(token_at(w, ret->what.begin), "ALL"))
        ret->what.begin++;
    if (ret->what.begin >= ret->what.end || item_end(w, ret->what, ret->what.begin) < ret->what.end)
        return refuse(w, "%.*s takes one argument here", SLICE_FMT(token_at(w, at)->text));
    if (is_word(token_at(w, ret->what.begin), "DISTINCT"))
        return refuse(w, "%.*s with DISTINCT is not taken", SLICE_FMT(token_at(w, at)->text));
    if (end + 1 < in.end && is_word(token_at(w, end), "ON") && is_sign(token_at(w, end + 1), '(')) {
        ret->end = after_bracket(w, end + 1);
        ret->on = (struct range){end + 2, ret->end - 1};
    }
    return 0;
}

static int write_call(struct writer *w, const char *function, struct range what)
{
    int r;

    (void)buf_addf(w->out, "%s(", function);
    r = write_range(w, what);
    (void)buf_push(w->out, ')');
    return r;
}

/* Of the groups' own sums: a window over the whole result. HAVING takes groups out before a window sees
 * them, so with it the whole is counted by a query of its own. */
static int write_whole(struct writer *w, const struct share *s)
{
    bool is_window = !w->has[CLAUSE_HAVING];
    int r;

    (void)buf_add_str(w->out, is_window ? "SUM(" : "(SELECT ");
    r = write_call(w, s->function, s->what);
    if (r == 0 && is_window) {
        (void)buf_add_str(w->out, s->on.end ? ") OVER (PARTITION BY " : ") OVER (");
        r = write_range(w, s->on);
    } else if (r == 0) {
        (void)buf_add_str(w->out, w->has[CLAUSE_WHERE] ? " FROM logs WHERE " : " FROM logs");
        r = write_range(w, w->clauses[CLAUSE_WHERE]);
    }
    (void)buf_push(w->out, ')');
    return r;
}

static int write_share(struct writer *w, size_t *at, struct range in)
{
    struct share s;
    int r = read_share(w, *at, in, &s);

    if (r == 0 && s.on.end && w->has[CLAUSE_HAVING])
        r = refuse(w, "%.*s with ON is not taken together with HAVING",
                   SLICE_FMT(token_at(w, *at)->text));
    if (r < 0)
        return r;
    (void)buf_add_str(w->out, "(CAST(");
    r = write_call(w, s.function, s.what);
    (void)buf_add_str(w->out, " AS REAL) / ");
    if (r == 0)
        r = write_whole(w, &s);
    (void)buf_push(w->out, ')');
    *at = s.end;
    return r;
}

/* ---- token by token ---- */

static bool is_share(const struct writer *w, size_t at, struct range in)
{
    const struct token *t = token_at(w, at);

    return at + 1 < in.end && is_sign(token_at(w, at + 1), '(') &&
           (is_word(t, "PROPCOUNT") || is_word(t, "PROPSUM"));
}

static int write_word(struct writer *w, size_t at, struct range in)
{
    const struct token *t = token_at(w, at);
    bool is_call = at + 1 < in.end && is_sign(token_at(w, at + 1), '(');

    if (is_word(t, "ALL") || (is_word(t, "WITH") && !is_call))
        return is_word(t, "ALL") ? 0 : refuse(w, "WITH ROLLUP is not taken");
    if (is_word(t, "SYSTEM_TIMESTAMP") && !is_call) {
        (void)buf_add_str(w->out, "SYSTEM_TIMESTAMP()");
        return 0;
    }
    if (is_keyword(t->text) || is_number(t->text)) {
        (void)buf_add(w->out, t->text);
        return 0;
    }
    return is_call ? write_function(w, t->text) : write_name(w, t);
}

static int write_token(struct writer *w, size_t *at, struct range in, int depth)
{
    const struct token *t = token_at(w, *at);

    if (is_share(w, *at, in))
        return write_share(w, at, in);
    (*at)++;
    switch (t->kind) {
    case TOKEN_WORD:
        return write_word(w, *at - 1, in);
    case TOKEN_STRING:
        write_string(w->out, t->text);
        return 0;
    case TOKEN_QUOTED:
    case TOKEN_BRACKET:
        return write_name(w, t);
    case TOKEN_SIGN:
    default:
        if (depth > 0 && is_sign(t, ';')) /* IN (1; 2) */
            (void)buf_push(w->out, ',');
        else
            (void)buf_add(w->out, t->text);
        return 0;
    }
}

/* One blank between tokens, but none within brackets and before the bracket of a call. */
static bool wants_blank(const struct writer *w, size_t at, struct range in)
{
    struct slice before = buf_slice(w->out);
    const struct token *t = token_at(w, at);

    if (at == in.begin || is_sign(t, ')') || is_sign(t, ',') || is_sign(t, ';') ||
        is_word(t, "ALL"))
        return false;
    if (is_sign(t, '('))
        return is_keyword(token_at(w, at - 1)->text);
    return before.len > 0 && before.ptr[before.len - 1] != '(';
}

static int write_range(struct writer *w, struct range in)
{
    size_t at = in.begin;
    int depth = 0, r = 0;

    while (r == 0 && at < in.end) {
        if (wants_blank(w, at, in))
            (void)buf_push(w->out, ' ');
        depth += depth_change(token_at(w, at));
        r = write_token(w, &at, in, depth);
        if (buf_failed(w->out))
            return -E2BIG;
    }
    return r;
}

/* ---- the statement ---- */

/* TOP 5, DISTINCT and ALL, in any order: taken off the list. */
static int read_select_words(struct writer *w)
{
    struct range *list = &w->clauses[CLAUSE_SELECT];

    for (; list->begin < list->end; list->begin++) {
        const struct token *t = token_at(w, list->begin);

        if (is_word(t, "DISTINCT")) {
            w->is_distinct = true;
        } else if (is_word(t, "TOP")) {
            uint64_t n;

            if (list->begin + 1 >= list->end ||
                slice_to_u64(token_at(w, list->begin + 1)->text, INT32_MAX, &n) < 0)
                return refuse(w, "TOP: how many? TOP 10");
            w->top = token_at(w, ++list->begin)->text;
        } else if (!is_word(t, "ALL")) {
            break;
        }
    }
    return list->begin < list->end ? 0 : refuse(w, "SELECT what?");
}

/* The expression as typed, with single blanks where the tokens do not touch. */
static struct slice typed(const struct writer *w, struct range item)
{
    struct slice first = token_at(w, item.begin)->text, last = token_at(w, item.end - 1)->text;

    return slice_make(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

static int write_select(struct writer *w)
{
    struct range list = w->clauses[CLAUSE_SELECT];
    int r = 0;

    (void)buf_add_str(w->out, w->is_distinct ? "SELECT DISTINCT " : "SELECT ");
    for (size_t at = list.begin; r == 0 && at < list.end;) {
        struct range item = {at, item_end(w, list, at)};
        struct slice name = {0};
        struct alias *own = NULL;

        if (item.begin == item.end)
            return refuse(w, "SELECT: there is nothing between two commas");
        if (item.end + 1 == list.end)
            return refuse(w, "SELECT: there is nothing after the last comma");
        (void)buf_add_str(w->out, at > list.begin ? ", " : "");
        at = item.end + 1;
        if (take_alias(w, &item, &name))
            own = find_alias(w, name);
        if (own)
            own->is_open = true;
        r = write_range(w, item);
        if (own)
            own->is_open = false;
        if (item.end - item.begin == 1 && is_sign(token_at(w, item.begin), '*'))
            continue;
        (void)buf_add_str(w->out, " AS ");
        add_name(w->out, name.ptr                     ? name
                         : item.end - item.begin == 1 ? name_of(token_at(w, item.begin))
                                                      : typed(w, item));
    }
    return r;
}

/* One direction at the end is that of all terms. */
static int write_order(struct writer *w)
{
    struct range list = w->clauses[CLAUSE_ORDER];
    const struct token *last = token_at(w, list.end - 1);
    bool is_down = is_word(last, "DESC"), has_own = false;
    int r = 0;

    for (size_t i = list.begin; i + 1 < list.end; i++)
        has_own |= is_word(token_at(w, i), "ASC") || is_word(token_at(w, i), "DESC");
    if (!is_down || has_own)
        return write_range(w, list);
    list.end--;
    for (size_t at = list.begin; r == 0 && at < list.end;) {
        struct range item = {at, item_end(w, list, at)};

        if (item.begin == item.end)
            return refuse(w, "ORDER BY: there is nothing between two commas");
        (void)buf_add_str(w->out, at > list.begin ? ", " : "");
        r = write_range(w, item);
        (void)buf_add_str(w->out, " DESC");
        at = item.end + 1;
    }
    return r;
}

static int write_clause(struct writer *w, enum clause clause, const char *words)
{
    if (!w->has[clause])
        return 0;
    (void)buf_add_str(w->out, words);
    return clause == CLAUSE_ORDER ? write_order(w) : write_range(w, w->clauses[clause]);
}

static int write_dialect(struct writer *w)
{
    int r = find_clauses(w);

    if (r == 0)
        r = check_into(w);
    if (r == 0)
        r = read_select_words(w);
    if (r == 0)
        r = collect_aliases(w, w->clauses[CLAUSE_SELECT], false);
    if (r == 0 && w->has[CLAUSE_USING])
        r = collect_aliases(w, w->clauses[CLAUSE_USING], true);
    if (r == 0)
        r = write_select(w);
    (void)buf_add_str(w->out, " FROM logs");
    if (r == 0)
        r = write_clause(w, CLAUSE_WHERE, " WHERE ");
    if (r == 0)
        r = write_clause(w, CLAUSE_GROUP, " GROUP BY ");
    if (r == 0)
        r = write_clause(w, CLAUSE_HAVING, " HAVING ");
    if (r == 0)
        r = write_clause(w, CLAUSE_ORDER, " ORDER BY ");
    if (r == 0 && w->top.len > 0)
        (void)buf_addf(w->out, " LIMIT %.*s", SLICE_FMT(w->top));
    return r;
}

/* ---- SQLite's own ---- */

static bool is_plain_name_byte(uint8_t c)
{
    return byte_is_alpha(c) || byte_is_digit(c) || c == '_' || c >= 0x80;
}

/* "remote-endpoint" where the table has such a column: the end of the longest one from `at`. */
static size_t hyphened_end(const struct writer *w, struct slice text, size_t at)
{
    size_t end = at, found = at, parts = 0;

    while (end < text.len && is_plain_name_byte(text.ptr[end])) {
        while (end < text.len && is_plain_name_byte(text.ptr[end]))
            end++;
        if (++parts > 1 && has_column(w, slice_sub(text, at, end - at)))
            found = end;
        if (end + 1 >= text.len || text.ptr[end] != '-' || parts == 8)
            break;
        end++;
    }
    return found;
}

static size_t write_plain_word(struct writer *w, struct slice text, size_t at)
{
    size_t end = hyphened_end(w, text, at);

    if (end > at) {
        add_name(w->out, slice_sub(text, at, end - at));
        return end;
    }
    for (end = at; end < text.len && is_plain_name_byte(text.ptr[end]); end++)
        (void)buf_push(w->out, text.ptr[end]);
    return end;
}

static int write_plain(struct writer *w)
{
    struct slice text = slice_make(w->l->text, w->l->len);

    for (size_t at = 0; at < text.len;) {
        uint8_t c = text.ptr[at];
        size_t end = logparser_blank_end(text, at);

        if (end > at) {
            (void)buf_push(w->out, ' ');
        } else if (c == '[' || c == '"' || c == '\'') {
            end = logparser_quoted_end(text, at);
            if (end == SIZE_MAX)
                return refuse(w, "a %c is open to the end of the statement", c);
            if (c != '[')
                (void)buf_add(w->out, slice_sub(text, at, end - at));
            else
                add_name(w->out,
                         name_of(&(struct token){TOKEN_BRACKET, slice_sub(text, at, end - at)}));
        } else if (is_plain_name_byte(c)) {
            end = write_plain_word(w, text, at);
        } else {
            (void)buf_push(w->out, c);
            end = at + 1;
        }
        at = end;
    }
    return 0;
}

int logparser_translate(const struct logparser *l, const struct logparser_table *table,
                        struct buf *ret, struct buf *why)
{
    struct writer w = {.l = l, .table = table, .out = ret, .why = why};
    int r = l->is_dialect ? write_dialect(&w) : write_plain(&w);

    if (buf_failed(ret) || r == -E2BIG) {
        (void)buf_add_str(why, "the statement is too long once its aliases are put in");
        return -E2BIG;
    }
    return r;
}
