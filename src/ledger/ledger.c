/*
 * ledger/ledger.c - the thread that writes evidence: many parcels go into one transaction, and the
 * file stays within its bounds.
 *
 *     asleep --commit_ms, or a parcel that hurries--> BEGIN, every parcel, COMMIT --> trim, asleep
 */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "event/event.h"
#include "io/thread.h"
#include "ledger/ledger_int.h"

#define TRIM_ROWS 20000                /* of attempts, or figures, after one transaction */
#define ATTEMPTS_KEPT_MS (3600 * 1000) /* the last, while figures can make room */
#define TRIM_EVERY_MS 60000            /* of what is not attempts */
#define FIGURES_KEPT 10 /* times age_max_s, for those by hour and day; minutes: age_max_s */
#define DESTINATIONS_KEPT_S (90 * 86400)
#define ERROR_EVERY_MS 60000 /* an error is told at most so often */

struct ledger {
    struct mailbox *box;
    struct parcel last;
    struct thread thread;
    char path[512];
    _Atomic uint64_t age_max_s, size_max_bytes, commit_ms, suppression_age_max_s;
    _Atomic uint64_t written, dropped, waiting, errors, file_bytes;
    _Atomic int64_t oldest_ms;

    /* The thread's own. */
    struct store store;
    struct figures figures;
    bool is_open, stop;
    uint64_t trimmed_ms, told_ms; /* monotonic */
    int error;                    /* of the transaction under way */
    struct list changes;          /* of the suppression list, in the transaction under way */
};

enum note_kind { NOTE_LANE, NOTE_INCIDENT, NOTE_DESTINATION, NOTE_QUEUE };

/* What comes as bytes: a lane's state, an incident, a destination, a queue's figures. */
struct note {
    struct parcel parcel;
    struct ledger *ledger;
    enum note_kind kind;
    uint64_t id;
    int64_t opened_ms, closed_ms;
    struct ledger_queue queue;
    size_t name_len, text_len, extra_len;
    char bytes[];
};

/* ---- errors ---- */

/* Once a minute at most: a full disk fails every second. */
static void tell_error(struct ledger *l, const char *what, int r)
{
    atomic_fetch_add(&l->errors, 1);
    if (l->told_ms && clock_mono_ms() - l->told_ms < ERROR_EVERY_MS)
        return;
    l->told_ms = clock_mono_ms();
    event(EVENT_LEDGER_ERROR, EVENT_NO_ID, EV_STR("file", l->path), EV_STR("what", what),
          EV_ERR("why", r));
}

/* ---- opening ---- */

/* A file that is damaged is set aside under its time, and a new one begun. */
static int set_aside(struct ledger *l)
{
    char to[sizeof(l->path) + 40];

    (void)snprintf(to, sizeof(to), "%s.damaged-%lld", l->path, (long long)clock_wall_ms());
    if (rename(l->path, to) < 0)
        return -errno;
    (void)snprintf(to, sizeof(to), "%s-wal", l->path);
    (void)unlink(to);
    (void)snprintf(to, sizeof(to), "%s-shm", l->path);
    (void)unlink(to);
    return 0;
}

static int open_store(struct ledger *l, struct buf *why)
{
    int r = store_open(&l->store, l->path, why);

    if (r == -ERR_DAMAGED && set_aside(l) == 0) {
        tell_error(l, "set aside: it is damaged, or was written by a later version", r);
        buf_clear(why);
        r = store_open(&l->store, l->path, why);
    }
    l->is_open = r == 0;
    return r;
}

/* ---- the thread ---- */

static void fail(struct ledger *l, const char *what, int r)
{
    if (r < 0 && l->error == 0) {
        l->error = r;
        tell_error(l, what, r);
    }
}

static void begin(struct ledger *l)
{
    if (l->is_open && !l->store.in_transaction && l->error == 0)
        fail(l, "begin", store_begin(&l->store));
}

