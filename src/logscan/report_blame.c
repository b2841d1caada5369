/*
 * logscan/report_blame.c - who said no: which hosts issued refusals, and of each provider whether its
 * side or ours is to blame, by the rules of incidents (evidence/incident.h).
 *
 * A refusal here is what an incident takes for one: a reply of class capacity or rate, or an attempt
 * that no host answered. A provider is judged by its bad hours: those in which its refusals are confirmed
 * to be above the throttle share; where no hour is, all with refusals. Other providers are compared with
 * themselves: in those hours, and outside of them. The hosts, our addresses and the recipient domains
 * of a verdict are those of its hours, too.
 *
 *     attempts -> provider, hour -> bad hours of a provider -> others in these hours -> verdict
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "evidence/incident.h"
#include "evidence/window.h"
#include "logscan/attempt_kit.h"
#include "logscan/bands.h"
#include "logscan/own_hosts.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"

#define REASONS_TOLD 5 /* of the first providers */
#define HOUR_MS (INT64_C(3600) * 1000)
#define ROWS_SHOWN 30
/* Each provider is compared with all hours of all others: of many, those with most refusals. */
#define JUDGED_MAX 200
#define JUDGED_WORK_MAX 100000000
#define OWN_SERVER SLICE_LIT("our own server")
#define NOBODY SLICE_LIT("nobody answered")

struct cell {                /* a provider in an hour */
    uint32_t provider, hour; /* indexes */
    uint64_t attempts, refusals, capacity, by_ours, silent;
};

struct provider {
    uint32_t index; /* + 1 */
    uint64_t attempts, refusals, capacity;
    struct log_seen refused;
    struct presence *presences;
    struct cell *cell; /* of the last attempt */
    int64_t hour;
};

struct remote { /* a host of a provider that was asked, or one of our addresses that asked there */
    bool is_source, is_ours;
    bool is_counted, is_counted_refused; /* when its provider is judged */
    struct presence *last;
};

struct presence { /* of a remote in an hour */
    const struct cell *cell;
    struct remote *remote;
    struct presence *next; /* of the provider's */
    bool is_refused;
};

struct domain {           /* of recipients that were refused */
    uint32_t index, last; /* + 1; its last hour, + 1 */
    uint32_t counted_for; /* the provider that is judged */
};

struct domain_hour {
    struct domain *domain;
    uint32_t hour;
};

struct issuer {
    struct log_seen seen;
    uint64_t temporary, permanent, capacity, rate;
    uint8_t side;
    bool is_ours;
};

struct blame {
    const struct log_report_options *options;
    struct own_hosts *own;
    struct lives *lives;
    struct log_who who;
    struct log_classes classes;
    struct log_table providers, cells, hours, remotes, sources, presences, homes, domains,
        domain_hours, issuers;
    struct log_seen own_server; /* capacity and rate replies to our clients */
    uint64_t by_receivers, by_relays, unanswered;
    int error;
};

static unsigned wants(const struct log_report_options *o)
{
    (void)o;
    return WANT_LIVES | WANT_REPLIES | WANT_SESSIONS;
}

static void free_blame(void **state)
{
    struct blame *b = *state;

    if (!b)
        return;
    lives_free(&b->lives);
    own_hosts_free(&b->own);
    log_table_done(&b->providers);
    log_table_done(&b->cells);
    log_table_done(&b->hours);
    log_table_done(&b->remotes);
    log_table_done(&b->sources);
    log_table_done(&b->presences);
    log_table_done(&b->homes);
    log_table_done(&b->domains);
    log_table_done(&b->domain_hours);
    log_table_done(&b->issuers);
    log_who_done(&b->who);
    free(b);
    *state = NULL;
}

/* ---- attempts ---- */

static struct provider *provider_of(struct blame *b, struct slice name)
{
    struct provider *p = log_table_add(&b->providers, name);

