/*
 * evidence/window.c - three rings of the same kind of bucket; a number of minutes (hours, days)
 * since the epoch has its bucket at that number modulo the ring's size.
 */
#include "evidence/window.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

/* No number of a minute is above it, so that a difference of two is a number, too. */
#define NUMBER_MAX ((uint64_t)INT64_MAX / 2)
/* The number of a minute before all. */
#define NEVER (-(int64_t)WINDOW_DAYS * 1440)

enum { COUNTS = sizeof(struct window_counts) / sizeof(uint32_t), RINGS = 3 };
_Static_assert(sizeof(struct window_totals) == COUNTS * sizeof(uint64_t), "one total a count");

struct ring {
    struct window_counts *buckets;
    uint32_t size;
    uint32_t minutes; /* in a bucket */
    int64_t *at;
    char letter; /* in its text */
};

static void rings_of(struct window *w, struct ring ret[RINGS])
{
    ret[0] = (struct ring){w->minutes, WINDOW_MINUTES, 1, &w->minute_at, 'm'};
    ret[1] = (struct ring){w->hours, WINDOW_HOURS, 60, &w->hour_at, 'h'};
    ret[2] = (struct ring){w->days, WINDOW_DAYS, 1440, &w->day_at, 'd'};
}

static uint32_t add_saturating(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void window_counts_add(struct window_counts *to, const struct window_counts *from)
{
#define ADD_FIELD(field, name) to->field = add_saturating(to->field, from->field);
    WINDOW_COUNTS(ADD_FIELD)
#undef ADD_FIELD
}

static int64_t number_of(const struct window *w, const struct ring *r, int64_t now_ms)
{
    return MAX_OF(now_ms, 0) / (w->minute_ms * r->minutes);
}

static struct window_counts *bucket_of(const struct ring *r, int64_t number)
{
    return &r->buckets[(uint64_t)number % r->size];
}

/* The k-th bucket before the newest; those before the epoch are empty like any other. */
static struct window_counts *bucket_back(const struct ring *r, uint32_t back)
{
    uint64_t newest = (uint64_t)*r->at % r->size;

    ASSERT(back < r->size);
    return &r->buckets[(newest + r->size - back) % r->size];
}

void window_init(struct window *w, uint32_t minute_ms, int64_t now_ms)
{
    struct ring rings[RINGS];

    ASSERT(minute_ms > 0);
    *w = (struct window){.minute_ms = minute_ms, .hit_at = NEVER, .policy_at = NEVER};
    rings_of(w, rings);
    for (int i = 0; i < RINGS; i++)
        *rings[i].at = number_of(w, &rings[i], now_ms);
}

static void go_ahead(const struct ring *r, int64_t to)
{
    int64_t from = *r->at;

    if (to - from >= r->size)
        memset(r->buckets, 0, r->size * sizeof(r->buckets[0]));
    else
        for (int64_t i = from + 1; i <= to; i++)
            *bucket_of(r, i) = (struct window_counts){0};
    *r->at = to;
}

/* The newest bucket becomes number `to`, and the others follow it. */
static void go_back(const struct ring *r, int64_t to)
{
    struct window_counts copy[WINDOW_MINUTES];

    ASSERT(r->size <= WINDOW_MINUTES);
    for (uint32_t i = 0; i < r->size; i++)
        copy[i] = *bucket_back(r, i);
    *r->at = to;
    for (uint32_t i = 0; i < r->size; i++)
        *bucket_back(r, i) = copy[i];
}

void window_advance(struct window *w, int64_t now_ms)
{
    struct ring rings[RINGS];
    bool is_back;
    int64_t back;

    rings_of(w, rings);
    back = w->minute_at - number_of(w, &rings[0], now_ms);
    is_back = back > WINDOW_STEP_BACK;
    if (is_back) {
        w->hit_at -= back;
        w->policy_at -= back;
    }
    for (int i = 0; i < RINGS; i++) {
        int64_t to = number_of(w, &rings[i], now_ms);

        if (to > *rings[i].at)
            go_ahead(&rings[i], to);
        else if (is_back && to < *rings[i].at)
            go_back(&rings[i], to);
    }
}

/* Each attempt comes by here: rings and divisions are for when a minute ends. */
void window_add(struct window *w, int64_t now_ms, const struct window_counts *c)
{
    int64_t since_ms = now_ms - w->minute_at * w->minute_ms;

    if (since_ms < 0 || since_ms >= w->minute_ms)
        window_advance(w, now_ms);
    window_counts_add(&w->minutes[(uint64_t)w->minute_at % WINDOW_MINUTES], c);
    window_counts_add(&w->hours[(uint64_t)w->hour_at % WINDOW_HOURS], c);
    window_counts_add(&w->days[(uint64_t)w->day_at % WINDOW_DAYS], c);
    if (c->capacity | c->rate)
        w->hit_at = w->minute_at;
    if (c->policy)
        w->policy_at = w->minute_at;
#define ADD_FIELD(field, name) w->totals.field += c->field;
    WINDOW_COUNTS(ADD_FIELD)
#undef ADD_FIELD
}

uint32_t window_minutes_in(const struct window *w, uint64_t ms)
{
    uint64_t minute_ms = (uint64_t)w->minute_ms;
    uint64_t minutes = MIN_OF(ms, WINDOW_MINUTES * minute_ms);

    minutes = (minutes + minute_ms - 1) / minute_ms;
    return (uint32_t)MAX_OF(minutes, 1U);
}

bool window_has_hits(const struct window *w, uint32_t minutes)
{
    return w->minute_at - w->hit_at < minutes;
}

/* The hours of the ring are whole ones, and so a part of an hour longer. */
bool window_has_policy(const struct window *w, uint32_t hours)
{
    return w->minute_at - w->policy_at < (int64_t)hours * 60 + 60;
}

/* A copy of the ring's numbers, for readers: nothing is changed through it. */
static struct ring ring_of(const struct window *w, int which)
{
    struct ring rings[RINGS];
    union {
        const struct window *in;
        struct window *out;
    } u = {.in = w};

    rings_of(u.out, rings);
    return rings[which];
}

static void sum(const struct window *w, int which, uint32_t count, struct window_counts *ret)
{
    struct ring r = ring_of(w, which);
    uint32_t at;

    *ret = (struct window_counts){0};
    at = (uint32_t)((uint64_t)*r.at % r.size);
    for (uint32_t i = 0; i < MIN_OF(count, r.size); i++) {
        window_counts_add(ret, &r.buckets[at]);
        at = at ? at - 1 : r.size - 1;
    }
}

void window_sum_minutes(const struct window *w, uint32_t minutes, struct window_counts *ret)
{
    sum(w, 0, minutes, ret);
}

void window_sum_hours(const struct window *w, uint32_t hours, struct window_counts *ret)
{
    sum(w, 1, hours, ret);
}

void window_sum_days(const struct window *w, uint32_t days, struct window_counts *ret)
{
    sum(w, 2, days, ret);
}

const struct window_counts *window_hour(const struct window *w, uint32_t back)
{
    struct ring r = ring_of(w, 1);

    return back < r.size ? bucket_back(&r, back) : NULL;
}

uint32_t window_peak_minute(const struct window *w, uint32_t minutes)
{
    struct ring r = ring_of(w, 0);
    uint32_t peak = 0;

    for (uint32_t i = 0; i < MIN_OF(minutes, r.size); i++) {
        uint32_t attempts = bucket_back(&r, i)->attempts;

        peak = MAX_OF(peak, attempts);
    }
    return peak;
}

uint32_t window_best_minute(const struct window *w)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < WINDOW_MINUTES; i++) {
        const struct window_counts *c = &w->minutes[i];
        uint32_t delivered = add_saturating(c->delivered_first, c->delivered_later);

        best = MAX_OF(best, delivered);
    }
    return best;
}

