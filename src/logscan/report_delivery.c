/*
 * logscan/report_delivery.c - what became of mail: at the first try and in the end, how long it took,
 * what still waits; by day, by recipient domain and by provider.
 *
 * Rates are of messages whose arrival is in the logs: of others nobody knows which try it was. A
 * recipient that has no end is pending as of the last line, and its age in the queue is from arrival
 * to that line. Which provider it waits for is told by the last host that was tried for its domain.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "logscan/attempt_kit.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"
#include "logscan/stamp.h"

#define ROWS_SHOWN 30
#define DAYS_SHOWN 400
#define DAY_MS (INT64_C(86400) * 1000)

struct row {
    struct log_tried tried;
    uint64_t delivered, failed, expired; /* of messages whose arrival is known */
    uint64_t waiting;                    /* deferred, and no end yet */
    struct log_spread times;             /* to delivery */
    struct slice provider;               /* of a domain: whose host was tried last; in log_who */
};

struct delivery {
    const struct log_report_options *options;
    struct lives *lives;
    struct log_who who;
    struct row total;
    struct log_table days, domains, providers;
    struct row *day; /* of the last attempt */
    int64_t day_index;
    struct log_times times, ages;
    struct log_table waiting_domains, waiting_providers; /* of a struct log_spread: ages */
    int64_t end_ms;                                      /* the last fact's */
    int error;
};

static unsigned wants(const struct log_report_options *o)
{
    (void)o;
    return WANT_LIVES;
}

static void free_rows(struct log_table *t)
{
    struct slice key;

    for (size_t i = 0; i < log_table_count(t); i++)
        log_spread_done(&((struct row *)log_table_at(t, i, &key))->times);
    log_table_done(t);
}

static void free_spreads(struct log_table *t)
{
    struct slice key;

    for (size_t i = 0; i < log_table_count(t); i++)
        log_spread_done(log_table_at(t, i, &key));
    log_table_done(t);
}

static void free_delivery(void **state)
{
    struct delivery *d = *state;

    if (!d)
        return;
    lives_free(&d->lives);
    log_spread_done(&d->total.times);
    free_rows(&d->days);
    free_rows(&d->domains);
    free_rows(&d->providers);
    free_spreads(&d->waiting_domains);
    free_spreads(&d->waiting_providers);
    log_who_done(&d->who);
    log_times_done(&d->times);
    log_times_done(&d->ages);
    free(d);
    *state = NULL;
}

/* ---- counting ---- */

/* Where a log has whole seconds both times are cut. */
static int64_t time_to_delivery(const struct log_attempt *a)
{
    int64_t from = a->arrived_ms, to = a->fact->at_ms;

    if (a->fact->has_seconds) {
        from -= (from % 1000 + 1000) % 1000;
        to -= (to % 1000 + 1000) % 1000;
    }
    return to - from;
}

static bool is_known(const struct log_attempt *a)
{
    return a->arrived_ms != INT64_MIN;
}

static bool is_delivered(const struct log_attempt *a)
{
    return !a->is_expiry && a->fact->outcome == OUTCOME_DELIVERED;
}

static void count(struct delivery *d, struct row *row, const struct log_attempt *a)
{
    bool is_final = a->is_expiry || a->fact->outcome != OUTCOME_DEFERRED;

    if (!a->is_expiry)
        log_tried_add(&row->tried, a);
    if (!is_known(a))
        return;
    row->expired += a->is_expiry;
    row->delivered += is_delivered(a);
    row->failed += !a->is_expiry && a->fact->outcome == OUTCOME_FAILED;
    row->waiting += !is_final && !a->was_deferred;
    row->waiting -= is_final && a->was_deferred && row->waiting > 0;
    if (is_delivered(a) && log_spread_add(&row->times, time_to_delivery(a), 1) < 0)
        d->error = -ENOMEM;
}

static void count_in(struct delivery *d, struct row *row, const struct log_attempt *a)
{
    if (row)
        count(d, row, a);
    else
        d->error = -ENOMEM;
}

static struct row *day_of(struct delivery *d, int64_t at_ms)
{
    int64_t local = at_ms + stamp_zone_offset_ms(at_ms);
    int64_t index = local / DAY_MS - (local % DAY_MS < 0);
    char day[STAMP_DAY_LEN];

    if (d->day && d->day_index == index)
        return d->day;
    stamp_day(at_ms, day);
    d->day = log_table_add(&d->days, slice_make(day, sizeof(day)));
    d->day_index = index;
    return d->day;
}

static struct slice domain_of(struct delivery *d, struct slice address)
{
    struct slice domain = log_who_domain(&d->who, address);

