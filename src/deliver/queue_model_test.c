/*
 * deliver/queue_model_test.c - random histories of the queue manager over a real spool: many
 * recipients and destinations, every outcome, reports that cannot be stored, marks and removals
 * that the spool has no room for, operators, reloads, restarts and power cuts. Workers are played
 * here.
 *
 * At the end each recipient was delivered once, or failed and was reported once where its sender
 * wants to know, or was removed; and the spool is empty. After a power cut twice is allowed, never
 * none. PENSTOCK_SEED picks one history, PENSTOCK_SEEDS how many are run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/deliver_kit.h"

enum { MESSAGES = 60, RECIPIENTS = 1500, DOMAINS = 7, JOBS = 200, STEPS = 2500, SEEDS = 25 };

struct model_recipient {
    uint8_t notify;
    bool null_sender;
    unsigned delivered, failed, removed; /* times a worker, or the operator, said so */
    unsigned told_failed, told_delivered, told_late;
    bool late_unwanted;
};

struct running { /* a job with its worker */
    struct job *job;
    uint32_t at;
    bool is_open;
    struct queue_message message;
    uint32_t picked[RECIPIENTS];
    size_t picked_count;
};

struct history {
    struct kit k;
    struct rand rand;
    struct model_recipient recipients[RECIPIENTS];
    size_t recipient_count, message_count;
    struct running jobs[JOBS];
    size_t job_count;
    unsigned crashes;
    bool calm; /* the end: everything succeeds */
    const struct config *configs[2];
    const struct config *next_config;
    uint64_t seed;
};

static struct history *history; /* for dispatch(), which gets the kit */

#define CHECK(h, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu: %s (line %d)", (unsigned long long)(h)->seed, #condition,         \
                     __LINE__);                                                                    \
    } while (0)

static bool chance(struct history *h, unsigned percent)
{
    return rand_below(&h->rand, 100) < percent;
}

static void dispatch(void *ctx, struct job *job)
{
    struct history *h = history;

    (void)ctx;
    CHECK(h, h->job_count < JOBS && job->count > 0 && job->count <= JOB_ENTRIES_MAX);
    h->jobs[h->job_count++] = (struct running){.job = job};
}

/* ---- mail ---- */

static void add_recipient(struct history *h, struct recipient *r, char *text, size_t size,
                          bool null_sender)
{
    static const uint8_t wishes[] = {0,
                                     0,
                                     0,
                                     NOTIFY_NEVER,
                                     NOTIFY_FAILURE,
                                     NOTIFY_DELAY,
                                     NOTIFY_SUCCESS,
                                     NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY};
    uint8_t notify = wishes[rand_below(&h->rand, ARRAY_SIZE(wishes))];
    size_t index = h->recipient_count++;

    h->recipients[index] = (struct model_recipient){.notify = notify, .null_sender = null_sender};
    (void)snprintf(text, size, "r%zu@d%u.example", index, (unsigned)rand_below(&h->rand, DOMAINS));
    *r = (struct recipient){.address = slice_str(text), .notify = notify};
}

static void submit(struct history *h)
{
    static char texts[400][40];
    static struct recipient recipients[400];
    size_t count = chance(h, 5) ? 300 : chance(h, 50) ? 1 : 1 + (size_t)rand_below(&h->rand, 12);
    bool null_sender = chance(h, 10);
    struct envelope e = {.sender = null_sender ? slice_make(NULL, 0) : SLICE_LIT("s@back.example"),
                         .client_ip = SLICE_LIT("192.0.2.1"),
                         .recipients = recipients,
                         .recipient_count = count};

    if (h->message_count == MESSAGES || h->recipient_count + count > RECIPIENTS)
        return;
    h->message_count++;
    for (size_t i = 0; i < count; i++)
        add_recipient(h, &recipients[i], texts[i], sizeof(texts[i]), null_sender);
    (void)kit_submit(&h->k, &e, SLICE_LIT("Subject: x\r\n\r\nhello\r\n"));
}