    if (p && p->index == 0)
        p->index = (uint32_t)log_table_count(&b->providers);
    return p;
}

static struct cell *cell_of(struct blame *b, struct provider *p, int64_t at_ms)
{
    int64_t hour = at_ms / HOUR_MS - (at_ms % HOUR_MS < 0);
    uint8_t key[sizeof(p->index) + sizeof(hour)];
    uint32_t *index;

    if (p->cell && p->hour == hour)
        return p->cell;
    memcpy(key, &p->index, sizeof(p->index));
    memcpy(key + sizeof(p->index), &hour, sizeof(hour));
    index = log_table_add(&b->hours, slice_make(&hour, sizeof(hour)));
    p->cell = log_table_add(&b->cells, slice_make(key, sizeof(key)));
    if (!index || !p->cell)
        return NULL;
    if (*index == 0)
        *index = (uint32_t)log_table_count(&b->hours);
    p->cell->provider = p->index;
    p->cell->hour = *index - 1;
    p->hour = hour;
    return p->cell;
}

/* It was there in that hour, and refused or was refused. */
static int note_presence(struct blame *b, struct provider *p, const struct cell *cell,
                         struct remote *r, bool is_refused)
{
    const struct {
        const struct cell *cell;
        const struct remote *remote;
    } key = {cell, r};

    if (!r->last || r->last->cell != cell) {
        r->last = log_table_add(&b->presences, slice_make(&key, sizeof(key)));
        if (!r->last)
            return -ENOMEM;
    }
    if (!r->last->cell) {
        *r->last = (struct presence){.cell = cell, .remote = r, .next = p->presences};
        p->presences = r->last;
    }
    r->last->is_refused |= is_refused;
    return 0;
}

/* One of a provider's hosts, or of our addresses that its hosts saw; NULL: no memory. */
static struct remote *remote_of(struct log_table *t, const struct provider *p, struct slice name)
{
    uint8_t key[sizeof(p->index) + 256];
    size_t len = MIN_OF(name.len, sizeof(key) - sizeof(p->index));

    memcpy(key, &p->index, sizeof(p->index));
    if (len > 0)
        memcpy(key + sizeof(p->index), name.ptr, len);
    return log_table_add(t, slice_make(key, sizeof(p->index) + len));
}

/* The host that was asked; *ret NULL: none is named. */
static int count_host(struct blame *b, const struct log_fact *f, struct provider *p,
                      const struct cell *cell, bool has_refused, struct remote **ret)
{
    struct slice name = f->address.len > 0 ? f->address : f->host;

    *ret = NULL;
    if (name.len == 0)
        return 0;
    *ret = remote_of(&b->remotes, p, name);
    if (!*ret)
        return -ENOMEM;
    if (!(*ret)->last)
        (*ret)->is_ours = own_hosts_has(b->own, f->host, f->address);
    return note_presence(b, p, cell, *ret, has_refused);
}

static int count_source(struct blame *b, struct slice name, struct provider *p,
                        const struct cell *cell, bool is_refused)
{
    struct remote *source;

    if (name.len == 0)
        return 0;
    source = remote_of(&b->sources, p, name);
    if (!source)
        return -ENOMEM;
    source->is_source = true;
    return note_presence(b, p, cell, source, is_refused);
}

static int count_domain(struct blame *b, struct slice name, uint32_t hour)
{
    struct domain *d = log_table_add(&b->domains, name);
    struct domain_hour *in;
    uint32_t key[2];

    if (!d)
        return -ENOMEM;
    if (d->index == 0)
        d->index = (uint32_t)log_table_count(&b->domains);
    if (d->last == hour + 1)
        return 0;
    key[0] = d->index;
    key[1] = hour;
    in = log_table_add(&b->domain_hours, slice_make(key, sizeof(key)));
    if (!in)
        return -ENOMEM;
    *in = (struct domain_hour){.domain = d, .hour = hour};
    d->last = hour + 1;
    return 0;
}