    return domain.len > 0 ? domain : SLICE_LIT("none");
}

static void count_domain(struct delivery *d, const struct log_attempt *a)
{
    struct row *row = log_table_add(&d->domains, domain_of(d, a->recipient));

    if (row && a->fact->host.len > 0)
        row->provider = log_who_provider(&d->who, a->fact->host);
    count_in(d, row, a);
}

static void take(void *ctx, const struct log_attempt *a)
{
    const struct log_fact *f = a->fact;
    struct delivery *d = ctx;

    if (is_delivered(a) && is_known(a) && log_times_add(&d->times, time_to_delivery(a)) < 0)
        d->error = -ENOMEM;
    /* An expiry is no attempt and has no host; its domain has the recipient that waited. */
    if (f->counts & COUNTS_TOTAL || a->is_expiry)
        count(d, &d->total, a);
    if (f->counts & COUNTS_TOTAL && !a->is_expiry) {
        count_in(d, day_of(d, f->at_ms), a);
        count_in(d, log_table_add(&d->providers, log_who_provider(&d->who, f->host)), a);
    }
    if (f->counts & COUNTS_DOMAIN || a->is_expiry)
        count_domain(d, a);
}

static int create(void **ret, const struct log_report_options *o, struct buf *why)
{
    struct delivery *d = calloc(1, sizeof(*d));

    (void)why;
    *ret = d;
    if (!d)
        return -ENOMEM;
    d->options = o;
    d->end_ms = INT64_MIN;
    log_who_init(&d->who, o);
    log_table_init(&d->days, sizeof(struct row), o->seed);
    log_table_init(&d->domains, sizeof(struct row), o->seed);
    log_table_init(&d->providers, sizeof(struct row), o->seed);
    log_table_init(&d->waiting_domains, sizeof(struct log_spread), o->seed);
    log_table_init(&d->waiting_providers, sizeof(struct log_spread), o->seed);
    return lives_new(&d->lives, o->seed, take, d);
}

static int facts(void *state, const struct log_scan *s)
{
    struct delivery *d = state;
    int r = log_attempts_take(d->lives, d->options, s);

    for (size_t i = 0; i < s->fact_count; i++)
        if (s->facts[i].at_ms > d->end_ms && log_report_is_in(d->options, &s->facts[i]))
            d->end_ms = s->facts[i].at_ms;
    return r < 0 ? r : d->error;
}

/* ---- tables ---- */

static int total_sheet(const struct delivery *d, const struct lives_counts *n,
                       struct log_report *to)
{
    static const struct sheet_column columns[] = {
        {"who", "WHO", SHEET_TEXT},
        {"first_rate", "FIRST TRY OK", SHEET_SHARE},
        {"final_rate", "IN THE END OK", SHEET_SHARE},
        {"deferral_rate", "DEFERRAL RATE", SHEET_SHARE},
        {"per_message", "TRIES A MESSAGE", SHEET_RATE, 1},
        {"per_recipient", "TRIES A RECIPIENT", SHEET_RATE, 2},
        LOG_TRIED_COLUMNS,
        LOG_SEEN_COLUMNS,
    };
    struct log_sheet *sheet =
        log_report_sheet(to, "total", "Delivery", columns, ARRAY_SIZE(columns));
    const struct log_tried *t = &d->total.tried;
    uint64_t tries = n->first_attempts + n->retry_attempts;
    struct sheet_cell *c = sheet_row(sheet);

    if (!c)
        return -ENOMEM;
    sheet_text(sheet, c++, SLICE_LIT("all"));
    c = log_share_cell(c, n->first_attempt_delivered, n->first_attempts);
    c = log_share_cell(c, n->delivered, n->delivered + n->failed + n->expired);
    c = log_share_cell(c, t->deferred, t->seen.count);
    c = log_share_cell(c, tries, n->messages);
    c = log_share_cell(c, tries, n->first_attempts);
    c = log_tried_cells(c, t);
    (void)log_seen_cells(c, &t->seen);
    return 0;
}

struct life_line {
    const char *name;
    uint64_t count, of;
    const char *what;
};

