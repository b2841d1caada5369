/*
 * logscan/protocol.c - the two protocol logs of Exchange, and Penstock's own in that form: one chunk.
 *
 * Sessions that begin in the chunk are followed here, on any thread. A row of a session that began
 * before is kept for protocol_merge(), as are all its further rows in the chunk, and so is the first
 * row of each session that begins: it may be that the same id was open before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "logscan/csv_rows.h"
#include "logscan/formats.h"
#include "logscan/protocol.h"
#include "logscan/protocol_replies.h"
#include "logscan/search.h"
#include "logscan/text.h"

#define SLOTS_FIRST 512 /* a power of two */

/* ---- the sessions of a chunk ---- */

struct slot {
    uint64_t key;
    struct protocol_session *session; /* or one of the two below; NULL: free */
};

/* A session that began before the chunk; one that has ended. */
static struct protocol_session is_kept, has_ended;

struct chunk {
    struct protocol_reader reader;
    struct protocol_row
        row; /* here and not where it is read, where it would be cleared each time */
    struct protocol_rows *rows;
    struct slot *slots; /* in the arena */
    size_t size, used;
    struct slot *last;
    struct protocol_session **spare; /* have ended: for the next ones */
    uint32_t spare_count, spare_room;
};

static struct slot *find_slot(const struct chunk *c, uint64_t key)
{
    size_t mask = c->size - 1, i = protocol_hash(key) & mask;

    while (c->slots[i].session && c->slots[i].key != key)
        i = (i + 1) & mask;
    return &c->slots[i];
}

static bool grow_slots(struct chunk *c)
{
    struct chunk bigger = *c;

    bigger.size = c->size ? c->size * 2 : SLOTS_FIRST;
    bigger.slots = arena_take(&c->reader.s->arena, bigger.size * sizeof(*bigger.slots));
    if (!bigger.slots)
        return false;
    memset(bigger.slots, 0, bigger.size * sizeof(*bigger.slots));
    for (size_t i = 0; i < c->size; i++)
        if (c->slots[i].session)
            *find_slot(&bigger, c->slots[i].key) = c->slots[i];
    c->slots = bigger.slots;
    c->size = bigger.size;
    c->last = NULL;
    return true;
}

/* The slot of a session, perhaps a free one; NULL: no memory. */
static struct slot *slot_of(struct chunk *c, uint64_t key)
{
    if (c->last && c->last->key == key)
        return c->last;
    if (c->used * 2 >= c->size && !grow_slots(c))
        return NULL;
    c->last = find_slot(c, key);
    if (!c->last->session)
        c->used++;
    c->last->key = key;
    return c->last;
}

static struct protocol_session *new_session(struct chunk *c, uint64_t key)
{
    struct protocol_session *p;

    if (c->spare_count > 0) {
        p = c->spare[--c->spare_count];
    } else {
        p = arena_take(&c->reader.s->arena, sizeof(*p));
        if (!p) {
            c->reader.s->error = -ENOMEM;
            return NULL;
        }
        *p = (struct protocol_session){0};
    }
    protocol_session_init(p, key, /* is_middle= */ false);
    return p;
}

/* It has ended; its lists are of use to the next. */
static void end_session(struct chunk *c, struct slot *slot)
{
    void *list = c->spare;

    if (protocol_list_room(c->reader.s, &list, c->spare_count, &c->spare_room, sizeof(*c->spare))) {
        c->spare = list;
        c->spare[c->spare_count++] = slot->session;
    }
    slot->session = &has_ended;
}

/* ---- rows ---- */

static void keep_row(struct chunk *c, struct slice line, bool ends_another)
{
    struct protocol_rows *rows = c->rows;
    void *list = rows->rows;

    if (!protocol_list_room(c->reader.s, &list, rows->row_count, &rows->row_room,
                            sizeof(*rows->rows)))
        return;
    rows->rows = list;
    rows->rows[rows->row_count++] = (struct protocol_kept_row){
        .offset = (uint64_t)(line.ptr - c->reader.s->bytes.ptr),
        .len = (uint32_t)line.len,
        .columns = c->reader.columns,
        .ends_another = ends_another,
    };
}

static bool is_followed(const struct slot *slot)
{
    return slot->session && slot->session != &is_kept && slot->session != &has_ended;
}

static void follow(struct chunk *c, struct slice line)
{
    const struct protocol_row *row = &c->row;
    struct slot *slot = slot_of(c, row->session);
    bool begins = protocol_row_begins(row);

    if (!slot) {
        c->reader.s->error = -ENOMEM;
        return;
    }
    if (is_followed(slot)) {
        if (begins) {
            protocol_session_lost(&c->reader, slot->session, row);
            protocol_session_init(slot->session, row->session, /* is_middle= */ false);
        }
    } else if (slot->session != &is_kept && begins) {
        slot->session = new_session(c, row->session);
        if (!slot->session)
            return;
        keep_row(c, line, /* ends_another= */ true);
    } else {
        keep_row(c, line, /* ends_another= */ false);
        slot->session = row->event == '-' ? &has_ended : &is_kept;
        return;
    }
    if (protocol_session_row(&c->reader, slot->session, row))
        end_session(c, slot);
}

