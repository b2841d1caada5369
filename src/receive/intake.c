/*
 * receive/intake.c - whether a message is let in, what is said when it is not, and how often
 * that is told in the log.
 *
 * Under pressure most of what comes is refused, so a refusal costs as little as it can: it is
 * decided before anything is allocated, it is counted without a lock, and only the first ones of an
 * interval become lines in the log.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "config/config.h"
#include "event/event.h"
#include "governor/gate.h"
#include "governor/governor.h"
#include "receive/receive_int.h"

/* Set aside for a message whose size was not announced; so small a one fits whenever the spool
 * takes mail at all. */
#define SMALL_MESSAGE KIB(16)
/* A message that was let in may become so large whatever the gate says since, as far as the spool
 * has room: a refusal at the end of a message is the worst of all, and has to be rare. */
#define MAY_GROW_TO KIB(256)
/* What a message has in the spool beyond what was announced: envelope, Received field. Else the
 * end of many a message would have to ask for a few bytes more, and might be refused there. */
#define OUR_OWN KIB(2)

bool intake_is_internal(const struct config *config, const struct addr *peer)
{
    return peer->u.any.sa_family == AF_UNIX ||
           config_networks_contain(&config->pressure.internal_networks, peer);
}

enum mail_class intake_class(const struct config_listener *l, bool is_internal)
{
    switch (l->class) {
    case CONFIG_CLASS_INTERNAL:
        return MAIL_INTERNAL;
    case CONFIG_CLASS_AUTHENTICATED:
        return MAIL_AUTHENTICATED;
    case CONFIG_CLASS_EXTERNAL:
        return MAIL_EXTERNAL;
    case CONFIG_CLASS_SECOND_COPY:
        return MAIL_SECOND_COPY;
    case CONFIG_CLASS_AUTO:
    default:
        return is_internal ? MAIL_INTERNAL : MAIL_EXTERNAL;
    }
}

static uint64_t size_max(const struct receive_shared *shared, enum mail_class class)
{
    return shared->gate && class < MAIL_SECOND_COPY ? gate_size_max(shared->gate) : UINT64_MAX;
}

static struct intake_answer refuse(uint8_t resource)
{
    return (struct intake_answer){.verdict = INTAKE_REFUSED, .resource = resource};
}

/* What the spool's refusal is about: the message, or the disk. */
static uint8_t blame_reserve(struct spool *sp, uint64_t bytes)
{
    if (bytes <= SMALL_MESSAGE || spool_reserve(sp, SMALL_MESSAGE) < 0)
        return GOVERNOR_SPOOL_DISK;
    spool_unreserve(sp, SMALL_MESSAGE);
    return GATE_RESOURCE_SIZE;
}

struct intake_answer intake_ask(struct receive_shared *shared, enum mail_class class,
                                uint64_t announced, bool has_waited)
{
    struct gate_line line = {.verdict = GATE_OPEN};
    uint64_t bytes;

    if (shared->gate)
        line = gate_ask(shared->gate, class);
    if (line.verdict == GATE_REFUSE)
        return refuse(line.resource);
    if (intake_memory_is_over(shared))
        return refuse(GOVERNOR_MEMORY);
    if (atomic_load_explicit(&shared->queue_is_full, memory_order_relaxed))
        return refuse(GOVERNOR_QUEUE);
    if (announced > size_max(shared, class))
        return refuse(GATE_RESOURCE_SIZE);
    if (line.verdict == GATE_DELAY && line.delay_ms && !has_waited)
        return (struct intake_answer){
            .verdict = INTAKE_DELAYED, .delay_ms = line.delay_ms, .resource = line.resource};
    bytes = announced ? announced + OUR_OWN : SMALL_MESSAGE;
    if (spool_reserve(shared->spool, bytes) < 0)
        return refuse(blame_reserve(shared->spool, bytes));
    return (struct intake_answer){.verdict = INTAKE_GRANTED, .reserved = bytes};
}

