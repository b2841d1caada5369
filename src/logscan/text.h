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

/* Editors of Windows put a byte order mark in front of a file; files joined by hand have it amid. */
static inline struct slice text_without_mark(struct slice line)
{
    return TEXT_BEGINS(line, "\xef\xbb\xbf") ? slice_from(line, 3) : line;
}

/* Without "\n" or "\r\n", or the "\r" that is left of it. */
static inline struct slice text_without_end(struct slice line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* The first line of `*left`, without its end ("\n", "\r\n") and a byte order mark; what follows it is left. */
static inline struct slice text_take_line(struct slice *left)
{
    ptrdiff_t end = slice_find(*left, '\n');
    struct slice line = slice_sub(*left, 0, end < 0 ? left->len : (size_t)end);

    *left = slice_from(*left, line.len + 1);
    return text_without_end(text_without_mark(line));
}

/* "192.0.2.1:25", "[2001:db8::1]:25": the address alone. */
static inline struct slice text_address(struct slice endpoint)
{
    ptrdiff_t colon = slice_rfind(endpoint, ':');

    if (colon >= 0)
        endpoint = slice_sub(endpoint, 0, (size_t)colon);
    if (endpoint.len >= 2 && endpoint.ptr[0] == '[' && endpoint.ptr[endpoint.len - 1] == ']')
        endpoint = slice_sub(endpoint, 1, endpoint.len - 2);
    return endpoint;
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
