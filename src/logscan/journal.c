/*
 * logscan/journal.c - Postfix in a journal as `journalctl -o export` writes it.
 *
 *     __CURSOR=s=4a1f...
 *     __REALTIME_TIMESTAMP=1772354081123456
 *     _HOSTNAME=mx1
 *     SYSLOG_IDENTIFIER=postfix/smtp
 *     SYSLOG_PID=4105
 *     MESSAGE=4fNwF20043zf: to=<a@b.example>, relay=...
 *     (an empty line)
 *
 * An entry is lines of FIELD=value up to an empty one; a value that is no text stands as FIELD, a line
 * end, its length as 64 bits (little-endian), the bytes and a line end (systemd.io/JOURNAL_EXPORT_FORMATS).
 * Fields come in any order and are put together to the head and text of a line, which postfix.c
 * reads.
 *
 * An entry may lie across a border of chunks: what stands before the first entry of a chunk and after its
 * last is kept for merge(), which joins them.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "logscan/formats.h"
#include "logscan/postfix.h"

#define ENTRY_MAX (2 * LOG_LINE_MAX) /* of one that lies across borders; a longer one is skipped */
#define NAME_MAX_LEN 64              /* of a field, says the journal */
#define LENGTH_BYTES 8

struct entry {
    int64_t at_ms;  /* INT64_MIN: it has no time */
    bool is_source; /* the time is the sender's, which is more exact */
    struct slice host, tag, pid, text;
};

enum entry_result { ENTRY_READ, ENTRY_CUT, ENTRY_BAD };

/* What lies across the borders of a chunk. Both in the chunk. */
struct ends {
    struct slice head, tail;
    bool has_border; /* an entry ends in the chunk: the head is its last part */
};

/* ---- entries ---- */

static void take_time(struct entry *e, struct slice value, bool is_source)
{
    uint64_t us;

    if (e->is_source || slice_to_u64(value, INT64_MAX, &us) < 0)
        return;
    e->at_ms = (int64_t)(us / 1000);
    e->is_source = is_source;
}

static void take_field(struct entry *e, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE_LIT("MESSAGE")))
        e->text = value;
    else if (slice_eq(name, SLICE_LIT("SYSLOG_IDENTIFIER")))
        e->tag = value;
    else if (slice_eq(name, SLICE_LIT("_HOSTNAME")))
        e->host = value;
    else if (slice_eq(name, SLICE_LIT("SYSLOG_PID")) ||
             (e->pid.len == 0 && slice_eq(name, SLICE_LIT("_PID"))))
        e->pid = value;
    else if (slice_eq(name, SLICE_LIT("_SOURCE_REALTIME_TIMESTAMP")))
        take_time(e, value, true);
    else if (slice_eq(name, SLICE_LIT("__REALTIME_TIMESTAMP")))
        take_time(e, value, false);
}

/* A value that is no text; `*at` is behind the line with the field's name. */
static enum entry_result read_binary(struct slice bytes, size_t *at, struct slice *ret)
{
    uint64_t len;

    if (bytes.len - *at < LENGTH_BYTES)
        return ENTRY_CUT;
    len = get_u64(bytes.ptr + *at);
    if (len > LOG_LINE_MAX)
        return ENTRY_BAD;
    if (bytes.len - *at - LENGTH_BYTES < len + 1)
        return ENTRY_CUT;
    *ret = slice_sub(bytes, *at + LENGTH_BYTES, (size_t)len);
    *at += LENGTH_BYTES + (size_t)len + 1;
    return bytes.ptr[*at - 1] == '\n' ? ENTRY_READ : ENTRY_BAD;
}

/* The entry that begins at `*at`, which is behind it then; where it is bad or cut somewhere in it. */
static enum entry_result read_entry(struct slice bytes, size_t *at, struct entry *ret)
{
    *ret = (struct entry){.at_ms = INT64_MIN};
    while (*at < bytes.len) {
        struct slice rest = slice_from(bytes, *at), line, value;
        ptrdiff_t end = slice_find(rest, '\n'), equals;
        enum entry_result r;

        if (end < 0)
            return ENTRY_CUT;
        line = slice_sub(rest, 0, (size_t)end);
        *at += line.len + 1;
        if (line.len == 0)
            return ENTRY_READ;
        equals = slice_find(line, '=');
        if (equals >= 0) {
            take_field(ret, slice_sub(line, 0, (size_t)equals),
                       slice_from(line, (size_t)equals + 1));
            continue;
        }
        if (line.len > NAME_MAX_LEN)
            return ENTRY_BAD;
        r = read_binary(bytes, at, &value);
        if (r != ENTRY_READ)
            return r;
        take_field(ret, line, value);
    }
    return ENTRY_CUT;
}

/* Behind the next empty line; the end where there is none. */
static size_t next_entry(struct slice bytes, size_t at)
{
    struct slice rest = slice_from(bytes, at);
    ptrdiff_t border = slice_find_slice(rest, SLICE_LIT("\n\n"));

    if (rest.len > 0 && rest.ptr[0] == '\n')
        return at + 1;
    return border < 0 ? bytes.len : at + (size_t)border + 2;
}

/* What is empty or not there: of a line it would be an empty part, which has a place in memory. */
static struct slice part(struct slice s)
{
    return s.len > 0 ? s : SLICE_LIT("");
}

