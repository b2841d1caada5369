/*
 * schedule/throttle_text.c - a controller's state as text: "1 band=normal seen=1700000000000 ...".
 * A table says which field is where, so that no field is saved and then not loaded.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "schedule/throttle.h"

enum kind { KIND_BAND, KIND_BOOL, KIND_U32, KIND_U64, KIND_I64, KIND_DOUBLE };

static const struct field {
    const char *name;
    enum kind kind;
    size_t offset;
} fields[] = {
#define FIELD(name, kind, member)                                                                  \
    {                                                                                              \
        name, kind, offsetof(struct throttle, member)                                              \
    }
    FIELD("band", KIND_BAND, band),
    FIELD("band_since", KIND_I64, band_since_ms),
    FIELD("changed", KIND_I64, changed_ms),
    FIELD("hold_until", KIND_I64, hold_until_ms),
    FIELD("look_at", KIND_I64, look_at_ms),
    FIELD("seen", KIND_I64, seen_ms),
    FIELD("calm_since", KIND_I64, calm_since_ms),
    FIELD("healthy_since", KIND_I64, healthy_since_ms),
    FIELD("is_healthy", KIND_BOOL, is_healthy),
    FIELD("connections", KIND_U32, connections),
    FIELD("rate", KIND_DOUBLE, rate),
    FIELD("rate_full", KIND_DOUBLE, rate_full),
    FIELD("baseline", KIND_DOUBLE, baseline),
    FIELD("baseline_hour", KIND_I64, baseline_hour),
    FIELD("age_before", KIND_U64, age_before_ms),
    FIELD("mark_attempts", KIND_U64, mark.attempts),
    FIELD("mark_capacity", KIND_U64, mark.capacity),
    FIELD("mark_rate", KIND_U64, mark.rate),
    FIELD("mark_settled", KIND_U64, mark.settled),
    FIELD("cuts", KIND_U32, cuts),
    FIELD("steps", KIND_U32, steps),
#undef FIELD
};

union value {
    enum band band;
    bool yes;
    uint32_t u32;
    uint64_t u64;
    int64_t i64;
    double real;
};

static size_t size_of(enum kind k)
{
    static const size_t sizes[] = {
        [KIND_BAND] = sizeof(enum band), [KIND_BOOL] = sizeof(bool),
        [KIND_U32] = sizeof(uint32_t),   [KIND_U64] = sizeof(uint64_t),
        [KIND_I64] = sizeof(int64_t),    [KIND_DOUBLE] = sizeof(double),
    };

    return sizes[k];
}

static void save_field(const struct throttle *t, const struct field *f, struct buf *to)
{
    union value v = {0};

    memcpy(&v, (const char *)t + f->offset, size_of(f->kind));
    switch (f->kind) {
    case KIND_BAND:
        (void)buf_addf(to, " %s=%s", f->name, band_name(v.band));
        break;
    case KIND_BOOL:
        (void)buf_addf(to, " %s=%d", f->name, v.yes);
        break;
    case KIND_U32:
        (void)buf_addf(to, " %s=%" PRIu32, f->name, v.u32);
        break;
    case KIND_U64:
        (void)buf_addf(to, " %s=%" PRIu64, f->name, v.u64);
        break;
    case KIND_I64:
        (void)buf_addf(to, " %s=%" PRId64, f->name, v.i64);
        break;
    case KIND_DOUBLE:
        (void)buf_addf(to, " %s=%.17g", f->name, v.real);
        break;
    }
}

int throttle_save(const struct throttle *t, struct buf *to)
{
    (void)buf_push(to, '1');
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        save_field(t, &fields[i], to);
    return buf_failed(to) ? -E2BIG : 0;
}

/* No time or rate is so far out, and the controller may add and subtract within it. */
#define TIME_MAX (INT64_MAX / 8)
#define REAL_MAX 1e12

static int read_signed(struct slice s, int64_t *ret)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t n;

    if (slice_to_u64(is_negative ? slice_from(s, 1) : s, TIME_MAX, &n) < 0)
        return -ERR_DAMAGED;
    *ret = is_negative ? -(int64_t)n : (int64_t)n;
    return 0;
}

static int read_real(struct slice s, double *ret)
{
    char copy[40], *end;

    if (s.len == 0 || s.len >= sizeof(copy))
        return -ERR_DAMAGED;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    *ret = strtod(copy, &end);
    return *end == '\0' && *ret >= 0 && *ret <= REAL_MAX ? 0 : -ERR_DAMAGED;
}

static int load_field(struct throttle *t, const struct field *f, struct slice s)
{
    union value v = {0};
    uint64_t n = 0;
    int r = 0;

    switch (f->kind) {
    case KIND_BAND:
        v.band = band_find(s);
        r = v.band < BANDS ? 0 : -ERR_DAMAGED;
        break;
    case KIND_BOOL:
        r = slice_to_u64(s, 1, &n);
        v.yes = n == 1;
        break;
    case KIND_U32:
        r = slice_to_u64(s, UINT32_MAX, &n);
        v.u32 = (uint32_t)n;
        break;
    case KIND_U64:
        r = slice_to_u64(s, UINT64_MAX, &v.u64);
        break;
    case KIND_I64:
        r = read_signed(s, &v.i64);
        break;
    case KIND_DOUBLE:
        r = read_real(s, &v.real);
        break;
    }
    if (r < 0)
        return -ERR_DAMAGED;
    memcpy((char *)t + f->offset, &v, size_of(f->kind));
    return 0;
}

static int load_token(struct throttle *t, struct slice token)
{
    ptrdiff_t at = slice_find(token, '=');

    if (at < 0)
        return -ERR_DAMAGED;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (slice_eq(slice_sub(token, 0, (size_t)at), slice_str(fields[i].name)))
            return load_field(t, &fields[i], slice_from(token, (size_t)at + 1));
    return 0;
}

int throttle_load(struct throttle *t, struct slice text)
{
    struct throttle loaded = *t;

    if (!slice_has_prefix(text, SLICE_LIT("1 ")))
        return -ERR_DAMAGED;
    text = slice_from(text, 2);
    while (text.len > 0) {
        ptrdiff_t at = slice_find(text, ' ');
        size_t len = at < 0 ? text.len : (size_t)at;

        if (load_token(&loaded, slice_sub(text, 0, len)) < 0)
            return -ERR_DAMAGED;
        text = slice_from(text, len + 1);
    }
    if (loaded.connections == 0)
        return -ERR_DAMAGED;
    *t = loaded;
    return 0;
}