static int lives_sheet(const struct lives_counts *n, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"name", NULL, SHEET_TEXT},
                                                  {"count", "COUNT", SHEET_COUNT},
                                                  {"share", "SHARE", SHEET_SHARE},
                                                  {"what", "WHAT", SHEET_TEXT}};
    const struct life_line lines[] = {
        {"messages", n->messages, 0, "messages arrived in these logs; what follows is of these"},
        {"recipients", n->recipients, 0, "recipients they have"},
        {"first_attempts", n->first_attempts, 0, "first tries"},
        {"first_attempt_delivered", n->first_attempt_delivered, n->first_attempts,
         "of first tries were delivered"},
        {"retry_attempts", n->retry_attempts, 0, "later tries"},
        {"retry_delivered", n->retry_delivered, n->retry_attempts, "of later tries were delivered"},
        {"deferred_recipients", n->deferred_recipients, n->recipients,
         "of recipients were deferred at least once"},
        {"deferred_then_delivered", n->deferred_then_delivered, n->deferred_recipients,
         "of those were delivered"},
        {"deferred_then_failed", n->deferred_then_failed, n->deferred_recipients,
         "of those failed or were given up"},
        {"delivered", n->delivered, n->recipients, "of recipients were delivered"},
        {"failed", n->failed, n->recipients, "of recipients were refused for good"},
        {"expired", n->expired, n->recipients, "of recipients were given up: too old"},
        {"pending", n->pending, n->recipients, "of recipients have no end in these logs"},
        {"lost", n->lost, n->recipients, "of recipients: the message is over, the end not told"},
        {"orphan_attempts", n->orphan_attempts, 0, "tries of messages that arrived before"},
        {"orphan_final", n->orphan_final, 0, "ends of messages that arrived before"},
    };
    struct log_sheet *sheet =
        log_report_sheet(to, "messages", "What became of it", columns, ARRAY_SIZE(columns));

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct sheet_cell *c = sheet_row(sheet);

        if (!c)
            return -ENOMEM;
        sheet_text(sheet, c++, slice_str(lines[i].name));
        sheet_count(c++, lines[i].count);
        c = log_share_cell(c, lines[i].count, lines[i].of);
        sheet_text(sheet, c, slice_str(lines[i].what));
    }
    return 0;
}

static const struct sheet_column times_columns[] = {
    {"what", "OF", SHEET_TEXT},          {"n", "COUNT", SHEET_COUNT},
    {"min", "LEAST", SHEET_DURATION, 2}, {"p50", "50 %", SHEET_DURATION},
    {"p75", "75 %", SHEET_DURATION, 1},  {"p90", "90 %", SHEET_DURATION},
    {"p95", "95 %", SHEET_DURATION, 1},  {"p99", "99 %", SHEET_DURATION},
    {"p999", "99.9 %", SHEET_DURATION},  {"max", "MOST", SHEET_DURATION},
    {"sum", "SUM", SHEET_DURATION, 3}};

static int times_sheet(struct log_times *t, struct log_report *to, const char *name,
                       const char *title, const char *what)
{
    static const double shares[] = {.5, .75, .9, .95, .99, .999};
    struct log_sheet *sheet =
        log_report_sheet(to, name, title, times_columns, ARRAY_SIZE(times_columns));
    struct sheet_cell *c = sheet_row(sheet);

    if (!c)
        return -ENOMEM;
    sheet_text(sheet, c++, slice_str(what));
    sheet_count(c++, t->count);
    if (t->count == 0)
        return 0;
    sheet_ms(c++, t->min);
    for (size_t i = 0; i < ARRAY_SIZE(shares); i++)
        sheet_ms(c++, log_times_percentile(t, shares[i]));
    sheet_ms(c++, t->max);
    sheet_ms(c, t->sum);
    return 0;
}

static uint64_t most_attempts(const void *value)
{
    return ((const struct row *)value)->tried.seen.count;
}

#define ROW_COLUMNS(name, title)                                                                   \
    {name, title, SHEET_TEXT}, LOG_TRIED_COLUMNS, {"first_rate", "FIRST TRY OK", SHEET_SHARE},     \
        {"retry_success", "RETRY OK", SHEET_SHARE, 2},                                             \
        {"final_rate", "IN THE END OK", SHEET_SHARE},                                              \
        {"deferral_rate", "DEFERRAL RATE", SHEET_SHARE, 1},                                        \
        {"per_recipient", "TRIES A RECIPIENT", SHEET_RATE, 6}, {"p50", "50 %", SHEET_DURATION, 6}, \
        {"p95", "95 %", SHEET_DURATION, 6}, {"expired", "EXPIRED", SHEET_COUNT, 3},                \
        {"waiting", "WAITING", SHEET_COUNT, 3}, LOG_SEEN_COLUMNS