static void take_row(struct chunk *c, struct slice line)
{
    struct log_scan *s = c->reader.s;
    enum log_skip why;

    switch (protocol_row_read(&c->reader, line, &c->row, &why)) {
    case PROTOCOL_SKIPPED:
        log_scan_skip(s, why, line.ptr);
        return;
    case PROTOCOL_PASSED:
        break;
    case PROTOCOL_WANTED:
        follow(c, line);
        break;
    }
    s->tally.rows++;
}

/* ---- chunks ---- */

static void take_header(struct chunk *c, struct slice line)
{
    struct slice names;

    c->reader.s->tally.headers++;
    if (log_columns_header(line, &names))
        protocol_reader_columns(&c->reader, log_columns_of(names));
}

/* As log_scan_line(), which is asked for what does not begin like a row. Counts the lines. */
static bool next_line(struct log_scan *s, size_t *at, struct slice *ret)
{
    const uint8_t *line = s->bytes.ptr + *at, *end = NULL;
    size_t before = *at;
    bool ok;

    if (*at < s->bytes.len && byte_is_digit(*line))
        end = memchr(line, '\n', s->bytes.len - *at);
    if (!end) {
        ok = log_scan_line(s, at, ret);
        s->lines += search_count(slice_sub(s->bytes, before, *at - before), '\n');
        return ok;
    }
    *at += (size_t)(end + 1 - line);
    *ret = slice_make(line, (size_t)(end - line));
    if (ret->ptr[ret->len - 1] == '\r')
        ret->len--;
    s->lines++;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct protocol_session *const *x = a, *const *y = b;

    return (*x)->key < (*y)->key ? -1 : (*x)->key > (*y)->key;
}

/* Leaves what is open to the merge, in an order that does not hang on the table's. */
static void leave_open(struct chunk *c)
{
    struct protocol_rows *rows = c->rows;

    for (size_t i = 0; i < c->size; i++) {
        void *list = rows->open;

        if (!is_followed(&c->slots[i]))
            continue;
        if (!protocol_list_room(c->reader.s, &list, rows->open_count, &rows->open_room,
                                sizeof(*rows->open)))
            return;
        rows->open = list;
        rows->open[rows->open_count++] = c->slots[i].session;
    }
    if (rows->open_count > 1)
        qsort(rows->open, rows->open_count, sizeof(*rows->open), by_key);
}

static void scan_sessions(struct log_scan *s, bool is_send)
{
    struct chunk c = {.rows = arena_take(&s->arena, sizeof(*c.rows))};
    struct slice line;
    size_t at = 0;

    protocol_reader_init(&c.reader, s, is_send);
    if (!c.rows) {
        s->error = -ENOMEM;
        return;
    }
    *c.rows = (struct protocol_rows){0};
    s->lines = 0;
    while (s->error == 0 && next_line(s, &at, &line)) {
        if (line.ptr[0] == '#')
            take_header(&c, line);
        else
            take_row(&c, line);
    }
    leave_open(&c);
    s->carry_end = s->carry;
    s->carry_end.columns = c.reader.columns;
    s->session_rows = c.rows;
}

static void scan(struct log_scan *s, bool is_send)
{
    if (s->wants & (WANT_LIVES | WANT_SESSIONS))
        scan_sessions(s, is_send);
    else
        protocol_scan_replies(s, is_send ? '<' : '>');
}

static void scan_send(struct log_scan *s)
{
    scan(s, true);
}

static void scan_receive(struct log_scan *s)
{
    scan(s, false);
}

static int merge_send(void **state, struct log_scan *s)
{
    return protocol_merge(state, s, true);
}

static int merge_receive(void **state, struct log_scan *s)
{
    return protocol_merge(state, s, false);
}

/* All is in the chunk's arena. */
static void discard(void **session_rows)
{
    *session_rows = NULL;
}

/* ---- files and rows ---- */

#define SURE 100 /* it says so itself */

static unsigned detect(struct slice head, struct slice type)
{
    struct slice prefix = SLICE_LIT("#Log-type:");

    while (head.len > 0) {
        struct slice line = text_take_line(&head);

        if (slice_has_prefix_case(line, prefix))
            return slice_has_prefix_case(slice_trim(slice_from(line, prefix.len)), type) ? SURE : 0;
    }
    return 0;
}

static unsigned detect_send(struct slice head)
{
    return detect(head, SLICE_LIT("SMTP Send Protocol Log"));
}

static unsigned detect_receive(struct slice head)
{
    return detect(head, SLICE_LIT("SMTP Receive Protocol Log"));
}

const struct log_format exchange_send_format = {
    .name = "exchange-send",
    .title = "Exchange SMTP send protocol log",
    .detect = detect_send,
    .scan = scan_send,
    .begins_row = csv_rows_begins,
    .merge = merge_send,
    .discard = discard,
    .free_state = protocol_free_state,
    .split = csv_rows_split,
    .reply_column = FIELD_DATA,
};

const struct log_format exchange_receive_format = {
    .name = "exchange-receive",
    .title = "Exchange SMTP receive protocol log",
    .detect = detect_receive,
    .scan = scan_receive,
    .begins_row = csv_rows_begins,
    .merge = merge_receive,
    .discard = discard,
    .free_state = protocol_free_state,
    .split = csv_rows_split,
    .reply_column = FIELD_DATA,
};
