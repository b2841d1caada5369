/*
 * smtp/dot.c - the decoder looks at 64 bytes at a time as bit masks: where are the CRs, LFs, dots,
 * NULs and bytes over 127. A dot at the start of a line is the only thing that ends a run of body;
 * what comes behind it is taken a byte at a time:
 *
 *     BOL, MID --dot at the start of a line--> DOT --CR--> DOT_CR --LF--> ENDED
 *              --CR at the end of the input--> CR
 */
#include "smtp/dot.h"

#include <string.h>

#include "base/assert.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { BOL = 0, MID, CR, DOT, DOT_CR, ENDED };

#define BLOCK 64

struct masks {
    uint64_t cr, lf, dot, nul, high;
};

#ifdef __SSE2__
static uint64_t equal_mask(const __m128i x[4], char c)
{
    __m128i want = _mm_set1_epi8(c);
    uint64_t m = 0;

    for (int i = 0; i < 4; i++)
        m |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x[i], want)) << (16 * i);
    return m;
}

static struct masks masks_of(const uint8_t *p)
{
    __m128i x[4];
    struct masks m = {.high = 0};

    memcpy(x, p, BLOCK);
    for (int i = 0; i < 4; i++)
        m.high |= (uint64_t)(uint32_t)_mm_movemask_epi8(x[i]) << (16 * i);
    m.cr = equal_mask(x, '\r');
    m.lf = equal_mask(x, '\n');
    m.dot = equal_mask(x, '.');
    m.nul = equal_mask(x, '\0');
    return m;
}
#else
static struct masks masks_of(const uint8_t *p)
{
    struct masks m = {0};

    for (unsigned i = 0; i < BLOCK; i++) {
        m.cr |= (uint64_t)(p[i] == '\r') << i;
        m.lf |= (uint64_t)(p[i] == '\n') << i;
        m.dot |= (uint64_t)(p[i] == '.') << i;
        m.nul |= (uint64_t)(p[i] == '\0') << i;
        m.high |= (uint64_t)(p[i] >> 7) << i;
    }
    return m;
}
#endif

