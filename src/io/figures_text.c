/* io/figures_text.c - the parsers of io/figures.h: lines of the kernel's text files. */
#include <errno.h>

#include "io/figures.h"

#define LIMIT_SHIFT 62 /* version 1 says "none" with a number near 2^63 */

/* Takes the next whole line off `text`, without its end. False: none is left. */
static bool next_line(struct slice *text, struct slice *ret)
{
    ptrdiff_t end = slice_find(*text, '\n');

    if (end < 0)
        return false;
    *ret = slice_sub(*text, 0, (size_t)end);
    *text = slice_from(*text, (size_t)end + 1);
    return true;
}

/* Takes the next word off `line`; empty where there is none. */
static struct slice next_word(struct slice *line)
{
    struct slice s = slice_trim(*line), word;
    size_t end = 0;

    while (end < s.len && s.ptr[end] != ' ' && s.ptr[end] != '\t')
        end++;
    word = slice_sub(s, 0, end);
    *line = slice_from(s, end);
    return word;
}

int figures_parse_line(struct slice text, struct slice key, uint64_t *ret)
{
    struct slice line, word;
    uint64_t value;

    while (next_line(&text, &line)) {
        if (!slice_eq(next_word(&line), key))
            continue;
        if (slice_to_u64(next_word(&line), UINT64_MAX >> 10, &value) < 0)
            return -EINVAL;
        word = next_word(&line);
        if (word.len > 0 && !slice_eq(word, SLICE_LIT("kB")))
            return -EINVAL;
        *ret = word.len > 0 ? value << 10 : value;
        return 0;
    }
    return -EINVAL;
}

int figures_parse_limit(struct slice text, uint64_t *ret)
{
    struct slice line;
    uint64_t value;

    if (!next_line(&text, &line))
        return -EINVAL;
    if (slice_eq(line, SLICE_LIT("max"))) {
        *ret = FIGURES_NO_LIMIT;
        return 0;
    }
    if (slice_to_u64(line, UINT64_MAX, &value) < 0)
        return -EINVAL;
    *ret = value >> LIMIT_SHIFT ? FIGURES_NO_LIMIT : value;
    return 0;
}

/* "12.34" as 1234. */
static int parse_hundredths(struct slice s, uint64_t *ret)
{
    ptrdiff_t point = slice_find(s, '.');
    uint64_t whole, part;

    if (point < 0 || s.len - (size_t)point != 3 ||
        slice_to_u64(slice_sub(s, 0, (size_t)point), 1000, &whole) < 0 ||
        slice_to_u64(slice_from(s, (size_t)point + 1), 99, &part) < 0)
        return -EINVAL;
    *ret = whole * 100 + part;
    return 0;
}

int figures_parse_stall(struct slice text, struct slice which, uint64_t *ret)
{
    const struct slice key = SLICE_LIT("avg10=");
    struct slice line, word;

    while (next_line(&text, &line)) {
        if (!slice_eq(next_word(&line), which))
            continue;
        word = next_word(&line);
        return slice_has_prefix(word, key) ? parse_hundredths(slice_from(word, key.len), ret)
                                           : -EINVAL;
    }
    return -EINVAL;
}

/* Whether one of the words of `list`, separated by commas, is `word`. */
static bool list_has(struct slice list, struct slice word)
{
    while (list.len > 0) {
        ptrdiff_t comma = slice_find(list, ',');
        size_t len = comma < 0 ? list.len : (size_t)comma;

        if (slice_eq(slice_sub(list, 0, len), word))
            return true;
        list = slice_from(list, len + 1);
    }
    return false;
}

int figures_parse_group(struct slice text, struct slice controller, struct slice *ret)
{
    struct slice line;

    while (next_line(&text, &line)) { /* "4:memory:/path", and "0::/path" for version 2 */
        ptrdiff_t first = slice_find(line, ':');
        struct slice rest = first < 0 ? line : slice_from(line, (size_t)first + 1);
        ptrdiff_t second = slice_find(rest, ':');
        struct slice controllers;

        if (first < 0 || second < 0)
            continue;
        controllers = slice_sub(rest, 0, (size_t)second);
        if (controller.len > 0 ? !list_has(controllers, controller) : controllers.len > 0)
            continue;
        *ret = slice_from(rest, (size_t)second + 1);
        return ret->len > 0 && ret->ptr[0] == '/' ? 0 : -EINVAL;
    }
    return -EINVAL;
}

int figures_parse_mount(struct slice text, struct slice controller, struct slice *ret_part,
                        struct slice *ret_point)
{
    struct slice line;

    /* "35 31 0:32 PART POINT options [fields] - type source super-options" */
    while (next_line(&text, &line)) {
        struct slice part, point, type;

        for (int i = 0; i < 3; i++)
            (void)next_word(&line);
        part = next_word(&line);
        point = next_word(&line);
        for (type = next_word(&line); type.len > 0 && !slice_eq(type, SLICE_LIT("-"));)
            type = next_word(&line);
        type = next_word(&line);
        (void)next_word(&line);
        if (slice_find(part, '\\') >= 0 || slice_find(point, '\\') >= 0 || point.len == 0)
            continue;
        if (controller.len == 0
                ? !slice_eq(type, SLICE_LIT("cgroup2"))
                : !slice_eq(type, SLICE_LIT("cgroup")) || !list_has(next_word(&line), controller))
            continue;
        *ret_part = part;
        *ret_point = point;
        return 0;
    }
    return -EINVAL;
}
