/*
 * deliver/queue_age.c - what time alone does to mail: it expires, and its sender is told that it is
 * late, also where no attempt comes to say so: a destination that cannot be reached sends one entry
 * to find that out, and the others only wait.
 *
 * A round over all entries begins every AGE_ROUND_MS and is done in small steps. An entry that is
 * due is left alone for a while: its attempt comes first, however old it grew while the server was
 * down. In a lane that is paused or slow the attempt may never come: then its age counts.
 *
 * The same look gathers how old the mail of each lane is, for the ledger.
 */
#include <errno.h>
#include <stdlib.h>

#include "deliver/queue_int.h"
#include "ledger/ledger.h"
#include "schedule/lanes.h"

#define AGE_ROUND_MS 60000
#define AGE_LOOKS 2000 /* entries looked at in one step */
#define AGE_READS 20   /* of them read from the spool */

/* The recipients of the entry with what was last said of them; false: it cannot be read now. */
static bool details_of_entry(struct settlement *s, const struct schedule_entry *e)
{
    struct queue *q = s->queue;
    struct queue_message m;

    if (queue_read_message(q, e->id, &m) < 0)
        return false;
    s->details = attempt_details_new(m.envelope.recipient_count);
    for (size_t i = 0; s->details && i < m.envelope.recipient_count; i++) {
        const struct recipient *r = &m.envelope.recipients[i];

        if (queue_is_of_entry(q, r, e->destination))
            attempt_add(s->details, (uint32_t)i, RECIPIENT_PENDING, r->last_code,
                        r->last_text.len
                            ? r->last_text
                            : SLICE_LIT("the message waited here and no attempt could be made"));
    }
    queue_message_done(&m);
    return s->details && s->details->count > 0;
}

/* report_then_settle() does the rest: what is expired fails, what is late is told. */
static void settle_by_age(struct queue *q, const struct schedule_entry *e)
{
    struct settlement *s = calloc(1, sizeof(*s));

    if (!s)
        return;
    settlement_init(s, q, e->ref, e->id);
    s->is_claimed = true;
    if (details_of_entry(s, e) && schedule_claim(q->schedule, e->ref) == 0)
        report_then_settle(s);
    else
        settlement_free(s);
}

bool queue_is_late(const struct queue *q, entry_ref ref, int64_t now_ms)
{
    return !q->age.warnings_paused && schedule_is_delay_due(q->schedule, ref, now_ms);
}

void queue_pause_warnings(struct queue *q, bool paused)
{
    q->age.warnings_paused = paused;
}

/* Its attempt comes before its age counts, if it comes in AGE_PATIENCE rounds: of this server's
 * running, not of a clock that may jump. */
static bool is_to_be_tried(const struct queue *q, const struct schedule_entry *e, int64_t now_ms)
{
    return e->due_ms <= now_ms && e->due_ms > q->age.rounds_ms[q->age.round % AGE_PATIENCE];
}

static bool is_aged(const struct queue *q, const struct schedule_entry *e, int64_t now_ms)
{
    if ((e->state != ENTRY_WAITING && e->state != ENTRY_READY) || is_to_be_tried(q, e, now_ms))
        return false;
    if (schedule_is_expired(q->schedule, e->ref, now_ms))
        return true;
    /* Late for some rounds only: whether it was told is in the spool, too far to look each time. */
    return queue_is_late(q, e->ref, now_ms) &&
           !schedule_is_delay_due(q->schedule, e->ref, q->age.before_ms[AGE_ROUNDS_KEPT - 1]);
}

/* ---- how old the mail of each lane is ---- */

/* Without memory a lane has no ages this round. */
static struct times *ages_of(struct queue *q, uint32_t lane)
{
    struct times **more;

