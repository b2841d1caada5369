/*
 * control/pressure_int.h - the JSON of the governor's answers; no HTTP.
 *
 * Times are wall clock milliseconds: what the governor knows in monotonic time is told relative to
 * its last sample.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "control/control.h"
#include "governor/gate.h"

struct json_out;

/* One whole JSON object. seams->pressure must be there. */
void answer_pressure(const struct control_seams *seams, int64_t started_ms, struct buf *to);
/* The member "pressure" of an open object: the server's level, and how many MAILs were refused and
 * delayed in the last minute, hour and day. Null where there is no governor. */
void add_pressure_member(struct json_out *j, const struct control_seams *seams);
/* What mail of class `c` gets: what the gate says, and what is refused beside it, a queue that is
 * full. */
struct gate_line control_gate_line(const struct pressure *p, const struct gate_settings *g,
                                   enum mail_class c);
/* Would mail of class `c` be taken? Adds an object that says so, and why not: the gate, a queue
 * that is full, a spool that has failed, a server that stops. True: yes, be it late. */
bool answer_ready(const struct control_seams *seams, enum mail_class c, struct buf *to);
/* The class with that name, as in "?class=second_copy". False: there is none that health checks
 * know. */
bool read_mail_class(struct slice name, enum mail_class *ret);