/* The provider of the host; where none was reached, the one that had the domain before. */
static struct slice home_of(struct blame *b, const struct log_fact *f, struct slice domain)
{
    struct slice name = log_who_provider(&b->who, f->host), *home;

    if (domain.len == 0)
        return name;
    home = log_table_add(&b->homes, domain);
    if (!home)
        return name;
    if (f->host.len > 0)
        *home = name; /* lives as long as b->who */
    return f->host.len == 0 && home->len > 0 ? *home : name;
}

static int count(struct blame *b, const struct log_fact *f, struct slice domain, struct provider *p,
                 enum reply_class klass)
{
    bool is_silent = f->outcome == OUTCOME_DEFERRED && f->reply.code == 0;
    bool is_refused = klass == REPLY_CAPACITY || klass == REPLY_RATE || is_silent;
    struct cell *cell = p ? cell_of(b, p, f->at_ms) : NULL;
    struct remote *host;

    if (!cell || count_host(b, f, p, cell, is_refused && !is_silent, &host) < 0 ||
        count_source(b, f->source, p, cell, is_refused) < 0)
        return -ENOMEM;
    p->attempts++;
    cell->attempts++;
    if (!is_refused)
        return 0;
    log_seen_add(&p->refused, f->at_ms);
    p->refusals++;
    p->capacity += klass == REPLY_CAPACITY;
    cell->refusals++;
    cell->capacity += klass == REPLY_CAPACITY;
    cell->silent += is_silent;
    if (!is_silent && host && host->is_ours) {
        cell->by_ours++;
        b->by_relays++;
    } else if (!is_silent) {
        b->by_receivers++;
    }
    return domain.len > 0 ? count_domain(b, domain, cell->hour) : 0;
}

static void take(void *ctx, const struct log_attempt *a)
{
    const struct log_fact *f = a->fact;
    enum reply_class klass = REPLY_NONE;
    struct blame *b = ctx;
    struct slice domain, name;

    /* What our own server answered its clients is in the replies. */
    if (a->is_expiry || f->issuer == ISSUER_OWN_SERVER || !(f->counts & COUNTS_TOTAL))
        return;
    domain = log_who_domain(&b->who, a->recipient);
    name = home_of(b, f, domain);
    if (f->outcome != OUTCOME_DELIVERED)
        klass = log_class_of(&b->classes, f, name);
    if (count(b, f, domain, provider_of(b, name), klass) < 0)
        b->error = -ENOMEM;
}

/* ---- replies ---- */

static int take_reply(struct blame *b, const struct log_fact *f)
{
    enum reply_class klass = log_class_of(&b->classes, f, log_who_provider(&b->who, f->host));
    struct slice name = f->issuer == ISSUER_OWN_SERVER ? OWN_SERVER
                        : f->reply.code == 0           ? NOBODY
                                                       : log_who_of(&b->who, f, BY_HOST);
    struct issuer *i;

    if (f->reply.code != 0 && f->reply.code < 400)
        return 0;
    i = log_table_add(&b->issuers, name);
    if (!i)
        return -ENOMEM;
    if (i->seen.count == 0) {
        i->side = f->issuer;
        i->is_ours = own_hosts_has(b->own, f->host, f->address);
    }
    log_seen_add(&i->seen, f->at_ms);
    b->unanswered += f->reply.code == 0 && f->issuer != ISSUER_OWN_SERVER;
    i->temporary += log_fact_digit(f) == 4;
    i->permanent += log_fact_digit(f) == 5;
    i->capacity += klass == REPLY_CAPACITY;
    i->rate += klass == REPLY_RATE;
    if (f->issuer == ISSUER_OWN_SERVER && (klass == REPLY_CAPACITY || klass == REPLY_RATE))
        log_seen_add(&b->own_server, f->at_ms);
    return 0;
}

