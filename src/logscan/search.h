/*
 * logscan/search.h - bytes found 32 at a time where the processor can (AVX2), else one by one. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

/* How often the byte occurs. */
uint64_t search_count(struct slice s, uint8_t byte);

/*
 * Walks a protocol log without splitting it, from place to place where something may be of interest:
 *
 *   - the event of a row whose data may begin with a digit from `lowest` to `highest`: "<,4" or "<,\"";
 *     the place is that of the event. It may be elsewhere in a row too: the caller splits and looks.
 *   - the event of a row of information without data, whose context may be a failure ("Failed to connect
 *     ..."): "*,,F" or "*,,\"";
 *   - the end of a line after which the next does not begin with '2', as rows do ("2026-..."): headers, NULs, the
 *     rest of a field with a line break. The place is that of the '\n'.
 */
struct search {
    struct slice text;
    uint8_t event, lowest, highest;
    uint64_t lines; /* '\n's passed so far; of the whole text at its end */
    /* private */
    size_t next, base;
    uint32_t pending;
};
void search_init(struct search *s, struct slice text, char event, char lowest, char highest);
/* False: the text is at its end. */
bool search_next(struct search *s, size_t *ret_at);
