/*
 * simulate/run.c - one run: mail comes, is sent by the schedule, and is answered by the world.
 *
 * What is due next is the least of a few times: the next answer (the wheel), the next message, the
 * next whole second (the world's load), the next turn of the controllers, and what the schedule
 * says. Between them nothing happens, so time jumps.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "simulate/policy.h"
#include "simulate/wheel.h"

#define START_MS INT64_C(1767225600000) /* 2026-01-01 00:00 UTC */
#define SECOND_MS 1000
#define MINUTE_MS 60000
#define DAY_MS 86400000.0
#define PI 3.14159265358979323846
#define NAME_MAX_BYTES 200
#define PER_CONNECTION 100 /* messages, then it is closed */

struct destination { /* what the schedule's handle stands for */
    uint32_t provider, domain, source;
    lane_ref lane;
};

struct engine { /* a node's own */
    struct schedule *schedule;
    struct policy policy;
    struct rand rand;
    struct destination *destinations;
    size_t destination_room;
    int64_t *first_ms; /* of each entry's first attempt; 0: none yet */
    size_t entry_room;
    int64_t tick_ms;
    uint32_t number;
};

struct sender { /* a connection slot */
    struct list node;
    struct engine *engine;
    uint32_t destination, sent;
    struct destination to;
    entry_ref entry;
    uint64_t id;
    int64_t arrival_ms;
    uint32_t attempts;
    bool is_connected;
    struct outcome outcome;
    struct attempt attempt; /* that is being made, or was made last */
};

struct run {
    const struct scenario *scenario;
    struct simulate_result *result;
    const struct simulate_setup *setup;
    struct engine *engines; /* as many as the scenario has nodes */
    struct world world;
    struct wheel *wheel;
    struct rand mail_rand;
    int64_t now_ms, second_ms, minute_ms, stop_ms;
    double *next_ms; /* of each entry of traffic, since the start; HUGE_VAL: none */
    int64_t mail_ms; /* the next message comes; SCHEDULE_NEVER: no more */
    struct slice *providers, *sources; /* their names */
    struct list free_senders;
    uint64_t next_id;
    uint64_t old_left; /* messages that came before the trouble ended */
    bool no_memory;
};

static uint64_t since_start(const struct run *r)
{
    return (uint64_t)(r->now_ms - START_MS);
}

/* ---- room ---- */

/* Makes `*list` hold element `index`; what is new is zero. */
static int make_room(void **list, size_t *room, size_t index, size_t size)
{
    size_t more = MAX_OF(index + 1, 2 * *room);
    char *bigger;

    if (index < *room)
        return 0;
    bigger = realloc(*list, more * size);
    if (!bigger)
        return -ENOMEM;
    memset(bigger + *room * size, 0, (more - *room) * size);
    *list = bigger;
    *room = more;
    return 0;
}

/* ---- mail comes ---- */

static struct simulate_minute *minute_of(struct run *r)
{
    return &r->result->minutes[r->result->minute_count - 1];
}

/* "d17.NAME", and behind a NUL the source's name where there are several: as the server's queue
 * names its destinations. By hand, since it is done for each message. Returns the name's length. */
