/*
 * cli/event_text.h - the lines of the event log in words: for people, and as the text that
 * Exchange's events 15004 to 15007 have.
 *
 * An event is an object of JSON as event/event.h writes it. Nothing in it is trusted: a field that
 * is missing or of another kind is left out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"

struct json_t;

/* The event's time. -EINVAL: it has none that can be read. */
MUST_CHECK int event_text_time(const struct json_t *event, int64_t *ret_ms);
/* "2026-11-22T20:30:01.123Z" and its beginnings down to the day; a space may stand for the T.
 * Without a Z at its end it is a time of this place. -EINVAL. */
MUST_CHECK int event_text_parse_time(const char *text, int64_t *ret_ms);
/* "2026-11-22 20:30:01 +0100", in the time of this place. */
#define EVENT_TEXT_TIME_MAX 40
void event_text_format_time(int64_t ms, char ret[static EVENT_TEXT_TIME_MAX]);

/* What happened, in words. 0, -E2BIG or -ENOMEM. */
MUST_CHECK int event_text_words(struct buf *to, const struct json_t *event);

/*
 * The event as Windows would show that of Exchange, an empty line at its end. 1; 0: it is none of
 * 15004 to 15007, or of the level of one resource only; -E2BIG, -ENOMEM.
 */
MUST_CHECK int event_text_exchange(struct buf *to, const struct json_t *event);
