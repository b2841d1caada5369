/*
 * evidence/incident_json.c - an incident as a JSON object, and back. Texts come from remote hosts:
 * bytes that are no UTF-8, and controls, become '?'. Queue ids are texts, as people see them.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/id.h"
#include "base/utf8.h"
#include "evidence/incident.h"

static json_t *text_json(const char *text)
{
    char clean[INCIDENT_ITEM_MAX];
    struct slice left = slice_str(text);
    size_t n = 0;

    while (left.len && n < sizeof(clean)) {
        size_t len = utf8_len(left);

        if (len == 0 || left.ptr[0] < ' ' || left.ptr[0] == 0x7f) {
            clean[n++] = '?';
            len = 1;
        } else if (n + len <= sizeof(clean)) {
            memcpy(clean + n, left.ptr, len);
            n += len;
        } else {
            break;
        }
        left = slice_from(left, len);
    }
    return json_stringn(clean, n);
}
_Static_assert(VERDICT_REASON_MAX <= INCIDENT_ITEM_MAX, "text_json() holds any of the texts");

static json_t *list_json(const struct incident_list *l)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < l->used; i++) {
        const struct incident_item *item = &l->items[i];

        ignore_result(json_array_append_new(
            list,
            json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "text", text_json(item->text), "refused",
                      (json_int_t)incident_item_refusals(item), "inherited",
                      (json_int_t)item->inherited, "attempts", (json_int_t)item->attempts, "first",
                      (json_int_t)item->first_ms, "last", (json_int_t)item->last_ms)));
    }
    return json_pack("{s:o, s:I}", "items", list, "others", (json_int_t)l->others);
}

static json_t *changes_json(const struct incident *i)
{
    json_t *list = json_array();

    for (uint32_t n = 0; n < i->change_count; n++)
        ignore_result(json_array_append_new(list, json_pack("{s:I, s:o}", "at",
                                                            (json_int_t)i->changes[n].at_ms, "what",
                                                            text_json(i->changes[n].text))));
    return list;
}

static json_t *samples_json(const struct incident *i)
{
    json_t *list = json_array();

    for (uint32_t n = 0; n < i->sample_count; n++) {
        char id[ID_TEXT_MAX];

        (void)id_format(i->samples[n], id);
        ignore_result(json_array_append_new(list, json_string(id)));
    }
    return list;
}

static json_t *counts_json(const struct window_counts *c)
{
    json_t *o = json_object();

#define SET(field, name) ignore_result(json_object_set_new(o, name, json_integer(c->field)));
    WINDOW_COUNTS(SET)
#undef SET
    return o;
}

static json_t *verdict_json(const struct verdict *v)
{
    json_t *reasons = json_array();

    for (uint32_t n = 0; n < v->reason_count; n++)
        ignore_result(json_array_append_new(reasons, text_json(v->reasons[n])));
    return json_pack("{s:s, s:o, s:o}", "side", verdict_side_name(v->side), "reasons", reasons,
                     "missing", text_json(v->missing));
}

int incident_encode(const struct incident *i, struct buf *to)
{
    json_t *o = json_pack(
        "{s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o}",
        "id", (json_int_t)i->id, "lane", text_json(i->lane), "provider", text_json(i->provider),
        "kind", text_json(i->kind), "first", (json_int_t)i->first_ms, "last",
        (json_int_t)i->last_ms, "opened", (json_int_t)i->opened_ms, "closed",
        (json_int_t)i->closed_ms, "peak_share", i->peak_share, "refusals", (json_int_t)i->refusals,
        "refused_by_ours", (json_int_t)i->refused_by_ours, "refused_without_reply",
        (json_int_t)i->refused_without_reply, "counts", counts_json(&i->counts), "sources",
        list_json(&i->sources), "domains", list_json(&i->domains), "hosts", list_json(&i->hosts),
        "texts", list_json(&i->texts), "changes", changes_json(i), "samples", samples_json(i),
        "verdict", verdict_json(&i->verdict));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    int r = text ? buf_add_str(to, text) : -ENOMEM;

    free(text);
    json_decref(o);
    return r;
}

/* ---- back ---- */

static void take_text(const json_t *o, const char *key, char *to, size_t room)
{
    const char *text = json_string_value(json_object_get(o, key));

    (void)snprintf(to, room, "%s", text ? text : "");
}

