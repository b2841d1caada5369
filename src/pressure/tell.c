/*
 * pressure/tell.c - what the governor did, as events (R2, R4, R10, R13).
 *
 * Transitions carry Exchange's numbers: 15004 up, 15005 down; the start of refusing 15006 for disks
 * and 15007 for memory. Direction is told in a word and by the event's own name.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/size.h"
#include "event/event.h"
#include "event/resource_text.h"
#include "pressure/pressure_int.h"

#define ID_PERSISTS 15002
#define ID_INCREASED 15004
#define ID_DECREASED 15005
#define ID_REFUSING_DISK 15006
#define ID_REFUSING_MEMORY 15007
#define RESOURCES_TEXT_MAX KIB(3)

static void add_word(char text[static PRESSURE_TEXT_MAX], const char *word)
{
    size_t len = strlen(text);

    (void)snprintf(text + len, PRESSURE_TEXT_MAX - len, "%s%s", len > 0 ? "," : "", word);
}

/* The classes that get `verdict` now, as "external,internal". */
static void classes_with(const struct gate_settings *gate, enum gate_verdict verdict,
                         char ret[static PRESSURE_TEXT_MAX])
{
    ret[0] = '\0';
    for (size_t i = 0; i < MAIL_CLASSES; i++)
        if (gate->lines[i].verdict == verdict)
            add_word(ret, mail_class_name((enum mail_class)i));
}

static void remedies_of(const struct governor_outcome *o, char ret[static PRESSURE_TEXT_MAX])
{
    ret[0] = '\0';
    for (size_t i = 0; i < o->remedy_count; i++)
        add_word(ret, governor_remedy_name(o->remedies[i].remedy));
}

/* A value as the operator's rule has it: in percent of the limit, or in the resource's unit. */
static uint64_t as_ruled(const struct governor_resource_view *v, uint64_t value)
{
    return v->rule.is_percent && v->figure.limit > 0
               ? (uint64_t)(100 * (double)value / (double)v->figure.limit)
               : value;
}

static const char *path_of(const struct pressure *p, enum governor_resource r)
{
    if (r == GOVERNOR_SPOOL_DISK || r == GOVERNOR_SPOOL_INODES)
        return p->started->spool.directory;
    return r == GOVERNOR_LOG_DISK ? p->config->log.files.directory : NULL;
}

/* How all resources stand. What does not fit, or there is no memory for, is left out. */
static void describe_resources(const struct pressure *p, struct buf *ret)
{
    for (size_t i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;
        const struct governor_resource_view *v = &p->view.resources[r];
        struct resource_text text = {.name = slice_str(governor_resource_name(r)),
                                     .path = slice_str(path_of(p, r)),
                                     .level = slice_str(governor_level_name(v->level)),
                                     .value = as_ruled(v, v->figure.used),
                                     .normal = as_ruled(v, v->effective.medium_to_low),
                                     .medium = as_ruled(v, v->effective.high_to_medium),
                                     .high = as_ruled(v, v->effective.medium_to_high),
                                     .is_percent = v->rule.is_percent};

        if (v->figure.is_known && resource_text_add(ret, &text) < 0)
            return;
    }
}

