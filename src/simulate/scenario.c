#include "simulate/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/value.h"
#include "config/yaml.h"
#include "evidence/data_file.h"
#include "evidence/replies.h"

#define NAME_MAX_BYTES 100
#define S_DAY_MS ((uint64_t)86400 * 1000)
#define DAYS_MAX 30

/* ---- fields ---- */

#define IN(type, field) UNIT_NONE, offsetof(type, field), sizeof(((type *)NULL)->field)
#define MS(type, field) UNIT_MS, offsetof(type, field), sizeof(((type *)NULL)->field)
#define RANGE(low, high) .min = (low), .max = (high)
#define RANGE_TIME RANGE(0, DAYS_MAX *S_DAY_MS)
#define SHARE_ALL 1000000 /* 100 % in the ten-thousandths of a percent of VALUE_SHARE */

static const struct setting provider_fields[] = {
    {"name", VALUE_NAME, IN(struct scenario_provider, name), .required = true},
    {"domains", VALUE_NUMBER, IN(struct scenario_provider, domains), .def = "1", RANGE(1, 5000000)},
    {"connections", VALUE_NUMBER, IN(struct scenario_provider, connections), .def = "1000",
     RANGE(1, 1000000)},
    {"rate", VALUE_RATE, IN(struct scenario_provider, rate), .required = true, RANGE(1, 1000000)},
    {"latency", VALUE_DURATION, MS(struct scenario_provider, latency_ms), .def = "200ms",
     RANGE(1, 20000)},
    {"refusals", VALUE_SHARE, IN(struct scenario_provider, refusals), .def = "0%",
     RANGE(0, SHARE_ALL)},
    {"unknown_mailboxes", VALUE_SHARE, IN(struct scenario_provider, unknown_mailboxes), .def = "0%",
     RANGE(0, SHARE_ALL)},
    {"greylist", VALUE_DURATION, MS(struct scenario_provider, greylist_ms), .def = "0",
     RANGE(0, S_DAY_MS)},
    {"limit", VALUE_RATE, IN(struct scenario_provider, limit), .def = "0", RANGE(0, 1000000)},
    {"capacity_reply", VALUE_TEXT, IN(struct scenario_provider, capacity_reply),
     .def = "452 4.3.1 Insufficient system resources"},
    {"ours", VALUE_BOOL, IN(struct scenario_provider, is_ours), .def = "no"},
    {"separate", VALUE_BOOL, IN(struct scenario_provider, is_separate), .def = "no"},
    {"dead", VALUE_SHARE, IN(struct scenario_provider, dead), .def = "0%", RANGE(0, SHARE_ALL)},
};
static const struct setting traffic_fields[] = {
    {"provider", VALUE_NAME, IN(struct scenario_traffic, provider), .required = true},
    {"rate", VALUE_RATE, IN(struct scenario_traffic, rate), .def = "0", RANGE(0, 1000000)},
    {"from", VALUE_DURATION, MS(struct scenario_traffic, from_ms), .def = "0", RANGE_TIME},
    {"for", VALUE_DURATION, MS(struct scenario_traffic, for_ms), .def = "0", RANGE_TIME},
    {"wave", VALUE_SHARE, IN(struct scenario_traffic, wave), .def = "0%", RANGE(0, SHARE_ALL)},
    {"burst", VALUE_NUMBER, IN(struct scenario_traffic, burst), .def = "0", RANGE(0, 5000000)},
};
static const struct setting event_fields[] = {
    {"provider", VALUE_PATTERN, IN(struct scenario_event, provider), .required = true},
    {"at", VALUE_DURATION, MS(struct scenario_event, at_ms), .def = "0", RANGE_TIME},
    {"for", VALUE_DURATION, MS(struct scenario_event, for_ms), .required = true,
     RANGE(1, DAYS_MAX *S_DAY_MS)},
    {"ramp", VALUE_DURATION, MS(struct scenario_event, ramp_ms), .def = "0", RANGE_TIME},
    {"every", VALUE_DURATION, MS(struct scenario_event, every_ms), .def = "0", RANGE_TIME},
    {"times", VALUE_NUMBER, IN(struct scenario_event, times), .def = "1", RANGE(1, 10000)},
    {"capacity", VALUE_SHARE, IN(struct scenario_event, capacity), .def = "0%",
     RANGE(0, SHARE_ALL)},
};
static const struct setting source_fields[] = {
    {"name", VALUE_NAME, IN(struct scenario_source, name), .required = true},
    {"warm_up", VALUE_COUNTS, IN(struct scenario_source, warm_up), RANGE(1, 1000000000)},
};
static const struct setting scenario_fields[] = {
    {"title", VALUE_TEXT, IN(struct scenario, title), .required = true},
    {"duration", VALUE_DURATION, MS(struct scenario, duration_ms), .required = true,
     RANGE(1000, DAYS_MAX *S_DAY_MS)},
    {"connections", VALUE_NUMBER, IN(struct scenario, connections), .def = "20", RANGE(1, 10000)},
    {"nodes", VALUE_NUMBER, IN(struct scenario, nodes), .def = "1", RANGE(1, SCENARIO_NODES_MAX)},
};

