/*
 * schedule/lanes_incident.c - a lane's notes: from the first refusal on, an incident when the
 * controller says so, with a verdict at each thing that is told of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "schedule/lanes_int.h"

/* Notes without an incident are kept so long after the last refusal, in minutes of the window. */
#define NOTES_KEPT_MINUTES 60

struct incident *lanes_open_incident(const struct lane_state *lane)
{
    return lane->notes && lane->notes->id ? lane->notes : NULL;
}

void lanes_note_drop(struct lane_state *lane)
{
    free(lane->notes);
    lane->notes = NULL;
    lane->was_pressed = false;
}

static bool begin_notes(struct lane_state *lane, int64_t now_ms)
{
    if (!lane->notes)
        lane->notes = malloc(sizeof(*lane->notes));
    if (!lane->notes)
        return false;
    incident_open(lane->notes, 0, lanes_name_of(lane), lane->provider, "", now_ms);
    return true;
}

void lanes_note_attempt(struct lane_state *lane, const struct attempt *a)
{
    bool begins = a->klass == REPLY_CAPACITY || a->klass == REPLY_RATE;

    if (!lane->notes && (!begins || !begin_notes(lane, a->at_ms)))
        return;
    incident_attempt(lane->notes, a);
    lane->notes_changed = true;
}

/* ---- the verdict ---- */

/* The least of a few spans that holds so many minutes: many lanes in trouble share their sums. */
static uint32_t span_of(int64_t minutes)
{
    static const uint32_t spans[] = {5, 15, 60, 180, 720, 1440};

    for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
        if (minutes <= spans[i])
            return spans[i];
    return WINDOW_HOURS * 60;
}

static void sum_span(const struct lane_state *lane, uint32_t span, struct window_counts *ret)
{
    if (span <= 60)
        window_sum_minutes(&lane->window, span, ret);
    else
        window_sum_hours(&lane->window, span / 60, ret);
}

/* Adds up the lanes of each provider, in the first of them. */
static void sum_providers(struct lanes *l, uint32_t span, int64_t now_ms)
{
    struct window_counts c;

    if (l->summed_span == span && l->summed_ms == now_ms)
        return;
    l->summed_span = span;
    l->summed_ms = now_ms;
    for (uint32_t i = 0; i < l->count; i++)
        l->lanes[i]->provider_attempts = l->lanes[i]->provider_capacity = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        struct lane_state *lane = l->lanes[i], *first = l->lanes[lane->first_of_provider];

        if (!lane->is_used)
            continue;
        sum_span(lane, span, &c);
        first->provider_attempts += c.attempts;
        first->provider_capacity += c.capacity;
    }
}

/* Did that provider refuse more than usual in that time? */
static void look_at_other(const struct lane_state *first, uint32_t sample_min,
                          struct verdict_facts *f)
{
    const struct throttle_settings *s = &first->settings;
    double share;

    f->others_attempts += first->provider_attempts;
    if (first->provider_attempts == 0 || first->provider_attempts < sample_min)
        return;
    share = (double)first->provider_capacity / (double)first->provider_attempts;
    f->others++;
    f->others_refusing += first->provider_capacity > 0 && share >= s->watch_share &&
                          share > first->throttle.baseline * s->baseline_factor;
}

static void judge(struct lanes *l, const struct lane_state *lane, int64_t now_ms)
{
    struct incident *i = lane->notes;
    int64_t since_ms = i->first_ms ? i->first_ms : i->opened_ms;
    int64_t minutes = (now_ms - since_ms) / lane->window.minute_ms + 1;
    struct verdict_facts f;

    incident_facts(i, &f);
    f.governor_pressed = lane->was_pressed;
    f.sample_min = l->settings.sample_min;
    sum_providers(l, span_of(minutes), now_ms);
    for (uint32_t n = 0; n < l->count; n++) {
        const struct lane_state *other = l->lanes[n];

        if (!other->is_used || other->first_of_provider == lane->first_of_provider)
            continue;
        if (other->notes)
            f.destinations_refusing += other->notes->domains.used;
        if (other->first_of_provider == other->index)
            look_at_other(other, l->settings.sample_min, &f);
    }
    verdict_decide(&f, &i->verdict);
}

static void tell(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    judge(l, lane, now_ms);
    lane->notes_changed = false;
    lane->notes_told_ms = now_ms;
    lanes_mark_changed(lane);
    if (l->seams.incident)
        l->seams.incident(l->seams.ctx, lane->notes);
}

/* ---- decisions ---- */

static void write_change(const struct throttle_decision *d, char ret[INCIDENT_ITEM_MAX])
{
    char connections[48] = "", rate[48] = "";

    if (d->connections_from != d->connections_to)
        (void)snprintf(connections, sizeof(connections), "connections %u -> %u, ",
                       d->connections_from, d->connections_to);
    if (d->rate_from < d->rate_to || d->rate_from > d->rate_to) {
        if (d->rate_to > 0)
            (void)snprintf(rate, sizeof(rate), "rate -> %.3g a second, ", d->rate_to);
        else
            (void)snprintf(rate, sizeof(rate), "rate -> no limit, ");
    }
    (void)snprintf(ret, INCIDENT_ITEM_MAX,
                   "%s%s%s -> %s: %.4f %% of %llu attempts (at least %.4f %%); %s", connections,
                   rate, band_name(d->from), band_name(d->to), d->share * 100,
                   (unsigned long long)d->attempts, d->lower_bound * 100, d->why);
}

static void open_incident(struct lanes *l, struct lane_state *lane, enum band band, int64_t now_ms)
{
    struct incident *i = lane->notes;

    if (!i && !begin_notes(lane, now_ms))
        return;
    i = lane->notes;
    if (i->id == 0) {
        i->id = ++l->incident_id;
        i->opened_ms = now_ms;
    }
    if (band == BAND_INCIDENT || i->kind[0] == '\0')
        (void)snprintf(i->kind, sizeof(i->kind), "%s", band_name(band));
}

void lanes_note_decision(struct lanes *l, struct lane_state *lane,
                         const struct throttle_decision *d)
{
    char text[INCIDENT_ITEM_MAX];
    struct incident *i;

    if (d->to == BAND_THROTTLE || d->to == BAND_INCIDENT)
        open_incident(l, lane, d->to, d->at_ms);
    i = lanes_open_incident(lane);
    if (!i)
        return;
    if (l->seams.is_pressed)
        lane->was_pressed |= l->seams.is_pressed(l->seams.ctx);
    write_change(d, text);
    incident_changed(i, d->at_ms, slice_str(text));
    i->peak_share = MAX_OF(i->peak_share, d->share);
    if (d->to == BAND_NORMAL)
        incident_close(i, d->at_ms);
    tell(l, lane, d->at_ms);
    if (i->closed_ms)
        lanes_note_drop(lane);
}

void lanes_note_time(struct lanes *l, struct lane_state *lane, int64_t now_ms)
{
    int64_t minute_ms = lane->window.minute_ms, told_ago = now_ms - lane->notes_told_ms;

    if (!lane->notes)
        return;
    if (l->seams.is_pressed)
        lane->was_pressed |= l->seams.is_pressed(l->seams.ctx);
    if (lane->notes->id == 0) {
        int64_t ago = now_ms - lane->notes->last_ms;

        if (lane->throttle.band == BAND_NORMAL && (ago < 0 || ago > NOTES_KEPT_MINUTES * minute_ms))
            lanes_note_drop(lane);
        return;
    }
    if (lane->notes_changed && (told_ago < 0 || told_ago >= minute_ms))
        tell(l, lane, now_ms);
}
