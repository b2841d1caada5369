/*
 * logscan/report_status.c - replies by status and by text, most first.
 *
 * A reply is counted as often as the log has it; what another host of the same attempt said is told
 * apart, for the attempt has a deciding reply of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "logscan/reply_form.h"
#include "logscan/report_kit.h"
#include "logscan/reports.h"
#include "logscan/table.h"

#define TEXTS_SHOWN 40
#define KEY_MAX KIB(8)
#define BY_KEY_MAX 1024

struct row { /* of every table here */
    struct log_seen seen;
    uint16_t code;
    char status[REPLY_FORM_STATUS_MAX];
    struct slice text; /* by_text: in the table's key */
};

enum { SIDE_RECEIVER, SIDE_OWN_SERVER, SIDE_OWN_CLIENT, SIDE_OTHER_HOST, SIDES };

struct status {
    const struct log_report_options *options;
    unsigned classes;
    struct log_table statuses, texts, codeless, failures, by;
    uint64_t sides[SIDES][6]; /* by first digit; 0: no reply */
    struct log_who who;
    uint64_t all;
};

static unsigned wants(const struct log_report_options *o)
{
    unsigned w = log_classes_wants(o);

    if (o->by == BY_DOMAIN || o->by == BY_PROVIDER)
        w |= WANT_SESSIONS;
    return w;
}

static void free_status(void **state)
{
    struct status *s = *state;

    if (!s)
        return;
    log_table_done(&s->statuses);
    log_table_done(&s->texts);
    log_table_done(&s->codeless);
    log_table_done(&s->failures);
    log_table_done(&s->by);
    log_who_done(&s->who);
    free(s);
    *state = NULL;
}

static int create(void **ret, const struct log_report_options *o, struct buf *why)
{
    struct status *s = calloc(1, sizeof(*s));

    (void)why;
    *ret = s;
    if (!s)
        return -ENOMEM;
    s->options = o;
    s->classes = log_classes_asked(o);
    log_table_init(&s->statuses, sizeof(struct row), o->seed);
    log_table_init(&s->texts, sizeof(struct row), o->seed);
    log_table_init(&s->codeless, sizeof(struct row), o->seed);
    log_table_init(&s->failures, sizeof(struct row), o->seed);
    log_table_init(&s->by, sizeof(struct row), o->seed);
    log_who_init(&s->who, o);
    return 0;
}

static int count(struct log_table *t, struct slice key, const struct log_fact *f)
{
    struct row *row = log_table_add(t, key);

    if (!row)
        return -ENOMEM;
    if (row->seen.count == 0) {
        row->code = f->reply.code;
        (void)reply_form_status(&f->reply, row->status);
    }
    log_seen_add(&row->seen, f->at_ms);
    return 0;
}

/* "CODE ENH text", as truth is told: one key for a text. */
static int count_text(struct status *s, const struct log_fact *f, const char *status)
{
    char key[KEY_MAX];
    size_t used = (size_t)snprintf(key, sizeof(key), "%s ", status), len;

    len = MIN_OF(f->reply.text.len, sizeof(key) - used);
    memcpy(key + used, f->reply.text.ptr ? f->reply.text.ptr : (const uint8_t *)"", len);
    return count(&s->texts, slice_make(key, used + len), f);
}

static int count_by(struct status *s, const struct log_fact *f, const char *status)
{
    struct slice who = log_who_of(&s->who, f, s->options->by);
    char key[BY_KEY_MAX];
    int n = snprintf(key, sizeof(key), "%s %.*s", status, SLICE_FMT(slice_sub(who, 0, 900)));

    return count(&s->by, slice_make(key, (size_t)n), f);
}

static unsigned side_of(const struct log_fact *f)
{
    if (f->is_other_host)
        return SIDE_OTHER_HOST;
    return f->issuer == ISSUER_RECEIVER     ? SIDE_RECEIVER
           : f->issuer == ISSUER_OWN_SERVER ? SIDE_OWN_SERVER
                                            : SIDE_OWN_CLIENT;
}

static int take(struct status *s, const struct log_fact *f)
{
    char status[REPLY_FORM_STATUS_MAX];
    unsigned digit = log_fact_digit(f);
    int r;

    if (digit > 0 && !(s->classes >> digit & 1))
        return 0;
    s->sides[side_of(f)][digit]++;
    if (f->is_other_host)
        return 0;
    if (f->reply.code == 0)
        return count(digit > 0 ? &s->codeless : &s->failures, f->reply.text, f);
    s->all++;
    (void)reply_form_status(&f->reply, status);
    r = count(&s->statuses, slice_str(status), f);
    if (r == 0)
        r = count_text(s, f, status);
    if (r == 0 && s->options->by != BY_NOTHING)
        r = count_by(s, f, status);
    return r;
}

static int facts(void *state, const struct log_scan *scan)
{
    struct status *s = state;
    int r = 0;

    for (size_t i = 0; r == 0 && i < scan->fact_count; i++)
        if (scan->facts[i].kind == FACT_REPLY && log_report_is_in(s->options, &scan->facts[i]))
            r = take(s, &scan->facts[i]);
    return r;
}

/* ---- tables ---- */

static uint64_t count_of(const void *value)
{
    return ((const struct row *)value)->seen.count;
}

static int fill_status(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                       const struct log_rank_item *item)
{
    const struct status *s = ctx;
    const struct row *row = item->value;

    sheet_count(c++, row->seen.count);
    c = log_status_cells(to, c, row->code, row->status);
    sheet_number(c++, (double)row->seen.count / (double)s->all);
    (void)log_seen_cells(c, &row->seen);
    return 0;
}