struct fields { /* of a map, and where they go */
    const struct setting *list;
    size_t count;
    void *base;
};

static void read_text(struct data_file *f, const struct setting *s, struct place at,
                      struct slice text, void *base)
{
    struct buf allowed = BUF_INIT(KIB(1)), detail = BUF_INIT(KIB(1));
    int r = value_parse(s, text, base, f->pool, &detail);

    if (r == -ENOMEM) {
        f->errors->no_memory = true;
    } else if (r < 0) {
        value_allowed(s, &allowed);
        error_at(f->errors, at, "key '%s': value '%.*s': allowed: %s", s->name,
                 SLICE_FMT(slice_sub(text, 0, NAME_MAX_BYTES)), buf_cstr(&allowed));
    }
    buf_done(&allowed);
    buf_done(&detail);
}

struct item_target {
    const struct setting *setting;
    void *base;
};

static void read_item(struct data_file *f, struct place at, struct slice text, void *to)
{
    const struct item_target *t = to;

    read_text(f, t->setting, at, text, t->base);
}

static void read_field(struct data_file *f, const struct node *n, void *to)
{
    const struct fields *fields = to;
    const struct setting *s = fields->list;
    struct item_target target;

    while (!slice_eq(n->key, slice_str(s->name)))
        s++; /* data_read_map() calls for known keys only */
    target = (struct item_target){s, fields->base};
    if (value_is_list(s))
        data_each(f, n, s->name, true, CONFIG_WARM_UP_MAX, read_item, &target);
    else if (n->kind != NODE_SCALAR || n->is_null)
        error_at(f->errors, n->place, "key '%s': allowed: one value", s->name);
    else
        read_text(f, s, n->place, n->text, fields->base);
}

static void set_defaults(struct data_file *f, const struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].def)
            read_text(f, &fields->list[i], (struct place){0}, slice_str(fields->list[i].def),
                      fields->base);
}

#define KEYS_MAX 24

/* Reads one map into a struct; `more` are keys with readers of their own. */
static void read_struct(struct data_file *f, const struct node *map, const char *what,
                        const struct fields *fields)
{
    struct data_key keys[KEYS_MAX] = {{0}};
    struct fields copy = *fields;

    ASSERT(fields->count < KEYS_MAX);
    for (size_t i = 0; i < fields->count; i++)
        keys[i] = (struct data_key){fields->list[i].name, read_field};
    set_defaults(f, fields);
    data_read_map(f, map, what, keys, &copy);
    for (size_t i = 0; map->kind == NODE_MAP && i < fields->count; i++)
        if (fields->list[i].required && !node_get(map, slice_str(fields->list[i].name)))
            error_at(f->errors, map->place, "%s: key '%s' is missing", what, fields->list[i].name);
}

/* ---- lists ---- */

struct list_of {
    const char *key, *what;
    const struct setting *list;
    size_t count, element_size, max;
};