    if (lane >= q->age.lane_room) {
        uint32_t room = MAX_OF(lane + 1, 2 * q->age.lane_room);

        more = realloc(q->age.lanes, room * sizeof(struct times *));
        if (!more)
            return NULL;
        for (uint32_t i = q->age.lane_room; i < room; i++)
            more[i] = NULL;
        q->age.lanes = more;
        q->age.lane_room = room;
    }
    if (!q->age.lanes[lane])
        q->age.lanes[lane] = calloc(1, sizeof(struct times));
    return q->age.lanes[lane];
}

static void note_age(struct queue *q, const struct schedule_entry *e)
{
    struct times *ages = q->seams.ledger ? ages_of(q, e->lane) : NULL;

    if (ages)
        times_add(ages, (uint64_t)MAX_OF(q->age.began_ms - e->arrival_ms, 0));
}

static void forget_ages(struct queue *q)
{
    for (uint32_t i = 0; i < q->age.lane_room; i++) {
        free(q->age.lanes[i]);
        q->age.lanes[i] = NULL;
    }
}

static void tell_ages(struct queue *q)
{
    struct lane_view v;
    uint32_t it = 0;

    while (q->seams.ledger && lanes_next(q->lanes, &it, &v)) {
        uint32_t lane = lanes_schedule_lane(q->lanes, v.ref);
        const struct times *ages = lane < q->age.lane_room ? q->age.lanes[lane] : NULL;

        if (ages && ages->count > 0)
            ledger_post_queue(q->seams.ledger,
                              &(struct ledger_queue){.provider = v.provider,
                                                     .source = v.source,
                                                     .at_ms = q->age.began_ms,
                                                     .length = ages->count,
                                                     .age_oldest_ms = ages->max_ms,
                                                     .age_median_ms = times_percentile(ages, 0.5),
                                                     .age_p90_ms = times_percentile(ages, 0.9)});
    }
    forget_ages(q);
}

/* ---- rounds ---- */

static void begin_round(struct queue *q, int64_t now_ms)
{
    /* What came to be late in a pause still did so after the oldest of them, when it ends. */
    for (size_t i = AGE_ROUNDS_KEPT - 1; i > 0 && !q->age.warnings_paused; i--)
        q->age.before_ms[i] = q->age.before_ms[i - 1];
    if (!q->age.warnings_paused)
        q->age.before_ms[0] = q->age.began_ms;
    q->age.rounds_ms[q->age.round++ % AGE_PATIENCE] = q->age.began_ms;
    q->age.began_ms = now_ms;
    q->age.cursor = 0;
    q->age.is_in_round = true;
    forget_ages(q); /* of a round that was broken off */
}

void queue_age_init(struct queue *q)
{
    q->age.began_ms = queue_now(q);
    for (size_t i = 0; i < AGE_PATIENCE; i++)
        q->age.rounds_ms[i] = INT64_MIN;
    for (size_t i = 0; i < AGE_ROUNDS_KEPT; i++)
        q->age.before_ms[i] = q->age.began_ms;
}

void queue_age_done(struct queue *q)
{
    forget_ages(q);
    free(q->age.lanes);
}

int64_t queue_age_step(struct queue *q)
{
    int64_t now_ms = queue_now(q);
    int64_t next_ms = q->age.began_ms + AGE_ROUND_MS;
    struct schedule_totals totals;
    struct schedule_entry e;
    size_t reads = 0;

    if (!q->age.is_in_round) {
        if (now_ms < next_ms && now_ms > q->age.began_ms - AGE_ROUND_MS) {
            schedule_get_totals(q->schedule, &totals);
            return totals.entries ? next_ms : SCHEDULE_NEVER;
        }
        begin_round(q, now_ms);
    }
    for (size_t looks = 0; looks < AGE_LOOKS && reads < AGE_READS; looks++) {
        if (!schedule_next_entry(q->schedule, &q->age.cursor, &e)) {
            q->age.is_in_round = false;
            tell_ages(q);
            return q->age.began_ms + AGE_ROUND_MS;
        }
        note_age(q, &e);
        if (is_aged(q, &e, q->age.began_ms)) {
            reads++;
            settle_by_age(q, &e);
        }
    }
    return now_ms;
}
