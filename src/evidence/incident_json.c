/*
 * evidence/incident_json.c - an incident as a JSON object, and back. Texts come from remote hosts:
 * bytes that are no UTF-8 become '?'.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "evidence/incident.h"

static json_t *text_json(const char *text)
{
    char clean[INCIDENT_ITEM_MAX];
    size_t n = strlen(text);

    memcpy(clean, text, n + 1);
    while (!utf8_is_valid(slice_make(clean, n)))
        for (size_t i = 0; i < n; i++)
            clean[i] = (clean[i] & 0x80) ? '?' : clean[i];
    return json_stringn(clean, n);
}

static json_t *list_json(const struct incident_list *l)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < l->used; i++) {
        const struct incident_item *item = &l->items[i];

        ignore_result(json_array_append_new(
            list,
            json_pack("{s:o, s:I, s:I, s:I, s:I}", "text", text_json(item->text), "refused",
                      (json_int_t)item->count, "attempts", (json_int_t)item->attempts, "first",
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

    for (uint32_t n = 0; n < i->sample_count; n++)
        ignore_result(json_array_append_new(list, json_integer((json_int_t)i->samples[n])));
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
        ignore_result(json_array_append_new(reasons, json_string(v->reasons[n])));
    return json_pack("{s:s, s:o, s:s}", "side", verdict_side_name(v->side), "reasons", reasons,
                     "missing", v->missing);
}

int incident_encode(const struct incident *i, struct buf *to)
{
    json_t *o = json_pack(
        "{s:I, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, "
        "s:o}",
        "id", (json_int_t)i->id, "lane", text_json(i->lane), "provider", text_json(i->provider),
        "kind", i->kind, "first", (json_int_t)i->first_ms, "last", (json_int_t)i->last_ms, "opened",
        (json_int_t)i->opened_ms, "closed", (json_int_t)i->closed_ms, "peak_share", i->peak_share,
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

static void take_list(const json_t *o, const char *key, struct incident_list *l)
{
    const json_t *list = json_object_get(o, key), *items = json_object_get(list, "items");
    size_t count = MIN_OF(json_array_size(items), (size_t)INCIDENT_LIST_MAX);

    for (size_t n = 0; n < count; n++) {
        const json_t *item = json_array_get(items, n);

        take_text(item, "text", l->items[n].text, sizeof(l->items[n].text));
        l->items[n].count = (uint64_t)take_number(item, "refused");
        l->items[n].attempts = (uint64_t)take_number(item, "attempts");
        l->items[n].first_ms = take_number(item, "first");
        l->items[n].last_ms = take_number(item, "last");
    }
    l->used = (uint32_t)count;
    l->others = (uint64_t)take_number(list, "others");
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
    i->sample_count = (uint32_t)MIN_OF(json_array_size(list), (size_t)INCIDENT_SAMPLES_MAX);
    for (uint32_t n = 0; n < i->sample_count; n++)
        i->samples[n] = (uint64_t)json_integer_value(json_array_get(list, n));
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
    *ret = (struct incident){.id = (uint64_t)take_number(o, "id"),
                             .first_ms = take_number(o, "first"),
                             .last_ms = take_number(o, "last"),
                             .opened_ms = take_number(o, "opened"),
                             .closed_ms = take_number(o, "closed"),
                             .peak_share = json_number_value(json_object_get(o, "peak_share")),
                             .refused_by_ours = (uint64_t)take_number(o, "refused_by_ours"),
                             .refused_without_reply =
                                 (uint64_t)take_number(o, "refused_without_reply")};
    take_text(o, "lane", ret->lane, sizeof(ret->lane));
    take_text(o, "provider", ret->provider, sizeof(ret->provider));
    take_text(o, "kind", ret->kind, sizeof(ret->kind));
#define TAKE(field, name)                                                                          \
    ret->counts.field = (uint32_t)take_number(json_object_get(o, "counts"), name);
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
