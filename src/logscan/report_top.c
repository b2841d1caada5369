/*
 * logscan/report_top.c - who sends, who gets, over what, and what is answered: the most frequent first.
 *
 * Senders, recipients, domains, hosts and connectors are those of attempts; texts are of replies, each
 * time the log has one, with what varies masked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "logscan/attempt_kit.h"
#include "logscan/reply_form.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"

#define ROWS_SHOWN 10
#define ADDRESS_MAX 1024
#define TEXT_MAX KIB(4)
#define RAW_CACHED 1024

struct row {
    struct log_seen seen;
    uint64_t delivered, deferred, failed;
};

enum { SENDERS, RECIPIENTS, DOMAINS, HOSTS, CONNECTORS, TABLES };

struct top {
    const struct log_report_options *options;
    struct lives *lives;
    struct log_who who;
    struct log_table tables[TABLES];
    struct log_table texts; /* of a struct log_seen */
    struct raw_slot {       /* texts as they are, and what they are masked to */
        uint64_t key;
        struct log_seen *masked;
    } raw[RAW_CACHED];
    struct arena arena; /* of one text */
    int error;
};

static unsigned wants(const struct log_report_options *o)
{
    (void)o;
    return WANT_LIVES | WANT_REPLIES;
}

static void free_top(void **state)
{
    struct top *t = *state;

    if (!t)
        return;
    lives_free(&t->lives);
    for (size_t i = 0; i < TABLES; i++)
        log_table_done(&t->tables[i]);
    log_table_done(&t->texts);
    log_who_done(&t->who);
    arena_done(&t->arena);
    free(t);
    *state = NULL;
}

static void count(struct top *t, unsigned table, struct slice key, const struct log_fact *f)
{
    struct row *row;

    if (key.len == 0)
        return;
    row = log_table_add(&t->tables[table], key);
    if (!row) {
        t->error = -ENOMEM;
        return;
    }
    log_seen_add(&row->seen, f->at_ms);
    row->delivered += f->outcome == OUTCOME_DELIVERED;
    row->deferred += f->outcome == OUTCOME_DEFERRED;
    row->failed += f->outcome == OUTCOME_FAILED;
}

/* Local parts stay as they are: whether their case matters is the receiver's business. */
static struct slice with_lower_domain(struct slice address, char room[ADDRESS_MAX])
{
    ptrdiff_t at = slice_rfind(address, '@');

    if (at < 0 || address.len > ADDRESS_MAX)
        return address;
    memcpy(room, address.ptr, address.len);
    for (size_t i = (size_t)at; i < address.len; i++)
        room[i] = (char)byte_lower(address.ptr[i]);
    return slice_make(room, address.len);
}

static void take(void *ctx, const struct log_attempt *a)
{
    const struct log_fact *f = a->fact;
    char room[ADDRESS_MAX];
    struct top *t = ctx;

    if (a->is_expiry)
        return;
    if (f->counts & COUNTS_DOMAIN) {
        count(t, RECIPIENTS, with_lower_domain(a->recipient, room), f);
        count(t, DOMAINS, log_who_domain(&t->who, a->recipient), f);
    }
    if (f->counts & COUNTS_TOTAL) {
        count(t, SENDERS, with_lower_domain(a->sender, room), f);
        count(t, CONNECTORS, f->connector, f);
    }
    if (f->counts & COUNTS_HOST && (f->address.len > 0 || f->host.len > 0)) {
        char host[ADDRESS_MAX];
        bool both = f->host.len > 0 && f->address.len > 0;
        int n =
            snprintf(host, sizeof(host), "%.*s%s%.*s%s", SLICE_FMT(slice_sub(f->host, 0, 255)),
                     both ? " [" : "", SLICE_FMT(slice_sub(f->address, 0, 255)), both ? "]" : "");

        count(t, HOSTS, slice_make(host, (size_t)n), f);
    }
}

/* "CODE ENH masked text" */
static struct log_seen *masked_row(struct top *t, const struct log_reply *r)
{
    char key[TEXT_MAX], status[REPLY_FORM_STATUS_MAX];
    struct slice text = reply_form_masked(slice_sub(r->text, 0, TEXT_MAX / 2), &t->arena);
    size_t used, len;

    used = r->code ? (size_t)snprintf(key, sizeof(key), "%s ", reply_form_status(r, status)) : 0;
    len = MIN_OF(text.len, sizeof(key) - used);
    if (len > 0)
        memcpy(key + used, text.ptr, len);
    arena_clear(&t->arena);
    return log_table_add(&t->texts, slice_make(key, used + len));
}

static int take_reply(struct top *t, const struct log_fact *f)
{
    const struct log_reply *r = &f->reply;
    uint64_t key = log_hash(r->text, t->options->seed ^ log_reply_codes(r));
    struct raw_slot *slot = &t->raw[key % RAW_CACHED];

    if (f->is_other_host)
        return 0;
    if (!slot->masked || slot->key != key) {
        slot->masked = masked_row(t, r);
        slot->key = key;
    }
    if (!slot->masked)
        return -ENOMEM;
    log_seen_add(slot->masked, f->at_ms);
    return 0;
}

