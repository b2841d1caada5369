/* governor/admission.c - see admission.h. */
#include "governor/admission.h"

#include "governor/thresholds.h"

static bool is_acting(const struct governor_settings *s, const struct resource *resources,
                      enum governor_resource which)
{
    return !s->rules[which].observe_only && resources[which].level.now > PRESSURE_NORMAL;
}

/* What one message may take of the room under the high line (R24). */
static uint64_t size_max(const struct governor_settings *s, const struct resource *disk,
                         uint64_t message_size_max)
{
    uint64_t high = disk->effective.medium_to_high, used = disk->figure.used;
    uint64_t room = used < high ? high - used : 0;
    double share = MIN_OF(s->message_share, 1.0) * (double)room;

    if (!disk->has_figure || !resource_counts(&s->rules[GOVERNOR_SPOOL_DISK]))
        return UINT64_MAX;
    return share >= (double)message_size_max ? UINT64_MAX : (uint64_t)share;
}

/* Nothing is left but what the mail that was taken needs. */
static bool is_spool_full(const struct governor_settings *s, const struct resource *disk)
{
    const struct governor_figure *f = &disk->figure;
    uint64_t need = thresholds_need(f->limit, f->need);

    return disk->has_figure && resource_counts(&s->rules[GOVERNOR_SPOOL_DISK]) && f->limit > 0 &&
           f->used >= f->limit - need;
}

static void refuse(struct admission *a, struct gate_settings *ret, enum mail_class c)
{
    ret->lines[c] = (struct gate_line){.verdict = GATE_REFUSE, .resource = (uint8_t)a->reason};
}

static void delay_external(struct admission *a, struct gate_settings *ret)
{
    if (a->delay_ms > 0)
        ret->lines[MAIL_EXTERNAL] = (struct gate_line){.verdict = GATE_DELAY,
                                                       .delay_ms = (uint32_t)a->delay_ms,
                                                       .resource = (uint8_t)a->reason};
}

static void remember(struct admission *a, enum governor_resource reason)
{
    if (reason < GOVERNOR_RESOURCES)
        a->reason = reason;
}

static void at_normal(struct admission *a, const struct governor_settings *s,
                      struct gate_settings *ret)
{
    uint64_t step = s->tarpit.step_ms;

    a->is_ramping = false;
    a->delay_ms = step > 0 && a->delay_ms > step ? a->delay_ms - step : 0;
    delay_external(a, ret);
}

static void at_medium(struct admission *a, const struct governor_settings *s,
                      const struct resource *resources, struct gate_settings *ret)
{
    enum governor_resource hardened =
        resource_worst(resources, s, PRESSURE_MEDIUM, /* only_hardened= */ true);
    uint64_t next = a->is_ramping ? a->delay_ms + s->tarpit.step_ms : s->tarpit.start_ms;

    if (hardened < GOVERNOR_RESOURCES) {
        remember(a, hardened);
        refuse(a, ret, MAIL_EXTERNAL);
        return;
    }
    remember(a, resource_worst(resources, s, PRESSURE_MEDIUM, /* only_hardened= */ false));
    /* Pressure that is back before the delay has run down takes it up where it is. */
    next = MAX_OF(next, a->delay_ms);
    a->delay_ms = MIN_OF(next, MIN_OF(s->tarpit.max_ms, UINT32_MAX));
    a->is_ramping = true;
    delay_external(a, ret);
}

static void at_high(struct admission *a, const struct governor_settings *s,
                    const struct resource *resources, struct gate_settings *ret)
{
    remember(a, resource_worst(resources, s, PRESSURE_HIGH, /* only_hardened= */ false));
    refuse(a, ret, MAIL_EXTERNAL);
    refuse(a, ret, MAIL_INTERNAL);
    refuse(a, ret, MAIL_AUTHENTICATED);
    if (is_spool_full(s, &resources[GOVERNOR_SPOOL_DISK]))
        refuse(a, ret, MAIL_SECOND_COPY);
    ret->refuse_at_connect = s->refuse_at_connect;
}

void admission_decide(struct admission *a, const struct governor_settings *s,
                      const struct resource *resources, enum pressure_level level,
                      uint64_t message_size_max, struct gate_settings *ret)
{
    *ret = (struct gate_settings){.level = level, .size_max = UINT64_MAX};
    if (!s->enabled) {
        a->is_ramping = false;
        a->delay_ms = 0;
        return;
    }
    ret->size_max = size_max(s, &resources[GOVERNOR_SPOOL_DISK], message_size_max);
    ret->is_memory_short = is_acting(s, resources, GOVERNOR_MEMORY) ||
                           is_acting(s, resources, GOVERNOR_SYSTEM_MEMORY) ||
                           is_acting(s, resources, GOVERNOR_MEMORY_STALL);
    if (level == PRESSURE_HIGH)
        at_high(a, s, resources, ret);
    else if (level == PRESSURE_MEDIUM)
        at_medium(a, s, resources, ret);
    else
        at_normal(a, s, ret);
}
