/*
 * cli/lanes_resolve.c - `penstock lanes resolve`: which route, provider, policy, sources and lanes
 * mail to an address has, and why.
 *
 * It asks the same functions as the server does, with the same configuration; nothing is sent.
 */
#include <string.h>

#include "cli/json_get.h"
#include "cli/lanes_int.h"
#include "config/policy.h"
#include "deliver/destination.h"
#include "deliver/lane_rules.h"
#include "evidence/providers.h"

#define TEXT_MAX KIB(16)

/* What is found out on the way. */
struct resolving {
    const struct resolve_question *q;
    struct slice domain;
    const struct config_target *target;
    bool by_mx;
    struct provider_info provider; /* name NULL: not known */
    char provider_room[PROVIDER_NAME_MAX];
    struct config_policy policy;
};

static struct slice domain_of(struct slice address)
{
    return slice_from(address, (size_t)(slice_rfind(address, '@') + 1));
}

bool lanes_goes_by_mx(const struct config *c, struct slice address)
{
    const struct config_target *t = config_find_target(c, domain_of(address));

    return t->kind == CONFIG_TARGET_MX && !t->host;
}

/* ---- texts ---- */

static json_t *text_of(struct slice s)
{
    json_t *text = s.len ? json_stringn((const char *)s.ptr, s.len) : json_string("");

    return text ? text : json_string("?"); /* not UTF-8 */
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

/* What fill() writes, as a JSON text. */
static json_t *written(void (*fill)(const void *what, unsigned which, struct buf *to),
                       const void *what, unsigned which)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    json_t *value;

    fill(what, which, &text);
    value = text_of(buf_slice(&text));
    buf_done(&text);
    return value;
}

/* ---- route, hosts, provider ---- */

static json_t *route_of(const struct resolving *r)
{
    static const char *const kinds[] = {[CONFIG_TARGET_MX] = "mx",
                                        [CONFIG_TARGET_SMTP] = "smtp",
                                        [CONFIG_TARGET_LMTP] = "lmtp",
                                        [CONFIG_TARGET_UNIX] = "lmtp",
                                        [CONFIG_TARGET_DISCARD] = "discard"};
    const struct config *c = r->q->config;
    json_t *route = json_object();

    set(route, "kind", json_string(kinds[r->target->kind]));
    set(route, "next_hop", r->by_mx ? json_null() : json_string(r->target->text));
    set(route, "from",
        r->by_mx                               ? json_null()
        : r->target == &c->delivery.smart_host ? json_string("delivery.smart_host")
                                               : json_string("delivery.routes"));
    return route;
}

static json_t *hosts_of(const struct resolving *r)
{
    json_t *mx = json_object(), *hosts = json_array();

    for (size_t i = 0; i < r->q->host_count; i++)
        (void)json_array_append_new(hosts, text_of(r->q->hosts[i]));
    set(mx, "hosts", hosts);
    set(mx, "from", text_or_null(r->q->hosts_from));
    return mx;
}

static void find_provider(struct resolving *r)
{
    if (r->by_mx && r->q->host_count)
        providers_of(r->q->providers, r->q->hosts, r->q->host_count, r->provider_room,
                     &r->provider);
}

static json_t *provider_of(const struct resolving *r)
{
    json_t *provider = json_object();

    if (!r->by_mx) { /* a next hop of ours is a provider of its own */
        set(provider, "name", json_string(r->target->text));
        set(provider, "is_ours", json_true());
        return provider;
    }
    set(provider, "name", text_or_null(r->provider.name));
    set(provider, "title", text_or_null(r->provider.title));
    set(provider, "group", text_or_null(r->provider.group));
    set(provider, "pattern", text_or_null(r->provider.pattern));
    set(provider, "is_ours", json_false());
    return provider;
}

/* ---- policy ---- */

static void find_policy(struct resolving *r)
{
    struct config_query query = {.domain = r->domain};

    if (r->by_mx) {
        query.mx_hosts = r->q->hosts;
        query.mx_count = r->q->host_count;
        query.provider = slice_str(r->provider.name);
        query.group = slice_str(r->provider.group);
    } else {
        query.route = slice_str(r->target->text);
    }
    config_find_policy(r->q->config, &query, &r->policy);
}

/* "it is the provider's group" */
static const char *why_of(const struct resolving *r, const struct config_destination *d)
{
    if (d->match != CONFIG_MATCH_NAME)
        return config_match_why(d->match);
    return slice_eq_case(slice_str(d->pattern), slice_str(r->provider.name))
               ? "it is the provider"
               : "it is the provider's group";
}

static void write_place(const void *what, unsigned which, struct buf *to)
{
    const struct config_destination *d = what;

    (void)which;
    (void)buf_add_str(to, d->file);
    if (d->line)
        (void)buf_addf(to, ":%u", d->line);
}

static json_t *block_of(const struct resolving *r, const struct config_destination *d)
{
    json_t *block;

    if (!d)
        return json_null();
    block = json_object();
    set(block, "destination", json_string(d->destination));
    set(block, "origin", written(write_place, d, 0));
    set(block, "why", json_string(why_of(r, d)));
    return block;
}

static void write_value(const void *what, unsigned which, struct buf *to)
{
    config_policy_format(what, (enum config_policy_key)which, to);
}

static json_t *origin_of(const struct resolving *r, const char *setting)
{
    struct buf origin = BUF_INIT(TEXT_MAX);
    json_t *text;

    config_write_origin(r->q->config, setting, &origin);
    text = text_of(buf_slice(&origin));
    buf_done(&origin);
    return text;
}