static struct model_recipient *model_of(struct history *h, struct slice address)
{
    uint64_t index;

    if (address.len < 2 || address.ptr[0] != 'r')
        return NULL;
    address = slice_from(address, 1);
    address = slice_sub(address, 0, (size_t)slice_find(address, '@'));
    CHECK(h, slice_to_u64(address, RECIPIENTS - 1, &index) == 0);
    return &h->recipients[index];
}

/* ---- reports, read when they are durable ---- */

static void read_report(struct kit *k, uint64_t id)
{
    struct history *h = history;
    static const char final[] = "Final-Recipient: rfc822; ", action[] = "Action: ";
    static uint8_t body[MIB(1)];
    struct spool_reader reader;
    struct slice text, line;
    ptrdiff_t at, n;
    size_t len = 0;

    CHECK(h, spool_read(k->sp, id, false, &reader, NULL, NULL) == 0);
    while ((n = spool_read_body(&reader, false, body + len, sizeof(body) - len)) > 0)
        len += (size_t)n;
    spool_read_done(&reader);
    text = slice_make(body, len);
    while ((at = slice_find_slice(text, slice_str(final))) >= 0) {
        struct model_recipient *r;

        text = slice_from(text, (size_t)at + sizeof(final) - 1);
        r = model_of(h, text);
        CHECK(h, r);
        at = slice_find_slice(text, slice_str(action));
        CHECK(h, at > 0);
        line = slice_from(text, (size_t)at + sizeof(action) - 1);
        r->told_failed += slice_has_prefix(line, SLICE_LIT("failed"));
        r->told_late += slice_has_prefix(line, SLICE_LIT("delayed"));
        r->told_delivered += slice_has_prefix(line, SLICE_LIT("delivered")) ||
                             slice_has_prefix(line, SLICE_LIT("relayed"));
    }
}

/* ---- workers ---- */

/* As transaction_open(): 0, or the outcome the entry ends with at once. */
static int open_entry(struct history *h, struct running *run)
{
    struct job_entry *entry = &run->job->entries[run->at];
    struct kit *k = &h->k;

    run->picked_count = 0;
    if (queue_read_message(k->q, entry->id, &run->message) < 0)
        return ATTEMPT_GONE;
    for (size_t i = 0; i < run->message.envelope.recipient_count; i++)
        if (queue_is_of_entry(k->q, &run->message.envelope.recipients[i],
                              slice_str(run->job->name)))
            run->picked[run->picked_count++] = (uint32_t)i;
    if (run->picked_count == 0) {
        queue_message_done(&run->message);
        return ATTEMPT_GONE;
    }
    run->is_open = true;
    return 0;
}

static bool all_pending_are_picked(const struct running *run)
{
    size_t pending = 0;

    for (size_t i = 0; i < run->message.envelope.recipient_count; i++)
        pending += run->message.envelope.recipients[i].state == RECIPIENT_PENDING;
    return pending == run->picked_count;
}

static void post_entry(struct history *h, size_t index, enum attempt_outcome outcome)
{
    struct running *run = &h->jobs[index], ended;
    struct job_entry *entry = &run->job->entries[run->at++];

    entry->outcome = outcome;
    if (run->is_open)
        queue_message_done(&run->message);
    run->is_open = false;
    if (run->at == run->job->count) { /* it may come back at once, as another job */
        ended = *run;
        *run = h->jobs[--h->job_count];
        (void)ended;
    }
    entry->parcel.deliver(&entry->parcel, NULL);
}

static enum recipient_state random_state(struct history *h)
{
    uint64_t x = rand_below(&h->rand, 100);

    if (h->calm)
        return RECIPIENT_RELAYED;
    return x < 55 ? RECIPIENT_RELAYED : x < 85 ? RECIPIENT_PENDING : RECIPIENT_FAILED;
}