static void *read_list(struct data_file *f, const struct node *root, const struct list_of *l,
                       size_t *ret_count)
{
    const struct node *value = node_get(root, slice_str(l->key));
    char *elements;
    size_t i = 0;

    if (!value || !data_is_list(f, value, l->key, l->max) || value->count == 0)
        return NULL;
    elements = pool_alloc(f->pool, value->count * l->element_size);
    if (!elements) {
        f->errors->no_memory = true;
        return NULL;
    }
    for (const struct node *n = value->first; n; n = n->next, i++) {
        struct fields fields = {l->list, l->count, elements + i * l->element_size};

        read_struct(f, n, l->what, &fields);
    }
    *ret_count = value->count;
    return elements;
}

#define LIST_OF(key, what, fields, type, max)                                                      \
    (&(const struct list_of){key, what, fields, ARRAY_SIZE(fields), sizeof(type), max})

/* ---- the whole ---- */

/* Where the value of a key in the i-th element of a list stands. */
static struct place place_in(const struct node *root, const char *list, size_t i, const char *key)
{
    const struct node *n = node_get(root, slice_str(list)), *value;

    for (n = n ? n->first : NULL; n && i > 0; i--)
        n = n->next;
    value = n && n->kind == NODE_MAP ? node_get(n, slice_str(key)) : NULL;
    return value ? value->place : n ? n->place : (struct place){0};
}

