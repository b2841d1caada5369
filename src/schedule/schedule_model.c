#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "schedule/schedule_model.h"

struct model_entry *model_ready_of(struct model *m, int name, int sender)
{
    struct model_entry *best = NULL;

    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[i];

        if (e->used && e->state == ENTRY_READY && e->name == name && e->sender == sender &&
            (!best || e->place < best->place))
            best = e;
    }
    return best;
}

uint32_t model_count_of(const struct model *m, int name, enum entry_state state)
{
    uint32_t n = 0;

    for (int i = 0; i < ENTRIES; i++)
        n += m->entries[i].used && m->entries[i].name == name && m->entries[i].state == state;
    return n;
}

void model_remove_at(int *list, int *count, int value)
{
    for (int i = 0; i < *count; i++)
        if (list[i] == value) {
            memmove(&list[i], &list[i + 1], (size_t)(*count - i - 1) * sizeof(int));
            (*count)--;
            return;
        }
}

bool model_contains(const int *list, int count, int value)
{
    for (int i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

struct model_lane *model_lane_of(struct model *m, int name)
{
    return &m->lanes[m->destinations[name].lane];
}

uint32_t model_lane_slots(const struct model *m, int lane)
{
    uint32_t n = 0;

    for (int name = 0; name < NAMES; name++)
        n += m->destinations[name].lane == lane ? m->destinations[name].slots : 0;
    return n;
}

static uint32_t lane_unused(const struct model *m, int lane)
{
    uint32_t n = 0;

    for (int name = 0; name < NAMES; name++)
        n += m->destinations[name].lane == lane ? m->destinations[name].unused : 0;
    return n;
}

uint32_t model_lane_limit(const struct model *m, int lane)
{
    uint32_t limit = m->lanes[lane].limits.connections;

    return lane == 0 && m->config.connections_new ? MIN_OF(limit, m->config.connections_new)
                                                  : limit;
}

uint32_t model_limit_of(const struct model *m, int name)
{
    const struct model_destination *d = &m->destinations[name];

    if (d->lane == 0 && m->config.connections_new)
        return 1;
    if (name == 0 && m->override_slots)
        return m->override_slots;
    return d->lane_connections ? d->lane_connections : m->config.connections_per_destination;
}

double model_burst_of(const struct model_lane *l)
{
    return MAX_OF(l->limits.per_second, 1.0);
}

/* The rates used are 1000 / 2^n a second, so that all sums are exact, in whatever steps. */
void model_refill(struct model *m, struct model_lane *l)
{
    if (m->seen && m->now > l->tokens_ms) {
        l->tokens += l->limits.per_second * (double)(m->now - l->tokens_ms) / 1000.0;
        l->tokens = MIN_OF(l->tokens, model_burst_of(l));
        l->tokens_ms = m->now;
    }
}

uint64_t model_tokens_of(struct model *m, struct model_lane *l)
{
    if (!(l->limits.per_second > 0.0))
        return UINT64_MAX;
    model_refill(m, l);
    return l->tokens < 1.0 ? 0 : (uint64_t)l->tokens;
}

void model_charge(struct model *m, struct model_lane *l, double entries)
{
    if (l->limits.per_second > 0.0) {
        model_refill(m, l);
        l->tokens = MIN_OF(l->tokens - entries, model_burst_of(l));
    }
}

void model_update_lane(struct model *m, int lane)
{
    struct model_lane *l = &m->lanes[lane];
    double need = 1.0 + lane_unused(m, lane);
    bool wants = l->waiting_count > 0 && !l->limits.paused &&
                 model_lane_slots(m, lane) < model_lane_limit(m, lane);

    l->wake_ms = SCHEDULE_NEVER;
    if (wants && l->limits.per_second > 0.0) {
        model_refill(m, l);
        wants = l->tokens >= need;
        if (!wants && need <= model_burst_of(l))
            for (l->wake_ms =
                     l->tokens_ms + (int64_t)((need - l->tokens) * 1000.0 / l->limits.per_second);
                 l->tokens + l->limits.per_second * (double)(l->wake_ms - l->tokens_ms) / 1000.0 <
                 need;
                 l->wake_ms++)
                ;
    }
    if (wants && !model_contains(m->turns, m->turn_count, lane))
        m->turns[m->turn_count++] = lane;
    else if (!wants)
        model_remove_at(m->turns, &m->turn_count, lane);
}

/* After any change: senders without ready entries, destinations without use for a slot and lanes
 * without room for one leave their rounds, new ones join at the end. */
void model_update(struct model *m, int name)
{
    struct model_destination *d = &m->destinations[name];
    struct model_lane *l = model_lane_of(m, name);
    bool wants;

    for (int sender = 0; sender < SENDERS; sender++) {
        bool ready = model_ready_of(m, name, sender) != NULL;
        bool waits = model_contains(d->senders, d->sender_count, sender);

        if (ready && !waits)
            d->senders[d->sender_count++] = sender;
        else if (!ready && waits)
            model_remove_at(d->senders, &d->sender_count, sender);
    }
    wants = model_count_of(m, name, ENTRY_READY) > d->unused && d->slots < model_limit_of(m, name);
    if (wants && !model_contains(l->waiting, l->waiting_count, name))
        l->waiting[l->waiting_count++] = name;
    else if (!wants)
        model_remove_at(l->waiting, &l->waiting_count, name);
    l->peak = MAX_OF(l->peak, model_lane_slots(m, d->lane));
    model_update_lane(m, d->lane);
}

int model_member_after(const struct model_lane *l, int name)
{
    for (int i = 0; i + 1 < l->member_count; i++)
        if (l->members[i] == name)
            return l->members[i + 1];
    return NOBODY;
}

void model_leave_lane(struct model *m, int name)
{
    struct model_lane *l = model_lane_of(m, name);

    if (l->release_at == name)
        l->release_at = model_member_after(l, name);
    model_remove_at(l->members, &l->member_count, name);
    model_remove_at(l->waiting, &l->waiting_count, name);
}

/* A destination of which nothing is left is forgotten, its failures and its lane too. */
void model_settle(struct model *m, int name)
{
    struct model_destination *d = &m->destinations[name];
    uint32_t entries = 0;

    model_update(m, name);
    for (int state = 0; state < 4; state++)
        entries += model_count_of(m, name, (enum entry_state)state);
    if (entries == 0 && d->slots == 0) {
        model_leave_lane(m, name);
        *d = (struct model_destination){.release_at = NOBODY};
    }
}

/* The entry filed after that one (or the first, NOBODY) of its destination. */
int model_filed_after(const struct model *m, int name, int entry)
{
    uint64_t after = entry == NOBODY ? 0 : m->entries[entry].filed;
    int best = NOBODY;

    for (int i = 0; i < ENTRIES; i++)
        if (m->entries[i].used && m->entries[i].name == name && m->entries[i].filed > after &&
            (best == NOBODY || m->entries[i].filed < m->entries[best].filed))
            best = i;
    return best;
}

static void unfile(struct model *m, struct model_entry *e)
{
    struct model_destination *d = &m->destinations[e->name];
    int i = (int)(e - m->entries);

    if (d->release_at == i)
        d->release_at = model_filed_after(m, e->name, i);
}

void model_gone(struct model *m, struct model_entry *e)
{
    unfile(m, e);
    e->used = false;
    model_settle(m, e->name);
}

void model_file(struct model *m, struct model_entry *e, int name)
{
    e->name = name;
    e->filed = ++m->filed;
    if (m->destinations[name].lives)
        return;
    m->destinations[name].lives = true;
    m->lanes[0].members[m->lanes[0].member_count++] = name;
}

void model_move(struct model *m, struct model_entry *e, int name)
{
    int from = e->name;
    bool held = e->state == ENTRY_HELD;

    e->state = ENTRY_ACTIVE; /* out of its queue */
    model_update(m, from);
    unfile(m, e);
    model_file(m, e, name);
    if (held)
        e->state = ENTRY_HELD;
    else
        model_by_time(m, e);
    model_update(m, name);
    model_settle(m, from);
}

struct model_entry *model_pick(struct model *m, int state)
{
    int start = (int)rand_below(&m->chance, ENTRIES);

    for (int i = 0; i < ENTRIES; i++) {
        struct model_entry *e = &m->entries[(start + i) % ENTRIES];

        if (e->used && (state < 0 || (int)e->state == state))
            return e;
    }
    return NULL;
}

int64_t model_real_due(struct model *m, const struct model_entry *e)
{
    struct schedule_entry got;

    assert_true(schedule_get(m->s, e->ref, &got));
    return got.due_ms;
}

/* Ready, or behind the pause. */
void model_make_ready(struct model *m, struct model_entry *e, bool first)
{
    struct model_destination *d = &m->destinations[e->name];
    int64_t spread = (int64_t)m->config.retry.delays_s[m->config.retry.delay_count - 1] * 1000;

    if (d->paused_until > m->now) {
        e->state = ENTRY_WAITING;
        e->due = model_real_due(m, e);
        assert_true(e->due >= d->paused_until && e->due <= d->paused_until + spread);
        return;
    }
    e->state = ENTRY_READY;
    e->place = first ? --m->first_place : ++m->last_place;
}

void model_by_time(struct model *m, struct model_entry *e)
{
    if (m->seen && e->due <= m->now)
        model_make_ready(m, e, false);
    else
        e->state = ENTRY_WAITING;
}

static void wake_lanes(struct model *m)
{
    for (;;) {
        int first = NOBODY;

        for (int i = LANES; i-- > 0;)
            if (m->lanes[i].wake_ms <= m->now &&
                (first == NOBODY || m->lanes[i].wake_ms <= m->lanes[first].wake_ms))
                first = i;
        if (first == NOBODY)
            return;
        model_update_lane(m, first);
        assert_true(m->lanes[first].wake_ms > m->now);
    }
}

void model_see_time(struct model *m, int64_t now)
{
    int64_t by = m->now - now;

    if (m->seen && by > 60000) {
        for (int i = 0; i < ENTRIES; i++)
            if (m->entries[i].used && m->entries[i].state == ENTRY_WAITING)
                m->entries[i].due = MAX_OF(m->entries[i].due - by, 0);
        for (int i = 0; i < NAMES; i++)
            m->destinations[i].paused_until = MAX_OF(m->destinations[i].paused_until - by, 0);
        for (int i = 0; i < LANES; i++) {
            m->lanes[i].tokens_ms -= by;
            m->lanes[i].wake_ms -= m->lanes[i].wake_ms == SCHEDULE_NEVER ? 0 : by;
        }
    }
    m->now = now;
    m->seen = true;
    wake_lanes(m);
}