static void note_delivery(struct history *h, const struct recipient *r)
{
    struct model_recipient *m = model_of(h, r->address);

    if (!m) /* a report */
        return;
    CHECK(h, h->crashes > 0 || (m->delivered == 0 && m->removed == 0 && m->told_failed == 0));
    m->delivered++;
}

/* Results of each recipient, as a host would give them. */
static void attempt(struct history *h, size_t index)
{
    struct running *run = &h->jobs[index];
    struct job_entry *entry = &run->job->entries[run->at];
    bool plain = run->picked_count == 1 && all_pending_are_picked(run);
    bool mixed = false, wants_success = false;

    entry->details = attempt_details_new(run->picked_count);
    for (size_t i = 0; i < run->picked_count; i++) {
        const struct recipient *r = &run->message.envelope.recipients[run->picked[i]];
        enum recipient_state state = random_state(h);
        struct model_recipient *m = model_of(h, r->address);
        char text[64];

        if (state == RECIPIENT_RELAYED)
            note_delivery(h, r);
        else
            mixed = true;
        if (m && state == RECIPIENT_FAILED)
            m->failed++;
        wants_success |= (r->notify & NOTIFY_SUCCESS) != 0;
        (void)snprintf(text, sizeof(text), "mx[192.0.2.9] said: %s %zu",
                       state == RECIPIENT_RELAYED   ? "250 ok"
                       : state == RECIPIENT_PENDING ? "451 later"
                                                    : "550 no",
                       i % 3);
        attempt_add(entry->details, run->picked[i], state,
                    state == RECIPIENT_RELAYED   ? 250
                    : state == RECIPIENT_PENDING ? 451
                                                 : 550,
                    slice_str(text));
    }
    if (plain && !mixed && !wants_success)
        attempt_details_free(&entry->details);
    entry->success_dsn = entry->details && wants_success;
    post_entry(h, index, mixed ? ATTEMPT_MIXED : ATTEMPT_DELIVERED);
}

/* No host could be reached: the entry is deferred, the others go back. */
static void fail_destination(struct history *h, size_t index)
{
    struct job *job = h->jobs[index].job;
    struct running *run = &h->jobs[index];
    uint32_t left = job->count - run->at;
    struct job_entry *entry = &job->entries[run->at];

    job->destination_failed = true;
    entry->details = attempt_details_new(run->picked_count);
    for (size_t i = 0; i < run->picked_count; i++)
        attempt_add(entry->details, run->picked[i], RECIPIENT_PENDING, 0,
                    SLICE_LIT("connection refused"));
    post_entry(h, index, ATTEMPT_MIXED);
    while (--left > 0)
        post_entry(h, index, ATTEMPT_NOT_MADE);
}

static void step_job(struct history *h)
{
    size_t index;
    struct running *run;
    int r;

    if (h->job_count == 0)
        return;
    index = (size_t)rand_below(&h->rand, h->job_count);
    run = &h->jobs[index];
    if (!run->is_open) {
        r = open_entry(h, run);
        if (r)
            post_entry(h, index, (enum attempt_outcome)r);
    } else if (!h->calm && chance(h, 4)) {
        post_entry(h, index, chance(h, 50) ? ATTEMPT_NOT_MADE : ATTEMPT_UNKNOWN);
    } else if (!h->calm && chance(h, 4)) {
        fail_destination(h, index);
    } else {
        attempt(h, index);
    }
}

/* ---- operators ---- */

static void note_removal(struct history *h, uint64_t id, struct slice destination, bool bounced)
{
    struct queue_message m;

    if (queue_read_message(h->k.q, id, &m) < 0)
        return;
    for (size_t i = 0; i < m.envelope.recipient_count; i++) {
        struct model_recipient *r = model_of(h, m.envelope.recipients[i].address);

        if (r && queue_is_of_entry(h->k.q, &m.envelope.recipients[i], destination)) {
            r->removed += !bounced;
            r->failed += bounced;
        }
    }
    queue_message_done(&m);
}

