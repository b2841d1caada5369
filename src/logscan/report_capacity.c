/*
 * logscan/report_capacity.c - who answers for want of capacity, how often, since when, and whether the
 * next try helps: by provider, recipient domain and remote address.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "logscan/attempt_kit.h"
#include "logscan/bands.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"

#define ROWS_SHOWN 30

struct row {
    struct log_tried tried;
    struct log_seen capacity;           /* capacity replies */
    struct log_list *sources, *domains; /* of them: our addresses, recipient domains */
};

struct capacity {
    const struct log_report_options *options;
    struct lives *lives;
    struct log_who who;
    struct log_classes classes;
    struct row total;
    uint64_t received; /* attempts that others made at our server */
    struct log_table providers, domains, remotes;
    struct log_table texts; /* of lists */
    int error;
};

static unsigned wants(const struct log_report_options *o)
{
    (void)o;
    return WANT_LIVES;
}

static void free_row(struct row *row)
{
    log_list_free(&row->sources);
    log_list_free(&row->domains);
}

static void free_table(struct log_table *t)
{
    struct slice key;

    for (size_t i = 0; i < log_table_count(t); i++)
        free_row(log_table_at(t, i, &key));
    log_table_done(t);
}

static void free_capacity(void **state)
{
    struct capacity *c = *state;

    if (!c)
        return;
    lives_free(&c->lives);
    free_row(&c->total);
    free_table(&c->providers);
    free_table(&c->domains);
    free_table(&c->remotes);
    log_table_done(&c->texts);
    log_who_done(&c->who);
    free(c);
    *state = NULL;
}

/* What is counted of an attempt, worked out once. */
struct seen {
    const struct log_attempt *attempt;
    struct slice domain; /* of the recipient, lower case; empty: not told */
    bool is_capacity;
};

static void count(struct capacity *c, struct row *row, const struct seen *seen)
{
    const struct log_fact *f = seen->attempt->fact;
    int r;

    log_tried_add(&row->tried, seen->attempt);
    if (!seen->is_capacity)
        return;
    log_seen_add(&row->capacity, f->at_ms);
    r = log_list_add(&row->sources, &c->texts, f->source);
    if (r == 0)
        r = log_list_add(&row->domains, &c->texts, seen->domain);
    if (r < 0)
        c->error = r;
}

static void count_in(struct capacity *c, struct log_table *t, struct slice key,
                     const struct seen *seen)
{
    struct row *row = log_table_add(t, key);

    if (row)
        count(c, row, seen);
    else
        c->error = -ENOMEM;
}

static void take(void *ctx, const struct log_attempt *a)
{
    const struct log_fact *f = a->fact;
    struct capacity *c = ctx;
    struct slice provider;
    struct seen seen = {.attempt = a};

    if (a->is_expiry)
        return;
    provider = log_who_provider(&c->who, f->host);
    seen.domain = log_who_domain(&c->who, a->recipient);
    seen.is_capacity =
        f->outcome != OUTCOME_DELIVERED && log_class_of(&c->classes, f, provider) == REPLY_CAPACITY;
    if (f->counts & COUNTS_TOTAL) {
        count(c, &c->total, &seen);
        c->received += f->issuer == ISSUER_OWN_SERVER;
        count_in(c, &c->providers, provider, &seen);
    }
    if (f->counts & COUNTS_DOMAIN)
        count_in(c, &c->domains, seen.domain.len ? seen.domain : SLICE_LIT("none"), &seen);
    if (f->counts & COUNTS_HOST)
        count_in(c, &c->remotes, log_who_of(&c->who, f, BY_HOST), &seen);
}

static int create(void **ret, const struct log_report_options *o, struct buf *why)
{
    struct capacity *c = calloc(1, sizeof(*c));

    (void)why;
    *ret = c;
    if (!c)
        return -ENOMEM;
    c->options = o;
    log_who_init(&c->who, o);
    log_classes_init(&c->classes, o);
    log_table_init(&c->providers, sizeof(struct row), o->seed);
    log_table_init(&c->domains, sizeof(struct row), o->seed);
    log_table_init(&c->remotes, sizeof(struct row), o->seed);
    log_list_texts_init(&c->texts, o->seed);
    return lives_new(&c->lives, o->seed, take, c);
}

static int facts(void *state, const struct log_scan *s)
{
    struct capacity *c = state;
    int r = log_attempts_take(c->lives, c->options, s);

    return r < 0 ? r : c->error;
}

/* ---- tables ---- */

/* Most capacity replies first, then most attempts. */
static uint64_t order(const void *value)
{
    const struct row *row = value;
    const uint64_t most = UINT32_MAX;

    return MIN_OF(row->capacity.count, most) << 32 | MIN_OF(row->tried.seen.count, most);
}