/* `section`: the setting that the value comes from where no block says it; NULL: from nowhere. */
static json_t *setting_of(const struct resolving *r, const char *key, json_t *value,
                          const struct config_destination *from, const char *section)
{
    json_t *setting = json_object();

    set(setting, "key", json_string(key));
    set(setting, "value", value);
    set(setting, "block", from ? json_string(from->destination) : json_null());
    set(setting, "setting", text_or_null(from ? NULL : section));
    set(setting, "origin",
        from      ? written(write_place, from, 0)
        : section ? origin_of(r, section)
                  : json_string("default"));
    return setting;
}

static json_t *setting_of_key(const struct resolving *r, enum config_policy_key k)
{
    return setting_of(r, config_policy_key_name(k), written(write_value, &r->policy, k),
                      r->policy.from[k], config_policy_key_default(k));
}

/* What is about the destination. */
static json_t *destination_settings(const struct resolving *r)
{
    json_t *list = json_array();

    for (unsigned k = 0; k < CONFIG_POLICY_LANE_KEYS; k++)
        (void)json_array_append_new(list, setting_of_key(r, k));
    return list;
}

/* What is about its lanes. */
static json_t *lane_settings(const struct resolving *r)
{
    json_t *list = json_array();

    (void)json_array_append_new(
        list, setting_of(r, "connections_max", json_sprintf("%u", r->policy.limits.connections_max),
                         r->policy.lane_connections, "lanes.connections_max"));
    for (unsigned k = CONFIG_POLICY_LANE_KEYS; k < CONFIG_POLICY_KEYS; k++)
        (void)json_array_append_new(list, setting_of_key(r, k));
    return list;
}

static json_t *retries_of(const struct resolving *r)
{
    const struct config_retry *retry = &r->policy.retry;
    json_t *retries = json_object(), *delays = json_array();

    for (size_t i = 0; i < retry->delay_count; i++)
        (void)json_array_append_new(delays, json_integer(retry->delays_s[i]));
    set(retries, "delays_s", delays);
    set(retries, "jitter", json_real(retry->jitter));
    set(retries, "max_queue_time_s", json_integer((json_int_t)retry->max_queue_time_s));
    return retries;
}

/* ---- sources and lanes ---- */

/* The provider's part of the names of its lanes. */
static const char *lane_provider(const struct resolving *r)
{
    if (r->policy.lane)
        return r->policy.lane;
    if (!r->by_mx)
        return r->target->text;
    return r->provider.name ? r->provider.name : PROVIDER_UNKNOWN;
}

static json_t *address_of(const struct addr *a)
{
    char text[ADDR_TEXT_MAX];

    if (a->len == 0)
        return json_null();
    addr_format_ip(a, text);
    return json_string(text);
}

static json_t *warm_up_of(const struct lane_rules *rules)
{
    json_t *warm_up, *list;

    if (rules->warm_up.days == 0)
        return json_null();
    warm_up = json_object();
    list = json_array();
    for (uint32_t i = 0; i < rules->warm_up.days; i++)
        (void)json_array_append_new(list, json_integer(rules->warm_up.list[i]));
    set(warm_up, "messages_a_day", list);
    set(warm_up, "factor", json_real(rules->warm_up.factor));
    set(warm_up, "start_ms", json_integer(rules->warm_up.start_ms));
    return warm_up;
}

static json_t *source_of(const struct resolving *r, size_t i)
{
    const struct config_source *s = r->policy.pool->shares[i].source;
    const char *provider = lane_provider(r);
    json_t *source = json_object();
    struct lane_rules rules;

    lane_rules_of(r->q->config, r->q->providers, slice_str(provider), slice_str(s->name), &rules);
    set(source, "name", json_string(s->name));
    set(source, "share", json_real(config_pool_share(r->policy.pool, i)));
    set(source, "ipv4", address_of(&s->ipv4));
    set(source, "ipv6", address_of(&s->ipv6));
    set(source, "ehlo_name", json_string(s->ehlo_name));
    set(source, "lane", json_sprintf("%s/%s", provider, s->name));
    set(source, "warm_up", warm_up_of(&rules));
    return source;
}

static json_t *sources_of(const struct resolving *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->policy.pool->share_count; i++)
        (void)json_array_append_new(list, source_of(r, i));
    return list;
}

json_t *lanes_resolve(const struct resolve_question *q)
{
    struct resolving r = {.q = q, .domain = domain_of(q->address)};
    json_t *view = json_object();

    if (!view)
        return NULL;
    r.target = config_find_target(q->config, r.domain);
    r.by_mx = lanes_goes_by_mx(q->config, q->address);
    find_provider(&r);
    find_policy(&r);
    set(view, "address", text_of(q->address));
    set(view, "domain", text_of(r.domain));
    set(view, "route", route_of(&r));
    set(view, "mx", r.by_mx ? hosts_of(&r) : json_null());
    set(view, "provider", provider_of(&r));
    set(view, "policy", block_of(&r, r.policy.block));
    set(view, "settings", destination_settings(&r));
    set(view, "retries", retries_of(&r));
    set(view, "lane_policy", block_of(&r, r.policy.lane_block));
    set(view, "lane_settings", lane_settings(&r));
    set(view, "pool", json_string(r.policy.pool->name));
    set(view, "sources", sources_of(&r));
    return view;
}
