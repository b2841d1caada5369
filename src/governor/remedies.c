/* governor/remedies.c - see remedies.h. */
#include "governor/remedies.h"

#include "base/assert.h"

#define BIT(remedy) (1u << (remedy))
#define FOR_MEMORY (BIT(REMEDY_BODIES) | BIT(REMEDY_CACHES) | BIT(REMEDY_DNS) | BIT(REMEDY_TRIM))
#define FOR_DISK (BIT(REMEDY_COMPACT) | BIT(REMEDY_LOGS))

static const unsigned helps[GOVERNOR_RESOURCES] = {
    [GOVERNOR_SPOOL_DISK] = FOR_DISK,         [GOVERNOR_SPOOL_INODES] = FOR_DISK,
    [GOVERNOR_LOG_DISK] = FOR_DISK,           [GOVERNOR_UNCOMMITTED] = BIT(REMEDY_PAUSE),
    [GOVERNOR_MEMORY] = FOR_MEMORY,           [GOVERNOR_SYSTEM_MEMORY] = FOR_MEMORY,
    [GOVERNOR_QUEUE] = BIT(REMEDY_PAUSE),     [GOVERNOR_DESCRIPTORS] = BIT(REMEDY_CACHES),
    [GOVERNOR_CPU_STALL] = BIT(REMEDY_PAUSE), [GOVERNOR_MEMORY_STALL] = FOR_MEMORY,
    [GOVERNOR_IO_STALL] = BIT(REMEDY_PAUSE),
};

bool governor_remedy_helps(enum governor_remedy r, enum governor_resource res)
{
    return res < GOVERNOR_RESOURCES && r < GOVERNOR_REMEDIES && helps[res] & BIT(r);
}

/* The worst resource that wants the remedy; GOVERNOR_RESOURCES: none does. */
static enum governor_resource wanted_for(enum governor_remedy remedy,
                                         const struct governor_settings *s,
                                         const struct resource *resources)
{
    size_t worst = GOVERNOR_RESOURCES;

    for (size_t i = 0; i < GOVERNOR_RESOURCES && s->enabled; i++) {
        if (!(helps[i] & BIT(remedy)) || s->rules[i].observe_only ||
            !resource_wants_relief(&resources[i]))
            continue;
        if (worst == GOVERNOR_RESOURCES || resource_is_worse(&resources[i], &resources[worst]))
            worst = i;
    }
    return (enum governor_resource)worst;
}

static void ask(struct remedies *m, enum governor_remedy remedy, enum governor_resource res,
                uint64_t now_ms, struct governor_outcome *ret)
{
    struct remedy *r = &m->list[remedy];

    r->view.is_running = true;
    r->view.last_for = res;
    r->was_asked = true;
    r->asked_ms = now_ms;
    ret->remedies[ret->remedy_count].remedy = remedy;
    ret->remedies[ret->remedy_count++].resource = res;
}

void remedies_ask(struct remedies *m, const struct governor_settings *s,
                  const struct resource *resources, uint64_t now_ms, struct governor_outcome *ret)
{
    for (size_t i = 0; i < GOVERNOR_REMEDIES; i++) {
        enum governor_remedy remedy = (enum governor_remedy)i;
        struct remedy *r = &m->list[i];
        enum governor_resource res = wanted_for(remedy, s, resources);
        bool is_over = !r->was_asked || now_ms - r->asked_ms >= s->remedy_interval_ms << r->shift;

        if (remedy == REMEDY_PAUSE && r->view.is_running && res == GOVERNOR_RESOURCES)
            r->view.is_running = s->enabled && !is_over;
        if (res < GOVERNOR_RESOURCES && !r->view.is_running && is_over)
            ask(m, remedy, res, now_ms, ret);
    }
    ret->pause_background = m->list[REMEDY_PAUSE].view.is_running;
}

void remedies_done(struct remedies *m, enum governor_remedy remedy, uint64_t freed,
                   uint64_t took_us, uint64_t now_ms)
{
    struct remedy *r = &m->list[remedy];

    ASSERT(remedy < GOVERNOR_REMEDIES);
    r->view.runs++;
    r->view.last_at_ms = now_ms;
    r->view.last_took_us = took_us;
    r->view.total_took_us += took_us;
    r->view.is_measured = freed != UINT64_MAX;
    r->view.last_freed = r->view.is_measured ? freed : 0;
    r->view.total_freed += r->view.last_freed;
    if (remedy == REMEDY_PAUSE) /* it lasts until remedies_ask() ends it */
        return;
    r->view.is_running = false;
    if (!r->view.is_measured)
        return;
    r->shift = freed ? 0 : MIN_OF(r->shift + 1, REMEDY_SHIFT_MAX);
}
