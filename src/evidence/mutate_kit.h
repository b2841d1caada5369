/*
 * evidence/mutate_kit.h - for the tests of tables that operators write: spoilt copies of a table, and
 * whether errors name their places. For "own.yaml".
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/slice.h"

/* Each line of errors is "own.yaml:LINE:COLUMN: what", or counts those not told. */
static inline void check_places(struct slice why)
{
    assert_true(why.len > 0);
    while (why.len) {
        ptrdiff_t end = slice_find(why, '\n');
        struct slice line;

        assert_true(end > 0);
        line = slice_sub(why, 0, (size_t)end);
        if (!slice_has_prefix(line, SLICE_LIT("own.yaml:")) &&
            !slice_has_prefix(line, SLICE_LIT("and ")))
            fail_msg("%.*s", SLICE_FMT(line));
        why = slice_from(why, (size_t)end + 1);
    }
}

/* Copies `from` to `room`, with up to three bytes exchanged, and every other time cut. */
static inline struct slice mutate(struct rand *chance, struct slice from, uint8_t *room)
{
    size_t len = rand_below(chance, 2) ? rand_below(chance, from.len + 1) : from.len;

    memcpy(room, from.ptr, from.len);
    for (uint64_t n = rand_below(chance, 4); n && len; n--)
        room[rand_below(chance, len)] = (uint8_t)rand_below(chance, 256);
    return slice_make(room, len);
}
