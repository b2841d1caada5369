/*
 * config/check.c - what concerns several settings at once, and the maps that patterns are found
 * with.
 */
#include <string.h>

#include "base/assert.h"
#include "config/config_int.h"

struct place check_place_of(const struct loader *ld, const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));

    return ld->config->private->origins[s - settings_main.list].place;
}

struct place check_place(const struct loader *ld, const char *list, size_t element,
                         const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(list));
    const struct setting *sub = settings_find(s->sub, slice_str(name));
    const struct origin *o = &ld->config->private->origins[s - settings_main.list];

    return o->elements[element * s->sub->count + (size_t)(sub - s->sub->list)];
}

static void check_listener(struct loader *ld, size_t i)
{
    /* Its array is the snapshot's, which is still ours to write. */
    struct config_listener *l = (struct config_listener *)(uintptr_t)&ld->config->listeners[i];
    struct place at = check_place(ld, "listeners", i, "address");

    if (l->tls == CONFIG_LISTENER_TLS_AUTO)
        l->tls = l->tls_certificate ? CONFIG_LISTENER_TLS_FILES : CONFIG_LISTENER_TLS_SELF_SIGNED;
    if (l->tls == CONFIG_LISTENER_TLS_FILES && (!l->tls_certificate || !l->tls_key))
        error_at(&ld->errors, at,
                 "key 'listeners[%zu]': tls.certificate and tls.key are both needed, here or in "
                 "the tls section",
                 i);
    if (l->tls == CONFIG_LISTENER_TLS_OFF && l->tls_required)
        error_at(&ld->errors, check_place(ld, "listeners", i, "tls.required"),
                 "key 'listeners[%zu].tls.required': TLS cannot be required where tls.mode is off",
                 i);
    for (size_t j = 0; j < i; j++)
        if (addr_eq(&l->address, &ld->config->listeners[j].address) && addr_port(&l->address) != 0)
            error_at(&ld->errors, at, "key 'listeners[%zu].address': listeners[%zu] has the same",
                     i, j);
    if (!l->name) {
        char text[ADDR_TEXT_MAX];

        addr_format(&l->address, text);
        l->name = pool_text(ld->pool, slice_str(text));
        ld->errors.no_memory |= !l->name;
    }
}

/* ---- values that have an order ---- */

/* The setting whose value is at `offset` of a snapshot. */
static const struct setting *setting_at(size_t offset)
{
    for (size_t i = 0; i < settings_main.count; i++)
        if (settings_main.list[i].offset == offset)
            return &settings_main.list[i];
    ASSERT(false);
    return NULL;
}

static struct place place_of_setting(const struct loader *ld, const struct setting *s)
{
    return ld->config->private->origins[s - settings_main.list].place;
}

/* "pressure.memory.medium_to_high '75%' (p.yaml:8:5)" */
static void add_other(const struct loader *ld, const struct setting *s, struct buf *to)
{
    struct place at = place_of_setting(ld, s);

    (void)buf_addf(to, "%s '", s->name);
    value_format(s, ld->config, to);
    if (at.line)
        (void)buf_addf(to, "' (%s:%u:%u)", at.file, at.line, at.column);
    else
        (void)buf_addf(to, "' (%s)", at.file ? at.file : config_default_file);
}

/* Told where the one that was set stands: the lower one, or else the upper one. */
static void not_in_order(struct loader *ld, const struct setting *low, const struct setting *high,
                         bool may_be_equal, const char *rule)
{
    bool at_low = place_of_setting(ld, low).file != NULL;
    const struct setting *here = at_low ? low : high;
    struct buf value = BUF_INIT(256), other = BUF_INIT(KIB(8));
    const char *how = at_low ? "not below" : "not above";

    if (may_be_equal)
        how = at_low ? "above" : "below";
    value_format(here, ld->config, &value);
    add_other(ld, at_low ? high : low, &other);
    error_at(&ld->errors, place_of_setting(ld, here), "key '%s': value '%s' is %s %s; %s",
             here->name, buf_cstr(&value), how, buf_cstr(&other), rule);
    buf_done(&value);
    buf_done(&other);
}

/* Every two that were set are compared, and a default with its neighbours: so that each error
 * names a value to change. */
static void check_thresholds(struct loader *ld, size_t resource)
{
    static const char rule[] =
        "order: medium_to_low < low_to_medium <= high_to_medium < medium_to_high";
    const struct config_pressure_rule *r = &ld->config->pressure.rules[resource];
    const uint64_t *values[] = {&r->medium_to_low, &r->low_to_medium, &r->high_to_medium,
                                &r->medium_to_high};
    const struct setting *settings[ARRAY_SIZE(values)];

    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        settings[i] = setting_at((size_t)((const char *)values[i] - (const char *)ld->config));
    for (size_t low = 0; low < ARRAY_SIZE(values); low++)
        for (size_t high = low + 1; high < ARRAY_SIZE(values); high++) {
            bool may_be_equal = low == 1 && high == 2;
            bool both = place_of_setting(ld, settings[low]).file &&
                        place_of_setting(ld, settings[high]).file;

            if (*values[low] < *values[high] || (may_be_equal && *values[low] == *values[high]))
                continue;
            if (both || high == low + 1)
                not_in_order(ld, settings[low], settings[high], may_be_equal, rule);
        }
}