/* p->view is of this sample. */
static void tell_transition(struct pressure *p, const struct governor_transition *t)
{
    const struct governor_outcome *o = &p->outcome;
    bool is_up = t->to > t->from;
    bool is_server = t->resource == GOVERNOR_RESOURCES;
    enum event_type type = is_up ? EVENT_PRESSURE_INCREASED : EVENT_PRESSURE_DECREASED;
    char delayed[PRESSURE_TEXT_MAX], refused[PRESSURE_TEXT_MAX], asked[PRESSURE_TEXT_MAX];
    struct buf all = BUF_INIT(RESOURCES_TEXT_MAX);

    classes_with(&o->gate, GATE_DELAY, delayed);
    classes_with(&o->gate, GATE_REFUSE, refused);
    remedies_of(o, asked);
    if (is_server)
        describe_resources(p, &all);
    event(type, EVENT_NO_ID, EV_UINT("event_id", is_up ? ID_INCREASED : ID_DECREASED),
          EV_STR("direction", is_up ? "increased" : "decreased"),
          EV_STR("resource", is_server ? "server" : governor_resource_name(t->resource)),
          EV_STR("cause", governor_resource_name(t->cause)),
          EV_STR("from", governor_level_name(t->from)), EV_STR("to", governor_level_name(t->to)),
          EV_UINT("value", t->value), EV_STR("unit", governor_resource_unit(t->cause)),
          EV_UINT("threshold", t->threshold), EV_UINT("limit", t->limit),
          EV_UINT("lasted_ms", t->lasted_ms), EV_BOOL("counts", t->counts),
          EV_STR("delayed", delayed), EV_STR("refused", refused), EV_STR("remedies", asked),
          EV_SLICE("resources", buf_slice(&all)));
    buf_done(&all);
}

/* ---- refusing ---- */

static enum event_type refusing_event(enum governor_resource r)
{
    switch (r) {
    case GOVERNOR_SPOOL_DISK:
    case GOVERNOR_SPOOL_INODES:
    case GOVERNOR_LOG_DISK:
        return EVENT_REFUSING_DISK;
    case GOVERNOR_MEMORY:
    case GOVERNOR_SYSTEM_MEMORY:
    case GOVERNOR_MEMORY_STALL:
        return EVENT_REFUSING_MEMORY;
    case GOVERNOR_UNCOMMITTED:
    case GOVERNOR_QUEUE:
    case GOVERNOR_DESCRIPTORS:
    case GOVERNOR_CPU_STALL:
    case GOVERNOR_IO_STALL:
    case GOVERNOR_RESOURCES:
    default:
        return EVENT_REFUSING_MAIL;
    }
}

/* How much must go, where, and what of it is not ours. */
static void tell_refusing_disk(const struct pressure *p, const struct governor_resource_view *v,
                               const char *refused, struct slice resources)
{
    uint64_t spool = p->sampler.spool.file_bytes -
                     MIN_OF(p->sampler.spool.file_bytes, p->sampler.spool.reusable_bytes);

    event(EVENT_REFUSING_DISK, EVENT_NO_ID, EV_UINT("event_id", ID_REFUSING_DISK),
          EV_STR("direction", "refusing"),
          EV_STR("resource", governor_resource_name(p->outcome.refusing_for)),
          EV_STR("on", v->figure.origin), EV_UINT("value", v->figure.used),
          EV_UINT("limit", v->figure.limit), EV_UINT("to_free", v->to_free),
          EV_UINT("normal_at", v->effective.medium_to_low), EV_UINT("spool_bytes", spool),
          EV_UINT("other_bytes", v->figure.used - MIN_OF(v->figure.used, spool)),
          EV_STR("unit", governor_resource_unit(p->outcome.refusing_for)),
          EV_STR("refused", refused), EV_SLICE("resources", resources));
}

static void tell_refusing_other(const struct pressure *p, const struct governor_resource_view *v,
                                const char *refused, struct slice resources)
{
    enum governor_resource r = p->outcome.refusing_for;

    if (refusing_event(r) == EVENT_REFUSING_MEMORY)
        event(EVENT_REFUSING_MEMORY, EVENT_NO_ID, EV_UINT("event_id", ID_REFUSING_MEMORY),
              EV_STR("direction", "refusing"), EV_STR("resource", governor_resource_name(r)),
              EV_STR("on", v->figure.origin), EV_UINT("value", v->figure.used),
              EV_UINT("limit", v->figure.limit), EV_UINT("to_free", v->to_free),
              EV_UINT("normal_at", v->effective.medium_to_low),
              EV_STR("unit", governor_resource_unit(r)), EV_STR("refused", refused),
              EV_SLICE("resources", resources));
    else
        event(EVENT_REFUSING_MAIL, EVENT_NO_ID, EV_STR("direction", "refusing"),
              EV_STR("resource", governor_resource_name(r)), EV_STR("on", v->figure.origin),
              EV_UINT("value", v->figure.used), EV_UINT("to_free", v->to_free),
              EV_UINT("normal_at", v->effective.medium_to_low),
              EV_STR("unit", governor_resource_unit(r)), EV_STR("refused", refused),
              EV_SLICE("resources", resources));
}