static int create(void **ret, const struct log_report_options *o, struct buf *why)
{
    struct blame *b = calloc(1, sizeof(*b));
    int r;

    *ret = b;
    if (!b)
        return -ENOMEM;
    b->options = o;
    log_who_init(&b->who, o);
    log_classes_init(&b->classes, o);
    log_table_init(&b->providers, sizeof(struct provider), o->seed);
    log_table_init(&b->cells, sizeof(struct cell), o->seed);
    log_table_init(&b->hours, sizeof(uint32_t), o->seed);
    log_table_init(&b->remotes, sizeof(struct remote), o->seed);
    log_table_init(&b->sources, sizeof(struct remote), o->seed);
    log_table_init(&b->presences, sizeof(struct presence), o->seed);
    log_table_init(&b->homes, sizeof(struct slice), o->seed);
    log_table_init(&b->domains, sizeof(struct domain), o->seed);
    log_table_init(&b->domain_hours, sizeof(struct domain_hour), o->seed);
    log_table_init(&b->issuers, sizeof(struct issuer), o->seed);
    r = own_hosts_new(&b->own, o->own, o->own_count, why);
    return r == 0 ? lives_new(&b->lives, o->seed, take, b) : r;
}

static int facts(void *state, const struct log_scan *s)
{
    struct blame *b = state;
    int r = log_attempts_take(b->lives, b->options, s);

    for (size_t i = 0; r == 0 && i < s->fact_count; i++)
        if (s->facts[i].kind == FACT_REPLY && log_report_is_in(b->options, &s->facts[i]))
            r = take_reply(b, &s->facts[i]);
    return r < 0 ? r : b->error;
}

/* ---- verdicts ---- */

struct other { /* another provider: in the bad hours and in all */
    uint64_t attempts, capacity;
};

struct judgement {
    struct verdict_facts facts;
    uint64_t hours;
    struct verdict verdict;
};

static const struct cell *cell_at(const struct blame *b, size_t i)
{
    struct slice key;

    return log_table_at(&b->cells, i, &key);
}

static bool is_confirmed(const struct cell *c)
{
    return !band_is_calm(bands_of(c->refusals, c->attempts));
}

/* Marks the bad hours of a provider, and adds them up. */
static void mark_hours(const struct blame *b, const struct provider *p, uint8_t *is_bad,
                       struct judgement *ret)
{
    size_t count = log_table_count(&b->cells);
    bool has_confirmed = false;

    memset(is_bad, 0, log_table_count(&b->hours));
    for (size_t i = 0; i < count && !has_confirmed; i++)
        has_confirmed = cell_at(b, i)->provider == p->index && is_confirmed(cell_at(b, i));
    for (size_t i = 0; i < count; i++) {
        const struct cell *c = cell_at(b, i);

        if (c->provider != p->index || c->refusals == 0 || (has_confirmed && !is_confirmed(c)))
            continue;
        is_bad[c->hour] = 1;
        ret->hours++;
        ret->facts.attempts += c->attempts;
        ret->facts.refusals += c->refusals;
        ret->facts.refused_by_ours += c->by_ours;
        ret->facts.refused_without_reply += c->silent;
    }
}

/* Who was asked by whom in those hours, and for which recipients all providers refused then. */
static void count_in_hours(const struct blame *b, const struct provider *p, const uint8_t *is_bad,
                           struct verdict_facts *f)
{
    for (const struct presence *in = p->presences; in; in = in->next) {
        struct remote *r = in->remote;
        bool is_first = is_bad[in->cell->hour] && !r->is_counted;
        bool is_first_refused = is_bad[in->cell->hour] && in->is_refused && !r->is_counted_refused;

        *(r->is_source ? &f->sources : &f->hosts) += is_first;
        *(r->is_source ? &f->sources_refused : &f->hosts_refusing) += is_first_refused;
        r->is_counted |= is_first;
        r->is_counted_refused |= is_first_refused;
    }
    f->hosts = MIN_OF(f->hosts, (uint64_t)INCIDENT_LIST_MAX);
    f->hosts_refusing = MIN_OF(f->hosts_refusing, (uint64_t)INCIDENT_LIST_MAX);
    for (size_t i = 0; i < log_table_count(&b->domain_hours); i++) {
        struct slice key;
        const struct domain_hour *in = log_table_at(&b->domain_hours, i, &key);

        if (!is_bad[in->hour] || in->domain->counted_for == p->index)
            continue;
        in->domain->counted_for = p->index;
        f->destinations_refusing++;
    }
}

