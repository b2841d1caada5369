/*
 * governor/gate.h - what the governor lets in, published for all threads: one atomic word a class.
 *
 * The queue thread sets it once a sample; sessions in every loop ask it at MAIL, and again as a
 * message grows. Asking costs two relaxed loads.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pressure_level { PRESSURE_NORMAL, PRESSURE_MEDIUM, PRESSURE_HIGH, PRESSURE_LEVELS };

/* Lowest first: the first to be slowed and refused. */
enum mail_class {
    MAIL_EXTERNAL,
    MAIL_INTERNAL, /* clients in pressure.internal_networks */
    MAIL_AUTHENTICATED,
    MAIL_SECOND_COPY, /* of another server's mail: refused last (R27) */
    MAIL_REPORT,      /* our own delivery reports: never refused here */
    MAIL_CLASSES,
};
const char *mail_class_name(enum mail_class c); /* "external", ... */

enum gate_verdict { GATE_OPEN, GATE_DELAY, GATE_REFUSE };
struct gate_line {
    enum gate_verdict verdict;
    uint32_t delay_ms; /* GATE_DELAY */
    uint8_t resource;  /* enum governor_resource: why; for DELAY and REFUSE */
};
struct gate_settings {
    struct gate_line lines[MAIL_CLASSES];
    enum pressure_level level;
    uint64_t size_max;      /* a message over it is refused alone, token "size"; UINT64_MAX: none.
                               Not for second copies and reports: what they may take is beyond */
    bool refuse_at_connect; /* external clients get 421 4.3.2 */
    bool is_memory_short;   /* sessions use small buffers */
};

struct gate { /* private but for its address */
    _Atomic uint64_t lines[MAIL_CLASSES];
    _Atomic uint64_t size_max;
    _Atomic uint32_t flags;
};
void gate_init(struct gate *g); /* open */
void gate_set(struct gate *g, const struct gate_settings *s);
struct gate_line gate_ask(const struct gate *g, enum mail_class c);
static inline uint64_t gate_size_max(const struct gate *g)
{
    return atomic_load_explicit(&g->size_max, memory_order_relaxed);
}
bool gate_refuses_at_connect(const struct gate *g);
bool gate_is_memory_short(const struct gate *g);
enum pressure_level gate_level(const struct gate *g);
/* The token of a resource for replies: "spool-disk", "memory"; "" for one that is not known. */
const char *gate_token(uint8_t resource);
#define GATE_RESOURCE_SIZE 255     /* token "size": too big for now */
#define GATE_RESOURCE_SESSIONS 254 /* token "sessions": no room among those that are delayed */
