/*
 * config/config.c - asking a snapshot: for domains, and for what was set where.
 */
#include "config/config.h"

#include <string.h>

#include "base/assert.h"
#include "config/config_int.h"

/* The entry for `domain`: exact, else that of the longest ".suffix", else "*". */
static void *find_pattern(const struct map *m, struct slice domain)
{
    void *found;

    if (map_count(m) == 0)
        return NULL;
    if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
        domain.len--;
    found = map_get(m, domain);
    for (size_t i = 1; !found && i < domain.len; i++)
        if (domain.ptr[i] == '.')
            found = map_get(m, slice_from(domain, i));
    return found ? found : map_get(m, SLICE_LIT("*"));
}

bool config_is_relay_domain(const struct config *c, struct slice domain)
{
    return find_pattern(&c->private->relay_domains, domain) != NULL;
}

bool config_networks_contain(const struct config_networks *n, const struct addr *client)
{
    for (size_t i = 0; i < n->count; i++)
        if (network_contains(&n->list[i], client))
            return true;
    return false;
}

const struct config_target *config_find_target(const struct config *c, struct slice domain)
{
    const struct config_route *route = find_pattern(&c->private->routes, domain);

    return route ? &route->to : &c->delivery.smart_host;
}

static bool is_default(const struct place *at)
{
    return !at->file || at->file == config_default_file;
}

static void add_origin(const struct setting *s, const struct place *at, struct buf *ret)
{
    if (at->line && !is_default(at) && at->file != config_command_line)
        (void)buf_addf(ret, "%s:%u", at->file, at->line);
    else if (at->file)
        (void)buf_add_str(ret, at->file);
    else if (s->inherits)
        (void)buf_addf(ret, "as %s", s->inherits);
    else
        (void)buf_add_str(ret, "default");
}

void config_write_origin(const struct config *c, const char *name, struct buf *ret)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));

    ASSERT(s && s->type != VALUE_MAPS);
    add_origin(s, &c->private->origins[s - settings_main.list].place, ret);
}

struct teller {
    void (*fn)(void *ctx, const struct config_item *item);
    void *ctx;
    struct buf name, value, origin;
};

static void tell(struct teller *t, const char *prefix, const struct setting *s, const void *base,
                 const struct place *at)
{
    struct config_item item = {.reloadable = s->reload, .is_default = is_default(at)};

    buf_clear(&t->name);
    buf_clear(&t->value);
    (void)buf_addf(&t->name, "%s%s", prefix, s->name);
    value_format(s, base, &t->value);
    buf_clear(&t->origin);
    add_origin(s, at, &t->origin);
    item.is_set = buf_len(&t->value) > 0;
    item.name = buf_cstr(&t->name);
    item.value = buf_cstr(&t->value);
    item.origin = buf_cstr(&t->origin);
    t->fn(t->ctx, &item);
}

static void tell_list(struct teller *t, const struct config *c, const struct setting *list,
                      const struct origin *origin)
{
    struct buf prefix = BUF_INIT(256);
    const char *elements;
    size_t count;

    memcpy(&elements, (const char *)c + list->offset, sizeof(elements));
    memcpy(&count, (const char *)c + list->count_offset, sizeof(count));
    for (size_t e = 0; e < count; e++) {
        buf_clear(&prefix);
        (void)buf_addf(&prefix, "%s[%zu].", list->name, e);
        for (size_t i = 0; i < list->sub->count; i++)
            tell(t, buf_cstr(&prefix), &list->sub->list[i], elements + e * list->sub->element_size,
                 &origin->elements[e * list->sub->count + i]);
    }
    buf_done(&prefix);
}

static void tell_setting(struct teller *t, const struct config *c, size_t i)
{
    const struct setting *s = &settings_main.list[i];
    const struct origin *origin = &c->private->origins[i];

    if (s->type == VALUE_MAPS)
        tell_list(t, c, s, origin);
    else
        tell(t, "", s, c, &origin->place);
}

static void teller_init(struct teller *t, void (*fn)(void *ctx, const struct config_item *item),
                        void *ctx)
{
    *t = (struct teller){.fn = fn, .ctx = ctx};
    buf_init(&t->name, KIB(1));
    buf_init(&t->value, YAML_BYTES_MAX);
    buf_init(&t->origin, KIB(16));
}

static void teller_done(struct teller *t)
{
    buf_done(&t->name);
    buf_done(&t->value);
    buf_done(&t->origin);
}

void config_each(const struct config *c, void (*fn)(void *ctx, const struct config_item *item),
                 void *ctx)
{
    struct teller t;

    teller_init(&t, fn, ctx);
    for (size_t i = 0; i < settings_main.count; i++)
        tell_setting(&t, c, i);
    teller_done(&t);
}

static void note_item(void *ctx, const struct config_item *item)
{
    (void)buf_addf(ctx, "%s\n%s\n", item->name, item->value);
}

static void note_fixed(void *ctx, const struct config_item *item)
{
    if (!item->reloadable)
        note_item(ctx, item);
}

/* Has the setting, or one of its elements, another value? Of those that `note` notes. */
static bool differs(const struct config *a, const struct config *b, size_t i,
                    void (*note)(void *ctx, const struct config_item *item))
{
    struct buf texts[2] = {BUF_INIT(YAML_BYTES_MAX), BUF_INIT(YAML_BYTES_MAX)};
    const struct config *snapshots[2] = {a, b};
    bool result;

    for (size_t k = 0; k < 2; k++) {
        struct teller t;

        teller_init(&t, note, &texts[k]);
        tell_setting(&t, snapshots[k], i);
        teller_done(&t);
    }
    result = !slice_eq(buf_slice(&texts[0]), buf_slice(&texts[1]));
    buf_done(&texts[0]);
    buf_done(&texts[1]);
    return result;
}

bool config_differs(const struct config *a, const struct config *b, const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));

    ASSERT(s);
    return differs(a, b, (size_t)(s - settings_main.list), note_item);
}

size_t config_restart_needed(const struct config *from, const struct config *to, struct buf *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < settings_main.count; i++)
        if (!settings_main.list[i].reload && differs(from, to, i, note_fixed))
            (void)buf_addf(ret, "%s%s", count++ ? ", " : "", settings_main.list[i].name);
    return count;
}