static void attempt_came(struct parcel *p, void *receiver)
{
    struct ledger *l = receiver;
    struct ledger_attempt *a = CONTAINER_OF(p, struct ledger_attempt, parcel);

    atomic_fetch_sub(&l->waiting, 1);
    begin(l);
    if (l->store.in_transaction && l->error == 0) {
        fail(l, "attempt", store_attempt(&l->store, &a->attempt));
        if (l->error == 0 && !a->attempt.is_suppressed)
            fail(l, "figures", figures_add(&l->figures, &l->store, &a->attempt));
    }
    atomic_fetch_add(l->error || !l->is_open ? &l->dropped : &l->written, 1);
    ledger_attempt_free(&a);
}

static int write_note(struct ledger *l, const struct note *n)
{
    struct slice name = slice_make(n->bytes, n->name_len);
    struct slice text = slice_make(n->bytes + n->name_len, n->text_len);

    switch (n->kind) {
    case NOTE_LANE:
        return store_lane(&l->store, name, text);
    case NOTE_INCIDENT:
        return store_incident(&l->store, n->id, name, n->opened_ms, n->closed_ms, text);
    case NOTE_DESTINATION:
        return store_destination(&l->store, name, slice_sub(text, 0, n->text_len - n->extra_len),
                                 slice_from(text, n->text_len - n->extra_len));
    case NOTE_QUEUE:
    default:
        return store_queue(&l->store, name, &n->queue);
    }
}

static void note_came(struct parcel *p, void *receiver)
{
    struct ledger *l = receiver;
    struct note *n = CONTAINER_OF(p, struct note, parcel);

    begin(l);
    if (l->store.in_transaction && l->error == 0)
        fail(l, "note", write_note(l, n));
    free(n);
}

static int write_change(struct ledger *l, const struct ledger_change *c)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->count; i++)
        r = store_suppression(&l->store, suppression_get(c->items[i].s), c->items[i].is_removal);
    return r;
}

/* What somebody waits for has a transaction that waits for the disk: what came before is
 * committed without that. */
static void begin_durable(struct ledger *l)
{
    if (!l->is_open || l->error || l->store.waits_for_disk)
        return;
    if (l->store.in_transaction)
        fail(l, "commit", store_commit(&l->store));
    if (l->error == 0)
        fail(l, "commit", store_wait_for_disk(&l->store, true));
}

static void change_came(struct parcel *p, void *receiver)
{
    struct ledger *l = receiver;
    struct ledger_change *c = CONTAINER_OF(p, struct ledger_change, parcel);

    if (c->answered)
        begin_durable(l);
    begin(l);
    if (l->store.in_transaction && l->error == 0)
        fail(l, "suppression list", write_change(l, c));
    list_add_tail(&l->changes, &c->node);
}

static void answer_changes(struct ledger *l, int result)
{
    struct list *node;

    while ((node = list_pop(&l->changes))) {
        struct ledger_change *c = LIST_ENTRY(node, struct ledger_change, node);

        c->result = result;
        if (!c->answered) {
            ledger_change_free(&c);
            continue;
        }
        c->parcel.deliver = c->answered;
        mailbox_post(c->answer_to, &c->parcel);
    }
}

static void stop_came(struct parcel *p, void *receiver)
{
    (void)p;
    ((struct ledger *)receiver)->stop = true;
}

static void trim_the_rest(struct ledger *l)
{
    int64_t now = clock_wall_ms(), age = (int64_t)atomic_load(&l->age_max_s);
    int r = store_trim_figures(&l->store, 60, now / 1000 - age);

    if (r >= 0)
        r = store_trim_figures(&l->store, 3600, now / 1000 - age * FIGURES_KEPT);
    if (r >= 0)
        r = store_trim_figures(&l->store, 86400, now / 1000 - age * FIGURES_KEPT);
    if (r >= 0)
        r = store_trim_rest(&l->store, now - (int64_t)DESTINATIONS_KEPT_S * 1000);
    if (r >= 0 && atomic_load(&l->suppression_age_max_s))
        r = store_trim_suppressions(&l->store,
                                    now - (int64_t)atomic_load(&l->suppression_age_max_s) * 1000);
    fail(l, "trim", MIN_OF(r, 0));
    l->trimmed_ms = clock_mono_ms();
}

