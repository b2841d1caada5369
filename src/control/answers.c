/*
 * control/answers.c - what the queue manager knows, as JSON.
 *
 * Times are milliseconds since 1970, null where there is none; ids are texts, as everywhere.
 */
#include "control/answers_int.h"

#include <unistd.h>

#include "base/id.h"
#include "control/json_out.h"
#include "control/pressure_int.h"
#include "deliver/destination.h"
#include "deliver/queue.h"
#include "event/event.h"
#include "message/envelope.h"
#include "schedule/schedule.h"
#include "spool/spool.h"

/* A summary page ends after so many entries were looked at: each destination costs its entries. */
#define SUMMARY_ENTRIES_MAX 20000
/* Once a message's answer is so long, reply texts and further attempts are left out of it. */
#define MESSAGE_TEXTS_MAX MIB(8)

static void add_id(struct json_out *j, const char *key, uint64_t id)
{
    char text[ID_TEXT_MAX];

    json_out_text(j, key, slice_make(text, id_format(id, text)));
}

static void add_time(struct json_out *j, const char *key, int64_t ms)
{
    if (ms <= 0 || ms == SCHEDULE_NEVER)
        json_out_null(j, key);
    else
        json_out_int(j, key, ms);
}

static void add_cursor(struct json_out *j, const struct control_ask *ask, bool more, uint32_t at)
{
    char text[CONTROL_CURSOR_MAX];

    if (!more) {
        json_out_null(j, "cursor");
        return;
    }
    control_ask_cursor(ask, at, text);
    json_out_str(j, "cursor", text);
}

/* ---- status ---- */

static void add_totals(struct json_out *j, struct queue *q)
{
    struct schedule_totals totals;
    struct queue_figures figures;

    schedule_get_totals(queue_schedule(q), &totals);
    queue_get_figures(q, &figures);
    json_out_object(j, "queue");
    json_out_uint(j, "entries", totals.entries);
    json_out_uint(j, "deferred", totals.waiting);
    json_out_uint(j, "ready", totals.ready);
    json_out_uint(j, "active", totals.active);
    json_out_uint(j, "held", totals.held);
    json_out_uint(j, "destinations", totals.destinations);
    json_out_uint(j, "connections", totals.slots);
    json_out_uint(j, "unfiled", figures.unfiled);
    json_out_uint(j, "jobs", figures.jobs);
    json_out_uint(j, "spool_requests", figures.requests);
    json_out_uint(j, "suppressions", figures.suppressions);
    json_out_object_end(j);
}

static void add_spool(struct json_out *j, const char *key, struct queue *q)
{
    struct spool_stat s;

    spool_get_stat(queue_spool(q), &s);
    json_out_object(j, key);
    json_out_uint(j, "messages", s.messages);
    json_out_uint(j, "live_bytes", s.live_bytes);
    json_out_uint(j, "capacity_bytes", s.capacity_bytes);
    json_out_uint(j, "free_bytes", s.free_bytes);
    json_out_uint(j, "reserved_bytes", s.reserved_bytes);
    json_out_uint(j, "segments", s.segments);
    json_out_uint(j, "segments_free", s.segments_free);
    json_out_uint(j, "segment_bytes", s.segment_bytes);
    json_out_uint(j, "bytes_written", s.bytes_written);
    json_out_uint(j, "syncs", s.syncs);
    json_out_uint(j, "commits", s.commits);
    json_out_uint(j, "marks", s.marks);
    json_out_uint(j, "removes", s.removes);
    json_out_uint(j, "checkpoints", s.checkpoints);
    json_out_uint(j, "compacted_bytes", s.compacted_bytes);
    json_out_uint(j, "damaged", s.damaged);
    json_out_bool(j, "failed", s.failed);
    json_out_object_end(j);
}

void answer_status(const struct control_seams *seams, int64_t started_ms, struct buf *to)
{
    struct json_out j;

    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_int(&j, "pid", getpid());
    json_out_int(&j, "now_ms", seams->wall_ms(seams->ctx));
    json_out_int(&j, "started_ms", started_ms);
    if (seams->add_status)
        seams->add_status(seams->ctx, &j);
    add_pressure_member(&j, seams);
    add_totals(&j, seams->queue);
    add_spool(&j, "spool", seams->queue);
    json_out_object(&j, "counters");
    for (int c = 0; c < COUNTERS; c++)
        json_out_uint(&j, counter_name((enum counter)c), counter_get((enum counter)c));
    json_out_object_end(&j);
    json_out_object_end(&j);
}

