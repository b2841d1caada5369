#include "deliver/destination.h"

#include "config/config.h"

static bool is_own_mx(const struct config_target *t)
{
    return t->kind == CONFIG_TARGET_MX && !t->host;
}

struct slice destination_name(const struct config *c, struct slice domain)
{
    const struct config_target *t = config_find_target(c, domain);

    return is_own_mx(t) ? domain : slice_str(t->text);
}

static bool is_named(const struct config_target *t, struct slice name)
{
    return !is_own_mx(t) && slice_eq_case(slice_str(t->text), name);
}

const struct config_target *destination_target(const struct config *c, struct slice name)
{
    static const struct config_target own_mx = {.kind = CONFIG_TARGET_MX};

    if (is_named(&c->delivery.smart_host, name))
        return &c->delivery.smart_host;
    for (size_t i = 0; i < c->delivery.route_count; i++)
        if (is_named(&c->delivery.routes[i].to, name))
            return &c->delivery.routes[i].to;
    return &own_mx;
}

struct slice destination_of_key(struct slice key)
{
    ptrdiff_t at = slice_find(key, '\0');

    return at < 0 ? key : slice_sub(key, 0, (size_t)at);
}

struct slice destination_source_of_key(struct slice key)
{
    ptrdiff_t at = slice_find(key, '\0');

    return at < 0 ? slice_make(NULL, 0) : slice_from(key, (size_t)at + 1);
}
