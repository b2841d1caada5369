/*
 * logscan/connectivity_open.c - sessions that cross chunks.
 *
 * A session that begins in a chunk is followed there to the chunk's end. Rows of others, which began
 * earlier, are kept and told by merge(), when the chunks before are done and what is open is known:
 *
 *     scan:   begun here, open at the end --.      rows of sessions not begun here --.
 *     merge:  open from before <------------'      -- each takes its step, in order -'
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "logscan/connectivity.h"

struct connectivity_chunk {
    struct map sessions; /* begun here */
    struct connectivity_session *first, **sessions_end;
    struct connectivity_row *rows, **rows_end; /* of sessions begun earlier */
};

struct open_session {
    struct list link;
    struct connectivity_session session; /* of `text` */
    uint8_t text[];
};

struct open_sessions {
    struct map by_key;
    struct list order; /* the longest idle first */
};

static uint64_t random_seed(void)
{
    uint64_t seed = 0;

    return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed) ? seed : clock_mono_ns();
}

/* ---- in a chunk ---- */

static void *take(struct log_scan *s, size_t n)
{
    void *ret = arena_take(&s->arena, n);

    if (!ret)
        s->error = -ENOMEM;
    else
        memset(ret, 0, n);
    return ret;
}

struct connectivity_chunk *connectivity_chunk_new(struct log_scan *s)
{
    struct connectivity_chunk *chunk = take(s, sizeof(*chunk));

    if (chunk) {
        map_init(&chunk->sessions, random_seed());
        chunk->sessions_end = &chunk->first;
        chunk->rows_end = &chunk->rows;
    }
    return chunk;
}

static void begin(struct log_scan *s, struct connectivity_chunk *chunk,
                  struct connectivity_session *c, struct slice key)
{
    struct connectivity_session *next = c ? c->next : NULL;

    if (!c) {
        c = take(s, sizeof(*c));
        if (!c)
            return;
        if (map_put(&chunk->sessions, key, c) < 0) {
            s->error = -ENOMEM;
            return;
        }
        *chunk->sessions_end = c;
        chunk->sessions_end = &c->next;
        c->key = key;
    }
    *c = (struct connectivity_session){.key = c->key, .is_open = true, .next = next};
}

static void keep_row(struct log_scan *s, struct connectivity_chunk *chunk,
                     const struct connectivity_row *row)
{
    struct connectivity_row *kept = take(s, sizeof(*kept));

    if (!kept)
        return;
    *kept = *row;
    *chunk->rows_end = kept;
    chunk->rows_end = &kept->next;
}

void connectivity_chunk_row(struct log_scan *s, struct connectivity_chunk *chunk,
                            const struct connectivity_row *row)
{
    struct connectivity_session *c = map_get(&chunk->sessions, row->session);

    if (row->direction == '+') {
        begin(s, chunk, c, row->session);
    } else if (!c) {
        keep_row(s, chunk, row);
    } else if (row->direction == '-') {
        connectivity_end(s, c, row);
        c->host = c->address = c->error = slice_make(NULL, 0);
        c->is_open = false;
    } else {
        connectivity_step(c, row);
        c->is_open = true;
    }
}

void connectivity_chunk_end(struct log_scan *s, struct connectivity_chunk *chunk)
{
    map_done(&chunk->sessions);
    s->session_rows = chunk;
}

/* ---- from chunk to chunk ---- */

static void forget(struct open_sessions *all, struct open_session *o)
{
    (void)map_remove(&all->by_key, o->session.key);
    list_del(&o->link);
    free(o);
}

static struct slice put_text(uint8_t **to, struct slice s)
{
    struct slice copy = slice_make(*to, s.len);

    if (s.len > 0)
        memcpy(*to, s.ptr, s.len);
    *to += s.len;
    return copy;
}

/* Copies it in the place of `old`, which may hold its texts; NULL: it was not there. */
static int put_open(struct open_sessions *all, struct open_session *old,
                    const struct connectivity_session *c)
{
    size_t len = c->key.len + c->host.len + c->address.len + c->error.len;
    struct open_session *o = malloc(sizeof(*o) + len);
    uint8_t *to;

    if (!o)
        return -ENOMEM;
    to = o->text;
    o->session = (struct connectivity_session){.key = put_text(&to, c->key),
                                               .host = put_text(&to, c->host),
                                               .address = put_text(&to, c->address),
                                               .error = put_text(&to, c->error)};
    if (old)
        forget(all, old);
    if (map_put(&all->by_key, o->session.key, o) < 0) {
        free(o);
        return -ENOMEM;
    }
    list_add_tail(&all->order, &o->link);
    if (map_count(&all->by_key) > CONNECTIVITY_OPEN_MAX)
        forget(all, LIST_ENTRY(all->order.next, struct open_session, link));
    return 0;
}

static int copy_text(struct log_scan *s, struct slice *text)
{
    struct slice copy = arena_copy(&s->arena, *text);

    if (copy.len < text->len)
        return -ENOMEM;
    *text = copy;
    return 0;
}

/* A row of a session that began before the chunk, or before the log. */
static int take_row(struct open_sessions *all, struct log_scan *s,
                    const struct connectivity_row *row)
{
    struct open_session *o = map_get(&all->by_key, row->session);
    struct connectivity_session c =
        o ? o->session : (struct connectivity_session){.key = row->session};

    if (row->direction != '-') {
        connectivity_step(&c, row);
        return put_open(all, o, &c);
    }
    if (copy_text(s, &c.host) < 0 || copy_text(s, &c.address) < 0 || copy_text(s, &c.error) < 0)
        return -ENOMEM;
    connectivity_end(s, &c, row);
    if (o)
        forget(all, o);
    return s->error;
}

static int merge_chunk(struct open_sessions *all, struct log_scan *s,
                       const struct connectivity_chunk *chunk)
{
    size_t from = s->fact_count;

    for (const struct connectivity_row *row = chunk->rows; row; row = row->next) {
        int r = take_row(all, s, row);

        if (r < 0)
            return r;
    }
    for (const struct connectivity_session *c = chunk->first; c; c = c->next) {
        struct open_session *old = map_get(&all->by_key, c->key);
        int r = c->is_open ? put_open(all, old, c) : 0;

        if (r < 0)
            return r;
        if (!c->is_open && old)
            forget(all, old);
    }
    return log_scan_sort_in(s, from);
}

int connectivity_merge(void **state, struct log_scan *s)
{
    const struct connectivity_chunk *chunk = s->session_rows;
    struct open_sessions *all = *state;

    s->session_rows = NULL; /* it is in the arena */
    if (!chunk)
        return 0;
    if (!all) {
        all = malloc(sizeof(*all));
        if (!all)
            return -ENOMEM;
        map_init(&all->by_key, random_seed());
        list_init(&all->order);
        *state = all;
    }
    return merge_chunk(all, s, chunk);
}

void connectivity_free_state(void **state)
{
    struct open_sessions *all = *state;

    if (!all)
        return;
    while (!list_is_empty(&all->order))
        forget(all, LIST_ENTRY(all->order.next, struct open_session, link));
    map_done(&all->by_key);
    free(all);
    *state = NULL;
}
