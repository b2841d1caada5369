/*
 * logscan/protocol_open.c - sessions that go on in the next chunk.
 *
 * Between chunks a session lies in one block of memory with all its text. The first row of it in a
 * chunk brings it into the chunk's arena, so that facts may point into it until they are read; what is
 * open at the chunk's end goes back into a block. The list is in the order of their last rows' chunks.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "logscan/protocol.h"

#define BUCKETS 4096

struct open_session {
    struct list node;          /* in by_age or in_use */
    struct open_session *next; /* in the bucket */
    struct protocol_session *session;
    void *block; /* NULL: the session is in the chunk's arena */
    size_t bytes;
};

struct open_sessions {
    struct open_session *buckets[BUCKETS];
    struct list by_age, in_use;
    size_t count, bytes;
};

/* ---- the table ---- */

static struct open_session **place_of(struct open_sessions *all, uint64_t key)
{
    struct open_session **at = &all->buckets[protocol_hash(key) % BUCKETS];

    while (*at && (*at)->session->key != key)
        at = &(*at)->next;
    return at;
}

static void forget(struct open_sessions *all, struct open_session *o)
{
    struct open_session **at = place_of(all, o->session->key);

    *at = o->next;
    list_del(&o->node);
    all->count--;
    all->bytes -= o->bytes;
    free(o->block);
    free(o);
}

static struct open_session *add(struct open_sessions *all, struct protocol_session *p)
{
    struct open_session *o = calloc(1, sizeof(*o)), **at;

    if (!o)
        return NULL;
    at = place_of(all, p->key); /* a free one: who calls has looked */
    o->session = p;
    *at = o;
    list_add_tail(&all->in_use, &o->node);
    all->count++;
    return o;
}

/* Into a block. */
static int put_away(struct open_sessions *all, struct open_session *o)
{
    size_t bytes = protocol_session_bytes(o->session);
    void *block = malloc(bytes);

    if (!block)
        return -ENOMEM;
    o->session = protocol_session_copy(block, o->session);
    o->block = block;
    o->bytes = bytes;
    all->bytes += bytes;
    list_del(&o->node);
    list_add_tail(&all->by_age, &o->node);
    return 0;
}

/* Out of its block into the arena. */
static int take_out(struct open_sessions *all, struct open_session *o, struct arena *a)
{
    void *room = o->block ? arena_take(a, o->bytes) : NULL;

    if (!o->block)
        return 0;
    if (!room)
        return -ENOMEM;
    o->session = protocol_session_copy(room, o->session);
    free(o->block);
    o->block = NULL;
    all->bytes -= o->bytes;
    o->bytes = 0;
    list_del(&o->node);
    list_add_tail(&all->in_use, &o->node);
    return 0;
}

/* ---- rows that were kept ---- */

static struct open_session *new_session(struct open_sessions *all, struct log_scan *s, uint64_t key,
                                        bool is_middle)
{
    struct protocol_session *p = arena_take(&s->arena, sizeof(*p));

    if (!p)
        return NULL;
    *p = (struct protocol_session){0};
    protocol_session_init(p, key, is_middle);
    return add(all, p);
}

static int kept_row(struct open_sessions *all, struct protocol_reader *r,
                    const struct protocol_row *row, bool ends_another)
{
    struct open_session *o = *place_of(all, row->session);
    bool begins = protocol_row_begins(row);

    if (o && take_out(all, o, &r->s->arena) < 0)
        return -ENOMEM;
    if (o && begins) {
        protocol_session_lost(r, o->session, row);
        forget(all, o);
        o = NULL;
    }
    if (ends_another)
        return 0;
    if (!o && !(o = new_session(all, r->s, row->session, !begins)))
        return -ENOMEM;
    if (protocol_session_row(r, o->session, row))
        forget(all, o);
    return 0;
}

static int kept_rows(struct open_sessions *all, struct protocol_reader *r,
                     const struct protocol_rows *rows)
{
    struct protocol_row row;
    enum log_skip why;
    int err = 0;

    for (uint32_t i = 0; i < rows->row_count && err == 0; i++) {
        const struct protocol_kept_row *k = &rows->rows[i];

        if (k->columns != r->columns)
            protocol_reader_columns(r, k->columns);
        /* What was read once is read again. */
        if (protocol_row_read(r, slice_sub(r->s->bytes, k->offset, k->len), &row, &why) ==
            PROTOCOL_WANTED)
            err = kept_row(all, r, &row, k->ends_another);
    }
    return err;
}

static int merge_rows(struct open_sessions *all, struct log_scan *s, bool is_send,
                      const struct protocol_rows *rows)
{
    size_t from = s->fact_count;
    struct protocol_reader r;
    int err;

    protocol_reader_init(&r, s, is_send);
    err = kept_rows(all, &r, rows);
    if (err == 0)
        err = s->error;
    return err < 0 ? err : log_scan_sort_in(s, from);
}

/* What is open at the chunk's end; the longest idle are forgotten where there are too many. */
static int take_over(struct open_sessions *all, const struct protocol_rows *rows)
{
    for (uint32_t i = 0; i < rows->open_count; i++) {
        if (!add(all, rows->open[i]))
            return -ENOMEM;
    }
    LIST_FOR_SAFE(it, next, &all->in_use)
    {
        int err = put_away(all, LIST_ENTRY(it, struct open_session, node));

        if (err < 0)
            return err;
    }
    while (all->count > PROTOCOL_OPEN_MAX || all->bytes > PROTOCOL_OPEN_BYTES_MAX)
        forget(all, LIST_ENTRY(all->by_age.next, struct open_session, node));
    return 0;
}

int protocol_merge(void **state, struct log_scan *s, bool is_send)
{
    const struct protocol_rows *rows = s->session_rows;
    struct open_sessions *all = *state;
    int err;

    s->session_rows = NULL; /* its memory is the arena's */
    if (!rows)
        return 0;
    if (!all) {
        all = calloc(1, sizeof(*all));
        if (!all)
            return -ENOMEM;
        list_init(&all->by_age);
        list_init(&all->in_use);
        *state = all;
    }
    err = rows->row_count > 0 ? merge_rows(all, s, is_send, rows) : 0;
    return err < 0 ? err : take_over(all, rows);
}

void protocol_free_state(void **state)
{
    struct open_sessions *all = *state;

    if (!all)
        return;
    LIST_FOR_SAFE(it, next, &all->by_age)
    forget(all, LIST_ENTRY(it, struct open_session, node));
    LIST_FOR_SAFE(it, next, &all->in_use)
    forget(all, LIST_ENTRY(it, struct open_session, node));
    free(all);
    *state = NULL;
}