static void take_entry(struct log_scan *s, const uint8_t *place, const struct entry *e)
{
    const struct syslog_line line = {.at_ms = e->at_ms,
                                     .host = part(e->host),
                                     .tag = part(e->tag),
                                     .pid = part(e->pid),
                                     .text = part(e->text)};

    if (e->tag.len == 0 && e->text.len == 0 && e->at_ms == INT64_MIN)
        return; /* an empty line more */
    if (e->at_ms == INT64_MIN)
        log_scan_skip(s, SKIP_TIME, place);
    else if (!postfix_facts(s, place, &line))
        log_scan_skip(s, SKIP_FORM, place);
    else
        s->tally.rows++;
}

/* ---- chunks ---- */

static bool begins_entry(struct slice bytes)
{
    return slice_has_prefix(bytes, SLICE_LIT("__CURSOR="));
}

static void scan(struct log_scan *s)
{
    struct ends *ends = arena_take(&s->arena, sizeof(*ends));
    size_t at = 0, begin;

    s->carry_end = s->carry;
    if (!ends) {
        s->error = -ENOMEM;
        return;
    }
    *ends = (struct ends){.has_border = true};
    s->session_rows = ends;
    if (!begins_entry(s->bytes)) {
        at = next_entry(s->bytes, 0);
        ends->head = slice_sub(s->bytes, 0, at);
        ends->has_border =
            at > 0 && s->bytes.ptr[at - 1] == '\n' && (at == 1 || s->bytes.ptr[at - 2] == '\n');
    }
    for (begin = at; s->error == 0 && at < s->bytes.len; begin = at) {
        struct entry e;
        enum entry_result r = read_entry(s->bytes, &at, &e);

        if (r == ENTRY_CUT) {
            ends->tail = slice_from(s->bytes, begin);
            break;
        }
        if (r == ENTRY_READ) {
            take_entry(s, s->bytes.ptr + begin, &e);
        } else {
            log_scan_skip(s, SKIP_FORM, s->bytes.ptr + begin);
            at = next_entry(s->bytes, at);
        }
    }
}

/* ---- across borders ---- */

struct state { /* of a run */
    uint32_t file;
    struct buf open, joined; /* an entry so far; the one whose facts were given last */
};

static void free_state(void **state)
{
    struct state *t = *state;

    if (t) {
        buf_done(&t->open);
        buf_done(&t->joined);
    }
    free(t);
    *state = NULL;
}

static struct state *state_of(void **state)
{
    struct state *t = *state;

    if (!t) {
        t = calloc(1, sizeof(*t));
        if (!t)
            return NULL;
        buf_init(&t->open, ENTRY_MAX);
        buf_init(&t->joined, ENTRY_MAX);
        *state = t;
    }
    return t;
}

/* The entry that ends in the chunk: its place is the chunk's begin. */
static int end_open(struct state *t, struct log_scan *s)
{
    size_t at = 0, before = s->fact_count;
    struct entry e;

    buf_clear(&t->joined);
    if (buf_add(&t->joined, buf_slice(&t->open)) < 0 ||
        read_entry(buf_slice(&t->joined), &at, &e) != ENTRY_READ)
        log_scan_skip(s, SKIP_FORM, s->bytes.ptr);
    else
        take_entry(s, s->bytes.ptr, &e);
    buf_clear(&t->open);
    return log_scan_sort_in(s, before);
}

static int merge(void **state, struct log_scan *s)
{
    struct ends *ends = s->session_rows;
    struct state *t = state_of(state);
    int r = 0;

    s->session_rows = NULL;
    if (!t)
        return -ENOMEM;
    if (t->file != s->file) { /* the file before ended in the middle of an entry */
        buf_clear(&t->open);
        t->file = s->file;
    }
    if (!ends || s->bytes.len == 0)
        return s->error;
    ignore_result(buf_add(&t->open, ends->head));
    if (buf_failed(&t->open)) {
        log_scan_skip(s, SKIP_LONG, s->bytes.ptr);
        buf_clear(&t->open);
    } else if (ends->has_border && buf_len(&t->open) > 0) {
        r = end_open(t, s);
    }
    ignore_result(buf_add(&t->open, ends->tail));
    return r < 0 ? r : s->error;
}

static void discard(void **session_rows)
{
    *session_rows = NULL; /* in the chunk's arena */
}

/* ---- the format ---- */

static unsigned detect(struct slice head)
{
    return begins_entry(head) && slice_find_slice(head, SLICE_LIT("SYSLOG_IDENTIFIER=postfix")) >= 0
               ? 90
               : 0;
}

/* A row of `query` is a line of an entry. */
static int split(const struct log_carry *carry, struct slice line, struct arena *a,
                 struct slice fields[LOG_COLUMNS_MAX])
{
    ptrdiff_t equals = slice_find(line, '=');

    (void)carry;
    (void)a;
    if (equals < 0)
        return -EINVAL;
    fields[0] = slice_sub(line, 0, (size_t)equals);
    fields[1] = slice_from(line, (size_t)equals + 1);
    return 2;
}

const struct log_format postfix_journal_format = {.name = "postfix-journal",
                                                  .title = "Postfix, journal export",
                                                  .detect = detect,
                                                  .scan = scan,
                                                  .merge = merge,
                                                  .discard = discard,
                                                  .free_state = free_state,
                                                  .columns = "field,value",
                                                  .split = split,
                                                  .reply_column = -1};
