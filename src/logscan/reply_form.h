/*
 * logscan/reply_form.h - replies as the formats write them, to one form (struct log_reply). Pure; what is
 * not in the input as it stands is made in the arena.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"
#include "logscan/fact.h"

/* "452 4.3.1 text", one line. False: it does not begin with a reply code (200 to 599) that a blank,
 * '-' or the end follows. */
bool reply_form_line(struct slice line, struct log_reply *ret);
/* Is it a line that another of the same reply follows: "452-..."? */
bool reply_form_is_continued(struct slice line);
/* Lines of one reply, in order, as sent. The text is joined in the arena where there is more than
 * one; without memory it is that of the first line. */
bool reply_form_lines(const struct slice *lines, size_t count, struct arena *a,
                      struct log_reply *ret);
/* As reply_form_lines(), of one text in which the lines are joined by `joint`: " " (Postfix), the two
 * characters "\\n" (Exim), "\n" (JSON). It is cut only before the same code (at a blank: and
 * the same status code), and only where the first line has a '-': texts quote other codes. */
bool reply_form_joined(struct slice text, struct slice joint, struct arena *a,
                       struct log_reply *ret);
/* "452 4.3.1" or "450 -": a status as reports show it. `ret` holds REPLY_FORM_STATUS_MAX bytes; NUL-
 * ended. */
#define REPLY_FORM_STATUS_MAX 24
const char *reply_form_status(const struct log_reply *r, char ret[static REPLY_FORM_STATUS_MAX]);
/*
 * The text with what varies masked, so that one cause is one text: what is in <...> becomes <...>,
 * addresses of IPv4 and IPv6 become [ip], mail addresses <...>, runs of digits and hex digits of 4 or
 * more with a digit become #. In the arena.
 */
struct slice reply_form_masked(struct slice text, struct arena *a);
