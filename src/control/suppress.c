/*
 * control/suppress.c - see suppress_int.h. A request is bounded by CONTROL_BODY_MAX, so its work is.
 */
#include "control/suppress_int.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "control/json_out.h"
#include "deliver/queue.h"
#include "evidence/suppression_csv.h"

struct acting {
    struct queue *q;
    int64_t now_ms;
    uint64_t added, replaced, already, removed;
    struct json_out out; /* within the array "refused" */
};

static void refuse(struct acting *a, struct slice address, const char *sentence)
{
    json_out_object(&a->out, NULL);
    json_out_text(&a->out, "address", address);
    json_out_str(&a->out, "why", sentence);
    json_out_object_end(&a->out);
}

/* 0 or -ENOMEM. */
static int put(struct acting *a, struct suppression *s)
{
    enum suppressions_added added;
    int r = queue_suppress(a->q, s, &added);

    if (r == -ENOBUFS) {
        refuse(a, suppression_get(s)->address,
               "the list is full: it has suppression.entries_max entries, all of them the "
               "operator's; allow more, or remove some");
        return 0;
    }
    if (r < 0)
        return r;
    a->added += added == SUPPRESSIONS_ADDED;
    a->replaced += added == SUPPRESSIONS_REPLACED;
    a->already += added == SUPPRESSIONS_ALREADY;
    return 0;
}

static int add(struct acting *a, struct slice address, struct slice note)
{
    struct suppression *s;
    const char *why;
    int r = suppression_by_operator(&s, address, note, a->now_ms, &why);

    if (r == -EINVAL) {
        refuse(a, address, why);
        return 0;
    }
    if (r < 0)
        return r;
    r = put(a, s);
    suppression_unref(&s);
    return r;
}

static int take_off(struct acting *a, struct slice address)
{
    uint8_t canonical[SUPPRESSION_ADDRESS_MAX];
    const char *why;
    size_t len;
    int r;

    if (suppression_address(address, canonical, &len, &why) < 0) {
        refuse(a, address, why);
        return 0;
    }
    r = queue_unsuppress(a->q, slice_make(canonical, len));
    if (r == -ENOENT) {
        refuse(a, address, "it is not on the list");
        return 0;
    }
    a->removed += r == 0;
    return r;
}

static int import_line(struct acting *a, struct suppression_csv *csv, struct slice line)
{
    struct buf wrong = BUF_INIT(KIB(8));
    struct suppression_view v;
    struct suppression *s;
    const char *why = NULL;
    int r = suppression_csv_read(csv, line, &v, &wrong);

    if (r == 1) {
        if (v.at_ms == 0)
            v.at_ms = a->now_ms;
        r = suppression_restore(&s, &v, &why);
        if (r == 0) {
            r = put(a, s);
            suppression_unref(&s);
        }
    }
    if (r == -EINVAL) {
        refuse(a, slice_sub(line, 0, 256), why ? why : buf_cstr(&wrong));
        r = 0;
    }
    buf_done(&wrong);
    return r;
}

static int import(struct acting *a, struct slice text)
{
    static struct suppression_csv csv;
    int r = 0;

    memset(&csv, 0, sizeof(csv));
    while (r == 0 && text.len > 0) {
        ptrdiff_t end = slice_find(text, '\n');
        size_t len = end < 0 ? text.len : (size_t)end + 1;

        r = import_line(a, &csv, slice_sub(text, 0, len));
        text = slice_from(text, len);
    }
    return r;
}

static struct slice text_of(const json_t *value)
{
    return slice_make(json_string_value(value), json_string_length(value));
}

static bool are_texts(const json_t *addresses)
{
    for (size_t i = 0; i < json_array_size(addresses); i++)
        if (!json_is_string(json_array_get(addresses, i)))
            return false;
    return json_array_size(addresses) > 0;
}

/* 0; -EINVAL with a sentence; -ENOMEM. */
static int act(struct acting *a, const json_t *body, struct buf *why)
{
    const char *action = json_string_value(json_object_get(body, "action"));
    const json_t *addresses = json_object_get(body, "addresses");
    const json_t *csv = json_object_get(body, "csv"), *note = json_object_get(body, "note");
    bool is_add = action && strcmp(action, "add") == 0;
    int r = 0;

    if (action && strcmp(action, "import") == 0) {
        if (json_is_string(csv))
            return import(a, text_of(csv));
        (void)buf_add_str(why, "csv: it must be a text of whole lines.");
        return -EINVAL;
    }
    if (!is_add && (!action || strcmp(action, "remove") != 0)) {
        (void)buf_addf(why, "action '%s': allowed are add, remove and import.",
                       action ? action : "");
        return -EINVAL;
    }
    if (!are_texts(addresses)) {
        (void)buf_add_str(why, "addresses: it must be an array with one text or more.");
        return -EINVAL;
    }
    for (size_t i = 0; r == 0 && i < json_array_size(addresses); i++) {
        struct slice address = text_of(json_array_get(addresses, i));

        r = is_add ? add(a, address, text_of(note)) : take_off(a, address);
    }
    return r;
}

int act_on_suppressions(struct queue *q, struct slice body, int64_t now_ms, struct buf *to,
                        struct buf *why)
{
    struct acting a = {.q = q, .now_ms = now_ms};
    json_error_t error;
    json_t *o = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
    int r;

    if (!o) {
        (void)buf_addf(why, "The body is not JSON: line %d: %s.", error.line, error.text);
        return -EINVAL;
    }
    json_out_init(&a.out, to);
    json_out_object(&a.out, NULL);
    json_out_array(&a.out, "refused");
    r = act(&a, o, why);
    json_out_array_end(&a.out);
    json_out_uint(&a.out, "added", a.added);
    json_out_uint(&a.out, "replaced", a.replaced);
    json_out_uint(&a.out, "already", a.already);
    json_out_uint(&a.out, "removed", a.removed);
    json_out_object_end(&a.out);
    json_decref(o);
    return r;
}
