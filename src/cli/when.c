/*
 * cli/when.c - points in time as people type them.
 */
#include "cli/when.h"

#include "cli/cli.h"
#include "cli/event_text.h"
#include "cli/format.h"

int when_parse(const char *command, const char *option, const char *text, int64_t now_ms,
               int64_t *ret_ms)
{
    uint64_t age_s;

    if (format_parse_age(slice_str(text), &age_s) == 0) {
        *ret_ms = now_ms - (int64_t)age_s * 1000;
        return EXIT_DONE;
    }
    if (event_text_parse_time(text, ret_ms) == 0)
        return EXIT_DONE;
    return usage_error(command,
                       "%s '%s': allowed: an age such as 90s, 30m, 24h or 7d, or a time such as "
                       "2026-11-22, '2026-11-22 20:30' or 2026-11-22T19:30Z",
                       option, text);
}
