#include "cli/wrap.h"

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

void wrap_add(struct buf *to, const char *label, size_t indent, struct slice text)
{
    struct buf clean = BUF_INIT(text.len * 4 + 64);
    struct slice left;
    size_t column = indent;

    (void)buf_addf(to, "%-*s", (int)indent, label);
    (void)format_harmless(&clean, text);
    left = slice_trim(buf_slice(&clean));
    while (left.len) {
        ptrdiff_t blank = slice_find(left, ' ');
        struct slice word = blank < 0 ? left : slice_sub(left, 0, (size_t)blank);
        size_t width = width_of(word);

        if (column > indent && column + 1 + width > WRAP_WIDTH) {
            (void)buf_addf(to, "\n%-*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            (void)buf_push(to, ' ');
            column++;
        }
        (void)buf_add(to, word);
        column += width;
        left = slice_trim(slice_from(left, word.len));
    }
    (void)buf_push(to, '\n');
    buf_done(&clean);
}
