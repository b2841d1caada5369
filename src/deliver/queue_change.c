/*
 * deliver/queue_change.c - new settings: in force at once, or, where they decide under which
 * destination an entry is filed, when all jobs have come back.
 */
#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "deliver/queue_int.h"
#include "schedule/lanes.h"

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
    /* Times are those of the spool again, as after a restart: what was spread is due at once. */
    lanes_spread(q->lanes, LANE_NONE, queue_now(q));
    q->changed(q->changed_ctx);
}

/* What destinations are called, which lane they are in and when their entries are due was made of
 * these: they are made anew when one of them differs. */
static bool is_filed_the_same(const struct config *a, const struct config *b)
{
    static const char *const names[] = {
        "delivery.routes",
        "delivery.smart_host",
        "delivery.pool",
        "destinations",
        "sources",
        "pools",
        "retry.initial_retry",
        "retry.next_retry",
        "retry.jitter",
        "retry.max_queue_time",
        "retry.delay_warning",
        "delivery.connections_per_destination_max",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (config_differs(a, b, names[i]))
            return false;
    return true;
}

int queue_change_settings(struct queue *q, const struct queue_settings *settings,
                          void (*fn)(void *ctx), void *ctx)
{
    if (q->changing)
        return -EBUSY;
    if (is_filed_the_same(q->settings.config, settings->config)) {
        q->settings = *settings;
        schedule_set_config(q->schedule, &settings->schedule);
        queue_lanes_set(q);
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
