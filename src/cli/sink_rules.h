/*
 * cli/sink_rules.h - how `penstock sink` behaves: what share of which command gets which reply, is
 * answered late, or costs the connection; and when that changes.
 *
 * Built while options are parsed, then read by all threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/rand.h"
#include "base/slice.h"
#include "smtp/reply.h"

enum sink_phase {
    SINK_CONNECT,
    SINK_HELLO,
    SINK_MAIL,
    SINK_RCPT,
    SINK_DATA,
    SINK_EOD, /* the end of data */
    SINK_PHASES,
};
extern const char *const sink_phase_names[SINK_PHASES];

#define SINK_REPLIES_MAX 4 /* of one phase */
#define SINK_TEXT_MAX 200
#define SINK_STEPS_MAX 64

struct sink_reply {
    double percent;
    unsigned code;
    struct smtp_enhanced enhanced;
    char text[SINK_TEXT_MAX];
};

struct sink_rules {
    struct {
        struct sink_reply replies[SINK_REPLIES_MAX];
        size_t reply_count;
        double drop_percent;
        uint32_t delay_ms;
    } phases[SINK_PHASES];
};

struct sink_schedule {
    struct sink_step {
        uint64_t at_ms;
        struct sink_rules rules;
    } steps[SINK_STEPS_MAX];
    size_t count;
};

/* One step, at 0, with no rules. */
void sink_schedule_init(struct sink_schedule *s);

/*
 * Adds "reply PHASE=PERCENT%:REPLY", "delay PHASE=MS", "drop PHASE=PERCENT%" or "clear" to what
 * holds from `at_ms` on; steps are given in the order of their times. A reply is "452 4.3.1 text".
 * 0, or -EINVAL with a sentence in `*why`.
 */
MUST_CHECK int sink_schedule_add(struct sink_schedule *s, uint64_t at_ms, struct slice rule,
                                 struct buf *why);
/* "SECONDS:RULE", RULE as above. */
MUST_CHECK int sink_schedule_parse(struct sink_schedule *s, struct slice text, struct buf *why);

const struct sink_rules *sink_schedule_at(const struct sink_schedule *s, uint64_t elapsed_ms);

struct sink_action {
    const struct sink_reply *reply; /* NULL: the usual one */
    uint32_t delay_ms;
    bool drop;
};
struct sink_action sink_rules_act(const struct sink_rules *rules, enum sink_phase phase,
                                  struct rand *rand);
