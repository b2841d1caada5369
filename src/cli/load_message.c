#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "cli/load_int.h"

#define MESSAGE_MAX MIB(256)
#define LINE 76

static void add_filler(struct buf *to, uint64_t bytes)
{
    static const char words[] = "All work and no play makes mail a dull thing to carry about. "
                                "0123456789abcdef";

    while (bytes) {
        uint64_t n = MIN_OF(bytes, LINE);

        if (bytes > n && bytes - n < 2) /* no single octet may be left for a line end */
            n -= 2;
        if (n <= 2) {
            (void)buf_add(to, slice_make("\r\n", n == 2 ? 2 : 0));
            return;
        }
        (void)buf_add(to, slice_make(words, (size_t)n - 2));
        (void)buf_add_str(to, "\r\n");
        bytes -= n;
    }
}

/* With CRLF, whatever the file has. */
static int add_file(struct buf *to, const char *name)
{
    FILE *f = fopen(name, "rb");
    int c, before = 0, r = 0;

    if (!f)
        return -errno;
    while (r == 0 && (c = getc(f)) != EOF) {
        if (c == '\n' && before != '\r')
            r = buf_push(to, '\r');
        if (r == 0)
            r = buf_push(to, (uint8_t)c);
        before = c;
    }
    if (r == 0 && ferror(f))
        r = -EIO;
    if (r == 0 && before != '\n')
        r = buf_add_str(to, "\r\n");
    (void)fclose(f);
    return r;
}

/* The sum of what follows the header section of `tail`, which begins in it. */
static uint32_t sum_of(struct slice tail)
{
    ptrdiff_t end = slice_has_prefix(tail, SLICE_LIT("\r\n"))
                        ? -2
                        : slice_find_slice(tail, SLICE_LIT("\r\n\r\n"));

    return end == -1 ? 0 : crc32c(0, slice_from(tail, (size_t)(end + 4)));
}

int load_message_make(struct load_message *m, uint64_t size, const char *file, const char *from,
                      const char *to, struct buf *why)
{
    struct seq none = {.run = 0};
    struct buf tail = BUF_INIT(MESSAGE_MAX);
    char seq[SEQ_TEXT_MAX], head[64];
    int r = 0;

    seq_format(&none, seq);
    m->text = BUF_INIT(MESSAGE_MAX);
    m->seq_at = strlen("X-Seq: ");
    if (file) {
        r = add_file(&tail, file);
        if (r < 0)
            (void)buf_addf(why, "%s: %s", file, err_str(r));
    } else {
        (void)buf_addf(&tail,
                       "From: <%s>\r\nTo: <%s>\r\nSubject: a test message\r\n"
                       "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n",
                       from, to);
        /* "X-Seq: " 27 "\r\nX-Sum: " 8 "\r\n" stand before it */
        add_filler(&tail, size > buf_len(&tail) + 53 ? size - buf_len(&tail) - 53 : 0);
    }
    if (r == 0) {
        (void)snprintf(head, sizeof(head), "\r\nX-Sum: %08x\r\n", sum_of(buf_slice(&tail)));
        (void)buf_addf(&m->text, "X-Seq: %s%s", seq, head);
        (void)buf_add(&m->text, buf_slice(&tail));
        if (buf_failed(&m->text) || buf_failed(&tail)) {
            r = -E2BIG;
            (void)buf_add_str(why, "the message does not fit the memory");
        }
    }
    buf_done(&tail);
    return r;
}

int load_message_copy(struct load_message *to, const struct load_message *from)
{
    to->text = BUF_INIT(MESSAGE_MAX);
    to->seq_at = from->seq_at;
    return buf_add(&to->text, buf_slice(&from->text));
}

void load_message_done(struct load_message *m)
{
    buf_done(&m->text);
}

/* ---- patterns ---- */

int load_pattern_check(const char *pattern, struct buf *why)
{
    char filled[LOAD_PATTERN_MAX];
    struct smtp_address address;
    const char *sentence;

    if (strlen(pattern) + 80 < LOAD_PATTERN_MAX &&
        smtp_mailbox_parse(load_pattern_fill(pattern, 1, 1, filled),
                           SMTP_ALLOW_UTF8 | SMTP_ALLOW_NULL, &address, &sentence) == 0)
        return 0;
    (void)buf_addf(why, "'%s' makes no address of at most 175 characters", pattern);
    return -EINVAL;
}

struct slice load_pattern_fill(const char *pattern, uint64_t number, uint64_t domains,
                               char to[static LOAD_PATTERN_MAX])
{
    bool in_domain = false;
    size_t n = 0;

    for (const char *p = pattern; *p && n + 24 < LOAD_PATTERN_MAX; p++) {
        if (p[0] == '%' && p[1] == 'd') {
            n += (size_t)snprintf(to + n, LOAD_PATTERN_MAX - n, "%llu",
                                  (unsigned long long)(in_domain ? number % domains : number));
            p++;
            continue;
        }
        in_domain |= *p == '@';
        to[n++] = *p;
    }
    return slice_make(to, n);
}