/* The lowest `n` bits, n <= 64. */
static uint64_t low_bits(unsigned n)
{
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

void smtp_dot_decoder_init(struct smtp_dot_decoder *d, bool is_dotted, uint32_t line_max)
{
    *d = (struct smtp_dot_decoder){.is_dotted = is_dotted,
                                   .line_max = line_max ? line_max : UINT32_MAX,
                                   .in_header = true,
                                   .facts = {.ends_in_crlf = true}};
}

static void line_ends(struct smtp_dot_decoder *d, uint64_t len)
{
    if (len > d->facts.longest_line)
        d->facts.longest_line = len;
    if (len > d->line_max)
        d->facts.has_long_line = true;
    if (len == 0)
        d->in_header = false;
    d->line_len = 0;
}

/* Counts the lines that end at the bits of `eol`, in a block of `n` bytes. Returns the bits that
 * are in the header. */
static uint64_t count_lines(struct smtp_dot_decoder *d, uint64_t eol, unsigned n)
{
    uint64_t header = 0;
    unsigned start = 0;

    for (; eol; eol &= eol - 1) {
        unsigned at = (unsigned)__builtin_ctzll(eol);
        bool was_in_header = d->in_header;

        line_ends(d, d->line_len + (at - start) - 1); /* its CR was counted */
        if (was_in_header && !d->in_header)
            header = low_bits(at);
        start = at + 1;
    }
    d->line_len += n - start;
    return d->in_header ? low_bits(n) : header;
}

/* Looks at `len` bytes whose first is at the start of a line or in its middle (d->state). Returns
 * how many of them are a run: all, or up to a dot at the start of a line. */
static size_t scan(struct smtp_dot_decoder *d, const uint8_t *p, size_t len, bool next_is_cr)
{
    uint64_t after_cr = 0, at_bol = d->state == BOL;
    size_t at = 0;

    while (at < len) {
        uint8_t tail[BLOCK];
        unsigned n = len - at < BLOCK ? (unsigned)(len - at) : BLOCK;
        const uint8_t *block = p + at;
        uint64_t eol, stop, header, valid = low_bits(n);
        struct masks m;

        if (n < BLOCK) {
            memset(tail, 'x', sizeof(tail));
            memcpy(tail, block, n);
            block = tail;
        }
        m = masks_of(block);
        after_cr |= m.cr << 1;
        eol = m.lf & after_cr;
        at_bol |= eol << 1;
        stop = d->is_dotted ? m.dot & at_bol : 0;
        if (stop) {
            n = (unsigned)__builtin_ctzll(stop);
            valid = low_bits(n);
        }
        header = count_lines(d, eol & valid, n);
        d->facts.has_bare_lf |= (m.lf & ~after_cr & valid) != 0;
        d->facts.has_bare_cr |= (after_cr & ~m.lf & valid) != 0;
        d->facts.has_nul |= (m.nul & valid) != 0;
        d->facts.has_8bit |= (m.high & valid) != 0;
        d->facts.has_8bit_header |= (m.high & valid & header) != 0;
        at += n;
        if (stop) {
            d->state = DOT;
            return at;
        }
        after_cr = m.cr >> (BLOCK - 1);
        at_bol = eol >> (BLOCK - 1);
        if (n < BLOCK) { /* the last one: its own last byte tells */
            after_cr = m.cr >> (n - 1) & 1;
            at_bol = eol >> (n - 1) & 1;
        }
    }
    if (len)
        d->state = at_bol ? BOL : MID;
    if (after_cr) { /* only before a CR that was cut: see take_run() */
        ASSERT(next_is_cr);
        d->facts.has_bare_cr = true;
    }
    return at;
}

/* The longest run from the start of `in`, and how much was taken with it. A CR that is the last
 * byte waits for the next one. */
static size_t take_run(struct smtp_dot_decoder *d, struct slice in, size_t *ret_used)
{
    bool ends_in_cr = in.ptr[in.len - 1] == '\r';
    size_t len = in.len - ends_in_cr, run;

    run = scan(d, in.ptr, len, ends_in_cr);
    if (d->line_len > (uint64_t)d->line_max + 1) /* it may end in a CR */
        d->facts.has_long_line = true;
    if (d->state == DOT) {
        *ret_used = run + 1;
        return run;
    }
    if (ends_in_cr)
        d->state = CR;
    *ret_used = in.len;
    return run;
}

/* One byte in a state that waits for it. True: `*ret_run` is a run. */
static bool take_byte(struct smtp_dot_decoder *d, uint8_t c, size_t *used, struct slice *ret_run)
{
    if (d->state == DOT) {
        d->state = c == '\r' ? DOT_CR : MID;
        *used += c == '\r';
        return false;
    }
    if (c == '\n') {
        (*used)++;
        if (d->state == DOT_CR) {
            d->state = ENDED;
            return false;
        }
        line_ends(d, d->line_len);
        d->state = BOL;
        *ret_run = SLICE_LIT("\r\n");
        return true;
    }
    d->facts.has_bare_cr = true;
    d->line_len++;
    d->state = MID;
    *ret_run = SLICE_LIT("\r");
    return true;
}

enum smtp_dot smtp_dot_decode(struct smtp_dot_decoder *d, struct slice in, size_t *ret_used,
                              struct slice *ret_run)
{
    size_t used = 0;

    ASSERT(d->state != ENDED);
    while (used < in.len) {
        struct slice run = {.len = 0};

        if (d->state == BOL || d->state == MID) {
            struct slice rest = slice_from(in, used);
            size_t taken;

            run = slice_sub(rest, 0, take_run(d, rest, &taken));
            used += taken;
        } else {
            (void)take_byte(d, in.ptr[used], &used, &run);
        }
        if (run.len) {
            d->facts.bytes += run.len;
            d->facts.ends_in_crlf = d->state == BOL || d->state == DOT;
            *ret_run = run;
            *ret_used = used;
            return SMTP_DOT_RUN;
        }
        if (d->state == ENDED) {
            *ret_used = used;
            return SMTP_DOT_END;
        }
    }
    *ret_used = used;
    return SMTP_DOT_MORE;
}

struct slice smtp_dot_decode_end(struct smtp_dot_decoder *d)
{
    struct slice run = {.len = 0};

    ASSERT(!d->is_dotted);
    if (d->state == CR) {
        d->facts.has_bare_cr = true;
        d->facts.bytes++;
        d->facts.ends_in_crlf = false;
        d->line_len++;
        run = SLICE_LIT("\r");
    }
    if (d->line_len > d->facts.longest_line)
        d->facts.longest_line = d->line_len;
    if (d->line_len > d->line_max)
        d->facts.has_long_line = true;
    d->state = ENDED;
    return run;
}

/* ---- encoding ---- */

void smtp_dot_encoder_init(struct smtp_dot_encoder *e)
{
    e->state = BOL;
}

/* Bytes of `body` up to the next place where a dot is to be doubled, all of them where none is. */
static size_t plain_run(struct slice body)
{
    ptrdiff_t at = slice_find_slice(body, SLICE_LIT("\r\n."));

    return at < 0 ? body.len : (size_t)at + 2;
}

static uint8_t state_after(const struct smtp_dot_encoder *e, struct slice body)
{
    uint8_t last = body.ptr[body.len - 1];
    bool cr_before = body.len > 1 ? body.ptr[body.len - 2] == '\r' : e->state == CR;

    if (last == '\r')
        return CR;
    return last == '\n' && cr_before ? BOL : MID;
}

int smtp_dot_encode(struct smtp_dot_encoder *e, struct slice body, struct buf *out)
{
    size_t before = buf_len(out);
    struct slice rest = body;
    int r = 0;

    if (body.len == 0)
        return 0;
    if (e->state == BOL && body.ptr[0] == '.')
        r = buf_push(out, '.');
    if (e->state == CR && body.len > 1 && body.ptr[0] == '\n' && body.ptr[1] == '.') {
        r = buf_add(out, SLICE_LIT("\n."));
        rest = slice_from(rest, 1);
    }
    while (r == 0 && rest.len) {
        size_t n = plain_run(rest);

        r = buf_add(out, slice_sub(rest, 0, n));
        rest = slice_from(rest, n);
        if (r == 0 && rest.len)
            r = buf_push(out, '.');
    }
    if (r < 0) {
        buf_truncate(out, before);
        return r;
    }
    e->state = state_after(e, body);
    return 0;
}

int smtp_dot_encode_end(struct smtp_dot_encoder *e, struct buf *out)
{
    int r = buf_add(out, e->state == BOL ? SLICE_LIT(".\r\n") : SLICE_LIT("\r\n.\r\n"));

    if (r == 0)
        e->state = ENDED;
    return r;
}