/* ---- text ---- */

/* The counts up to the last that is not 0. */
static void save_bucket(char letter, uint32_t back, const struct window_counts *c, struct buf *to)
{
    uint32_t values[COUNTS];
    size_t used = COUNTS;

    memcpy(values, c, sizeof(values));
    while (used > 0 && values[used - 1] == 0)
        used--;
    if (used == 0)
        return;
    (void)buf_addf(to, " %c%" PRIu32, letter, back);
    for (size_t i = 0; i < used; i++)
        (void)buf_addf(to, "%c%" PRIu32, i ? ',' : ':', values[i]);
}

int window_save(const struct window *w, struct buf *to)
{
    uint64_t totals[COUNTS];

    memcpy(totals, &w->totals, sizeof(totals));
    (void)buf_addf(to, "1 %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, w->minute_ms, w->minute_at,
                   w->hour_at, w->day_at);
    /* How long ago, which has no sign. */
    (void)buf_addf(to, " %" PRIu64 " %" PRIu64 " t0", (uint64_t)(w->minute_at - w->hit_at),
                   (uint64_t)(w->minute_at - w->policy_at));
    for (size_t i = 0; i < COUNTS; i++)
        (void)buf_addf(to, "%c%" PRIu64, i ? ',' : ':', totals[i]);
    for (int which = 0; which < RINGS; which++) {
        struct ring r = ring_of(w, which);

        for (uint32_t i = 0; i < r.size; i++)
            save_bucket(r.letter, i, bucket_back(&r, i), to);
    }
    return buf_failed(to) ? -E2BIG : 0;
}

