/*
 * schedule/warm_up.c - one step of the plan a day, held or made.
 */
#include "schedule/warm_up.h"

#include <math.h>

#include "base/assert.h"

#define DAY_MS INT64_C(86400000)

static int64_t day_of(int64_t ms)
{
    return MAX_OF(ms, 0) / DAY_MS;
}

static bool is_on(const struct warm_up_settings *s)
{
    return s->days > 0;
}

/* The plan's number of that step; UINT32_MAX: no limit any more. */
static uint32_t number_of(const struct warm_up_settings *s, uint32_t step)
{
    uint32_t days = MIN_OF(s->days, WARM_UP_DAYS_MAX), last;
    double number;

    ASSERT(days > 0 && days <= WARM_UP_DAYS_MAX);
    last = days - 1;
    if (step <= last)
        return s->list[step];
    if (s->factor <= 1)
        return s->list[last];
    number = s->list[last] * pow(s->factor, step - last);
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

void warm_up_init(struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms)
{
    int64_t days = day_of(now_ms) - day_of(s->start_ms);

    *w = (struct warm_up){.start_ms = s->start_ms, .day = day_of(now_ms)};
    if (is_on(s) && days > 0)
        w->step = (uint32_t)MIN_OF(days, INT32_MAX);
}

uint32_t warm_up_today(const struct warm_up *w, const struct warm_up_settings *s)
{
    return is_on(s) ? number_of(s, w->step) : 0;
}

/* Makes or holds the step that is due; is it to be told? */
static bool take_step(struct warm_up *w, const struct warm_up_settings *s, bool is_troubled,
                      bool was_due, struct warm_up_change *ret)
{
    *ret = (struct warm_up_change){.from_a_day = number_of(s, w->step),
                                   .to_a_day = number_of(s, w->step + 1),
                                   .is_held = is_troubled};
    if (ret->to_a_day > ret->from_a_day && is_troubled)
        return !was_due;
    w->is_due = false;
    w->step++;
    return ret->to_a_day != ret->from_a_day;
}

bool warm_up_tick(struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms,
                  uint64_t sent, bool is_troubled, struct warm_up_change *ret)
{
    int64_t today = day_of(now_ms);
    bool was_due = w->is_due;

    if (is_on(s) && w->start_ms != s->start_ms)
        warm_up_init(w, s, now_ms);
    w->sent += sent;
    if (today > w->day) {
        w->sent = 0;
        w->is_due = today > day_of(s->start_ms) && w->step < INT32_MAX;
    }
    /* A clock that steps back over midnight gives no second number for the same day. */
    if (today > w->day || today < w->day - 1)
        w->day = today;
    return is_on(s) && w->is_due && take_step(w, s, is_troubled, was_due, ret);
}

bool warm_up_rate(const struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms,
                  double *ret_per_second)
{
    uint32_t number = warm_up_today(w, s);
    double left_s = (double)(DAY_MS - MAX_OF(now_ms, 0) % DAY_MS) / 1000, even, fastest;

    *ret_per_second = 0;
    if (!is_on(s) || number == UINT32_MAX)
        return true;
    if (w->sent >= number)
        return false;
    even = (double)(number - w->sent) / left_s * WARM_UP_AHEAD;
    fastest = (double)number * WARM_UP_HASTE * 1000 / (double)DAY_MS;
    *ret_per_second = MIN_OF(even, fastest);
    return true;
}
