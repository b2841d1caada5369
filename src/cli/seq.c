/*
 * cli/seq.c - a ledger is a bitmap a run, in pages that are made when first needed.
 */
#include "cli/seq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define PAGE_WORDS 4096
#define PAGE_BITS (PAGE_WORDS * 64)
#define PAGES (((uint64_t)SEQ_NUMBER_MAX + 1) / PAGE_BITS)
#define RUN_DIGITS 16
#define NUMBER_DIGITS 10

struct seq_run {
    struct seq_run *next;
    uint64_t id, highest;
    uint64_t *pages[PAGES];
};

/* ---- texts ---- */

void seq_format(const struct seq *s, char ret[static SEQ_TEXT_MAX])
{
    (void)snprintf(ret, SEQ_TEXT_MAX, "%016llx-%010lu", (unsigned long long)s->run,
                   (unsigned long)s->number);
}

static int parse_hex(struct slice text, uint64_t *ret)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = byte_lower(text.ptr[i]);

        if (byte_is_digit(c))
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else
            return -EINVAL;
    }
    *ret = n;
    return 0;
}

int seq_parse(struct slice text, struct seq *ret)
{
    uint64_t run, number;

    if (text.len != RUN_DIGITS + 1 + NUMBER_DIGITS || text.ptr[RUN_DIGITS] != '-' ||
        parse_hex(slice_sub(text, 0, RUN_DIGITS), &run) < 0 ||
        slice_to_u64(slice_from(text, RUN_DIGITS + 1), SEQ_NUMBER_MAX, &number) < 0)
        return -EINVAL;
    *ret = (struct seq){.run = run, .number = (uint32_t)number};
    return 0;
}

/* ---- one message ---- */

void seq_scan_init(struct seq_scan *s)
{
    *s = (struct seq_scan){.header = BUF_INIT(SEQ_HEADER_MAX)};
}

void seq_scan_done(struct seq_scan *s)
{
    buf_done(&s->header);
}

void seq_scan_begin(struct seq_scan *s)
{
    buf_clear(&s->header);
    s->in_body = s->has_seq = s->has_sum = s->is_damaged = false;
    s->seen_sum = 0;
}

/* The value of a field whose line starts with `name`, colon included. */
static bool find_field(struct slice header, struct slice name, struct slice *ret)
{
    while (header.len) {
        ptrdiff_t lf = slice_find(header, '\n');
        struct slice line = lf < 0 ? header : slice_sub(header, 0, (size_t)lf);

        if (slice_has_prefix_case(line, name)) {
            line = slice_from(line, name.len);
            if (line.len && line.ptr[line.len - 1] == '\r')
                line.len--;
            *ret = slice_trim(line);
            return true;
        }
        header = slice_from(header, line.len + 1);
    }
    return false;
}

static void read_header(struct seq_scan *s, struct slice header)
{
    struct slice value;
    uint64_t sum;

    s->has_seq = find_field(header, SLICE_LIT("X-Seq:"), &value) && seq_parse(value, &s->seq) == 0;
    if (find_field(header, SLICE_LIT("X-Sum:"), &value) && value.len == 8 &&
        parse_hex(value, &sum) == 0) {
        s->has_sum = true;
        s->sum = (uint32_t)sum;
    }
    s->in_body = true;
}

void seq_scan_add(struct seq_scan *s, struct slice bytes)
{
    size_t had = buf_len(&s->header), from = had > 3 ? had - 3 : 0;
    struct slice all;
    ptrdiff_t end;

    if (s->in_body) {
        s->seen_sum = crc32c(s->seen_sum, bytes);
        return;
    }
    if (buf_add(&s->header, bytes) < 0) {
        s->in_body = true; /* a header without end: there is no number to find */
        return;
    }
    all = buf_slice(&s->header);
    end = slice_find_slice(slice_from(all, from), SLICE_LIT("\r\n\r\n"));
    if (end < 0)
        return;
    end += (ptrdiff_t)from + 2;
    read_header(s, slice_sub(all, 0, (size_t)end));
    s->seen_sum = crc32c(0, slice_from(all, (size_t)end + 2));
}

void seq_scan_end(struct seq_scan *s)
{
    if (!s->in_body)
        read_header(s, buf_slice(&s->header));
    s->is_damaged = s->has_sum && s->sum != s->seen_sum;
}

/* ---- ledgers ---- */

void seq_ledger_done(struct seq_ledger *l)
{
    while (l->runs) {
        struct seq_run *run = l->runs;

        l->runs = run->next;
        for (size_t i = 0; i < PAGES; i++)
            free(run->pages[i]);
        free(run);
    }
}

static struct seq_run *get_run(struct seq_ledger *l, uint64_t id)
{
    struct seq_run *run = l->runs;

    while (run && run->id != id)
        run = run->next;
    if (!run) {
        run = calloc(1, sizeof(*run));
        if (run) {
            run->id = id;
            run->next = l->runs;
            l->runs = run;
        }
    }
    return run;
}

static uint64_t *get_page(struct seq_run *run, size_t index)
{
    if (!run->pages[index])
        run->pages[index] = calloc(PAGE_WORDS, sizeof(uint64_t));
    return run->pages[index];
}

int seq_ledger_add(struct seq_ledger *l, const struct seq *s)
{
    struct seq_run *run = get_run(l, s->run);
    uint64_t *page = run ? get_page(run, s->number / PAGE_BITS) : NULL;
    uint64_t bit = (uint64_t)1 << (s->number % 64), *word;

    if (!page)
        return -ENOMEM;
    word = &page[s->number % PAGE_BITS / 64];
    l->duplicates += (*word & bit) != 0;
    *word |= bit;
    run->highest = MAX_OF(run->highest, s->number);
    return 0;
}

int seq_ledger_merge(struct seq_ledger *to, const struct seq_ledger *from)
{
    for (const struct seq_run *run = from->runs; run; run = run->next) {
        struct seq_run *into = get_run(to, run->id);

        if (!into)
            return -ENOMEM;
        into->highest = MAX_OF(into->highest, run->highest);
        for (size_t i = 0; i < PAGES; i++) {
            uint64_t *page;

            if (!run->pages[i])
                continue;
            page = get_page(into, i);
            if (!page)
                return -ENOMEM;
            for (size_t w = 0; w < PAGE_WORDS; w++) {
                to->duplicates += (uint64_t)__builtin_popcountll(page[w] & run->pages[i][w]);
                page[w] |= run->pages[i][w];
            }
        }
    }
    to->duplicates += from->duplicates;
    return 0;
}

void seq_ledger_totals(const struct seq_ledger *l, struct seq_totals *ret)
{
    *ret = (struct seq_totals){.duplicates = l->duplicates};
    for (const struct seq_run *run = l->runs; run; run = run->next) {
        uint64_t distinct = 0;

        for (size_t i = 0; i < PAGES; i++)
            for (size_t w = 0; run->pages[i] && w < PAGE_WORDS; w++)
                distinct += (uint64_t)__builtin_popcountll(run->pages[i][w]);
        ret->runs++;
        ret->distinct += distinct;
        ret->lost += run->highest + 1 - distinct;
    }
}