static void act(struct history *h)
{
    struct schedule_entry e = {0};
    uint32_t cursor = (uint32_t)rand_below(&h->rand, 50);
    struct queue_action_result result;
    enum queue_action action = (enum queue_action)rand_below(&h->rand, 5);
    bool end = action == QUEUE_BOUNCE || action == QUEUE_REMOVE;
    struct queue_filter f = {0};
    uint8_t name[64];

    if (!schedule_next_entry(queue_schedule(h->k.q), &cursor, &e) || (end && !chance(h, 30)))
        return;
    f.id = e.id;
    if (end) { /* one entry of it, so that we know whom it concerns */
        CHECK(h, e.destination.len <= sizeof(name));
        memcpy(name, e.destination.ptr, e.destination.len);
        f.destination = slice_make(name, e.destination.len);
        if (e.state != ENTRY_ACTIVE)
            note_removal(h, e.id, f.destination, action == QUEUE_BOUNCE);
    }
    cursor = 0;
    (void)queue_act(h->k.q, &f, action, &cursor, &result);
    CHECK(h, result.matched == result.done + result.busy);
    if (end && e.state != ENTRY_ACTIVE)
        CHECK(h, result.done == 1);
}

/* ---- reloads, restarts, power cuts ---- */

static void changed(void *ctx)
{
    struct history *h = ctx;

    h->k.config = h->next_config;
    h->next_config = NULL;
}

static void reload(struct history *h)
{
    struct queue_settings settings;

    if (h->next_config)
        return;
    h->next_config = h->configs[h->k.config == h->configs[0]];
    settings = kit_settings(h->next_config);
    CHECK(h, queue_change_settings(h->k.q, &settings, changed, h) == 0);
    CHECK(h, queue_change_settings(h->k.q, &settings, changed, h) == -EBUSY);
}

static void end_jobs(struct history *h)
{
    queue_stop(h->k.q);
    while (h->job_count > 0)
        post_entry(h, 0, ATTEMPT_NOT_MADE);
}

static void restart(struct history *h, bool power_cut)
{
    if (power_cut) {
        h->crashes++;
        fs_sim_power_off_at(h->k.fs, fs_sim_operations(h->k.fs) + 1);
        h->k.is_dead = true;
    } else
        h->k.no_room_percent = 0; /* what was kept is written at the last moment */
    end_jobs(h);
    kit_close(&h->k);
    if (power_cut)
        fs_sim_crash(h->k.fs, false);
    h->k.is_dead = false;
    h->next_config = NULL;
    kit_reopen(&h->k);
}

/* ---- a history ---- */

static void step(struct history *h)
{
    uint64_t x = rand_below(&h->rand, 1000);

    if (x < 60)
        submit(h);
    else if (x < 250)
        (void)queue_run(h->k.q);
    else if (x < 600)
        step_job(h);
    else if (x < 800)
        (void)kit_serve_one(&h->k);
    else if (x < 850)
        (void)kit_sync(&h->k);
    else if (x < 940)
        h->k.now_ms += (int64_t)rand_below(&h->rand, chance(h, 10) ? 3000000 : 120000);
    else if (x < 980)
        act(h);
    else if (x < 990)
        reload(h);
    else if (x < 993)
        restart(h, false);
    else if (x < 994 && h->seed % 2)
        restart(h, true);
    else if (x < 996)
        h->k.commit_failures_percent = chance(h, 50) ? 50 : 0;
    else if (x < 998)
        h->k.no_room_percent = chance(h, 50) ? 0 : chance(h, 50) ? 100 : 50;
}

