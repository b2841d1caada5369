/*
 * logscan/query_filter.c - LIKE in the forms that people write compared as bytes, the others by SQLite itself.
 */
#include "logscan/query_filter.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX KIB(1) /* longer ones are left to SQLite */

static bool is_wild(char c)
{
    return c == '%' || c == '_';
}

/* The longest run without wildcards. */
static void find_literal(struct query_condition *c)
{
    for (size_t i = 0; i < c->len;) {
        size_t end = i;

        while (end < c->len && !is_wild(c->text[end]))
            end++;
        if (end - i > c->literal_len) {
            c->literal = i;
            c->literal_len = end - i;
        }
        i = end + (end == i);
    }
    c->is_begin = c->literal_len > 0 && c->literal == 0;
}

static void read_pattern(struct query_condition *c)
{
    size_t after;

    find_literal(c);
    after = c->literal + c->literal_len;
    c->is_simple = c->literal_len > 0 &&
                   (c->literal == 0 || (c->literal == 1 && c->text[0] == '%')) &&
                   after + 1 == c->len && c->text[after] == '%';
}

int query_condition_init(struct query_condition *c, int column, enum query_op op, struct slice text)
{
    *c = (struct query_condition){.column = column, .op = op, .len = text.len};
    c->text = calloc(1, text.len + 1);
    if (!c->text)
        return -ENOMEM;
    if (text.len > 0)
        memcpy(c->text, text.ptr, text.len);
    if (op == QUERY_LIKE) {
        read_pattern(c);
    } else if (op == QUERY_EQ) {
        c->literal_len = text.len;
        c->is_begin = true;
    }
    return 0;
}

void query_condition_done(struct query_condition *c)
{
    free(c->text);
    *c = (struct query_condition){0};
}

struct slice query_condition_literal(const struct query_condition *c)
{
    return slice_make(c->text + c->literal, c->literal_len);
}

static bool has_literal(struct slice value, struct slice literal)
{
    for (size_t i = 0; i + literal.len <= value.len; i++)
        if (byte_lower(value.ptr[i]) == byte_lower(literal.ptr[0]) &&
            slice_has_prefix_case(slice_from(value, i), literal))
            return true;
    return false;
}

static bool is_like(const struct query_condition *c, struct slice value)
{
    char text[VALUE_MAX];

    if (c->is_simple)
        return c->is_begin ? slice_has_prefix_case(value, query_condition_literal(c))
                           : has_literal(value, query_condition_literal(c));
    if (value.len >= sizeof(text) || (value.len > 0 && memchr(value.ptr, 0, value.len)))
        return true;
    if (value.len > 0)
        memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    return sqlite3_strlike(c->text, text, 0) == 0;
}

static int compare(struct slice a, struct slice b)
{
    size_t n = MIN_OF(a.len, b.len);
    int d = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

    return d != 0 ? d : a.len < b.len ? -1 : a.len > b.len;
}

bool query_condition_takes(const struct query_condition *c, struct slice value)
{
    int d;

    if (c->op == QUERY_LIKE)
        return is_like(c, value);
    d = compare(value, slice_make(c->text, c->len));
    switch (c->op) {
    case QUERY_GT:
        return d > 0;
    case QUERY_GE:
        return d >= 0;
    case QUERY_LT:
        return d < 0;
    case QUERY_LE:
        return d <= 0;
    case QUERY_EQ:
    case QUERY_LIKE:
    default:
        return d == 0;
    }
}
