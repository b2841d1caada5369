/*
 * deliver/queue_change.c - new settings: in force at once, or, where they decide under which
 * destination an entry is filed, when all jobs have come back.
 */
#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "deliver/queue_int.h"

/* A freeze that was too short is made again so often: a host that hangs must not stop all. */
#define FREEZE_EVERY_MS 60000

void queue_apply_change(struct queue *q)
{
    struct queue_settings old = q->settings;
    struct schedule *fresh;

    if (schedule_new(&fresh, &q->next_settings.schedule, q->rand) < 0)
        return; /* tried again at the next run */
    q->settings = q->next_settings;
    if (queue_lanes_renew(q, fresh) < 0) {
        q->settings = old;
        schedule_free(&fresh);
        return;
    }
    q->age.is_in_round = false;
    q->changing = false;
    queue_file_anew(q, fresh);
    q->changed(q->changed_ctx);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_retries(const struct config_retry *a, const struct config_retry *b)
{
    return a->delay_count == b->delay_count && !(a->jitter < b->jitter) &&
           !(a->jitter > b->jitter) && a->max_queue_time_s == b->max_queue_time_s &&
           memcmp(a->delays_s, b->delays_s, a->delay_count * sizeof(a->delays_s[0])) == 0;
}

static bool same_routes(const struct config_delivery *a, const struct config_delivery *b)
{
    bool same =
        a->route_count == b->route_count && same_text(a->smart_host.text, b->smart_host.text);

    for (size_t i = 0; same && i < a->route_count; i++)
        same = same_text(a->routes[i].domain, b->routes[i].domain) &&
               same_text(a->routes[i].to.text, b->routes[i].to.text);
    return same;
}

static bool same_policies(const struct config *a, const struct config *b)
{
    bool same = a->destination_count == b->destination_count;

    if (same && a->destination_count) /* their policies have it from there */
        same = a->retry.delay_warning_s == b->retry.delay_warning_s;
    for (size_t i = 0; same && i < a->destination_count; i++) {
        const struct config_destination *x = &a->destinations[i], *y = &b->destinations[i];

        same = same_text(x->destination, y->destination) &&
               x->connections_max == y->connections_max && same_retries(&x->retry, &y->retry);
    }
    return same;
}

int queue_change_settings(struct queue *q, const struct queue_settings *settings,
                          void (*fn)(void *ctx), void *ctx)
{
    const struct config *old = q->settings.config, *next = settings->config;

    if (q->changing)
        return -EBUSY;
    if (same_routes(&old->delivery, &next->delivery) && same_policies(old, next)) {
        q->settings = *settings;
        schedule_set_config(q->schedule, &settings->schedule);
        fn(ctx);
        return 0;
    }
    q->changing = true;
    q->change_began_ms = queue_now(q);
    q->next_settings = *settings;
    q->changed = fn;
    q->changed_ctx = ctx;
    return 0;
}

bool queue_is_frozen(const struct queue *q)
{
    return q->changing && (queue_now(q) - q->change_began_ms) % FREEZE_EVERY_MS < QUEUE_FREEZE_MS;
}