int intake_reserve_more(struct receive_shared *shared, enum mail_class class, uint64_t size_so_far,
                        uint64_t needed, uint64_t ahead, uint64_t *ret_reserved,
                        uint8_t *ret_resource)
{
    uint64_t max = MAX_OF(size_max(shared, class), MAY_GROW_TO);

    *ret_resource = GATE_RESOURCE_SIZE;
    if (size_so_far > max)
        return -ENOSPC;
    *ret_reserved = needed + MIN_OF(ahead, max - size_so_far); /* then it asks once more */
    if (spool_reserve(shared->spool, *ret_reserved) == 0)
        return 0;
    *ret_reserved = needed;
    if (spool_reserve(shared->spool, *ret_reserved) == 0)
        return 0;
    *ret_resource = blame_reserve(shared->spool, size_so_far);
    return -ENOSPC;
}

bool intake_begin_delay(struct receive_shared *shared, uint32_t sessions_max)
{
    if (atomic_fetch_add(&shared->delayed, 1) < sessions_max)
        return true;
    (void)atomic_fetch_sub(&shared->delayed, 1);
    return false;
}

void intake_end_delay(struct receive_shared *shared)
{
    (void)atomic_fetch_sub(&shared->delayed, 1);
}

/* ---- memory ---- */

/* Body bytes gathered before they go to the writer: many at a time cost less work, few less
 * memory. See the sums in submission.c. */
#define BLOCK KIB(48)
#define SMALL_BLOCK KIB(4)

static uint64_t memory_taken(const struct receive_shared *shared)
{
    return atomic_load_explicit(&shared->body_memory, memory_order_relaxed);
}

static uint64_t memory_max(const struct receive_shared *shared)
{
    uint64_t max = atomic_load_explicit(&shared->body_memory_max, memory_order_relaxed);

    return max ? max : UINT64_MAX;
}

bool intake_memory_is_short(const struct receive_shared *shared)
{
    return memory_taken(shared) > memory_max(shared) / 2 ||
           (shared->gate && gate_is_memory_short(shared->gate));
}

bool intake_memory_is_over(const struct receive_shared *shared)
{
    return memory_taken(shared) > memory_max(shared);
}

size_t intake_block(struct receiver *r)
{
    bool is_short = intake_memory_is_short(r->shared);

    if (is_short != r->reads_little)
        loop_limit_reads(r->loop, is_short ? SMALL_BLOCK : 0);
    r->reads_little = is_short;
    return is_short ? SMALL_BLOCK : BLOCK;
}

void intake_account(struct receive_shared *shared, uint64_t *accounted, uint64_t bytes)
{
    if (bytes > *accounted)
        (void)atomic_fetch_add_explicit(&shared->body_memory, bytes - *accounted,
                                        memory_order_relaxed);
    else if (bytes < *accounted)
        (void)atomic_fetch_sub_explicit(&shared->body_memory, *accounted - bytes,
                                        memory_order_relaxed);
    *accounted = bytes;
}

/* ---- what is said ---- */

struct slice intake_words(const struct config *config, uint8_t resource,
                          char text[static INTAKE_WORDS_MAX])
{
    const char *token =
        config->pressure.reply_detail == CONFIG_REPLY_TOKEN ? gate_token(resource) : "";
    int n = snprintf(text, INTAKE_WORDS_MAX, "Insufficient system resources%s%s%s",
                     *token ? " (" : "", token, *token ? ")" : "");

    ASSERT(n > 0 && n < INTAKE_WORDS_MAX);
    return slice_make(text, (size_t)n);
}

/* ---- what is told ---- */

static void tell_untold(struct receiver *r)
{
    loop_timer_stop(&r->untold_timer);
    if (r->untold)
        event(EVENT_REFUSALS_NOT_TOLD, EVENT_NO_ID, EV_UINT("count", r->untold));
    r->untold = 0;
}

static void on_untold(struct loop_timer *t)
{
    tell_untold(CONTAINER_OF(t, struct receiver, untold_timer));
}

void intake_init(struct receiver *r)
{
    loop_timer_init(&r->untold_timer, r->loop, on_untold);
}

void intake_done(struct receiver *r)
{
    tell_untold(r);
}

bool intake_may_tell(struct receiver *r, const struct config *config)
{
    uint64_t now_ms = loop_now_ms(r->loop);

    if (now_ms >= r->telling_ends_ms) {
        tell_untold(r);
        r->told = 0;
        r->telling_ends_ms = now_ms + config->pressure.interval_ms;
    }
    if (r->told < config->pressure.refusals_logged_max) {
        r->told++;
        return true;
    }
    if (r->untold++ == 0)
        loop_timer_start(&r->untold_timer, r->telling_ends_ms - now_ms);
    return false;
}