/* Cuts the part up to `end` off the front. */
static struct slice take_part(struct slice *from, uint8_t end)
{
    ptrdiff_t at = slice_find(*from, end);
    size_t len = at < 0 ? from->len : (size_t)at;
    struct slice part = slice_sub(*from, 0, len);

    *from = slice_from(*from, at < 0 ? len : len + 1);
    return part;
}

static int take_number(struct slice *from, uint64_t max, uint64_t *ret)
{
    return slice_to_u64(take_part(from, ' '), max, ret) < 0 ? -ERR_DAMAGED : 0;
}

/* "12:5,0,1": the bucket's number and its counts. */
static int take_counts(struct slice token, uint64_t max, uint64_t *ret_back,
                       uint64_t ret_values[COUNTS])
{
    struct slice back = take_part(&token, ':');

    memset(ret_values, 0, COUNTS * sizeof(ret_values[0]));
    if (slice_to_u64(back, UINT32_MAX, ret_back) < 0)
        return -ERR_DAMAGED;
    for (size_t i = 0; token.len > 0; i++)
        if (i == COUNTS || slice_to_u64(take_part(&token, ','), max, &ret_values[i]) < 0)
            return -ERR_DAMAGED;
    return 0;
}

static int load_bucket(struct window *w, struct slice token)
{
    uint64_t back, values[COUNTS];
    bool is_total = token.ptr[0] == 't';
    struct ring rings[RINGS];

    if (take_counts(slice_from(token, 1), is_total ? UINT64_MAX : UINT32_MAX, &back, values) < 0)
        return -ERR_DAMAGED;
    if (is_total) {
        memcpy(&w->totals, values, sizeof(values));
        return 0;
    }
    rings_of(w, rings);
    for (int i = 0; i < RINGS; i++) {
        uint32_t counts[COUNTS];

        if (rings[i].letter != (char)token.ptr[0])
            continue;
        if (back >= rings[i].size)
            return -ERR_DAMAGED;
        for (size_t j = 0; j < COUNTS; j++)
            counts[j] = (uint32_t)values[j];
        memcpy(bucket_back(&rings[i], (uint32_t)back), counts, sizeof(counts));
        return 0;
    }
    return -ERR_DAMAGED;
}

int window_load(struct window *w, struct slice text)
{
    struct window loaded = {0};
    static const uint64_t units[RINGS] = {1, 60, 1440};
    uint64_t version, minute_ms, at[RINGS + 2];

    if (take_number(&text, 1, &version) < 0 || version != 1 ||
        take_number(&text, UINT32_MAX, &minute_ms) < 0 || minute_ms == 0)
        return -ERR_DAMAGED;
    for (size_t i = 0; i < ARRAY_SIZE(at); i++)
        if (take_number(&text, NUMBER_MAX, &at[i]) < 0)
            return -ERR_DAMAGED;
    /* Times that are in no bounds are not multiplied; all three are those of one moment. */
    for (int i = 0; i < RINGS; i++)
        if (at[i] > (uint64_t)INT64_MAX / (minute_ms * units[i]) || at[i] != at[0] / units[i])
            return -ERR_DAMAGED;
    loaded.minute_ms = (int64_t)minute_ms;
    loaded.minute_at = (int64_t)at[0];
    loaded.hour_at = (int64_t)at[1];
    loaded.day_at = (int64_t)at[2];
    loaded.hit_at = loaded.minute_at - (int64_t)at[3];
    loaded.policy_at = loaded.minute_at - (int64_t)at[4];
    while (text.len > 0) {
        struct slice token = take_part(&text, ' ');

        if (token.len == 0 || load_bucket(&loaded, token) < 0)
            return -ERR_DAMAGED;
    }
    *w = loaded;
    return 0;
}
