/*
 * logscan/query_sessions.c - what each session has said of its peer.
 *
 * In a send log the first reply before any command is the greeting. Whether it is the first is not known of a
 * session that began before the chunk: its host is kept aside until the merge knows.
 */
#include "logscan/query_sessions.h"

#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "evidence/providers.h"
#include "logscan/protocol.h"
#include "logscan/reply_form.h"

struct session {
    struct slice provider; /* empty: none */
    struct slice first;    /* of the host that may have greeted */
    bool is_set;           /* what was before the chunk does not count */
    bool is_greeted;
    bool has_first, is_banner; /* `first`; it greets in any case */
    bool is_over;
};

/* Who writes the log picks the ids, and shall not know which of them meet. */
static uint64_t draw_seed(void)
{
    uint64_t seed;

    return getrandom(&seed, sizeof(seed), 0) == sizeof(seed) ? seed : clock_mono_ns();
}

/* ---- of a chunk ---- */

void query_sessions_init(struct query_sessions *s, bool is_send, const struct knowledge *k)
{
    *s = (struct query_sessions){.is_send = is_send, .knowledge = k};
    log_table_init(&s->by_id, sizeof(struct session), draw_seed());
}

void query_sessions_done(struct query_sessions *s)
{
    log_table_done(&s->by_id);
    arena_done(&s->names);
}

static int provider_of(struct query_sessions *s, struct slice host, struct slice *ret)
{
    char name[PROVIDER_NAME_MAX];
    struct provider_info info;

    *ret = (struct slice){0};
    if (host.len == 0)
        return 0;
    providers_of(s->knowledge->providers, &host, 1, name, &info);
    *ret = arena_copy(&s->names, slice_str(info.name));
    return ret->len > 0 ? 0 : -ENOMEM;
}

static int on_reply(struct query_sessions *s, struct session *p, struct slice data)
{
    struct log_reply reply;

    if (p->is_greeted || !reply_form_line(data, &reply))
        return 0;
    p->is_greeted = true;
    if (p->is_set)
        return provider_of(s, protocol_host_name(reply.text), &p->provider);
    p->has_first = true;
    p->is_banner = protocol_is_banner(&reply);
    return provider_of(s, protocol_host_name(reply.text), &p->first);
}

static int on_command(struct query_sessions *s, struct session *p, struct slice data)
{
    struct slice host;

    p->is_greeted = true;
    if (s->is_send || !protocol_hello(data, &host))
        return 0;
    p->is_set = true;
    return provider_of(s, host, &p->provider);
}

static struct query_cell held_cell(enum query_type type, struct slice id)
{
    return (struct query_cell){.ptr = id.ptr, .len = (uint32_t)id.len, .type = type};
}

static struct query_cell provider_cell(struct slice provider)
{
    return provider.len > 0 ? (struct query_cell){.ptr = provider.ptr,
                                                  .len = (uint32_t)provider.len,
                                                  .type = QUERY_TEXT}
                            : (struct query_cell){0};
}

int query_sessions_row(struct query_sessions *s, const struct query_session_row *row,
                       struct query_cell *ret)
{
    uint8_t event = row->event.len == 1 ? row->event.ptr[0] : 0;
    struct session *p = log_table_add(&s->by_id, row->id);
    int r = 0;

    if (!p)
        return -ENOMEM;
    if (event == '+' || (event == '*' && slice_eq(row->sequence, SLICE_LIT("0"))))
        *p = (struct session){.is_set = true};
    else if (event == (s->is_send ? '>' : '<'))
        r = on_command(s, p, row->data);
    else if (event == '<' && s->is_send)
        r = on_reply(s, p, row->data);
    *ret = p->is_set ? provider_cell(p->provider)
                     : held_cell(p->has_first ? QUERY_HELD_FIRST : QUERY_HELD, row->id);
    if (event == '-')
        *p = (struct session){.is_set = true, .is_greeted = true, .is_over = true};
    return r;
}

/* ---- of all chunks so far ---- */

struct known {
    struct slice provider;
    bool is_greeted;
};

void query_known_init(struct query_known *k)
{
    log_table_init(&k->young, sizeof(struct known), draw_seed());
    log_table_init(&k->old, sizeof(struct known), draw_seed());
}

void query_known_done(struct query_known *k)
{
    log_table_done(&k->young);
    log_table_done(&k->old);
    arena_done(&k->young_names);
    arena_done(&k->old_names);
}

static const struct known *find(const struct query_known *k, struct slice id)
{
    const struct known *found = log_table_find(&k->young, id);

    return found ? found : log_table_find(&k->old, id);
}

/* `is_after`: after the first reply in the chunk. */
static struct slice provider_so_far(const struct known *before, const struct session *p,
                                    bool is_after)
{
    bool greets = is_after && p->has_first && (before ? !before->is_greeted : p->is_banner);

    if (greets)
        return p->first;
    return before ? before->provider : (struct slice){0};
}

int query_known_settle(struct query_known *k, const struct query_sessions *s, struct arena *a,
                       struct query_cell *cell)
{
    struct slice id = slice_make(cell->ptr, cell->len), provider, kept;
    const struct session *p = log_table_find(&s->by_id, id);

    provider =
        p ? provider_so_far(find(k, id), p, cell->type == QUERY_HELD_FIRST) : (struct slice){0};
    kept = arena_copy(a, provider);
    *cell = provider_cell(kept);
    return kept.len == provider.len ? 0 : -ENOMEM;
}

/* Room for one more: those that were not seen for long are forgotten. */
static void age(struct query_known *k)
{
    struct log_table old = k->old;
    struct arena names = k->old_names;

    if (log_table_count(&k->young) < QUERY_SESSIONS_KNOWN)
        return;
    k->old = k->young;
    k->old_names = k->young_names;
    log_table_done(&old);
    arena_done(&names);
    k->young = old;
    k->young_names = names;
}

static int keep(struct query_known *k, struct slice id, const struct known *now)
{
    struct known *to = log_table_add(&k->young, id);

    if (!to)
        return -ENOMEM;
    to->is_greeted = now->is_greeted;
    if (slice_eq(to->provider, now->provider))
        return 0;
    to->provider = arena_copy(&k->young_names, now->provider);
    return to->provider.len == now->provider.len ? 0 : -ENOMEM;
}

int query_known_take(struct query_known *k, const struct query_sessions *s)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < log_table_count(&s->by_id); i++) {
        struct slice id;
        const struct session *p = log_table_at(&s->by_id, i, &id);
        struct known now = {.provider = p->provider, .is_greeted = p->is_greeted};
        const struct known *before;

        age(k);
        before = find(k, id);
        if (p->is_over && !before)
            continue;
        if (!p->is_set) {
            now.provider = provider_so_far(before, p, /* is_after= */ true);
            now.is_greeted = !before || before->is_greeted || p->is_greeted;
        }
        r = keep(k, id, &now);
    }
    return r;
}
