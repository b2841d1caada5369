/*
 * cli/suppress_text.c - entries of the suppression list as rows, JSON and sentences.
 */
#include <errno.h>
#include <jansson.h>

#include "base/id.h"
#include "cli/suppress_int.h"

const struct table_column suppress_columns[SUPPRESS_COLUMNS] = {
    {"ADDRESS", 48, false}, {"SINCE", 0, false},         {"KIND", 0, false},
    {"HOST", 40, false},    {"REPLY OR NOTE", 0, false},
};

int suppress_text_row(struct table *t, const struct suppression_view *v)
{
    char since[FORMAT_TEXT_MAX];
    int r = table_add(t, v->address);

    format_time(v->at_ms, since);
    if (r == 0)
        r = table_add(t, slice_str(since));
    if (r == 0)
        r = table_add(t, slice_str(suppression_kind_name(v->kind)));
    if (r == 0)
        r = table_add(t, v->host);
    if (r == 0)
        r = table_add(t, v->kind == SUPPRESSION_OPERATOR ? v->note : v->text);
    return r;
}

static json_t *text_json(struct slice text)
{
    struct buf clean = BUF_INIT(KIB(4));
    json_t *o;

    (void)format_harmless(&clean, text); /* which is UTF-8 then */
    o = json_stringn(buf_cstr(&clean), buf_len(&clean));
    if (!o)
        o = json_string("?");
    buf_done(&clean);
    return o;
}

int suppress_text_json(const struct suppression_view *v, FILE *to)
{
    struct buf enhanced = BUF_INIT(32);
    char id[ID_TEXT_MAX];
    json_t *o;
    int r = -ENOMEM;

    if (v->enhanced.klass)
        (void)buf_addf(&enhanced, "%u.%u.%u", v->enhanced.klass, v->enhanced.subject,
                       v->enhanced.detail);
    o = json_pack("{s:o, s:s, s:I, s:i, s:s, s:s, s:o, s:o, s:s%, s:o, s:o}", "address",
                  text_json(v->address), "kind", suppression_kind_name(v->kind), "at_ms",
                  (json_int_t)v->at_ms, "code", (int)v->code, "enhanced", buf_cstr(&enhanced),
                  "class", v->klass == REPLY_NONE ? "" : reply_class_name(v->klass), "reply",
                  text_json(v->text), "host", text_json(v->host), "id", id,
                  v->queue_id ? id_format(v->queue_id, id) : (size_t)0, "source",
                  text_json(v->source), "note", text_json(v->note));
    if (o)
        r = json_dumpf(o, to, JSON_COMPACT) < 0 || putc('\n', to) < 0 ? -EIO : 0;
    json_decref(o);
    buf_done(&enhanced);
    return r;
}

static void add_line(struct buf *to, const char *label, struct slice text)
{
    if (text.len == 0)
        return;
    (void)buf_addf(to, "  %-10s", label);
    (void)format_harmless(to, text);
    (void)buf_push(to, '\n');
}

void suppress_text_whole(const struct suppression_view *v, struct buf *to)
{
    char since[FORMAT_TEXT_MAX], id[ID_TEXT_MAX];

    format_time(v->at_ms, since);
    (void)format_harmless(to, v->address);
    (void)buf_addf(to, "\n  %-10s%s UTC\n", "since", since);
    add_line(to, "put by",
             v->kind == SUPPRESSION_OPERATOR ? SLICE_LIT("the operator")
                                             : SLICE_LIT("a host's permanent reply"));
    add_line(to, "note", v->note);
    add_line(to, "reply", v->text);
    add_line(to, "class", slice_str(v->klass == REPLY_NONE ? "" : reply_class_name(v->klass)));
    add_line(to, "host", v->host);
    if (v->queue_id)
        add_line(to, "message", slice_make(id, id_format(v->queue_id, id)));
    add_line(to, "source", v->source);
    (void)buf_addf(to, "  %-10s", "effect");
    (void)buf_add_str(to, "mail to it is returned without being tried: ");
    suppression_reason(v, to);
    (void)buf_push(to, '\n');
}
