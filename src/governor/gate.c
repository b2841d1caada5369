/* governor/gate.c - see gate.h. A line in one word: resource, verdict, delay. */
#include "governor/gate.h"

#include "base/base.h"
#include "governor/governor.h"

#define FLAG_AT_CONNECT 1u
#define FLAG_MEMORY 2u
#define LEVEL_SHIFT 8

const char *mail_class_name(enum mail_class c)
{
    static const char *const names[] = {
        [MAIL_EXTERNAL] = "external",
        [MAIL_INTERNAL] = "internal",
        [MAIL_AUTHENTICATED] = "authenticated",
        [MAIL_SECOND_COPY] = "second_copy",
        [MAIL_REPORT] = "report",
    };

    return c < ARRAY_SIZE(names) ? names[c] : "";
}

void gate_init(struct gate *g)
{
    const struct gate_settings open = {.size_max = UINT64_MAX};

    gate_set(g, &open);
}

static uint64_t pack(const struct gate_line *l)
{
    return (uint64_t)l->resource << 40 | (uint64_t)l->verdict << 32 | l->delay_ms;
}

void gate_set(struct gate *g, const struct gate_settings *s)
{
    uint32_t flags = (s->refuse_at_connect ? FLAG_AT_CONNECT : 0) |
                     (s->is_memory_short ? FLAG_MEMORY : 0) | (uint32_t)s->level << LEVEL_SHIFT;

    for (size_t i = 0; i < MAIL_CLASSES; i++)
        atomic_store_explicit(&g->lines[i], pack(&s->lines[i]), memory_order_relaxed);
    atomic_store_explicit(&g->size_max, s->size_max, memory_order_relaxed);
    atomic_store_explicit(&g->flags, flags, memory_order_relaxed);
}

struct gate_line gate_ask(const struct gate *g, enum mail_class c)
{
    uint64_t word = atomic_load_explicit(&g->lines[c], memory_order_relaxed);

    return (struct gate_line){.resource = (uint8_t)(word >> 40),
                              .verdict = (enum gate_verdict)(word >> 32 & 0xff),
                              .delay_ms = (uint32_t)word};
}

static uint32_t flags_of(const struct gate *g)
{
    return atomic_load_explicit(&g->flags, memory_order_relaxed);
}

bool gate_refuses_at_connect(const struct gate *g)
{
    return flags_of(g) & FLAG_AT_CONNECT;
}

bool gate_is_memory_short(const struct gate *g)
{
    return flags_of(g) & FLAG_MEMORY;
}

enum pressure_level gate_level(const struct gate *g)
{
    return (enum pressure_level)(flags_of(g) >> LEVEL_SHIFT);
}

#define TOKEN_LINE(constant, name, token, exchange, unit) [constant] = (token),
const char *gate_token(uint8_t resource)
{
    static const char *const tokens[] = {GOVERNOR_RESOURCES_TABLE(TOKEN_LINE)};

    if (resource == GATE_RESOURCE_SIZE)
        return "size";
    if (resource == GATE_RESOURCE_SESSIONS)
        return "sessions";
    return resource < ARRAY_SIZE(tokens) ? tokens[resource] : "";
}