/* The texts, or who got or gave them: a status and what follows it in the key. */
static int fill_keyed(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                      const struct log_rank_item *item)
{
    const struct row *row = item->value;

    (void)ctx;
    sheet_count(c++, row->seen.count);
    c = log_status_cells(to, c, row->code, row->status);
    sheet_text(to, c++, slice_from(item->key, strlen(row->status) + 1));
    (void)log_seen_cells(c, &row->seen);
    return 0;
}

/* What has a text and no code. */
static int fill_uncoded(const void *ctx, struct log_sheet *to, struct sheet_cell *c,
                        const struct log_rank_item *item)
{
    const struct row *row = item->value;

    (void)ctx;
    sheet_count(c++, row->seen.count);
    sheet_text(to, c++, item->key);
    (void)log_seen_cells(c, &row->seen);
    return 0;
}

static int statuses_sheet(const struct status *s, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"hits", "HITS", SHEET_COUNT},
                                                  LOG_STATUS_COLUMNS,
                                                  {"share", "SHARE", SHEET_SHARE},
                                                  LOG_SEEN_COLUMNS};
    const struct log_ranked how = {.order = count_of,
                                   .fill = fill_status,
                                   .ctx = s,
                                   .rows_max = log_rows_max(s->options, SHEET_ROWS_MAX)};

    return log_ranked_rows(
        log_report_sheet(to, "by_status", "Replies by status", columns, ARRAY_SIZE(columns)),
        &s->statuses, &how);
}

static int texts_sheet(const struct status *s, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"hits", "HITS", SHEET_COUNT},
                                                  LOG_STATUS_COLUMNS,
                                                  {"text", "TEXT", SHEET_TEXT},
                                                  LOG_SEEN_COLUMNS};
    const struct log_ranked how = {
        .order = count_of, .fill = fill_keyed, .rows_max = log_rows_max(s->options, TEXTS_SHOWN)};

    return log_ranked_rows(
        log_report_sheet(to, "by_text", "Replies by text", columns, ARRAY_SIZE(columns)), &s->texts,
        &how);
}

static int by_sheet(const struct status *s, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"hits", "HITS", SHEET_COUNT},
                                                  LOG_STATUS_COLUMNS,
                                                  {"who", "WHO", SHEET_TEXT},
                                                  LOG_SEEN_COLUMNS};
    static const char *const titles[] = {[BY_HOST] = "Replies by host",
                                         [BY_DOMAIN] = "Replies by recipient domain",
                                         [BY_PROVIDER] = "Replies by provider",
                                         [BY_CONNECTOR] = "Replies by connector"};
    const struct log_ranked how = {
        .order = count_of, .fill = fill_keyed, .rows_max = log_rows_max(s->options, TEXTS_SHOWN)};

    if (s->options->by == BY_NOTHING)
        return 0;
    return log_ranked_rows(
        log_report_sheet(to, "by_who", titles[s->options->by], columns, ARRAY_SIZE(columns)),
        &s->by, &how);
}

static int uncoded_sheet(const struct status *s, const struct log_table *t, const char *name,
                         const char *title, struct log_report *to)
{
    static const struct sheet_column columns[] = {
        {"hits", "HITS", SHEET_COUNT}, {"text", "TEXT", SHEET_TEXT}, LOG_SEEN_COLUMNS};
    const struct log_ranked how = {
        .order = count_of, .fill = fill_uncoded, .rows_max = log_rows_max(s->options, TEXTS_SHOWN)};

    if (log_table_count(t) == 0)
        return 0;
    return log_ranked_rows(log_report_sheet(to, name, title, columns, ARRAY_SIZE(columns)), t,
                           &how);
}

static void sides_sheet(const struct status *s, struct log_report *to)
{
    static const struct sheet_column columns[] = {{"side", "WHO SAID IT", SHEET_TEXT},
                                                  {"accepted", "2xx, 3xx", SHEET_COUNT},
                                                  {"temporary", "4xx", SHEET_COUNT},
                                                  {"permanent", "5xx", SHEET_COUNT},
                                                  {"without_reply", "NO REPLY", SHEET_COUNT}};
    static const char *const names[SIDES] = {"receiver", "own-server", "own-client", "other-host"};
    struct log_sheet *sheet =
        log_report_sheet(to, "by_side", "Who said it", columns, ARRAY_SIZE(columns));

    for (unsigned i = 0; i < SIDES; i++) {
        const uint64_t *n = s->sides[i];
        struct sheet_cell *c;

        if (n[0] + n[2] + n[3] + n[4] + n[5] == 0)
            continue;
        c = sheet_row(sheet);
        if (!c)
            return;
        sheet_text(sheet, c++, slice_str(names[i]));
        c = log_counted(c, s->classes & LOG_CLASSES_ACCEPTED, n[2] + n[3]);
        c = log_counted(c, s->classes & 0x10u, n[4]);
        c = log_counted(c, s->classes & 0x20u, n[5]);
        sheet_count(c, n[0]);
    }
}

static int finish(void *state, struct log_report *to)
{
    const struct status *s = state;
    int r = statuses_sheet(s, to);

    if (r == 0)
        r = texts_sheet(s, to);
    if (r == 0)
        r = by_sheet(s, to);
    if (r == 0)
        r = uncoded_sheet(s, &s->codeless, "without_code",
                          "Refusals by this host of which the log has no code", to);
    if (r == 0)
        r = uncoded_sheet(s, &s->failures, "without_reply",
                          "Failures without a reply, as this host tells them", to);
    if (r == 0)
        sides_sheet(s, to);
    return r;
}

const struct log_report_kind status_report = {
    .name = "status",
    .what = "replies by status and text, most first: --class, --by",
    .wants = wants,
    .create = create,
    .facts = facts,
    .finish = finish,
    .free = free_status,
};