static int create(void **ret, const struct log_report_options *o, struct buf *why)
{
    struct top *t = calloc(1, sizeof(*t));
    int r;

    (void)why;
    *ret = t;
    if (!t)
        return -ENOMEM;
    t->options = o;
    log_who_init(&t->who, o);
    for (size_t i = 0; i < TABLES; i++)
        log_table_init(&t->tables[i], sizeof(struct row), o->seed);
    log_table_init(&t->texts, sizeof(struct log_seen), o->seed);
    r = lives_new(&t->lives, o->seed, take, t);
    if (r == 0)
        lives_keep_senders(t->lives);
    return r;
}

static int facts(void *state, const struct log_scan *s)
{
    struct top *t = state;
    int r = log_attempts_take(t->lives, t->options, s);

    for (size_t i = 0; r == 0 && i < s->fact_count; i++)
        if (s->facts[i].kind == FACT_REPLY && log_report_is_in(t->options, &s->facts[i]))
            r = take_reply(t, &s->facts[i]);
    return r < 0 ? r : t->error;
}

/* ---- tables ---- */

static uint64_t most_attempts(const void *value)
{
    return ((const struct row *)value)->seen.count;
}

static uint64_t most_seen(const void *value)
{
    return ((const struct log_seen *)value)->count;
}

static int fill(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                const struct log_rank_item *item)
{
    const struct row *row = item->value;

    (void)ctx;
    sheet_text(to, c++, item->key);
    sheet_count(c++, row->seen.count);
    sheet_count(c++, row->delivered);
    sheet_count(c++, row->deferred);
    sheet_count(c++, row->failed);
    c = log_share_cell(c, row->deferred + row->failed, row->seen.count);
    (void)log_seen_cells(c, &row->seen);
    return 0;
}

static int fill_text(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                     const struct log_rank_item *item)
{
    const struct log_seen *seen = item->value;

    (void)ctx;
    sheet_text(to, c++, item->key);
    sheet_count(c++, seen->count);
    (void)log_seen_cells(c, seen);
    return 0;
}

#define COLUMNS(name, title)                                                                       \
    {name, title, SHEET_TEXT}, {"attempts", "ATTEMPTS", SHEET_COUNT},                              \
        {"delivered", "DELIVERED", SHEET_COUNT, 2}, {"deferred", "DEFERRED", SHEET_COUNT, 1},      \
        {"failed", "FAILED", SHEET_COUNT, 1}, {"refused", "REFUSED", SHEET_SHARE},                 \
        LOG_SEEN_COLUMNS

static int table_sheet(const struct top *t, unsigned table, struct log_report *to)
{
    static const struct sheet_column columns[TABLES][8] = {
        [SENDERS] = {COLUMNS("sender", "SENDER")},
        [RECIPIENTS] = {COLUMNS("recipient", "RECIPIENT")},
        [DOMAINS] = {COLUMNS("domain", "DOMAIN")},
        [HOSTS] = {COLUMNS("host", "HOST")},
        [CONNECTORS] = {COLUMNS("connector", "CONNECTOR")}};
    static const char *const names[TABLES][2] = {[SENDERS] = {"senders", "Senders"},
                                                 [RECIPIENTS] = {"recipients", "Recipients"},
                                                 [DOMAINS] = {"domains", "Recipient domains"},
                                                 [HOSTS] = {"hosts", "Remote hosts"},
                                                 [CONNECTORS] = {"connectors", "Connectors"}};
    const struct log_ranked how = {
        .order = most_attempts, .fill = fill, .rows_max = log_rows_max(t->options, ROWS_SHOWN)};

    if (log_table_count(&t->tables[table]) == 0)
        return 0;
    return log_ranked_rows(log_report_sheet(to, names[table][0], names[table][1], columns[table],
                                            ARRAY_SIZE(columns[table])),
                           &t->tables[table], &how);
}

static int texts_sheet(const struct top *t, struct log_report *to)
{
    static const struct sheet_column columns[] = {
        {"text", "REPLY", SHEET_TEXT}, {"hits", "HITS", SHEET_COUNT}, LOG_SEEN_COLUMNS};
    const struct log_ranked how = {
        .order = most_seen, .fill = fill_text, .rows_max = log_rows_max(t->options, ROWS_SHOWN)};

    return log_ranked_rows(
        log_report_sheet(to, "texts", "Replies, what varies masked", columns, ARRAY_SIZE(columns)),
        &t->texts, &how);
}

static int finish(void *state, struct log_report *to)
{
    const struct top *t = state;
    int r = lives_end(t->lives);

    if (r == 0)
        r = t->error;
    for (unsigned table = 0; r == 0 && table < TABLES; table++)
        r = table_sheet(t, table, to);
    return r == 0 ? texts_sheet(t, to) : r;
}

const struct log_report_kind top_report = {
    .name = "top",
    .what = "senders, recipients, domains, hosts, connectors, reply texts: the most frequent",
    .wants = wants,
    .create = create,
    .facts = facts,
    .finish = finish,
    .free = free_top,
};
