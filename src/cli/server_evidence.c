/*
 * cli/server_evidence.c - the ledger that attempts are kept in.
 *
 * Mail never depends on evidence: where the ledger cannot be opened the server says so, and runs
 * without it.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/server_int.h"
#include "config/config.h"
#include "event/event.h"
#include "evidence/knowledge.h"
#include "ledger/ledger.h"
#include "schedule/lanes.h"

/* ---- the ledger ---- */

static struct ledger_settings settings_of(const struct config *c)
{
    return (struct ledger_settings){.directory = c->evidence.directory,
                                    .age_max_s = c->evidence.age_max_s,
                                    .size_max_bytes = c->evidence.size_max_bytes,
                                    .commit_ms = c->evidence.commit_ms,
                                    .suppression_age_max_s = c->suppression.age_max_s};
}

void server_open_ledger(struct server *s)
{
    const struct ledger_settings settings = settings_of(s->config);
    struct buf why = BUF_INIT(SERVER_WHY_MAX);

    if (s->config->evidence.enabled && ledger_open(&s->ledger, &settings, &why) < 0)
        event(EVENT_LEDGER_ERROR, EVENT_NO_ID, EV_SLICE("why", buf_slice(&why)),
              EV_STR("then", "the server runs without it: no evidence is kept"));
    buf_done(&why);
}

void server_set_ledger(struct server *s, const struct config *c)
{
    const struct ledger_settings settings = settings_of(c);

    if (s->ledger)
        ledger_set(s->ledger, &settings);
}

void server_spread_backlog(struct server *s)
{
    lanes_spread(queue_lanes(s->queue), LANE_NONE, clock_wall_ms());
}

static int restore_lane(void *ctx, struct slice state)
{
    int r = queue_restore_lane(ctx, state);

    return r == -ENOMEM ? r : 0; /* one that is damaged begins anew */
}

static int restore_destination(void *ctx, struct slice domain, struct slice provider,
                               struct slice mx_host)
{
    return queue_restore_destination(ctx, domain, provider, mx_host);
}

static int restore_suppression(void *ctx, struct suppression *s)
{
    return queue_restore_suppression(ctx, s);
}

void server_restore_lanes(struct server *s)
{
    int r;

    if (!s->ledger)
        return;
    r = ledger_each_lane(s->ledger, restore_lane, s->queue);
    if (r == 0)
        r = ledger_each_destination(s->ledger, restore_destination, s->queue);
    if (r == 0)
        r = ledger_each_suppression(s->ledger, restore_suppression, s->queue);
    queue_restore_incidents(s->queue, ledger_incident_id_max(s->ledger));
    if (r < 0)
        event(EVENT_LEDGER_ERROR, EVENT_NO_ID, EV_ERR("why", r),
              EV_STR("then", "lanes, providers and the suppression list are not all as they were "
                             "before the start"));
}
