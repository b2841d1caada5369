/*
 * logscan/scan.c - what all formats share: lines of a chunk, facts, what is skipped, columns.
 */
#include "logscan/scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "logscan/text.h"

#define FACTS_FIRST 256

const char *log_skip_text(enum log_skip s)
{
#define LOG_SKIP_NAME(constant, text) text,
    static const char *const texts[] = {LOG_SKIP_TABLE(LOG_SKIP_NAME)};
#undef LOG_SKIP_NAME

    return texts[s];
}

const char *log_issuer_name(enum log_issuer i)
{
    static const char *const names[] = {"receiver", "own-server", "own-client"};

    return names[i];
}

const char *log_outcome_name(enum log_outcome o)
{
    static const char *const names[] = {"delivered", "deferred", "failed"};

    return names[o];
}

bool log_carry_eq(const struct log_carry *a, const struct log_carry *b)
{
    return a->columns == b->columns && a->year == b->year && a->month == b->month;
}

/* ---- columns ---- */

struct known_columns {
    struct log_columns columns; /* first: what is handed out */
    struct known_columns *next;
    char *text;
    size_t len;
};

static pthread_mutex_t columns_lock = PTHREAD_MUTEX_INITIALIZER;
static struct known_columns *all_columns;
static size_t all_columns_count;

static bool split_names(struct known_columns *k)
{
    struct slice left = slice_make(k->text, k->len);

    for (;;) {
        ptrdiff_t comma = slice_find(left, ',');
        struct slice name = comma < 0 ? left : slice_sub(left, 0, (size_t)comma);

        if (k->columns.count == LOG_COLUMNS_MAX)
            return false;
        k->columns.names[k->columns.count++] = slice_trim(name);
        if (comma < 0)
            return true;
        left = slice_from(left, (size_t)comma + 1);
    }
}

static struct known_columns *new_columns(struct slice names)
{
    struct known_columns *k;

    if (all_columns_count == LOG_HEADERS_MAX || names.len > LOG_HEADER_MAX)
        return NULL;
    k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->len = names.len;
    k->text = malloc(names.len + 1);
    if (k->text)
        memcpy(k->text, names.ptr ? names.ptr : (const uint8_t *)"", names.len);
    if (!k->text || !split_names(k)) {
        free(k->text);
        free(k);
        return NULL;
    }
    k->next = all_columns;
    all_columns = k;
    all_columns_count++;
    return k;
}

const struct log_columns *log_columns_of(struct slice names)
{
    struct known_columns *k;

    (void)pthread_mutex_lock(&columns_lock);
    for (k = all_columns; k; k = k->next)
        if (slice_eq(slice_make(k->text, k->len), names))
            break;
    if (!k)
        k = new_columns(names);
    (void)pthread_mutex_unlock(&columns_lock);
    return k ? &k->columns : NULL;
}

bool log_columns_header(struct slice line, struct slice *ret_names)
{
    const struct slice prefix = SLICE_LIT("#Fields:");

    if (!slice_has_prefix_case(line, prefix))
        return false;
    *ret_names = slice_trim(slice_from(line, prefix.len));
    return true;
}

int log_columns_find(const struct log_columns *c, struct slice name)
{
    for (uint32_t i = 0; c && i < c->count; i++)
        if (slice_eq_case(c->names[i], name))
            return (int)i;
    return -1;
}

/* ---- what is found ---- */

struct log_fact *log_scan_fact(struct log_scan *s, enum fact_kind kind, const uint8_t *line)
{
    struct log_fact *f;

    if (s->fact_count == s->fact_room) {
        size_t room = s->fact_room ? s->fact_room * 2 : FACTS_FIRST;
        struct log_fact *more = realloc(s->facts, room * sizeof(*more));

        if (!more) {
            s->error = -ENOMEM;
            return NULL;
        }
        s->facts = more;
        s->fact_room = room;
    }
    f = &s->facts[s->fact_count++];
    *f = (struct log_fact){.kind = (uint8_t)kind,
                           .offset = s->offset + (uint64_t)(line - s->bytes.ptr)};
    return f;
}

int log_scan_sort_in(struct log_scan *s, size_t from)
{
    size_t count = s->fact_count - from, at = s->fact_count;
    struct log_fact *added;

    if (count == 0 || from == 0)
        return 0;
    added = malloc(count * sizeof(*added));
    if (!added)
        return -ENOMEM;
    memcpy(added, s->facts + from, count * sizeof(*added));
    while (count > 0) /* from the end, so that nothing is in the way */
        if (from > 0 && s->facts[from - 1].offset >= added[count - 1].offset)
            s->facts[--at] = s->facts[--from];
        else
            s->facts[--at] = added[--count];
    free(added);
    return 0;
}

static uint64_t line_number(const struct log_scan *s, const uint8_t *line)
{
    struct slice before = slice_make(s->bytes.ptr, (size_t)(line - s->bytes.ptr));
    uint64_t n = 1;
    ptrdiff_t end;

    while ((end = slice_find(before, '\n')) >= 0) {
        before = slice_from(before, (size_t)end + 1);
        n++;
    }
    return n;
}

void log_scan_skip(struct log_scan *s, enum log_skip why, const uint8_t *line)
{
    if (s->tally.skipped[why]++ == 0)
        s->tally.first[why] =
            (struct log_place){.offset = s->offset + (uint64_t)(line - s->bytes.ptr),
                               .line = line_number(s, line),
                               .file = s->file};
}

/* ---- lines ---- */

static struct slice without_nuls(struct slice line)
{
    while (line.len > 0 && line.ptr[0] == 0)
        line = slice_from(line, 1);
    return line;
}

bool log_scan_line(struct log_scan *s, size_t *at, struct slice *ret)
{
    while (*at < s->bytes.len) {
        struct slice rest = slice_from(s->bytes, *at);
        ptrdiff_t end = slice_find(rest, '\n');
        struct slice line = slice_sub(rest, 0, end < 0 ? rest.len : (size_t)end + 1);

        *at += line.len;
        *ret = text_without_mark(without_nuls(text_without_end(line)));
        if (ret->len > 0)
            return true;
        if (line.ptr[0] == 0)
            log_scan_skip(s, SKIP_NUL, line.ptr);
    }
    return false;
}

void log_scan_done(struct log_scan *s)
{
    if (s->session_rows && s->format && s->format->discard)
        s->format->discard(&s->session_rows);
    free(s->facts);
    arena_done(&s->arena);
    *s = (struct log_scan){0};
}

void log_scan_again(struct log_scan *s)
{
    struct log_tally empty = {0};

    if (s->session_rows && s->format->discard)
        s->format->discard(&s->session_rows);
    s->session_rows = NULL;
    s->fact_count = 0;
    arena_clear(&s->arena);
    s->tally = empty;
    s->carry_end = s->carry;
    s->lines = 0;
    s->error = 0;
}
