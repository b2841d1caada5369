/*
 * ledger/figures.c - counts by minute, hour and day: gathered in memory for the minute under way,
 * then added to the file's rows, so that an attempt costs a look into a map here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/ledger_int.h"

struct figures_row {
    struct slice lane, domain; /* both point into `text` */
    struct window_counts counts;
    struct times *times; /* NULL: nothing was delivered */
    size_t key_len;
    char text[];
};

void figures_init(struct figures *f, uint64_t seed)
{
    map_init(&f->rows, seed);
    f->minute = 0;
}

static void forget(struct figures *f)
{
    size_t it = 0;
    struct slice key;
    void *value;

    while (map_next(&f->rows, &it, &key, &value)) {
        struct figures_row *row = value;

        free(row->times);
        free(row);
    }
    map_done(&f->rows);
}

void figures_done(struct figures *f)
{
    forget(f);
}

/* Keys are "provider/source" NUL "domain": compared without case, as domains are. */
static struct figures_row *row_of(struct figures *f, const struct attempt *a, struct slice domain)
{
    char key[512];
    size_t lane_len = a->provider.len + 1 + a->source.len, len = lane_len + 1 + domain.len;
    struct figures_row *row;

    if (len > sizeof(key))
        return NULL;
    memcpy(key, a->provider.ptr, a->provider.len);
    key[a->provider.len] = '/';
    if (a->source.len)
        memcpy(key + a->provider.len + 1, a->source.ptr, a->source.len);
    key[lane_len] = '\0';
    if (domain.len)
        memcpy(key + lane_len + 1, domain.ptr, domain.len);
    row = map_get(&f->rows, slice_make(key, len));
    if (row || (domain.len && map_count(&f->rows) >= FIGURES_MAX))
        return row;
    row = calloc(1, sizeof(*row) + len);
    if (!row)
        return NULL;
    memcpy(row->text, key, len);
    row->lane = slice_make(row->text, lane_len);
    row->domain = slice_make(row->text + lane_len + 1, domain.len);
    if (map_put(&f->rows, slice_make(row->text, len), row) < 0) {
        free(row);
        return NULL;
    }
    return row;
}

static int count_in(struct figures *f, const struct attempt *a, struct slice domain,
                    const struct window_counts *counts)
{
    struct figures_row *row = row_of(f, a, domain);

    if (!row)
        return domain.len ? 0 : -ENOMEM; /* over FIGURES_MAX only lanes are counted */
    window_counts_add(&row->counts, counts);
    if (a->result != ATTEMPT_RESULT_DELIVERED)
        return 0;
    if (!row->times)
        row->times = calloc(1, sizeof(*row->times));
    if (!row->times)
        return -ENOMEM;
    times_add(row->times, (uint64_t)MAX_OF(a->at_ms - a->arrival_ms, 0));
    return 0;
}

int figures_add(struct figures *f, struct store *s, const struct attempt *a)
{
    struct window_counts counts;
    int r = 0;

    if (a->at_ms / 60000 != f->minute) { /* also back, by a clock that was wrong */
        r = figures_write(f, s);
        f->minute = a->at_ms / 60000;
    }
    attempt_counts(a, &counts);
    if (r == 0)
        r = count_in(f, a, (struct slice){0}, &counts);
    if (r == 0 && a->domain.len)
        r = count_in(f, a, a->domain, &counts);
    return r;
}

static int write_row(struct store *s, const struct figures_row *row, int64_t minute)
{
    static const uint32_t spans[] = {60, 3600, 86400};
    struct store_figures f = {.lane = row->lane, .domain = row->domain, .counts = row->counts};
    int r = 0;

    if (row->times)
        f.times = *row->times;
    for (size_t i = 0; r == 0 && i < sizeof(spans) / sizeof(spans[0]); i++) {
        f.span_s = spans[i];
        f.at_s = minute * 60 / spans[i] * spans[i];
        r = store_figures(s, &f);
    }
    return r;
}

int figures_write(struct figures *f, struct store *s)
{
    size_t it = 0;
    struct slice key;
    void *value;
    int r = 0;

    while (r == 0 && map_next(&f->rows, &it, &key, &value))
        r = write_row(s, value, f->minute);
    if (r == 0) { /* else they are tried again with the next minute's */
        uint64_t seed = f->rows.seed;

        forget(f);
        map_init(&f->rows, seed);
    }
    return r;
}
