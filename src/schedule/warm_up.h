/*
 * schedule/warm_up.h - how many messages a day a new source may send to one provider, and at what
 * rate, so that the day's number does not go out in its first minute or its last.
 *
 * The plan is a list of days, then a growth factor. A planned increase is due at midnight (UTC), one
 * a day. While the lane is above its baseline, or its mail is refused by policy, it is held; it goes
 * on by itself as soon as that is over, with the step that was held, so that a bad week is not made
 * good in a day.
 *
 * Pure: time and counts in, limits out. A value; fields are private, saved and restored by its
 * owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

#define WARM_UP_DAYS_MAX 32
/* The fastest a day's number may go out, in even rates: a quarter of a day is enough for it. */
#define WARM_UP_HASTE 4
/* What is left of it, in even rates for what is left of the day: mail that came at once need not wait
 * until the evening. */
#define WARM_UP_AHEAD 2

struct warm_up_settings {
    uint32_t list[WARM_UP_DAYS_MAX];
    uint32_t days; /* of the list; 0: no warm-up */
    double factor; /* > 1: after the list, each day so many times the day before, until the number
                      is over UINT32_MAX; else the last of the list stays */
    int64_t start_ms; /* its first day; another one begins the plan anew */
};

struct warm_up {
    int64_t start_ms; /* of the plan that `step` is of */
    int64_t day;      /* number of the UTC day that `sent` is of */
    uint32_t step;    /* days of the plan that are reached; the first is 0 */
    uint64_t sent;    /* today */
    bool is_due;      /* an increase is due, and held */
};

/* What a tick changed. */
struct warm_up_change {
    uint32_t from_a_day, to_a_day; /* UINT32_MAX: no limit */
    bool is_held;                  /* the increase is held; else it is made */
};

/* The plan stands where the calendar says. */
void warm_up_init(struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms);
/* `sent` messages since the last tick; `is_troubled`: above baseline, or refused by policy. True:
 * `*ret` is to be told. Days on which nothing ran are no days of the plan. */
bool warm_up_tick(struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms,
                  uint64_t sent, bool is_troubled, struct warm_up_change *ret);
/* Messages a day now: 0: no warm-up; UINT32_MAX: it is over. */
uint32_t warm_up_today(const struct warm_up *w, const struct warm_up_settings *s);
/* False: the day's number is reached, nothing more until midnight. Else messages a second from now
 * on; 0: no limit. */
bool warm_up_rate(const struct warm_up *w, const struct warm_up_settings *s, int64_t now_ms,
                  double *ret_per_second);
