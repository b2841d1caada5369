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