static int64_t take_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* Nothing that is counted is negative. */
static uint64_t take_count(const json_t *o, const char *key)
{
    return (uint64_t)MAX_OF(take_number(o, key), (int64_t)0);
}

static void take_list(const json_t *o, const char *key, struct incident_list *l)
{
    const json_t *list = json_object_get(o, key), *items = json_object_get(list, "items");
    size_t count = MIN_OF(json_array_size(items), (size_t)INCIDENT_LIST_MAX);

    for (size_t n = 0; n < count; n++) {
        const json_t *item = json_array_get(items, n);

        take_text(item, "text", l->items[n].text, sizeof(l->items[n].text));
        l->items[n].inherited = take_count(item, "inherited");
        l->items[n].count = take_count(item, "refused") + l->items[n].inherited;
        l->items[n].attempts = take_count(item, "attempts");
        l->items[n].first_ms = take_number(item, "first");
        l->items[n].last_ms = take_number(item, "last");
    }
    l->used = (uint32_t)count;
    l->others = take_count(list, "others");
}

static void take_changes(const json_t *list, struct incident *i)
{
    i->change_count = (uint32_t)MIN_OF(json_array_size(list), (size_t)INCIDENT_CHANGES_MAX);
    for (uint32_t n = 0; n < i->change_count; n++) {
        i->changes[n].at_ms = take_number(json_array_get(list, n), "at");
        take_text(json_array_get(list, n), "what", i->changes[n].text, sizeof(i->changes[n].text));
    }
}

static void take_samples(const json_t *list, struct incident *i)
{
    size_t count = MIN_OF(json_array_size(list), (size_t)INCIDENT_SAMPLES_MAX);

    for (size_t n = 0; n < count; n++)
        if (id_parse(slice_str(json_string_value(json_array_get(list, n))),
                     &i->samples[i->sample_count]) == 0)
            i->sample_count++;
}

static void take_verdict(const json_t *o, struct verdict *v)
{
    const char *side = json_string_value(json_object_get(o, "side"));
    const json_t *reasons = json_object_get(o, "reasons");

    v->side = VERDICT_UNDECIDED;
    for (int s = VERDICT_UNDECIDED; side && s <= VERDICT_OURS; s++)
        if (strcmp(side, verdict_side_name((enum verdict_side)s)) == 0)
            v->side = (enum verdict_side)s;
    v->reason_count = (uint32_t)MIN_OF(json_array_size(reasons), (size_t)VERDICT_REASONS_MAX);
    for (uint32_t n = 0; n < v->reason_count; n++) {
        const char *text = json_string_value(json_array_get(reasons, n));

        (void)snprintf(v->reasons[n], sizeof(v->reasons[n]), "%s", text ? text : "");
    }
    take_text(o, "missing", v->missing, sizeof(v->missing));
}

int incident_decode(struct slice json, struct incident *ret)
{
    json_error_t error;
    json_t *o = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(o)) {
        json_decref(o);
        return -ERR_DAMAGED;
    }
    *ret = (struct incident){.id = take_count(o, "id"),
                             .first_ms = take_number(o, "first"),
                             .last_ms = take_number(o, "last"),
                             .opened_ms = take_number(o, "opened"),
                             .closed_ms = take_number(o, "closed"),
                             .peak_share = json_number_value(json_object_get(o, "peak_share")),
                             .refusals = take_count(o, "refusals"),
                             .refused_by_ours = take_count(o, "refused_by_ours"),
                             .refused_without_reply = take_count(o, "refused_without_reply")};
    take_text(o, "lane", ret->lane, sizeof(ret->lane));
    take_text(o, "provider", ret->provider, sizeof(ret->provider));
    take_text(o, "kind", ret->kind, sizeof(ret->kind));
#define TAKE(field, name)                                                                          \
    ret->counts.field =                                                                            \
        (uint32_t)MIN_OF(take_count(json_object_get(o, "counts"), name), (uint64_t)UINT32_MAX);
    WINDOW_COUNTS(TAKE)
#undef TAKE
    take_list(o, "sources", &ret->sources);
    take_list(o, "domains", &ret->domains);
    take_list(o, "hosts", &ret->hosts);
    take_list(o, "texts", &ret->texts);
    take_changes(json_object_get(o, "changes"), ret);
    take_samples(json_object_get(o, "samples"), ret);
    take_verdict(json_object_get(o, "verdict"), &ret->verdict);
    json_decref(o);
    return 0;
}