/*
 * The oldest attempts go first, but for the last hour's: a sender with a domain for each message makes
 * more bytes of figures than of attempts, and would push all of these out of the file.
 */
static int trim_to_size(struct ledger *l, int64_t now)
{
    int64_t oldest = store_oldest_ms(&l->store);
    int r = 0;

    if (oldest == 0 || oldest > now - ATTEMPTS_KEPT_MS)
        r = store_trim_oldest_figures(&l->store, TRIM_ROWS);
    return r == 0 ? store_trim_attempts(&l->store, INT64_MAX >> 16, TRIM_ROWS) : r;
}

/* Keeps age and size, a bounded step after each transaction. */
static void trim(struct ledger *l)
{
    int64_t now = clock_wall_ms();
    int64_t age_ms = (int64_t)atomic_load(&l->age_max_s) * 1000;
    uint64_t used = store_bytes_used(&l->store);
    int r = 0;

    begin(l);
    if (l->error == 0)
        r = used > atomic_load(&l->size_max_bytes)
                ? trim_to_size(l, now)
                : store_trim_attempts(&l->store, now - age_ms, TRIM_ROWS);
    if (r >= 0 && (l->trimmed_ms == 0 || clock_mono_ms() - l->trimmed_ms >= TRIM_EVERY_MS))
        trim_the_rest(l);
    fail(l, "trim", MIN_OF(r, 0));
    atomic_store(&l->file_bytes, used);
}

static void end_transaction(struct ledger *l)
{
    int r;

    if (l->error == 0 && l->is_open && l->store.in_transaction)
        trim(l);
    if (l->error == 0)
        fail(l, "commit", store_commit(&l->store));
    else
        store_abandon(&l->store);
    r = l->is_open ? l->error : -EIO;
    l->error = 0;
    answer_changes(l, r);
    if (l->is_open)
        fail(l, "commit", store_wait_for_disk(&l->store, false));
    l->error = 0;
    if (l->is_open)
        atomic_store(&l->oldest_ms, store_oldest_ms(&l->store));
}

static void write_last(struct ledger *l)
{
    begin(l);
    if (l->is_open && l->error == 0)
        fail(l, "figures", figures_write(&l->figures, &l->store));
    end_transaction(l);
}

static void run(void *ctx)
{
    struct ledger *l = ctx;

    while (!l->stop) {
        (void)mailbox_receive_urgent(l->box, atomic_load(&l->commit_ms) * NS_PER_MS, MAILBOX_NOW);
        end_transaction(l);
    }
    write_last(l);
}

/* ---- opening and closing ---- */

void ledger_set(struct ledger *l, const struct ledger_settings *s)
{
    atomic_store(&l->age_max_s, s->age_max_s);
    atomic_store(&l->size_max_bytes, s->size_max_bytes);
    atomic_store(&l->commit_ms, MAX_OF(s->commit_ms, 1));
    atomic_store(&l->suppression_age_max_s, s->suppression_age_max_s);
}

static int make_directory(const char *path, struct buf *why)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    ignore_result(buf_addf(why, "%s: %s", path, strerror(errno)));
    return -errno;
}

int ledger_open(struct ledger **ret, const struct ledger_settings *s, struct buf *why)
{
    struct ledger *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    ledger_set(l, s);
    list_init(&l->changes);
    figures_init(&l->figures, clock_mono_ns());
    (void)snprintf(l->path, sizeof(l->path), "%s/" LEDGER_FILE, s->directory);
    r = make_directory(s->directory, why);
    if (r == 0)
        r = mailbox_new_blocking(&l->box, l);
    if (r == 0)
        r = open_store(l, why);
    if (r == 0)
        r = thread_start(&l->thread, "ledger", run, l);
    if (r == 0) {
        *ret = l;
        return 0;
    }
    if (l->is_open)
        store_close(&l->store);
    if (l->box)
        mailbox_free(&l->box);
    figures_done(&l->figures);
    free(l);
    return r;
}