static uint32_t find_provider(const struct scenario *s, const char *name)
{
    for (uint32_t i = 0; name && i < s->provider_count; i++)
        if (s->providers[i].name && strcmp(s->providers[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

static void check_replies(struct data_file *f, const struct node *root, const struct scenario *s)
{
    struct reply_facts facts;

    for (size_t i = 0; i < s->provider_count; i++) {
        struct slice text = slice_str(s->providers[i].capacity_reply);

        if (text.len && (!reply_facts_parse(text, &facts) || facts.code < 400 || facts.code > 499))
            error_at(f->errors, place_in(root, "providers", i, "capacity_reply"),
                     "'%.*s' is no reply of 4xx, as in '452 4.3.1 Insufficient system resources'",
                     SLICE_FMT(text));
    }
}

static void check_providers(struct data_file *f, const struct node *root, struct scenario *s)
{
    for (size_t i = 0; i < s->provider_count; i++)
        if (s->providers[i].name && find_provider(s, s->providers[i].name) != i)
            error_at(f->errors, place_in(root, "providers", i, "name"),
                     "there are two providers '%s'", s->providers[i].name);
    for (size_t i = 0; i < s->traffic_count; i++) {
        s->traffic[i].index = find_provider(s, s->traffic[i].provider);
        if (s->traffic[i].index == UINT32_MAX && s->traffic[i].provider)
            error_at(f->errors, place_in(root, "traffic", i, "provider"),
                     "there is no provider '%s'", s->traffic[i].provider);
    }
    for (size_t i = 0; i < s->event_count; i++) {
        struct scenario_event *e = &s->events[i];

        e->index = find_provider(s, e->provider);
        if (e->index == UINT32_MAX && e->provider && strcmp(e->provider, "*") != 0)
            error_at(f->errors, place_in(root, "events", i, "provider"),
                     "there is no provider '%s'", e->provider);
        if (e->times > 1 && e->every_ms < e->for_ms)
            error_at(f->errors, place_in(root, "events", i, "every"),
                     "key 'every' must be 'for' or longer where 'times' is above 1");
    }
}

static void read_root(struct data_file *f, const struct node *root, struct scenario *s)
{
    /* The lists are read below; the top map's reader only needs to know their names. */
    static const char *const lists[] = {"providers", "traffic", "events", "sources"};
    struct node top = *root;
    struct fields fields = {scenario_fields, ARRAY_SIZE(scenario_fields), s};

    if (root->kind != NODE_MAP) {
        error_at(f->errors, root->place, "a scenario must be a map of keys and values");
        return;
    }
    s->providers = read_list(f, root,
                             LIST_OF("providers", "a provider", provider_fields,
                                     struct scenario_provider, SCENARIO_PROVIDERS_MAX),
                             &s->provider_count);
    s->traffic = read_list(f, root,
                           LIST_OF("traffic", "an entry of traffic", traffic_fields,
                                   struct scenario_traffic, SCENARIO_TRAFFIC_MAX),
                           &s->traffic_count);
    s->events = read_list(
        f, root,
        LIST_OF("events", "an event", event_fields, struct scenario_event, SCENARIO_EVENTS_MAX),
        &s->event_count);
    s->sources = read_list(
        f, root,
        LIST_OF("sources", "a source", source_fields, struct scenario_source, SCENARIO_SOURCES_MAX),
        &s->source_count);
    if (s->provider_count == 0 || s->traffic_count == 0)
        error_at(f->errors, root->place, "a scenario needs 'providers' and 'traffic'");
    check_providers(f, root, s);
    check_replies(f, root, s);
    top.first = top.last = NULL;
    top.count = 0;
    for (const struct node *n = root->first; n; n = n->next) {
        struct node *copy = pool_alloc(f->pool, sizeof(*copy));
        bool is_list = false;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
            is_list = is_list || slice_eq(n->key, slice_str(lists[i]));
        if (!copy)
            f->errors->no_memory = true;
        if (!copy || is_list)
            continue;
        *copy = *n;
        copy->next = NULL;
        node_add(&top, copy);
    }
    read_struct(f, &top, "a scenario", &fields);
}

static void finish(struct scenario *s, struct errors *e)
{
    if (!s->sources) {
        s->sources = pool_alloc(&s->pool, sizeof(*s->sources));
        e->no_memory = e->no_memory || !s->sources;
        s->source_count = 1;
        if (s->sources)
            s->sources->name = "default";
    }
    for (size_t i = 0; i < s->event_count; i++) {
        const struct scenario_event *v = &s->events[i];
        uint64_t end = v->at_ms + (v->times - 1) * v->every_ms + v->for_ms;

        s->trouble_end_ms = MAX_OF(s->trouble_end_ms, end);
    }
    if (s->event_count == 0)
        s->trouble_end_ms = s->duration_ms;
}

int scenario_read(struct scenario **ret, const char *name, struct slice text, struct buf *why)
{
    struct scenario *s = calloc(1, sizeof(*s));
    struct errors errors = {.why = why};
    struct data_file f = {.errors = &errors, .name = name};
    const struct node *root;

    if (!s)
        return -ENOMEM;
    f.pool = &s->pool;
    root = yaml_parse(&s->pool, name, text, &errors);
    if (root)
        read_root(&f, root, s);
    finish(s, &errors);
    errors_end(&errors);
    if (errors.no_memory || errors.count) {
        scenario_free(&s);
        return errors.no_memory ? -ENOMEM : -EINVAL;
    }
    *ret = s;
    return 0;
}

void scenario_free(struct scenario **s)
{
    struct pool pool;

    if (!*s)
        return;
    pool = (*s)->pool;
    pool_done(&pool);
    free(*s);
    *s = NULL;
}

/* ---- what goes wrong ---- */

/* Share of the capacity lost, `since` ms after one occurrence began. */
static double depth_of(const struct scenario_event *e, uint64_t since)
{
    uint64_t left = e->for_ms - since;
    double depth = 1;

    if (e->ramp_ms > 0)
        depth = (double)MIN_OF(since, left) / (double)e->ramp_ms;
    return (1 - e->capacity) * MIN_OF(depth, 1.0);
}

double scenario_capacity(const struct scenario *s, uint32_t provider, uint64_t at_ms)
{
    double capacity = 1;

    for (size_t i = 0; i < s->event_count; i++) {
        const struct scenario_event *e = &s->events[i];
        uint64_t since, nth;

        if ((e->index != UINT32_MAX && e->index != provider) || at_ms < e->at_ms)
            continue;
        since = at_ms - e->at_ms;
        nth = e->every_ms ? MIN_OF(since / e->every_ms, (uint64_t)e->times - 1) : 0;
        since -= nth * e->every_ms;
        if (since < e->for_ms)
            capacity = MIN_OF(capacity, 1 - depth_of(e, since));
    }
    return capacity;
}
