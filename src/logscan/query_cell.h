/*
 * logscan/query_cell.h - a value of a row on its way to SQLite.
 */
#pragma once

#include <stdint.h>

enum query_type {
    QUERY_NULL,
    QUERY_TEXT,
    QUERY_INTEGER,
    /* The provider, not known before the merge: the text is the session's id. Of a row after the first
     * reply of the session in its chunk, which may be the greeting: QUERY_HELD_FIRST. */
    QUERY_HELD,
    QUERY_HELD_FIRST,
};
struct query_cell {
    union {
        const uint8_t *ptr;
        int64_t number; /* QUERY_LINE: counted from the chunk's begin */
    };
    uint32_t len;
    uint32_t type; /* enum query_type */
};