static struct note *note_new(struct ledger *l, enum note_kind kind, struct slice name,
                             struct slice text)
{
    struct note *n = calloc(1, sizeof(*n) + name.len + text.len);

    if (!n) {
        atomic_fetch_add(&l->errors, 1);
        return NULL;
    }
    n->parcel.deliver = note_came;
    n->ledger = l;
    n->kind = kind;
    n->name_len = name.len;
    n->text_len = text.len;
    if (name.len)
        memcpy(n->bytes, name.ptr, name.len);
    if (text.len)
        memcpy(n->bytes + name.len, text.ptr, text.len);
    return n;
}

void ledger_close(struct ledger **lp)
{
    struct ledger *l = *lp;

    if (!l)
        return;
    l->last.deliver = stop_came;
    mailbox_post(l->box, &l->last);
    thread_join(&l->thread);
    store_close(&l->store);
    mailbox_free(&l->box);
    figures_done(&l->figures);
    free(l);
    *lp = NULL;
}

/* ---- posting ---- */

void ledger_post_attempt(struct ledger *l, struct ledger_attempt *a)
{
    if (atomic_load_explicit(&l->waiting, memory_order_relaxed) >= LEDGER_WAITING_MAX) {
        atomic_fetch_add(&l->dropped, 1);
        ledger_attempt_free(&a);
        return;
    }
    atomic_fetch_add(&l->waiting, 1);
    a->parcel.deliver = attempt_came;
    mailbox_post_urgent(l->box, &a->parcel, MAILBOX_LAZY);
}

static void post_note(struct ledger *l, struct note *n)
{
    if (n)
        mailbox_post_urgent(l->box, &n->parcel, MAILBOX_LAZY);
}

void ledger_post_lane(struct ledger *l, struct slice name, struct slice state)
{
    post_note(l, note_new(l, NOTE_LANE, name, state));
}

void ledger_post_incident(struct ledger *l, uint64_t id, struct slice lane, int64_t opened_ms,
                          int64_t closed_ms, struct slice json)
{
    struct note *n = note_new(l, NOTE_INCIDENT, lane, json);

    if (!n)
        return;
    n->id = id;
    n->opened_ms = opened_ms;
    n->closed_ms = closed_ms;
    post_note(l, n);
}

void ledger_post_queue(struct ledger *l, const struct ledger_queue *q)
{
    char lane[512];
    int len =
        snprintf(lane, sizeof(lane), "%.*s/%.*s", SLICE_FMT(q->provider), SLICE_FMT(q->source));
    struct note *n =
        note_new(l, NOTE_QUEUE, slice_make(lane, MIN_OF((size_t)MAX_OF(len, 0), sizeof(lane) - 1)),
                 (struct slice){0});

    if (!n)
        return;
    n->queue = *q;
    post_note(l, n);
}

void ledger_post_destination(struct ledger *l, struct slice domain, struct slice provider,
                             struct slice mx_host)
{
    struct buf text = BUF_INIT(KIB(1));
    struct note *n = NULL;

    if (buf_add(&text, provider) == 0 && buf_add(&text, mx_host) == 0)
        n = note_new(l, NOTE_DESTINATION, domain, buf_slice(&text));
    if (n)
        n->extra_len = mx_host.len;
    post_note(l, n);
    buf_done(&text);
}

void ledger_post_change(struct ledger *l, struct ledger_change *c)
{
    c->parcel.deliver = change_came;
    mailbox_post_urgent(l->box, &c->parcel, c->answered ? MAILBOX_NOW : MAILBOX_LAZY);
}

const char *ledger_path(const struct ledger *l)
{
    return l->path;
}

void ledger_get_figures(const struct ledger *l, struct ledger_figures *ret)
{
    *ret = (struct ledger_figures){.written = atomic_load(&l->written),
                                   .dropped = atomic_load(&l->dropped),
                                   .waiting = atomic_load(&l->waiting),
                                   .errors = atomic_load(&l->errors),
                                   .file_bytes = atomic_load(&l->file_bytes),
                                   .oldest_ms = atomic_load(&l->oldest_ms)};
}