void answer_spool(struct queue *q, struct buf *to)
{
    struct json_out j;

    json_out_init(&j, to);
    add_spool(&j, NULL, q);
}

/* ---- listing ---- */

/* Whether this recipient is one the entry still has to deliver. Where the destination is a next
 * hop and not a domain, the entry may stand for any pending recipient. */
static bool is_of_entry(const struct queue_item *item, const struct recipient *r, bool by_domain)
{
    if (r->state != RECIPIENT_PENDING)
        return false;
    return !by_domain || slice_eq_case(address_domain(r->address), item->destination);
}

static bool is_by_domain(const struct queue_item *item)
{
    const struct envelope *e = item->envelope;

    for (size_t i = 0; i < e->recipient_count; i++)
        if (is_of_entry(item, &e->recipients[i], /* by_domain= */ true))
            return true;
    return false;
}

static void add_details(struct json_out *j, const struct queue_item *item)
{
    const struct envelope *e = item->envelope;
    const struct recipient *last = NULL;
    bool by_domain = is_by_domain(item);
    uint64_t count = 0;

    json_out_text(j, "sender", e->sender);
    json_out_uint(j, "bytes", e->body_bytes);
    json_out_array(j, "recipients");
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct recipient *r = &e->recipients[i];

        if (!is_of_entry(item, r, by_domain))
            continue;
        if (count++ < ANSWER_RECIPIENTS_LISTED)
            json_out_text(j, NULL, r->address);
        if (!last || r->last_attempt_ms > last->last_attempt_ms)
            last = r;
    }
    json_out_array_end(j);
    json_out_uint(j, "recipient_count", count);
    if (last && last->last_attempt_ms > 0) {
        json_out_uint(j, "last_code", last->last_code);
        json_out_text(j, "last_text", last->last_text);
    }
}

static void add_item(struct json_out *j, const struct queue_item *item)
{
    json_out_object(j, NULL);
    add_id(j, "id", item->id);
    json_out_text(j, "destination", item->destination);
    json_out_str(j, "state", item->state);
    json_out_int(j, "arrival_ms", item->arrival_ms);
    add_time(j, "next_attempt_ms", item->due_ms);
    json_out_uint(j, "attempts", item->attempts);
    if (item->envelope)
        add_details(j, item);
    json_out_object_end(j);
}

static bool list_item(void *ctx, const struct queue_item *item)
{
    add_item(ctx, item);
    return true;
}

void answer_list(const struct control_seams *seams, const struct control_ask *ask, int64_t now_ms,
                 struct buf *to)
{
    struct queue_filter filter = control_ask_filter(ask, now_ms);
    uint32_t at = ask->at;
    struct json_out j;
    bool more;

    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_int(&j, "now_ms", now_ms);
    add_pressure_member(&j, seams);
    json_out_array(&j, "items");
    more = queue_list(seams->queue, &filter, ask->details, ask->limit, &at, list_item, &j);
    json_out_array_end(&j);
    add_cursor(&j, ask, more, at);
    json_out_object_end(&j);
}

/* ---- summary ---- */

static void add_destination(struct json_out *j, const struct schedule_destination *d)
{
    json_out_object(j, NULL);
    json_out_text(j, "destination", destination_of_key(d->name));
    if (destination_source_of_key(d->name).len)
        json_out_text(j, "source", destination_source_of_key(d->name));
    json_out_uint(j, "entries", d->entries);
    json_out_uint(j, "deferred", d->waiting);
    json_out_uint(j, "ready", d->ready);
    json_out_uint(j, "active", d->active);
    json_out_uint(j, "held", d->held);
    json_out_uint(j, "connections", d->slots);
    add_time(j, "oldest_arrival_ms", d->oldest_arrival_ms);
    add_time(j, "next_attempt_ms", d->next_due_ms);
    add_time(j, "paused_until_ms", d->paused_until_ms);
    json_out_uint(j, "failures", d->failures);
    json_out_object_end(j);
}

