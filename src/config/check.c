/*
 * config/check.c - what concerns several settings at once, and the maps that patterns are found
 * with.
 */
#include <string.h>

#include "config/config_int.h"

/* Where `name` was given, or the list it is in, for an error. */
static struct place place_of_main(const struct loader *ld, const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));

    return ld->config->private->origins[s - settings_main.list].place;
}

static struct place place_of_element(const struct loader *ld, const char *list, size_t element,
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
    struct place at = place_of_element(ld, "listeners", i, "address");

    if (l->tls == CONFIG_LISTENER_TLS_AUTO)
        l->tls = l->tls_certificate ? CONFIG_LISTENER_TLS_FILES : CONFIG_LISTENER_TLS_SELF_SIGNED;
    if (l->tls == CONFIG_LISTENER_TLS_FILES && (!l->tls_certificate || !l->tls_key))
        error_at(&ld->errors, at,
                 "key 'listeners[%zu]': tls.certificate and tls.key are both needed, here or in "
                 "the tls section",
                 i);
    if (l->tls == CONFIG_LISTENER_TLS_OFF && l->tls_required)
        error_at(&ld->errors, place_of_element(ld, "listeners", i, "tls.required"),
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

static void check_sections(struct loader *ld)
{
    const struct config *c = ld->config;

    if (c->spool.size_max_bytes && c->spool.size_max_bytes / 4 < c->spool.segment_size_bytes)
        error_at(&ld->errors, place_of_main(ld, "spool.size_max"),
                 "key 'spool.size_max': at least four times spool.segment_size, or 0");
    if ((c->tls.certificate != NULL) != (c->tls.key != NULL))
        error_at(&ld->errors, place_of_main(ld, c->tls.key ? "tls.key" : "tls.certificate"),
                 "key 'tls': certificate and key are both needed");
    if (c->server.group && !c->server.user)
        error_at(&ld->errors, place_of_main(ld, "server.group"),
                 "key 'server.group': server.user is needed too");
}

/* Files `value` under its pattern, which no other may have. */
static void file_pattern(struct loader *ld, struct map *m, const char *pattern, const void *value,
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
        file_pattern(ld, &p->routes, c->delivery.routes[i].domain, &c->delivery.routes[i],
                     place_of_element(ld, "delivery.routes", i, "domain"), "delivery.routes", i);
    for (size_t i = 0; i < c->destination_count; i++)
        file_pattern(ld, &p->destinations, c->destinations[i].destination, &c->destinations[i],
                     place_of_element(ld, "destinations", i, "destination"), "destinations", i);
    for (size_t i = 0; i < c->relay.domains.count; i++)
        if (map_put(&p->relay_domains, slice_str(c->relay.domains.list[i]), ld->config) < 0)
            ld->errors.no_memory = true;
}

void check_all(struct loader *ld)
{
    for (size_t i = 0; i < ld->config->listener_count; i++)
        check_listener(ld, i);
    check_sections(ld);
    make_maps(ld);
}
