/* control/json_out.c - one comma rule, one escape rule. */
#include "control/json_out.h"

#include <inttypes.h>
#include <math.h>

#include "base/utf8.h"

void json_out_init(struct json_out *j, struct buf *to)
{
    *j = (struct json_out){.to = to};
}

static void add_escape(struct buf *to, uint8_t c)
{
    switch (c) {
    case '"':
        (void)buf_add(to, SLICE_LIT("\\\""));
        break;
    case '\\':
        (void)buf_add(to, SLICE_LIT("\\\\"));
        break;
    case '\n':
        (void)buf_add(to, SLICE_LIT("\\n"));
        break;
    case '\r':
        (void)buf_add(to, SLICE_LIT("\\r"));
        break;
    case '\t':
        (void)buf_add(to, SLICE_LIT("\\t"));
        break;
    default:
        (void)buf_addf(to, "\\u%04x", c);
    }
}

static void add_quoted(struct buf *to, struct slice text)
{
    size_t at = 0, run = 0;

    (void)buf_push(to, '"');
    while (at < text.len) {
        uint8_t c = text.ptr[at];
        size_t len = utf8_len(slice_from(text, at));

        if (len > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            at += len;
            continue;
        }
        (void)buf_add(to, slice_sub(text, run, at - run));
        if (len == 0)
            (void)buf_add(to, SLICE_LIT("\xef\xbf\xbd")); /* U+FFFD */
        else
            add_escape(to, c);
        run = ++at;
    }
    (void)buf_add(to, slice_from(text, run));
    (void)buf_push(to, '"');
}

static void begin_value(struct json_out *j, const char *key)
{
    if (j->needs_comma)
        (void)buf_push(j->to, ',');
    if (key) {
        add_quoted(j->to, slice_str(key));
        (void)buf_push(j->to, ':');
    }
    j->needs_comma = true;
}

static void open_with(struct json_out *j, const char *key, uint8_t bracket)
{
    begin_value(j, key);
    (void)buf_push(j->to, bracket);
    j->needs_comma = false;
}

static void close_with(struct json_out *j, uint8_t bracket)
{
    (void)buf_push(j->to, bracket);
    j->needs_comma = true;
}

void json_out_object(struct json_out *j, const char *key)
{
    open_with(j, key, '{');
}

void json_out_object_end(struct json_out *j)
{
    close_with(j, '}');
}

void json_out_array(struct json_out *j, const char *key)
{
    open_with(j, key, '[');
}

void json_out_array_end(struct json_out *j)
{
    close_with(j, ']');
}

void json_out_text(struct json_out *j, const char *key, struct slice text)
{
    begin_value(j, key);
    add_quoted(j->to, text);
}

void json_out_str(struct json_out *j, const char *key, const char *nul_ended)
{
    json_out_text(j, key, slice_str(nul_ended));
}

void json_out_int(struct json_out *j, const char *key, int64_t n)
{
    begin_value(j, key);
    (void)buf_addf(j->to, "%" PRId64, n);
}

void json_out_uint(struct json_out *j, const char *key, uint64_t n)
{
    begin_value(j, key);
    (void)buf_addf(j->to, "%" PRIu64, n);
}

void json_out_real(struct json_out *j, const char *key, double n)
{
    if (!isfinite(n)) {
        json_out_null(j, key);
        return;
    }
    begin_value(j, key);
    (void)buf_addf(j->to, "%.6g", n);
}

void json_out_number(struct json_out *j, const char *key, struct slice digits)
{
    begin_value(j, key);
    (void)buf_add(j->to, digits);
}

void json_out_bool(struct json_out *j, const char *key, bool value)
{
    begin_value(j, key);
    (void)buf_add_str(j->to, value ? "true" : "false");
}

void json_out_null(struct json_out *j, const char *key)
{
    begin_value(j, key);
    (void)buf_add(j->to, SLICE_LIT("null"));
}