void answer_summary(struct queue *q, const struct control_ask *ask, struct buf *to)
{
    uint64_t looked_at = 0, count = 0;
    struct schedule_destination d;
    uint32_t at = ask->at;
    struct json_out j;
    bool more = true;

    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_array(&j, "destinations");
    while (more && count < ask->limit && looked_at < SUMMARY_ENTRIES_MAX) {
        more = schedule_next_destination(queue_schedule(q), &at, &d);
        if (!more)
            break;
        looked_at += d.entries;
        if (d.entries == 0)
            continue;
        add_destination(&j, &d);
        count++;
    }
    json_out_array_end(&j);
    add_cursor(&j, ask, more, at);
    json_out_object_end(&j);
}

/* ---- one message ---- */

static const char *recipient_state_name(uint8_t state)
{
    switch ((enum recipient_state)state) {
    case RECIPIENT_PENDING:
        return "pending";
    case RECIPIENT_DELIVERED:
        return "delivered";
    case RECIPIENT_RELAYED:
        return "relayed";
    case RECIPIENT_FAILED:
        return "failed";
    case RECIPIENT_REMOVED:
        return "removed";
    }
    return "unknown";
}

static void add_recipient(struct json_out *j, const struct recipient *r)
{
    static const struct {
        unsigned flag;
        const char *name;
    } notify[] = {
        {NOTIFY_NEVER, "never"},
        {NOTIFY_SUCCESS, "success"},
        {NOTIFY_FAILURE, "failure"},
        {NOTIFY_DELAY, "delay"},
    };

    json_out_object(j, NULL);
    json_out_text(j, "address", r->address);
    json_out_str(j, "state", recipient_state_name(r->state));
    if (r->orcpt.len > 0)
        json_out_text(j, "orcpt", r->orcpt);
    if (r->notify) {
        json_out_array(j, "notify");
        for (size_t i = 0; i < ARRAY_SIZE(notify); i++)
            if (r->notify & notify[i].flag)
                json_out_str(j, NULL, notify[i].name);
        json_out_array_end(j);
    }
    json_out_uint(j, "attempts", r->attempts);
    add_time(j, "last_attempt_ms", r->last_attempt_ms);
    add_time(j, "next_attempt_ms", r->state == RECIPIENT_PENDING ? r->next_attempt_ms : 0);
    if (r->last_attempt_ms > 0) {
        json_out_uint(j, "last_code", r->last_code);
        if (buf_len(j->to) < MESSAGE_TEXTS_MAX)
            json_out_text(j, "last_text", r->last_text);
    }
    json_out_object_end(j);
}

struct history {
    struct json_out *j;
    const struct envelope *envelope;
    bool is_cut;
};

static void add_recipient_address(struct history *h, uint32_t index)
{
    if (index < h->envelope->recipient_count)
        json_out_text(h->j, NULL, h->envelope->recipients[index].address);
}

static bool is_same_result(const struct mark_result *a, const struct mark_result *b)
{
    return a->state == b->state && a->code == b->code && slice_eq(a->text, b->text);
}

/* Recipients that got the same reply stand together. */
static void add_results(struct history *h, const struct mark *m)
{
    for (size_t i = 0; i < m->result_count;) {
        const struct mark_result *first = &m->results[i];

        json_out_object(h->j, NULL);
        json_out_str(h->j, "state",
                     first->state == RECIPIENT_PENDING ? "deferred"
                                                       : recipient_state_name(first->state));
        json_out_uint(h->j, "code", first->code);
        json_out_text(h->j, "text", first->text);
        json_out_array(h->j, "recipients");
        do
            add_recipient_address(h, m->results[i++].recipient);
        while (i < m->result_count && is_same_result(first, &m->results[i]));
        json_out_array_end(h->j);
        json_out_object_end(h->j);
    }
}