/* Does it refuse more than outside of those hours, for certain: with what is seen there as uncertain
 * as what is seen here? Who is hardly seen outside has no baseline but the throttle share. */
static bool is_above_usual(const struct other *in, const struct provider *all)
{
    uint64_t attempts = all->attempts - in->attempts, capacity = all->capacity - in->capacity;
    double usual = BANDS_THROTTLE_SHARE;

    if (attempts >= BANDS_SAMPLE_MIN) {
        double most = rate_upper_bound(capacity, attempts, BANDS_ALPHA);

        usual = BANDS_BASELINE_FACTOR * (double)capacity / (double)attempts;
        usual = MAX_OF(usual, most);
    }
    return in->capacity >= BANDS_HITS_MIN &&
           (double)in->capacity >= BANDS_WATCH_SHARE * (double)in->attempts &&
           rate_lower_bound(in->capacity, in->attempts, BANDS_ALPHA) > usual;
}

static void compare_others(const struct blame *b, const struct provider *p, const uint8_t *is_bad,
                           struct other *others, struct verdict_facts *f)
{
    size_t count = log_table_count(&b->providers);
    struct slice name;

    memset(others, 0, count * sizeof(*others));
    for (size_t i = 0; i < log_table_count(&b->cells); i++) {
        const struct cell *c = cell_at(b, i);

        if (is_bad[c->hour]) {
            others[c->provider - 1].attempts += c->attempts;
            others[c->provider - 1].capacity += c->capacity;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct provider *other = log_table_at(&b->providers, i, &name);

        if (other == p)
            continue;
        f->others_attempts += others[i].attempts;
        if (others[i].attempts < BANDS_SAMPLE_MIN)
            continue;
        f->others++;
        f->others_refusing += is_above_usual(&others[i], other);
    }
}

static void judge(const struct blame *b, const struct provider *p, uint8_t *is_bad,
                  struct other *others, struct judgement *ret)
{
    *ret = (struct judgement){.facts = {.sample_min = BANDS_SAMPLE_MIN}};
    mark_hours(b, p, is_bad, ret);
    count_in_hours(b, p, is_bad, &ret->facts);
    compare_others(b, p, is_bad, others, &ret->facts);
    verdict_decide(&ret->facts, &ret->verdict);
}

/* ---- tables ---- */

static const struct sheet_column verdict_columns[] = {
    {"provider", "PROVIDER", SHEET_TEXT},
    {"verdict", "VERDICT", SHEET_TEXT},
    {"refusals", "REFUSALS", SHEET_COUNT},
    {"attempts", "ATTEMPTS", SHEET_COUNT},
    {"bad_hours", "BAD HOURS", SHEET_COUNT, 4},
    {"bad_refusals", "REFUSALS THEN", SHEET_COUNT, 5},
    {"bad_attempts", "ATTEMPTS THEN", SHEET_COUNT, 5},
    {"by_ours", "BY OURS", SHEET_COUNT, 2},
    {"without_reply", "NO REPLY", SHEET_COUNT, 1},
    {"others", "OTHERS", SHEET_COUNT, 6},
    {"others_refusing", "OF THEM REFUSING", SHEET_COUNT, 6},
    LOG_SEEN_COLUMNS,
    {"reasons", "REASONS", SHEET_TEXT, 9},
    {"missing", "MISSING", SHEET_TEXT, 9},
};

static int fill_verdict(struct log_sheet *to, struct slice name, const struct provider *p,
                        const struct judgement *j)
{
    struct buf reasons = BUF_INIT(KIB(4));
    struct sheet_cell *c = sheet_row(to);
    int r = c ? 0 : -ENOMEM;

    for (uint32_t i = 0; r == 0 && i < j->verdict.reason_count; i++)
        r = buf_addf(&reasons, "%s%s", i ? "; " : "", j->verdict.reasons[i]);
    if (r == 0) {
        sheet_text(to, c++, name);
        sheet_text(to, c++, slice_str(verdict_side_name(j->verdict.side)));
        sheet_count(c++, p->refusals);
        sheet_count(c++, p->attempts);
        sheet_count(c++, j->hours);
        sheet_count(c++, j->facts.refusals);
        sheet_count(c++, j->facts.attempts);
        sheet_count(c++, j->facts.refused_by_ours);
        sheet_count(c++, j->facts.refused_without_reply);
        sheet_count(c++, j->facts.others);
        sheet_count(c++, j->facts.others_refusing);
        c = log_seen_cells(c, &p->refused);
        sheet_text(to, c++, buf_slice(&reasons));
        if (j->verdict.missing[0] != '\0')
            sheet_text(to, c, slice_str(j->verdict.missing));
    }
    buf_done(&reasons);
    return r;
}

/* Refusals that our own server gave its clients: no remote host had a part in them. */
static int fill_own_server(const struct blame *b, struct log_sheet *to)
{
    const struct provider own = {
        .attempts = b->own_server.count, .refusals = b->own_server.count, .refused = b->own_server};
    struct judgement j = {.facts = {.attempts = own.attempts,
                                    .refusals = own.refusals,
                                    .refused_by_ours = own.refusals}};

    if (own.refusals == 0)
        return 0;
    verdict_decide(&j.facts, &j.verdict);
    return fill_verdict(to, OWN_SERVER, &own, &j);
}

static uint64_t most_refusals(const void *value)
{
    return ((const struct provider *)value)->refusals;
}

static size_t judged_most(const struct blame *b)
{
    size_t most =
        JUDGED_WORK_MAX / (log_table_count(&b->cells) + log_table_count(&b->domain_hours) + 1);

    return most < ROWS_SHOWN ? ROWS_SHOWN : MIN_OF(most, (size_t)JUDGED_MAX);
}

static int verdicts_sheet(const struct blame *b, struct log_report *to)
{
    struct log_sheet *sheet = log_report_sheet(to, "verdicts", "Who said no", verdict_columns,
                                               ARRAY_SIZE(verdict_columns));
    uint8_t *is_bad = calloc(log_table_count(&b->hours) + 1, 1);
    struct other *others = calloc(log_table_count(&b->providers) + 1, sizeof(*others));
    struct log_ranking rank;
    int r = log_rank(&rank, &b->providers, most_refusals);

    if (!is_bad || !others)
        r = -ENOMEM;
    if (r == 0)
        r = fill_own_server(b, sheet);
    for (size_t i = 0; r == 0 && i < rank.count && rank.items[i].count > 0; i++) {
        struct judgement j;

        if (i >= judged_most(b)) {
            sheet->rows_left_out++;
            continue;
        }
        judge(b, rank.items[i].value, is_bad, others, &j);
        r = fill_verdict(sheet, rank.items[i].key, rank.items[i].value, &j);
    }
    log_rank_done(&rank);
    free(is_bad);
    free(others);
    sheet_limit(sheet, log_rows_max(b->options, ROWS_SHOWN));
    return r;
}

static uint64_t most_issued(const void *value)
{
    return ((const struct issuer *)value)->seen.count;
}

static int fill_issuer(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                       const struct log_rank_item *item)
{
    const struct issuer *issuer = item->value;
    bool is_relay = issuer->is_ours && issuer->side == ISSUER_RECEIVER;

    (void)ctx;
    sheet_text(to, c++, item->key);
    sheet_text(to, c++,
               slice_str(is_relay ? "own-relay" : log_issuer_name((enum log_issuer)issuer->side)));
    sheet_count(c++, issuer->seen.count);
    sheet_count(c++, issuer->temporary);
    sheet_count(c++, issuer->permanent);
    sheet_count(c++, issuer->capacity);
    sheet_count(c++, issuer->rate);
    (void)log_seen_cells(c, &issuer->seen);
    return 0;
}

static int issuers_sheet(const struct blame *b, struct log_report *to)
{
    static const struct sheet_column columns[] = {
        {"issuer", "ISSUED BY", SHEET_TEXT},   {"side", "SIDE", SHEET_TEXT},
        {"refusals", "REFUSALS", SHEET_COUNT}, {"temporary", "4xx", SHEET_COUNT},
        {"permanent", "5xx", SHEET_COUNT},     {"capacity", "CAPACITY", SHEET_COUNT},
        {"rate", "RATE", SHEET_COUNT},         LOG_SEEN_COLUMNS};
    const struct log_ranked how = {.order = most_issued,
                                   .fill = fill_issuer,
                                   .rows_max = log_rows_max(b->options, ROWS_SHOWN)};

    return log_ranked_rows(
        log_report_sheet(to, "by_issuer", "Which host said no", columns, ARRAY_SIZE(columns)),
        &b->issuers, &how);
}

/* The reasons in whole sentences: in the table they stand at the end of long rows. */
static void note_reasons(struct log_report *to)
{
    const struct log_sheet *s = &to->sheets[0];
    size_t last = s->column_count - 1;

    for (size_t row = 0; row < MIN_OF(s->row_count, (size_t)REASONS_TOLD); row++) {
        const struct sheet_cell *c = &s->cells[row * s->column_count];

        log_report_note(to, "%.*s: %.*s: %.*s%s%.*s", SLICE_FMT(c[0].value.text),
                        SLICE_FMT(c[1].value.text), SLICE_FMT(c[last - 1].value.text),
                        c[last].is_empty ? "" : "; missing: ",
                        SLICE_FMT(c[last].is_empty ? slice_make(NULL, 0) : c[last].value.text));
    }
}

static int finish(void *state, struct log_report *to)
{
    const struct blame *b = state;
    int r = lives_end(b->lives);

    if (r == 0)
        r = b->error;
    if (r == 0)
        r = verdicts_sheet(b, to);
    if (r == 0)
        note_reasons(to);

    if (r == 0)
        r = issuers_sheet(b, to);
    log_report_note(to,
                    "Refusals for want of capacity or for the rate: %llu by receivers, %llu by our "
                    "own relays, %llu by our own server to its clients; nobody answered: %llu.",
                    (unsigned long long)b->by_receivers, (unsigned long long)b->by_relays,
                    (unsigned long long)b->own_server.count, (unsigned long long)b->unanswered);
    log_report_note(to,
                    "Bad hours are those in which a provider's refusals are certain to be above "
                    "%.2f %%; where no hour has so many attempts, all with refusals. Others are "
                    "providers with %d attempts or more in the same hours; they refuse where they "
                    "do so, for certain, more than %.0f times as often as in the rest of the time.",
                    1e2 * BANDS_THROTTLE_SHARE, BANDS_SAMPLE_MIN, BANDS_BASELINE_FACTOR);
    return r;
}

const struct log_report_kind blame_report = {
    .name = "blame",
    .what = "which host issued refusals, the receivers' side or ours, and what is missing: --own",
    .wants = wants,
    .create = create,
    .facts = facts,
    .finish = finish,
    .free = free_blame,
};