static int fill(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                const struct log_rank_item *item)
{
    struct row *row = item->value;
    const struct log_tried *t = &row->tried;

    (void)ctx;
    sheet_text(to, c++, item->key);
    c = log_tried_cells(c, t);
    c = log_share_cell(c, t->first_delivered, t->first);
    c = log_share_cell(c, t->retries_delivered, t->retries);
    c = log_share_cell(c, row->delivered, row->delivered + row->failed + row->expired);
    c = log_share_cell(c, t->deferred, t->seen.count);
    c = log_share_cell(c, t->first + t->retries, t->first);
    c = log_spread_cell(c, &row->times, .5);
    c = log_spread_cell(c, &row->times, .95);
    sheet_count(c++, row->expired);
    sheet_count(c++, row->waiting);
    (void)log_seen_cells(c, &t->seen);
    return 0;
}

static int table_sheet(const struct delivery *d, const struct log_table *t, struct log_sheet *sheet)
{
    const struct log_ranked how = {
        .order = most_attempts, .fill = fill, .rows_max = log_rows_max(d->options, ROWS_SHOWN)};

    return log_ranked_rows(sheet, t, &how);
}

static uint64_t no_order(const void *value)
{
    (void)value;
    return 0;
}

static int fill_day(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                    const struct log_rank_item *item)
{
    const struct log_tried *t = &((const struct row *)item->value)->tried;

    (void)ctx;
    sheet_text(to, c++, item->key);
    c = log_tried_cells(c, t);
    c = log_share_cell(c, t->first_delivered, t->first);
    c = log_share_cell(c, t->deferred, t->seen.count);
    (void)log_seen_cells(c, &t->seen);
    return 0;
}

/* By their names, which is by time. */
static int days_sheet(const struct delivery *d, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"day", "DAY", SHEET_TEXT},
                                                  LOG_TRIED_COLUMNS,
                                                  {"first_rate", "FIRST TRY OK", SHEET_SHARE},
                                                  {"deferral_rate", "DEFERRAL RATE", SHEET_SHARE},
                                                  LOG_SEEN_COLUMNS};
    const struct log_ranked how = {
        .order = no_order, .fill = fill_day, .rows_max = log_rows_max(d->options, DAYS_SHOWN)};

    return log_ranked_rows(log_report_sheet(to, "per_day", "By day", columns, ARRAY_SIZE(columns)),
                           &d->days, &how);
}

static uint64_t most_delivered(const void *value)
{
    return ((const struct row *)value)->times.count;
}

static uint64_t most_waiting(const void *value)
{
    return ((const struct log_spread *)value)->count;
}

static int fill_times(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                      const struct log_rank_item *item)
{
    (void)ctx;
    sheet_text(to, c++, item->key);
    (void)log_spread_cells(c, &((struct row *)item->value)->times);
    return 0;
}

static int fill_ages(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                     const struct log_rank_item *item)
{
    (void)ctx;
    sheet_text(to, c++, item->key);
    (void)log_spread_cells(c, item->value);
    return 0;
}

static int destinations_sheets(const struct delivery *d, struct log_report *to)
{
    static const struct sheet_column times[] = {{"domain", "DOMAIN", SHEET_TEXT},
                                                LOG_SPREAD_COLUMNS("n", "DELIVERED")},
                                     provider_times[] = {{"provider", "PROVIDER", SHEET_TEXT},
                                                         LOG_SPREAD_COLUMNS("n", "DELIVERED")},
                                     ages[] = {{"domain", "DOMAIN", SHEET_TEXT},
                                               LOG_SPREAD_COLUMNS("n", "WAITING")},
                                     provider_ages[] = {{"provider", "PROVIDER", SHEET_TEXT},
                                                        LOG_SPREAD_COLUMNS("n", "WAITING")};
    /* Only those that have some. */
    const struct log_ranked by_times = {.order = most_delivered,
                                        .fill = fill_times,
                                        .rows_max = log_rows_max(d->options, ROWS_SHOWN),
                                        .wants_no_zero = true},
                            by_ages = {.order = most_waiting,
                                       .fill = fill_ages,
                                       .rows_max = log_rows_max(d->options, ROWS_SHOWN)};
    const struct {
        const char *name, *title;
        const struct sheet_column *columns;
        const struct log_table *of;
        const struct log_ranked *by;
    } sheets[] = {
        {"time_by_domain", "Time from arrival to delivery, by recipient domain", times, &d->domains,
         &by_times},
        {"time_by_provider", "Time from arrival to delivery, by provider", provider_times,
         &d->providers, &by_times},
        {"queue_age_by_domain",
         "Queue age of recipients not delivered when the logs end, by recipient domain", ages,
         &d->waiting_domains, &by_ages},
        {"queue_age_by_provider",
         "Queue age of recipients not delivered when the logs end, by provider", provider_ages,
         &d->waiting_providers, &by_ages},
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sheets); i++)
        r = log_ranked_rows(log_report_sheet(to, sheets[i].name, sheets[i].title, sheets[i].columns,
                                             ARRAY_SIZE(times)),
                            sheets[i].of, sheets[i].by);
    return r;
}