static void drain(struct history *h)
{
    struct queue_action_result result;
    const struct queue_filter all = {0};
    struct schedule_totals totals;
    uint32_t cursor = 0;

    h->calm = true;
    h->k.commit_failures_percent = h->k.no_room_percent = 0;
    for (unsigned turn = 0;; turn++) {
        (void)queue_run(h->k.q);
        while (h->job_count > 0)
            step_job(h);
        kit_serve(&h->k);
        cursor = 0;
        (void)queue_act(h->k.q, &all, QUEUE_RELEASE, &cursor, &result);
        kit_serve(&h->k);
        schedule_get_totals(queue_schedule(h->k.q), &totals);
        if (totals.entries == 0 && !h->next_config)
            break;
        h->k.now_ms += 60000;
        CHECK(h, turn < 10000);
    }
    CHECK(h, queue_is_idle(h->k.q));
    CHECK(h, kit_messages(&h->k) == 0);
}

static bool wants(const struct model_recipient *r, uint8_t wish)
{
    if (r->null_sender)
        return false;
    return r->notify ? (r->notify & wish) != 0 : wish != NOTIFY_SUCCESS;
}

static void check_recipient(struct history *h, const struct model_recipient *r)
{
    bool failed_told = wants(r, NOTIFY_FAILURE) ? r->told_failed > 0 : true;

    if (r->delivered == 0 && r->removed == 0) /* failed, or too old */
        CHECK(h, failed_told);
    CHECK(h, r->told_failed == 0 || wants(r, NOTIFY_FAILURE));
    CHECK(h, r->told_delivered == 0 || wants(r, NOTIFY_SUCCESS));
    CHECK(h, r->told_late == 0 || wants(r, NOTIFY_DELAY));
    if (h->crashes > 0)
        return;
    CHECK(h, r->delivered + r->told_failed + r->removed <= 1 ||
                 (r->delivered + r->told_failed == 1 && r->removed == 0));
    CHECK(h, r->told_delivered <= r->delivered);
    CHECK(h, r->told_late <= 1);
}

static struct config *make_config(bool other)
{
    char text[2000];

    (void)snprintf(text, sizeof(text),
                   "server: {hostname: test.example}\n"
                   "delivery: {connections_per_destination_max: 3, connections_max: 8, routes: ["
                   "{domain: d1.example, to: \"smtp:hub.example:25\"},"
                   "{domain: %s.example, to: \"smtp:hub.example:25\"}]}\n"
                   "retry: {initial_retry: 10s, next_retry: \"30s, 60s\", max_queue_time: 40m,"
                   " delay_warning: 10m}\n",
                   other ? "d2" : "d3");
    return kit_config(text);
}

static void run_history(uint64_t seed)
{
    struct history *h = calloc(1, sizeof(*h));

    assert_non_null(h);
    history = h;
    h->seed = seed;
    h->configs[0] = make_config(false);
    h->configs[1] = make_config(true);
    rand_init(&h->rand, seed);
    kit_init(&h->k, seed, make_config(false), dispatch);
    h->k.on_commit = read_report;
    config_unref(&h->k.config);
    h->k.config = h->configs[0];
    queue_free(&h->k.q);
    kit_open_queue(&h->k);
    for (unsigned i = 0; i < STEPS; i++)
        step(h);
    drain(h);
    for (size_t i = 0; i < h->recipient_count; i++)
        check_recipient(h, &h->recipients[i]);
    h->k.config = NULL;
    kit_done(&h->k);
    config_unref(&h->configs[0]);
    config_unref(&h->configs[1]);
    free(h);
}

static uint64_t from_environment(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    uint64_t value = usual;

    if (text)
        assert_int_equal(slice_to_u64(slice_str(text), UINT64_MAX, &value), 0);
    return value;
}

static void test_histories(void **state)
{
    uint64_t first = from_environment("PENSTOCK_SEED", 1);
    uint64_t count = from_environment("PENSTOCK_SEEDS", getenv("PENSTOCK_SEED") ? 1 : SEEDS);

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++)
        run_history(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
