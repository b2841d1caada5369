/*
 * logscan/text.h - what scanners of text lines ask of a slice. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/base.h"
#include "base/slice.h"

static inline bool text_begins(struct slice s, const char *prefix, size_t len)
{
    return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}
#define TEXT_BEGINS(s, literal) text_begins(s, "" literal, sizeof(literal) - 1)

static inline bool text_is(struct slice s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.ptr, word, s.len) == 0;
}

/* Where `needle` begins in `s`; s.len: nowhere. */
static inline size_t text_find(struct slice s, const char *needle)
{
    const uint8_t *p = s.len > 0 ? memmem(s.ptr, s.len, needle, strlen(needle)) : NULL;

    return p ? (size_t)(p - s.ptr) : s.len;
}

/* "<a@b>" at the begin of `text`, without the brackets; a local part may be quoted, with '>' in it. The
 * bytes it took, 0: there is none. */
static inline size_t text_path(struct slice text, struct slice *ret)
{
    size_t at = 0;
    const uint8_t *end;

    if (text.len == 0 || text.ptr[0] != '<')
        return 0;
    if (text.len > 1 && text.ptr[1] == '"')
        for (at = 2; at < text.len && text.ptr[at] != '"'; at++)
            at += text.ptr[at] == '\\';
    end = at < text.len ? memchr(text.ptr + at, '>', text.len - at) : NULL;
    if (!end)
        return 0;
    *ret = slice_make(text.ptr + 1, (size_t)(end - text.ptr) - 1);
    return (size_t)(end - text.ptr) + 1;
}