static size_t write_name(const struct run *r, uint32_t provider, uint32_t domain, uint32_t source,
                         char ret[static NAME_MAX_BYTES], size_t *ret_name)
{
    const struct slice parts[] = {r->providers[provider], r->sources[source]};
    size_t part_count = r->scenario->source_count > 1 ? 2 : 1;
    char digits[10];
    size_t len = 0, n = 0;

    do
        digits[n++] = (char)('0' + domain % 10);
    while ((domain /= 10) > 0);
    ret[len++] = 'd';
    while (n > 0)
        ret[len++] = digits[--n];
    ret[len++] = '.';
    for (size_t i = 0; i < part_count; i++) {
        ASSERT(len + parts[i].len + 1 < NAME_MAX_BYTES);
        if (i > 0)
            ret[len++] = '\0';
        memcpy(ret + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
        if (i == 0)
            *ret_name = len;
    }
    return len;
}

static int file_message(struct run *r, uint32_t provider, uint32_t domain)
{
    const struct scenario *s = r->scenario;
    uint64_t id = r->next_id++;
    uint32_t source = (uint32_t)(id % s->source_count);
    struct engine *to = &r->engines[id / s->source_count % s->nodes];
    char name[NAME_MAX_BYTES];
    struct schedule_entry e;
    struct destination *d;
    struct slice key;
    entry_ref ref;
    size_t name_len;
    int result;

    key = slice_make(name, write_name(r, provider, domain, source, name, &name_len));
    result = schedule_add(to->schedule, id, key, 0, r->now_ms, 0, r->now_ms, false, &ref);
    if (result < 0)
        return result;
    if (!schedule_get(to->schedule, ref, &e) ||
        make_room((void **)&to->destinations, &to->destination_room, e.destination_index,
                  sizeof(*to->destinations)) < 0 ||
        make_room((void **)&to->first_ms, &to->entry_room, ref, sizeof(*to->first_ms)) < 0)
        return -ENOMEM;
    to->first_ms[ref] = 0;
    r->result->messages++;
    minute_of(r)->arrived++;
    r->old_left += since_start(r) <= s->trouble_end_ms;
    d = &to->destinations[e.destination_index];
    if (e.lane != SCHEDULE_LANE_NEW)
        return 0; /* a destination that is known */
    *d = (struct destination){.provider = provider, .domain = domain, .source = source};
    return policy_join(&to->policy, e.destination_index, provider, slice_sub(key, 0, name_len),
                       source, r->now_ms, &d->lane);
}

static bool is_over(const struct scenario *s, const struct scenario_traffic *t, double at_ms)
{
    return at_ms >= (double)s->duration_ms ||
           (t->for_ms && at_ms >= (double)(t->from_ms + t->for_ms));
}

static double next_after(struct run *r, const struct scenario_traffic *t, double at_ms)
{
    double rate = config_rate_per_second(t->rate);

    if (t->wave > 0)
        rate *= 1 + t->wave * sin(2 * PI * at_ms / DAY_MS);
    if (rate <= 0)
        rate = config_rate_per_second(t->rate) / 1000; /* the bottom of a full wave */
    if (rate <= 0)
        return HUGE_VAL;
    at_ms -= log(1 - world_chance(&r->mail_rand)) * SECOND_MS / rate;
    return is_over(r->scenario, t, at_ms) ? HUGE_VAL : at_ms;
}

/* The next message; SCHEDULE_NEVER: no more come. */
static int64_t next_mail(const struct run *r)
{
    double next = HUGE_VAL;

    for (size_t i = 0; i < r->scenario->traffic_count; i++) {
        double at = r->next_ms[i];

        if (at < 0) /* its beginning */
            at = (double)r->scenario->traffic[i].from_ms;
        next = MIN_OF(next, at);
    }
    return isinf(next) ? SCHEDULE_NEVER : START_MS + (int64_t)ceil(next);
}

static int receive(struct run *r)
{
    const struct scenario *s = r->scenario;
    double now = (double)since_start(r);
    int result = 0;

    if (r->now_ms < r->mail_ms)
        return 0;
    for (size_t i = 0; i < s->traffic_count && result == 0; i++) {
        const struct scenario_traffic *t = &s->traffic[i];
        uint32_t domains = s->providers[t->index].domains;
        bool is_burst = r->next_ms[i] < 0;

        if (is_burst && now >= (double)t->from_ms) {
            for (uint32_t k = 0; k < t->burst && result == 0; k++)
                result = file_message(r, t->index, (uint32_t)rand_below(&r->mail_rand, domains));
            r->next_ms[i] = next_after(r, t, (double)t->from_ms);
        }
        while (result == 0 && r->next_ms[i] >= 0 && r->next_ms[i] <= now) {
            result = file_message(r, t->index, (uint32_t)rand_below(&r->mail_rand, domains));
            r->next_ms[i] = next_after(r, t, r->next_ms[i]);
        }
    }
    r->mail_ms = next_mail(r);
    return result;
}

/* ---- a connection ---- */

static void message_gone(struct run *r, const struct sender *s)
{
    schedule_done(s->engine->schedule, s->entry);
    if (s->arrival_ms - START_MS > (int64_t)r->scenario->trouble_end_ms)
        return;
    if (--r->old_left == 0 && since_start(r) >= r->scenario->trouble_end_ms) {
        r->result->drained = true;
        r->result->drain_ms = since_start(r) - r->scenario->trouble_end_ms;
    }
}

static void hang_up(struct run *r, struct sender *s)
{
    if (s->is_connected)
        world_closed(&r->world, s->to.provider);
    s->is_connected = false;
    s->sent = 0;
}

/* Takes the next message and tries it; or gives the slot back. */
static void send_next(struct run *r, struct sender *s)
{
    struct engine *of = s->engine;
    struct schedule_entry e;

    while (schedule_take(of->schedule, s->destination, &s->entry, 1) == 1) {
        bool found = schedule_get(of->schedule, s->entry, &e);
        struct world_try t = {.provider = s->to.provider,
                              .domain = s->to.domain,
                              .source =
                                  of->number * (uint32_t)r->scenario->source_count + s->to.source,
                              .at_ms = since_start(r)};

        ASSERT(found);
        s->id = e.id;
        s->arrival_ms = e.arrival_ms;
        s->attempts = e.attempts;
        if (schedule_is_expired(of->schedule, s->entry, r->now_ms)) {
            r->result->messages_expired++;
            message_gone(r, s);
            continue;
        }
        if (s->sent++ == PER_CONNECTION)
            hang_up(r, s);
        if (of->first_ms[s->entry] == 0)
            of->first_ms[s->entry] = r->now_ms;
        t.first_ago_ms = (uint64_t)(r->now_ms - of->first_ms[s->entry]);
        t.is_connected = s->is_connected;
        world_attempt(&r->world, &t, &s->outcome);
        s->is_connected = !s->outcome.no_session;
        wheel_add(r->wheel, &s->node, r->now_ms + s->outcome.latency_ms);
        return;
    }
    hang_up(r, s);
    schedule_release(of->schedule, s->destination);
    list_add_head(&r->free_senders, &s->node);
}

/* What all attempts over the slot have in common. */
static struct attempt attempt_over(const struct run *r, const struct sender *s)
{
    const struct scenario_provider *p = &r->scenario->providers[s->to.provider];
    struct slice name = schedule_destination_name(s->engine->schedule, s->destination);
    ptrdiff_t end = slice_find(name, '\0');
    struct attempt a = {.recipients = 1,
                        .domain = end < 0 ? name : slice_sub(name, 0, (size_t)end),
                        .source = r->sources[s->to.source],
                        .is_ours = p->is_ours};

    a.local = a.source;
    a.provider = p->is_separate ? a.domain : r->providers[s->to.provider];
    return a;
}

static void grant(struct run *r, struct engine *of)
{
    uint32_t destination;

    while (schedule_grant(of->schedule, &destination)) {
        struct list *node = list_pop(&r->free_senders);
        struct sender *s = node ? LIST_ENTRY(node, struct sender, node) : malloc(sizeof(*s));

        if (!s) {
            r->no_memory = true;
            schedule_release(of->schedule, destination);
            return;
        }
        *s = (struct sender){
            .engine = of, .destination = destination, .to = of->destinations[destination]};
        s->attempt = attempt_over(r, s);
        list_init(&s->node);
        send_next(r, s);
    }
}

/* ---- an answer ---- */

static void set_result(struct attempt *a, enum answer_kind kind)
{
    a->delivered = kind == ANSWER_TAKEN;
    a->failed = kind == ANSWER_UNKNOWN;
    a->deferred = !a->delivered && !a->failed;
    a->result = a->delivered ? ATTEMPT_RESULT_DELIVERED
                : a->failed  ? ATTEMPT_RESULT_FAILED
                             : ATTEMPT_RESULT_DEFERRED;
}

/* The attempt that the answer ends: made anew for each, it would cost more than the answer. */
static const struct attempt *attempt_of(const struct run *r, struct sender *s)
{
    const struct answer *answer = s->outcome.answer;
    struct attempt *a = &s->attempt;

    a->queue_id = s->id;
    a->arrival_ms = s->arrival_ms;
    a->at_ms = r->now_ms;
    a->latency_ms = s->outcome.latency_ms;
    a->number = s->attempts + 1;
    a->phase = answer->phase;
    a->code = answer->code;
    a->enhanced = answer->enhanced;
    a->text = answer->text;
    a->klass = answer->klass;
    a->host = a->peer = s->outcome.kind == ANSWER_SILENCE ? slice_make(NULL, 0) : a->provider;
    set_result(a, s->outcome.kind);
    return a;
}

static void count(struct run *r, const struct attempt *a)
{
    struct simulate_result *to = r->result;
    struct simulate_minute *minute = minute_of(r);

    to->attempts++;
    minute->attempts++;
    to->by_class[a->klass]++;
    minute->capacity += a->klass == REPLY_CAPACITY;
    switch (a->result) {
    case ATTEMPT_RESULT_DELIVERED:
        to->delivered++;
        minute->delivered++;
        to->messages_delivered++;
        to->delivered_first += a->number == 1;
        times_add(&to->times, (uint64_t)(a->at_ms - a->arrival_ms));
        break;
    case ATTEMPT_RESULT_FAILED:
        to->failed++;
        to->messages_failed++;
        break;
    case ATTEMPT_RESULT_DEFERRED:
        to->deferred++;
        break;
    }
}

static void answered(struct run *r, struct sender *s)
{
    const struct attempt *a = attempt_of(r, s);
    struct engine *of = s->engine;
    bool is_dead;

    count(r, a);
    is_dead = policy_attempt(&of->policy,
                             &(struct policy_try){.lane = s->to.lane,
                                                  .destination = s->destination,
                                                  .provider = s->to.provider,
                                                  .source = s->to.source},
                             a, &s->outcome);
    if (a->result != ATTEMPT_RESULT_DEFERRED) {
        message_gone(r, s);
    } else if (schedule_is_expired(of->schedule, s->entry, r->now_ms)) {
        r->result->messages_expired++;
        message_gone(r, s);
    } else {
        (void)schedule_retry(of->schedule, s->entry, r->now_ms);
    }
    if (is_dead)
        schedule_destination_failed(of->schedule, s->destination, r->now_ms);
    send_next(r, s);
}

/* ---- time ---- */

/* Of all nodes. */
static struct schedule_totals totals_of(const struct run *r)
{
    struct schedule_totals all = {.entries = 0}, t;

    for (uint32_t i = 0; i < r->scenario->nodes; i++) {
        schedule_get_totals(r->engines[i].schedule, &t);
        all.entries += t.entries;
        all.slots += t.slots;
    }
    return all;
}

static int next_minute(struct run *r)
{
    struct simulate_result *to = r->result;
    struct schedule_totals t;
    void *more;

    if (to->minute_count > 0) {
        t = totals_of(r);
        minute_of(r)->queue = t.entries;
        minute_of(r)->connections = t.slots;
    }
    if ((to->minute_count & (to->minute_count - 1)) == 0) { /* full at every power of two */
        more = realloc(to->minutes, MAX_OF((size_t)1, to->minute_count * 2) * sizeof(*to->minutes));
        if (!more)
            return -ENOMEM;
        to->minutes = more;
    }
    to->minutes[to->minute_count++] = (struct simulate_minute){.attempts = 0};
    r->minute_ms += MINUTE_MS;
    return 0;
}

static void step_engine(struct run *r, struct engine *of)
{
    if (r->now_ms >= of->tick_ms)
        of->tick_ms = policy_tick(&of->policy, r->now_ms);
    (void)schedule_advance(of->schedule, r->now_ms, SIZE_MAX);
    grant(r, of);
}

static int step(struct run *r)
{
    struct schedule_totals t;
    struct list *node;
    int result = 0;

    if (r->now_ms >= r->minute_ms)
        result = next_minute(r);
    if (r->now_ms >= r->second_ms) {
        world_second(&r->world, since_start(r));
        for (uint32_t i = 0; i < r->scenario->nodes; i++)
            policy_second(&r->engines[i].policy, &r->world, r->now_ms);
        r->second_ms += SECOND_MS;
    }
    while ((node = wheel_take(r->wheel, r->now_ms)))
        answered(r, LIST_ENTRY(node, struct sender, node));
    if (result == 0)
        result = receive(r);
    for (uint32_t i = 0; i < r->scenario->nodes; i++)
        step_engine(r, &r->engines[i]);
    t = totals_of(r);
    r->result->queue_peak = MAX_OF(r->result->queue_peak, t.entries);
    return r->no_memory ? -ENOMEM : result;
}

static bool is_finished(const struct run *r)
{
    struct schedule_totals t = totals_of(r);

    return r->now_ms >= r->stop_ms || (t.entries == 0 && r->mail_ms == SCHEDULE_NEVER);
}

/* When something happens next. */
static int64_t next_of(const struct run *r)
{
    int64_t next = MIN_OF(r->second_ms, r->minute_ms), wheel = wheel_next(r->wheel);

    next = MIN_OF(next, wheel);
    next = MIN_OF(next, r->mail_ms);
    for (uint32_t i = 0; i < r->scenario->nodes; i++) {
        int64_t due = schedule_next_due_ms(r->engines[i].schedule);

        next = MIN_OF(next, due);
        next = MIN_OF(next, r->engines[i].tick_ms);
    }
    return next;
}

static int run_all(struct run *r)
{
    int result;

    do {
        int64_t next;

        result = step(r);
        next = next_of(r);
        if (is_finished(r))
            break;
        r->now_ms = MAX_OF(next, r->now_ms + 1);
    } while (result == 0);
    return result;
}

/* ---- the object ---- */

static int open_engine(struct run *r, uint32_t number, enum simulate_policy policy,
                       const struct schedule_config *config, uint64_t seed)
{
    struct engine *e = &r->engines[number];
    int result;

    e->number = number;
    e->tick_ms = START_MS;
    rand_init(&e->rand, seed + 2 + ((uint64_t)number << 32));
    result = schedule_new(&e->schedule, config, &e->rand);
    if (result < 0)
        return result;
    return policy_init(&e->policy, policy, r->scenario, r->setup, e->schedule, number, START_MS,
                       r->result);
}

static void close_engine(struct engine *e)
{
    policy_done(&e->policy);
    schedule_free(&e->schedule);
    free(e->destinations);
    free(e->first_ms);
}

static int learn_names(struct run *r)
{
    const struct scenario *s = r->scenario;

    r->providers = calloc(s->provider_count, sizeof(*r->providers));
    r->sources = calloc(s->source_count, sizeof(*r->sources));
    if (!r->providers || !r->sources)
        return -ENOMEM;
    for (size_t i = 0; i < s->provider_count; i++)
        r->providers[i] = slice_str(s->providers[i].name);
    for (size_t i = 0; i < s->source_count; i++)
        r->sources[i] = slice_str(s->sources[i].name);
    return 0;
}

static int open_run(struct run *r, enum simulate_policy policy, uint64_t seed)
{
    const struct scenario *s = r->scenario;
    struct schedule_config config;
    int result = world_init(&r->world, s, r->setup->knowledge->replies, seed);

    if (result < 0)
        return result;
    rand_init(&r->mail_rand, seed + 1);
    policy_schedule(policy, s, r->setup->config, &config);
    r->stop_ms =
        START_MS + (int64_t)s->duration_ms + 2 * SECOND_MS * (int64_t)config.retry.max_queue_time_s;
    r->engines = calloc(s->nodes, sizeof(*r->engines));
    for (uint32_t i = 0; r->engines && result == 0 && i < s->nodes; i++)
        result = open_engine(r, i, policy, &config, seed);
    r->wheel = malloc(sizeof(*r->wheel));
    r->next_ms = calloc(s->traffic_count, sizeof(*r->next_ms));
    if (result < 0 || !r->engines || !r->wheel || !r->next_ms)
        return result < 0 ? result : -ENOMEM;
    wheel_init(r->wheel, START_MS);
    for (size_t i = 0; i < s->traffic_count; i++)
        r->next_ms[i] = -1;
    return learn_names(r);
}

static void close_run(struct run *r)
{
    struct list *node;
    int64_t at;

    while (r->wheel && (at = wheel_next(r->wheel)) != INT64_MAX)
        while ((node = wheel_take(r->wheel, at)))
            list_add_head(&r->free_senders, node);
    while ((node = list_pop(&r->free_senders)))
        free(LIST_ENTRY(node, struct sender, node));
    free(r->wheel);
    free(r->next_ms);
    free(r->providers);
    free(r->sources);
    for (uint32_t i = 0; r->engines && i < r->scenario->nodes; i++)
        close_engine(&r->engines[i]);
    free(r->engines);
    world_done(&r->world);
}

int simulate_run(const struct scenario *s, const struct simulate_setup *setup,
                 enum simulate_policy policy, uint64_t seed, struct simulate_result *ret)
{
    struct run r = {.scenario = s,
                    .setup = setup,
                    .result = ret,
                    .now_ms = START_MS,
                    .second_ms = START_MS,
                    .minute_ms = START_MS};
    int result;

    *ret = (struct simulate_result){.policy = policy};
    list_init(&r.free_senders);
    result = open_run(&r, policy, seed);
    if (result == 0)
        result = run_all(&r);
    if (result == 0) {
        ret->messages_left = totals_of(&r).entries;
        minute_of(&r)->queue = ret->messages_left;
        ret->ended_ms = since_start(&r);
    }
    close_run(&r);
    if (result < 0)
        simulate_result_done(ret);
    return result;
}

void simulate_result_done(struct simulate_result *r)
{
    free(r->minutes);
    r->minutes = NULL;
    r->minute_count = 0;
}
