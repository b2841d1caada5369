#include "cli/wrap.h"

#include <string.h>

#include "base/utf8.h"
#include "cli/format.h"

/* Characters, as far as the text is UTF-8; columns are near enough. */
static size_t width_of(struct slice word)
{
    size_t n = 0;

    while (word.len) {
        size_t len = utf8_len(word);

        word = slice_from(word, len ? len : 1);
        n++;
    }
    return n;
}

void wrap_add_to(struct buf *to, const char *label, size_t indent, struct slice text,
                 size_t line_max)
{
    struct buf clean = BUF_INIT(text.len * 4 + 64);
    struct buf head = BUF_INIT(strlen(label) * 4 + 64);
    size_t label_width;
    bool is_long, is_first = true;
    size_t column;
    struct slice left;

    (void)format_harmless(&head, slice_str(label));
    label_width = width_of(buf_slice(&head));
    is_long = label_width > 0 && label_width >= indent;
    column = is_long ? label_width + 1 : indent;
    (void)buf_addf(to, "%-*s%s", (int)indent, buf_cstr(&head), is_long ? " " : "");
    buf_done(&head);
    (void)format_harmless(&clean, text);
    left = slice_trim(buf_slice(&clean));
    while (left.len) {
        ptrdiff_t blank = slice_find(left, ' ');
        struct slice word = blank < 0 ? left : slice_sub(left, 0, (size_t)blank);
        size_t width = width_of(word);

        if (!is_first && line_max > 0 && column + 1 + width > line_max) {
            (void)buf_addf(to, "\n%-*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            (void)buf_push(to, ' ');
            column++;
        }
        (void)buf_add(to, word);
        column += width;
        is_first = false;
        left = slice_trim(slice_from(left, word.len));
    }
    (void)buf_push(to, '\n');
    buf_done(&clean);
}

void wrap_add(struct buf *to, const char *label, size_t indent, struct slice text)
{
    wrap_add_to(to, label, indent, text, WRAP_WIDTH);
}