#define COLUMNS(name, title)                                                                       \
    {name, title, SHEET_TEXT}, {"band", "BAND", SHEET_TEXT},                                       \
        {"capacity", "CAPACITY", SHEET_COUNT}, {"capacity_per_10k", "PER 10,000", SHEET_RATE},     \
        LOG_TRIED_COLUMNS, {"retries", "RETRIES", SHEET_COUNT, 5},                                 \
        {"retry_success", "RETRY OK", SHEET_SHARE, 1},                                             \
        {"capacity_first_ms", "FIRST REFUSED", SHEET_TIME, 6},                                     \
        {"capacity_last_ms", "LAST REFUSED", SHEET_TIME, 2}, LOG_SEEN_COLUMNS,                     \
        {"sources", "OUR ADDRESSES", SHEET_TEXT, 6},                                               \
    {                                                                                              \
        "domains", "RECIPIENT DOMAINS", SHEET_TEXT, 6                                              \
    }

static int fill_row(const struct capacity *all, struct log_sheet *to, struct sheet_cell *c,
                    struct slice who, const struct row *row)
{
    const struct log_tried *t = &row->tried;
    int r;

    sheet_text(to, c++, who);
    sheet_text(to, c++, slice_str(band_name(bands_of(row->capacity.count, t->seen.count))));
    sheet_count(c++, row->capacity.count);
    c = log_rate_cell(c, row->capacity.count, t->seen.count);
    c = log_tried_cells(c, t);
    sheet_count(c++, t->retries);
    c = log_share_cell(c, t->retries_delivered, t->retries);
    c = log_seen_cells(c, &row->capacity);
    c = log_seen_cells(c, &t->seen);
    r = log_list_cell(to, c++, row->sources, &all->texts);
    return r == 0 ? log_list_cell(to, c, row->domains, &all->texts) : r;
}

static int fill(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                const struct log_rank_item *item)
{
    return fill_row(ctx, to, c, item->key, item->value);
}

static int table_sheet(const struct capacity *c, const struct log_table *t, struct log_sheet *sheet)
{
    const struct log_ranked how = {
        .order = order, .fill = fill, .ctx = c, .rows_max = log_rows_max(c->options, ROWS_SHOWN)};

    return log_ranked_rows(sheet, t, &how);
}

static int finish(void *state, struct log_report *to)
{
    static const struct sheet_column all[] = {COLUMNS("who", "WHO")},
                                     provider[] = {COLUMNS("provider", "PROVIDER")},
                                     domain[] = {COLUMNS("domain", "DOMAIN")},
                                     remote[] = {COLUMNS("remote", "REMOTE HOST")};
    struct capacity *c = state;
    struct log_sheet *sheet =
        log_report_sheet(to, "total", "Capacity replies", all, ARRAY_SIZE(all));
    int error = lives_end(c->lives);
    struct sheet_cell *row = error == 0 && c->error == 0 ? sheet_row(sheet) : NULL;
    int r = row ? fill_row(c, sheet, row, SLICE_LIT("all"), &c->total) : -ENOMEM;

    if (r == 0)
        r = table_sheet(
            c, &c->providers,
            log_report_sheet(to, "by_provider", "By provider", provider, ARRAY_SIZE(provider)));
    if (r == 0)
        r = table_sheet(
            c, &c->domains,
            log_report_sheet(to, "by_domain", "By recipient domain", domain, ARRAY_SIZE(domain)));
    if (r == 0)
        r = table_sheet(
            c, &c->remotes,
            log_report_sheet(to, "by_remote", "By remote host", remote, ARRAY_SIZE(remote)));
    if (c->received > 0)
        log_report_note(to,
                        "%llu attempt%s of logs of mail received: the remote hosts there are "
                        "clients, and what they were refused was refused by our own server.",
                        (unsigned long long)c->received, c->received == 1 ? " is" : "s are");
    log_report_note(to,
                    "Bands are the lanes': watch from %.2f %% of attempts on, throttle and "
                    "incident where it is certain to %.0f %% that the share is above %.2f %% "
                    "and %.1f %%, with %d attempts and %d such replies or more.",
                    1e2 * BANDS_WATCH_SHARE, 1e2 * (1 - BANDS_ALPHA), 1e2 * BANDS_THROTTLE_SHARE,
                    1e2 * BANDS_INCIDENT_SHARE, BANDS_SAMPLE_MIN, BANDS_HITS_MIN);
    return r;
}

const struct log_report_kind capacity_report = {
    .name = "capacity",
    .what = "receivers short of capacity: how often, who, since when, and whether retries help",
    .wants = wants,
    .create = create,
    .facts = facts,
    .finish = finish,
    .free = free_capacity,
};