static void add_recipient_age(void *ctx, int64_t arrived_ms, struct slice address, uint64_t count)
{
    struct delivery *d = ctx;
    struct slice domain = domain_of(d, address);
    const struct row *row = log_table_find(&d->domains, domain);
    struct slice provider = row && row->provider.len > 0 ? row->provider : SLICE_LIT("none");
    struct log_spread *of_domain = log_table_add(&d->waiting_domains, domain);
    struct log_spread *of_provider = log_table_add(&d->waiting_providers, provider);
    int64_t age = d->end_ms - arrived_ms;

    if (!of_domain || !of_provider || log_spread_add(of_domain, age, count) < 0 ||
        log_spread_add(of_provider, age, count) < 0)
        d->error = -ENOMEM;
}

static void add_age(void *ctx, int64_t arrived_ms, uint64_t recipients)
{
    struct delivery *d = ctx;

    (void)recipients;
    if (log_times_add(&d->ages, d->end_ms - arrived_ms) < 0)
        d->error = -ENOMEM;
}

static void tell_notes(const struct delivery *d, const struct lives_counts *n,
                       struct log_report *to)
{
    log_report_note(to,
                    "Rates and times are of messages that arrived in these logs; percentiles are "
                    "nearest rank, exact; of one domain or provider that has more than %d they are "
                    "within 3.2 %%. What waits for a domain waits for the provider whose host was "
                    "tried last for it.",
                    LOG_SPREAD_EXACT);
    if (d->options->since_ms != INT64_MIN && n->orphan_attempts > 0)
        log_report_note(to, "What arrived before --since counts as what arrived before these logs "
                            "do: its attempts are no first ones.");
    if (n->messages == 0)
        log_report_note(to, "No message arrives in these logs: which attempt is a first one, and "
                            "how long delivery took, is not known.");
    if (n->handed_over > 0)
        log_report_note(
            to,
            "%llu time%s a recipient went through a content filter of this host and came "
            "back under another id: one message, and its hand-over is no delivery.",
            (unsigned long long)n->handed_over, log_plural(n->handed_over));
    if (n->handed_away > 0)
        log_report_note(to,
                        "%llu deliver%s to a port of this host led to an id that is not in these "
                        "logs: counted as delivered.",
                        (unsigned long long)n->handed_away, n->handed_away == 1 ? "y" : "ies");
    if (n->not_expanded > 0)
        log_report_note(to,
                        "%llu time%s a line told of all recipients of a message that has more than "
                        "%d: the rest are left as they were.",
                        (unsigned long long)n->not_expanded, log_plural(n->not_expanded),
                        LIVES_EXPANDED_MAX);
}

static int finish(void *state, struct log_report *to)
{
    static const struct sheet_column domain[] = {ROW_COLUMNS("domain", "DOMAIN")},
                                     provider[] = {ROW_COLUMNS("provider", "PROVIDER")};
    struct delivery *d = state;
    struct lives_counts n;
    int r = lives_end(d->lives);

    if (r < 0)
        return r;
    lives_counts(d->lives, &n);
    lives_each_pending(d->lives, add_age, d);
    lives_each_pending_recipient(d->lives, add_recipient_age, d);
    r = d->error;
    if (r == 0)
        r = total_sheet(d, &n, to);
    if (r == 0)
        r = lives_sheet(&n, to);
    if (r == 0)
        r = times_sheet(&d->times, to, "time_to_delivery", "Time from arrival to delivery",
                        "recipients delivered");
    if (r == 0)
        r = times_sheet(&d->ages, to, "queue_age",
                        "Queue age of messages not delivered when the logs end",
                        "messages pending");
    if (r == 0)
        r = destinations_sheets(d, to);
    if (r == 0)
        r = days_sheet(d, to);
    if (r == 0)
        r = table_sheet(
            d, &d->domains,
            log_report_sheet(to, "by_domain", "By recipient domain", domain, ARRAY_SIZE(domain)));
    if (r == 0)
        r = table_sheet(
            d, &d->providers,
            log_report_sheet(to, "by_provider", "By provider", provider, ARRAY_SIZE(provider)));
    tell_notes(d, &n, to);
    return r;
}

const struct log_report_kind delivery_report = {
    .name = "delivery",
    .what = "what was delivered, at the first try and in the end, how long it took, what waits",
    .wants = wants,
    .create = create,
    .facts = facts,
    .finish = finish,
    .free = free_delivery,
};
