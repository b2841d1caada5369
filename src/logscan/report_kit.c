/*
 * logscan/report_kit.c - what reports share.
 */
#include "logscan/report_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE SLICE_LIT("none")

void log_who_init(struct log_who *w, const struct log_report_options *o)
{
    *w = (struct log_who){.options = o};
    log_table_init(&w->hosts, sizeof(struct slice), o->seed);
}

void log_who_done(struct log_who *w)
{
    log_table_done(&w->hosts);
    arena_done(&w->names);
}

struct slice log_who_provider(struct log_who *w, struct slice host)
{
    char name[PROVIDER_NAME_MAX];
    struct provider_info info;
    struct slice *known;

    if (host.len == 0)
        return NONE;
    known = log_table_add(&w->hosts, host);
    if (!known)
        return NONE;
    if (known->len == 0) {
        providers_of(w->options->knowledge->providers, &host, 1, name, &info);
        *known = arena_copy(&w->names, slice_str(info.name));
    }
    return *known;
}

struct slice log_who_domain(struct log_who *w, struct slice address)
{
    ptrdiff_t at = slice_rfind(address, '@');
    struct slice domain = at < 0 ? slice_make(NULL, 0) : slice_from(address, (size_t)at + 1);
    size_t len = MIN_OF(domain.len, sizeof(w->domain));

    for (size_t i = 0; i < len; i++)
        w->domain[i] = (char)byte_lower(domain.ptr[i]);
    return slice_make(w->domain, len);
}

struct slice log_who_of(struct log_who *w, const struct log_fact *f, enum log_by by)
{
    struct slice who = slice_make(NULL, 0);

    switch (by) {
    case BY_HOST:
        who = f->address.len > 0 ? f->address : f->host;
        break;
    case BY_DOMAIN:
        who = log_who_domain(w, f->recipient);
        break;
    case BY_PROVIDER:
        who = log_who_provider(w, f->host);
        break;
    case BY_CONNECTOR:
        who = f->connector;
        break;
    case BY_NOTHING:
    default:
        break;
    }
    return who.len > 0 ? who : NONE;
}

static int compare(const void *x, const void *y)
{
    const struct log_rank_item *a = x, *b = y;
    size_t len = MIN_OF(a->key.len, b->key.len);
    int order;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    order = len > 0 ? memcmp(a->key.ptr, b->key.ptr, len) : 0;
    if (order != 0)
        return order;
    return a->key.len < b->key.len ? -1 : a->key.len > b->key.len;
}

int log_rank(struct log_ranking *ret, const struct log_table *t,
             uint64_t (*count)(const void *value))
{
    size_t n = log_table_count(t);

    *ret = (struct log_ranking){.items = calloc(n + 1, sizeof(*ret->items))};
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct log_rank_item *item = &ret->items[i];

        item->value = log_table_at(t, i, &item->key);
        item->count = count(item->value);
    }
    ret->count = n;
    qsort(ret->items, n, sizeof(*ret->items), compare);
    return 0;
}

void log_rank_done(struct log_ranking *r)
{
    free(r->items);
    *r = (struct log_ranking){0};
}

int log_ranked_rows(struct log_sheet *to, const struct log_table *t, const struct log_ranked *how)
{
    struct log_ranking rank;
    int r = log_rank(&rank, t, how->order);
    size_t count = rank.count;

    while (how->wants_no_zero && count > 0 && rank.items[count - 1].count == 0)
        count--;
    for (size_t i = 0; r == 0 && i < MIN_OF(count, how->rows_max); i++) {
        struct sheet_cell *c = sheet_row(to);

        r = c ? how->fill(how->ctx, to, c, &rank.items[i]) : -ENOMEM;
    }
    to->rows_left_out += count - MIN_OF(count, how->rows_max);
    log_rank_done(&rank);
    return r;
}

/* ---- replies, first and last ---- */

uint64_t log_reply_codes(const struct log_reply *r)
{
    return (uint64_t)r->code << 48 | (uint64_t)r->enhanced.klass << 40 |
           (uint64_t)(r->enhanced.subject & 0x3ff) << 20 | r->enhanced.detail;
}

struct sheet_cell *log_status_cells(struct log_sheet *to, struct sheet_cell *c, uint16_t code,
                                    const char *status)
{
    struct slice enhanced = slice_from(slice_str(status), 4);

    sheet_count(c++, code);
    if (!slice_eq(enhanced, SLICE_LIT("-")))
        sheet_text(to, c, enhanced);
    return c + 1;
}

struct sheet_cell *log_seen_cells(struct sheet_cell *c, const struct log_seen *s)
{
    if (s->count > 0) {
        sheet_ms(c, s->first_ms);
        sheet_ms(c + 1, s->last_ms);
    }
    return c + 2;
}
