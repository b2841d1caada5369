/* event/resource_text.c - see resource_text.h. */
#include "event/resource_text.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"

static bool is_name_byte(uint8_t c)
{
    return byte_is_digit(c) || c == '_' || (c >= 'a' && c <= 'z');
}

static size_t name_length(struct slice s)
{
    size_t n = 0;

    while (n < s.len && is_name_byte(s.ptr[n]))
        n++;
    return n;
}

static int add_path(struct buf *to, struct slice path)
{
    int r = buf_add_str(to, "(\"");

    for (size_t i = 0; i < path.len && r == 0; i++) {
        uint8_t c = path.ptr[i];

        r = buf_push(to, c < ' ' || c > '~' || c == '"' ? '?' : c);
    }
    return r < 0 ? r : buf_add_str(to, "\")");
}

int resource_text_add(struct buf *to, const struct resource_text *r)
{
    size_t begin = buf_len(to);
    const char *sign = r->is_percent ? "%" : "";
    int err = begin ? buf_push(to, ' ') : 0;

    ASSERT(r->name.len && name_length(r->name) == r->name.len &&
           name_length(r->level) == r->level.len);
    if (err == 0)
        err = buf_add(to, r->name);
    if (err == 0 && r->path.len)
        err = add_path(to, r->path);
    if (err == 0)
        err = buf_addf(to, "=%" PRIu64 "%s[%.*s %" PRIu64 "/%" PRIu64 "/%" PRIu64 "]", r->value,
                       sign, SLICE_FMT(r->level), r->normal, r->medium, r->high);
    if (err < 0) /* one resource less rather than half of one */
        buf_truncate(to, begin);
    return err;
}

/* ---- reading ---- */

static bool take_byte(struct slice *s, uint8_t c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool take_name(struct slice *s, struct slice *ret)
{
    size_t n = name_length(*s);

    *ret = slice_sub(*s, 0, n);
    *s = slice_from(*s, n);
    return n > 0;
}

static bool take_number(struct slice *s, uint64_t *ret)
{
    size_t n = 0;

    while (n < s->len && byte_is_digit(s->ptr[n]))
        n++;
    if (slice_to_u64(slice_sub(*s, 0, n), UINT64_MAX, ret) < 0)
        return false;
    *s = slice_from(*s, n);
    return true;
}

/* What stands between ( and ), in quotes; nothing where there is no parenthesis. */
static bool take_path(struct slice *s, struct slice *ret)
{
    ptrdiff_t end;

    *ret = slice_make(NULL, 0);
    if (!take_byte(s, '('))
        return true;
    if (!take_byte(s, '"'))
        return false;
    end = slice_find(*s, '"');
    if (end < 0)
        return false;
    *ret = slice_sub(*s, 0, (size_t)end);
    *s = slice_from(*s, (size_t)end + 1);
    return take_byte(s, ')');
}

int resource_text_next(struct slice *left, struct resource_text *ret)
{
    struct slice s = *left;
    struct resource_text r = {0};

    while (take_byte(&s, ' '))
        ;
    if (s.len == 0)
        return 0;
    if (!take_name(&s, &r.name) || !take_path(&s, &r.path) || !take_byte(&s, '=') ||
        !take_number(&s, &r.value))
        return -EINVAL;
    r.is_percent = take_byte(&s, '%');
    if (!take_byte(&s, '[') || !take_name(&s, &r.level) || !take_byte(&s, ' ') ||
        !take_number(&s, &r.normal) || !take_byte(&s, '/') || !take_number(&s, &r.medium) ||
        !take_byte(&s, '/') || !take_number(&s, &r.high) || !take_byte(&s, ']') ||
        (s.len && s.ptr[0] != ' '))
        return -EINVAL;
    *ret = r;
    *left = s;
    return 1;
}