static void tell_refusing(struct pressure *p)
{
    const struct governor_resource_view *v;
    char refused[PRESSURE_TEXT_MAX];
    struct buf all = BUF_INIT(RESOURCES_TEXT_MAX);

    if (p->outcome.refusing_for >= GOVERNOR_RESOURCES)
        return;
    describe_resources(p, &all);
    v = &p->view.resources[p->outcome.refusing_for];
    classes_with(&p->outcome.gate, GATE_REFUSE, refused);
    if (refusing_event(p->outcome.refusing_for) == EVENT_REFUSING_DISK)
        tell_refusing_disk(p, v, refused, buf_slice(&all));
    else
        tell_refusing_other(p, v, refused, buf_slice(&all));
    buf_done(&all);
}

static void tell_reminder(struct pressure *p)
{
    const struct governor_view *v = &p->view;
    const struct governor_resource_view *r;
    char refused[PRESSURE_TEXT_MAX];
    struct buf all = BUF_INIT(RESOURCES_TEXT_MAX);

    r = &v->resources[v->cause];
    describe_resources(p, &all);
    classes_with(&p->outcome.gate, GATE_REFUSE, refused);
    event(EVENT_PRESSURE_PERSISTS, EVENT_NO_ID, EV_UINT("event_id", ID_PERSISTS),
          EV_STR("direction", "unchanged"), EV_STR("resource", "server"),
          EV_STR("cause", governor_resource_name(v->cause)),
          EV_STR("from", governor_level_name(v->level)),
          EV_STR("to", governor_level_name(v->level)),
          EV_UINT("lasted_ms", v->now_ms - v->since_ms), EV_UINT("value", r->figure.used),
          EV_STR("unit", governor_resource_unit(v->cause)), EV_UINT("limit", r->figure.limit),
          EV_UINT("to_free", r->to_free), EV_STR("refused", refused),
          EV_SLICE("resources", buf_slice(&all)));
    buf_done(&all);
}

void tell_outcome(struct pressure *p)
{
    const struct governor_outcome *o = &p->outcome;

    if (o->transition_count > 0 || o->starts_refusing || o->reminder)
        governor_get_view(p->governor, &p->view);
    for (size_t i = 0; i < o->transition_count; i++)
        tell_transition(p, &o->transitions[i]);
    if (o->starts_refusing)
        tell_refusing(p);
    if (o->stops_refusing)
        event(EVENT_REFUSING_ENDS, EVENT_NO_ID, EV_STR("to", governor_level_name(o->gate.level)));
    if (o->reminder)
        tell_reminder(p);
}

void tell_remedy(struct pressure *p, enum governor_remedy r, uint64_t freed, uint64_t took_us)
{
    struct remedy_run *run = &p->runs[r];
    const char *for_what = governor_resource_name(run->resource);
    bool repeats = freed == 0 && run->freed_nothing;
    char effect[PRESSURE_TEXT_MAX], bytes[SIZE_TEXT_MAX];

    run->freed_nothing = freed == 0;
    if (repeats) /* told once; the view counts */
        return;
    if (freed == UINT64_MAX) {
        event(EVENT_REMEDY, EVENT_NO_ID, EV_STR("remedy", governor_remedy_name(r)),
              EV_STR("for", for_what), EV_STR("effect", governor_remedy_what(r)));
        return;
    }
    size_format(freed, bytes);
    (void)snprintf(effect, sizeof(effect), "freed %s in %" PRIu64 " ms", bytes, took_us / 1000);
    event(EVENT_REMEDY, EVENT_NO_ID, EV_STR("remedy", governor_remedy_name(r)),
          EV_STR("for", for_what), EV_UINT("freed_bytes", freed), EV_UINT("us", took_us),
          EV_STR("effect", effect));
}