void check_not_in_order(struct loader *ld, size_t low, size_t high, bool may_be_equal,
                        const char *rule)
{
    not_in_order(ld, setting_at(low), setting_at(high), may_be_equal, rule);
}

/* Told where it can be changed: at the size, unless that is the default. */
static void check_spool_size(struct loader *ld)
{
    const struct config_spool *s = &ld->config->spool;
    const struct setting *size = setting_at(offsetof(struct config, spool.size_max_bytes)),
                         *segment = setting_at(offsetof(struct config, spool.segment_size_bytes));
    struct buf value = BUF_INIT(256), other = BUF_INIT(KIB(8));

    if (s->size_max_bytes && s->size_max_bytes / 4 < s->segment_size_bytes) {
        value_format(size, ld->config, &value);
        add_other(ld, segment, &other);
        error_at(&ld->errors, place_of_setting(ld, size),
                 "key 'spool.size_max': value '%s': allowed: 0, or at least four times %s",
                 buf_cstr(&value), buf_cstr(&other));
    }
    buf_done(&value);
    buf_done(&other);
}

static void check_spool_directories(struct loader *ld)
{
    const struct config_spool *s = &ld->config->spool;
    const struct config_texts *more = &s->more_directories;

    for (size_t i = 0; i < more->count; i++) {
        bool twice = strcmp(more->list[i], s->directory) == 0;

        for (size_t j = 0; j < i; j++)
            twice |= strcmp(more->list[i], more->list[j]) == 0;
        if (twice)
            error_at(&ld->errors, check_place_of(ld, "spool.more_directories"),
                     "key 'spool.more_directories': '%s' is named twice", more->list[i]);
    }
    if (s->drain_directory && more->count == 0)
        error_at(&ld->errors, check_place_of(ld, "spool.drain_directory"),
                 "key 'spool.drain_directory': spool.more_directories must name where the mail "
                 "goes");
}

static void check_sections(struct loader *ld)
{
    const struct config *c = ld->config;

    check_spool_size(ld);
    check_spool_directories(ld);
    if (c->log.files.file_max_bytes > c->log.files.folder_max_bytes)
        check_not_in_order(ld, offsetof(struct config, log.files.file_max_bytes),
                           offsetof(struct config, log.files.folder_max_bytes),
                           /* may_be_equal= */ true, "a folder holds one file at least");
    if ((c->tls.certificate != NULL) != (c->tls.key != NULL))
        error_at(&ld->errors, check_place_of(ld, c->tls.key ? "tls.key" : "tls.certificate"),
                 "key 'tls': certificate and key are both needed");
    if (c->server.group && !c->server.user)
        error_at(&ld->errors, check_place_of(ld, "server.group"),
                 "key 'server.group': server.user is needed too");
}

static void check_pressure(struct loader *ld)
{
    const struct config_pressure *p = &ld->config->pressure;

    for (size_t i = 0; i < CONFIG_PRESSURE_RESOURCES; i++)
        check_thresholds(ld, i);
    if (p->tarpit.start_ms > p->tarpit.max_ms)
        check_not_in_order(ld, offsetof(struct config, pressure.tarpit.start_ms),
                           offsetof(struct config, pressure.tarpit.max_ms),
                           /* may_be_equal= */ true, "the delay grows from one to the other");
}

void check_file(struct loader *ld, struct map *m, const char *pattern, const void *value,
                struct place at, const char *list, size_t i)
{
    struct slice key = slice_str(pattern);
    void *entry;

    if (!pattern) /* the error is told already */
        return;
    if (map_get(m, key)) {
        error_at(&ld->errors, at, "key '%s[%zu]': there is another for '%s'", list, i, pattern);
        return;
    }
    memcpy(&entry, &value, sizeof(entry));
    if (map_put(m, key, entry) < 0)
        ld->errors.no_memory = true;
}

static void make_maps(struct loader *ld)
{
    const struct config *c = ld->config;
    struct config_private *p = c->private;

    for (size_t i = 0; i < c->delivery.route_count; i++)
        check_file(ld, &p->routes, c->delivery.routes[i].domain, &c->delivery.routes[i],
                   check_place(ld, "delivery.routes", i, "domain"), "delivery.routes", i);
    for (size_t i = 0; i < c->relay.domains.count; i++)
        if (map_put(&p->relay_domains, slice_str(c->relay.domains.list[i]), ld->config) < 0)
            ld->errors.no_memory = true;
}

void check_all(struct loader *ld)
{
    for (size_t i = 0; i < ld->config->listener_count; i++)
        check_listener(ld, i);
    check_sections(ld);
    check_pressure(ld);
    check_policies(ld);
    make_maps(ld);
}