static int add_mark(void *ctx, const struct mark *m)
{
    static const char *const kinds[] = {
        [MARK_ATTEMPT] = "attempt",
        [MARK_HOLD] = "hold",
        [MARK_RELEASE] = "release",
        [MARK_DELAY_DSN] = "delay_report",
    };
    struct history *h = ctx;

    if (buf_len(h->j->to) >= MESSAGE_TEXTS_MAX) {
        h->is_cut = true;
        return 1;
    }
    json_out_object(h->j, NULL);
    json_out_str(h->j, "event",
                 (size_t)m->kind < ARRAY_SIZE(kinds) && kinds[m->kind] ? kinds[m->kind]
                                                                       : "unknown");
    json_out_int(h->j, "at_ms", m->at_ms);
    if (m->kind == MARK_ATTEMPT) {
        add_time(h->j, "next_attempt_ms", m->next_attempt_ms);
        json_out_array(h->j, "results");
        add_results(h, m);
        json_out_array_end(h->j);
    }
    json_out_object_end(h->j);
    return 0;
}

static void add_flags(struct json_out *j, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {ENVELOPE_8BITMIME, "8bitmime"}, {ENVELOPE_SMTPUTF8, "smtputf8"},
        {ENVELOPE_RET_FULL, "ret_full"}, {ENVELOPE_RET_HDRS, "ret_hdrs"},
        {ENVELOPE_IS_DSN, "dsn"},        {ENVELOPE_HELD, "held"},
        {ENVELOPE_TLS, "tls"},
    };

    json_out_array(j, "flags");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (flags & names[i].flag)
            json_out_str(j, NULL, names[i].name);
    json_out_array_end(j);
}

static void add_envelope(struct json_out *j, const struct envelope *e)
{
    json_out_text(j, "sender", e->sender);
    if (e->envid.len > 0)
        json_out_text(j, "envid", e->envid);
    add_flags(j, e->flags);
    json_out_int(j, "arrival_ms", e->arrival_ms);
    json_out_uint(j, "bytes", e->body_bytes);
    json_out_object(j, "client");
    json_out_text(j, "ip", e->client_ip);
    json_out_text(j, "helo", e->client_helo);
    json_out_text(j, "name", e->client_name);
    json_out_object_end(j);
}

/* The message's entries in the schedule: which destinations are still to be served, and when. */
static void add_entries(struct json_out *j, struct queue *q, uint64_t id)
{
    struct queue_filter filter = {.id = id};
    uint32_t at = 0;

    json_out_array(j, "entries");
    (void)queue_list(q, &filter, /* details= */ false, CONTROL_LIMIT_MAX, &at, list_item, j);
    json_out_array_end(j);
}

int answer_message(struct queue *q, uint64_t id, struct buf *to)
{
    struct queue_message m;
    struct history h;
    struct json_out j;
    int r = queue_read_message(q, id, &m);

    if (r < 0)
        return r;
    json_out_init(&j, to);
    json_out_object(&j, NULL);
    add_id(&j, "id", id);
    add_envelope(&j, &m.envelope);
    add_entries(&j, q, id);
    json_out_array(&j, "recipients");
    for (size_t i = 0; i < m.envelope.recipient_count; i++)
        add_recipient(&j, &m.envelope.recipients[i]);
    json_out_array_end(&j);
    h = (struct history){.j = &j, .envelope = &m.envelope};
    json_out_array(&j, "history");
    if (marks_each(buf_slice(&m.marks), add_mark, &h) < 0)
        h.is_cut = true;
    json_out_array_end(&j);
    json_out_bool(&j, "history_is_cut", h.is_cut);
    json_out_object_end(&j);
    queue_message_done(&m);
    return 0;
}

/* ---- actions ---- */

bool answer_action(struct queue *q, const struct control_ask *ask, int64_t now_ms, struct buf *to)
{
    struct queue_filter filter = control_ask_filter(ask, now_ms);
    struct queue_action_result result = {0};
    uint32_t at = ask->at;
    struct json_out j;
    bool more = queue_act(q, &filter, ask->action, &at, &result);

    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_uint(&j, "matched", result.matched);
    json_out_uint(&j, "done", result.done);
    json_out_uint(&j, "busy", result.busy);
    add_cursor(&j, ask, more, at);
    json_out_object_end(&j);
    return result.done > 0 && ask->action != QUEUE_RETRY;
}

void answer_error(struct slice sentence, struct buf *to)
{
    struct json_out j;

    while (sentence.len > 0 && sentence.ptr[sentence.len - 1] == '\n')
        sentence.len--;
    json_out_init(&j, to);
    json_out_object(&j, NULL);
    json_out_text(&j, "error", sentence);
    json_out_object_end(&j);
}
