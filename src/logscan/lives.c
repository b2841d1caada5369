/*
 * logscan/lives.c - messages by the hash of their key, each with a list of its recipients.
 *
 *     unknown -- arrival --> known: attempts are numbered, outcomes counted -- end --> forgotten
 *        `--- attempt: an orphan; its message is kept only if it may be given up later
 *
 * Lists are short as a rule and walked; the recipients of a message with more than LIST_MAX are in a
 * table as well, under the hash of their address that is seeded with the message's key.
 */
#include "logscan/lives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "logscan/lives_early.h"
#include "logscan/lives_store.h"
#include "logscan/table.h"

#define LIST_MAX 8
#define NEVER INT64_MIN

struct message {
    uint64_t key;
    int64_t arrived_ms;   /* NEVER: its arrival is not in the logs */
    int64_t tried_ms;     /* NUMBERING_TIME: the last attempt */
    uint32_t first, last; /* recipients, in order of coming */
    uint32_t known, told; /* in the list; as arrivals and the first attempt say */
    uint32_t finals;      /* outcomes that are final */
    uint32_t begins;      /* attempts */
    uint32_t sender;      /* index + 1 */
    uint32_t handed;      /* recipients that another message has now */
    bool is_from_here;    /* this host gave it in */
    bool is_joined;       /* with the one that it was before */
};

struct recipient {
    uint64_t key;
    struct text { /* its address while it is open, else NULL */
        uint32_t len;
        uint8_t bytes[];
    } * text;
    uint32_t next;
    uint32_t attempts;
    uint32_t last_attempt; /* number of it, by NUMBERING_BEGIN and NUMBERING_TIME */
    bool is_deferred;      /* was, at least once */
    bool is_resolved;
};

struct lives {
    uint64_t seed;
    lives_attempt_fn *fn;
    void *ctx;
    struct lives_store messages, recipients;
    struct lives_index by_key, by_address;
    struct lives_counts counts; /* `recipients`: of messages that are over; no `pending` */
    uint64_t texts;             /* of recipients that are open */
    struct lives_early early;   /* attempts of messages that may arrive yet */
    struct ended {              /* of this host's own messages, the last */
        uint64_t key;
        bool is_joined;
    } ended[LIVES_ENDED_MAX];
    size_t next_ended;
    bool keeps_senders;
    struct log_table senders; /* of a uint32_t: index + 1 */
};

int lives_new(struct lives **ret, uint64_t seed, lives_attempt_fn *fn, void *ctx)
{
    struct lives *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    *l = (struct lives){.seed = seed,
                        .fn = fn,
                        .ctx = ctx,
                        .messages.size = sizeof(struct message),
                        .recipients.size = sizeof(struct recipient)};
    log_table_init(&l->senders, sizeof(uint32_t), seed);
    *ret = l;
    return 0;
}

static struct message *message_at(const struct lives *l, uint32_t number)
{
    return lives_store_at(&l->messages, number);
}

static struct recipient *recipient_at(const struct lives *l, uint32_t number)
{
    return lives_store_at(&l->recipients, number);
}

void lives_keep_senders(struct lives *l)
{
    l->keeps_senders = true;
}

/* ---- recipients ---- */

static void forget_text(struct lives *l, struct recipient *r)
{
    l->texts -= r->text != NULL;
    free(r->text);
    r->text = NULL;
}

static int keep_text(struct lives *l, struct recipient *r, struct slice address)
{
    uint32_t len = (uint32_t)MIN_OF(address.len, (size_t)UINT32_MAX);

    if (r->text)
        return 0;
    r->text = malloc(sizeof(*r->text) + len);
    if (!r->text)
        return -ENOMEM;
    l->texts++;
    r->text->len = len;
    if (len > 0)
        memcpy(r->text->bytes, address.ptr, len);
    return 0;
}

static struct slice text_of(const struct recipient *r)
{
    return r->text ? slice_make(r->text->bytes, r->text->len) : slice_make(NULL, 0);
}

static struct recipient *find_recipient(const struct lives *l, const struct message *m,
                                        uint64_t key)
{
    uint32_t number = m->first;

    if (m->known > LIST_MAX) {
        number = lives_index_find(&l->by_address, &l->recipients, key);
        return number ? recipient_at(l, number) : NULL;
    }
    while (number != 0) {
        struct recipient *r = recipient_at(l, number);

        if (r->key == key)
            return r;
        number = r->next;
    }
    return NULL;
}

/* From LIST_MAX + 1 recipients on all of them are in the table. */
static int index_recipients(struct lives *l, const struct message *m)
{
    uint32_t number = m->known == LIST_MAX + 1 ? m->first : m->last;
    int r = 0;

    if (m->known <= LIST_MAX)
        return 0;
    while (r == 0 && number != 0) {
        r = lives_index_add(&l->by_address, &l->recipients, number);
        number = recipient_at(l, number)->next;
    }
    return r;
}

static struct recipient *add_recipient(struct lives *l, struct message *m, struct slice address)
{
    uint64_t key = log_hash(address, l->seed ^ m->key);
    struct recipient *r = find_recipient(l, m, key);
    uint32_t number;

    if (r)
        return r;
    number = lives_store_take(&l->recipients);
    if (number == 0)
        return NULL;
    r = recipient_at(l, number);
    r->key = key;
    if (m->last != 0)
        recipient_at(l, m->last)->next = number;
    else
        m->first = number;
    m->last = number;
    m->known++;
    return index_recipients(l, m) == 0 ? r : NULL;
}

static void free_recipients(struct lives *l, struct message *m)
{
    uint32_t number = m->first, next;

    for (; number != 0; number = next) {
        struct recipient *r = recipient_at(l, number);

        next = r->next;
        forget_text(l, r);
        if (m->known > LIST_MAX)
            lives_index_remove(&l->by_address, &l->recipients, number);
        lives_store_give(&l->recipients, number);
    }
    m->first = m->last = m->known = 0;
}

/* ---- messages ---- */

static uint64_t key_of(const struct lives *l, const struct log_fact *f)
{
    return log_hash(f->message, l->seed);
}

static struct message *find_message(const struct lives *l, uint64_t key)
{
    uint32_t number = lives_index_find(&l->by_key, &l->messages, key);

    return number ? message_at(l, number) : NULL;
}

static struct message *add_message(struct lives *l, uint64_t key)
{
    struct message *m = find_message(l, key);
    uint32_t number;

    if (m)
        return m;
    number = lives_store_take(&l->messages);
    if (number == 0)
        return NULL;
    m = message_at(l, number);
    m->key = key;
    m->arrived_ms = m->tried_ms = NEVER;
    return lives_index_add(&l->by_key, &l->messages, number) == 0 ? m : NULL;
}

static uint64_t recipients_of(const struct message *m)
{
    return MAX_OF(m->told, m->known) - m->handed; /* which are among the known */
}

static uint64_t open_of(const struct message *m)
{
    uint64_t all = recipients_of(m);

    return all > m->finals ? all - m->finals : 0;
}

static void add_told(struct message *m, uint32_t number)
{
    m->told = number > UINT32_MAX - m->told ? UINT32_MAX : m->told + number;
}

static int keep_sender(struct lives *l, struct message *m, struct slice sender)
{
    uint32_t *index;

    if (!l->keeps_senders || sender.len == 0 || m->sender != 0)
        return 0;
    index = log_table_add(&l->senders, sender);
    if (!index)
        return -ENOMEM;
    if (*index == 0)
        *index = (uint32_t)log_table_count(&l->senders);
    m->sender = *index;
    return 0;
}

static struct slice sender_of(const struct lives *l, const struct message *m,
                              const struct log_fact *f)
{
    struct slice sender = f->sender;

    if (sender.len == 0 && m && m->sender != 0)
        (void)log_table_at(&l->senders, m->sender - 1, &sender);
    return sender;
}

/* What was tried before the arrival was another message's of the same key, and so are those
 * recipients; such as were only named are of this one. */
static int forget_tried(struct lives *l, struct message *m)
{
    struct message old = *m;
    int error = 0;

    m->first = m->last = m->known = m->finals = m->begins = m->handed = 0;
    m->tried_ms = NEVER;
    for (uint32_t number = old.first; number != 0 && error == 0;) {
        const struct recipient *r = recipient_at(l, number);
        struct recipient *same;

        if (r->attempts == 0 && r->text) {
            /* The old one is still in the table under the same key: it would be found there. */
            if (old.known > LIST_MAX)
                lives_index_remove(&l->by_address, &l->recipients, number);
            same = add_recipient(l, m, text_of(r));
            error = same ? keep_text(l, same, text_of(r)) : -ENOMEM;
        }
        number = r->next;
    }
    free_recipients(l, &old);
    return error;
}

static int take_arrival(struct lives *l, const struct log_fact *f)
{
    struct message *m = add_message(l, key_of(l, f));
    int r = 0;

    if (!m)
        return -ENOMEM;
    if (m->arrived_ms == NEVER) {
        if (m->known > 0)
            r = forget_tried(l, m);
        m->arrived_ms = f->at_ms;
        m->is_from_here = f->is_from_here;
        l->counts.messages += !f->is_copy;
    }
    add_told(m, f->number);
    return r == 0 ? keep_sender(l, m, f->sender) : r;
}

static int take_recipient(struct lives *l, const struct log_fact *f)
{
    struct message *m = add_message(l, key_of(l, f));
    struct recipient *r = m ? add_recipient(l, m, f->recipient) : NULL;

    if (!r)
        return -ENOMEM;
    return r->is_resolved ? 0 : keep_text(l, r, f->recipient);
}

static int take_begin(struct lives *l, const struct log_fact *f)
{
    struct message *m = find_message(l, key_of(l, f));

    if (!m || m->arrived_ms == NEVER)
        return 0;
    if (m->begins == 0)
        add_told(m, f->number);
    m->begins++;
    return keep_sender(l, m, f->sender);
}

static void take_end(struct lives *l, const struct log_fact *f)
{
    uint32_t number = lives_index_find(&l->by_key, &l->messages, key_of(l, f));
    struct message *m;

    if (number == 0)
        return;
    m = message_at(l, number);
    if (m->arrived_ms != NEVER) {
        l->counts.recipients += recipients_of(m);
        l->counts.lost += open_of(m);
    }
    if (m->is_from_here)
        l->ended[l->next_ended++ % LIVES_ENDED_MAX] = (struct ended){m->key, m->is_joined};
    free_recipients(l, m);
    lives_index_remove(&l->by_key, &l->messages, number);
    lives_store_give(&l->messages, number);
}

/* ---- attempts ---- */

static bool is_final(const struct log_fact *f)
{
    return f->kind == FACT_EXPIRY || f->outcome != OUTCOME_DEFERRED;
}

/* An end by this host's own verdict (a route, a rule, the operator) counts for nothing: no host was
 * tried. */
static bool is_try(const struct log_fact *f)
{
    return f->kind == FACT_ATTEMPT && f->counts != 0;
}

static void count_orphan(struct lives *l, const struct log_fact *f)
{
    l->counts.orphan_attempts += is_try(f);
    l->counts.orphan_final += is_final(f);
}

static void count_known(struct lives_counts *c, const struct log_fact *f, uint32_t number,
                        bool was_deferred)
{
    bool is_expiry = f->kind == FACT_EXPIRY;
    bool is_delivered = !is_expiry && f->outcome == OUTCOME_DELIVERED;

    if (is_try(f) && number == 1) {
        c->first_attempts++;
        c->first_attempt_delivered += is_delivered;
    } else if (is_try(f)) {
        c->retry_attempts++;
        c->retry_delivered += is_delivered;
    }
    if (is_delivered) {
        c->delivered++;
        c->deferred_then_delivered += was_deferred;
    } else if (is_final(f)) {
        *(is_expiry ? &c->expired : &c->failed) += 1;
        c->deferred_then_failed += was_deferred;
    } else {
        c->deferred_recipients += !was_deferred;
    }
}

static uint32_t number_of(const struct message *m, const struct recipient *r,
                          const struct log_fact *f)
{
    uint32_t number = m->begins;

    if (f->numbering == NUMBERING_RECIPIENT)
        number = r->attempts;
    else if (f->numbering == NUMBERING_GIVEN)
        number = f->number;
    return MAX_OF(number, 1U);
}

static void tell(const struct lives *l, const struct log_fact *f, const struct message *m,
                 struct slice address, uint32_t number, bool was_deferred)
{
    struct log_attempt a = {.fact = f,
                            .recipient = address,
                            .sender = sender_of(l, m, f),
                            .number = number,
                            .was_deferred = was_deferred,
                            .is_expiry = f->kind == FACT_EXPIRY,
                            .arrived_ms = m ? m->arrived_ms : NEVER};

    if (l->fn)
        l->fn(l->ctx, &a);
}

/* One recipient's outcome. `address` may be the recipient's own text, which is forgotten last. */
static int settle(struct lives *l, const struct log_fact *f, struct message *m, struct recipient *r,
                  struct slice address)
{
    bool was_deferred = r->is_deferred;
    uint32_t number = 0;

    if (f->kind != FACT_EXPIRY) {
        r->attempts += r->attempts < UINT32_MAX;
        r->last_attempt = m->begins;
    }
    if (m->arrived_ms == NEVER) {
        count_orphan(l, f);
    } else {
        number = f->kind == FACT_EXPIRY ? 0 : number_of(m, r, f);
        count_known(&l->counts, f, number, was_deferred);
    }
    tell(l, f, m, address, number, was_deferred);
    r->is_resolved = is_final(f);
    if (r->is_resolved) {
        m->finals += m->finals < UINT32_MAX;
        forget_text(l, r);
        return 0;
    }
    r->is_deferred = true;
    return keep_text(l, r, address);
}

static int one(struct lives *l, const struct log_fact *f, struct message *m)
{
    struct recipient *r = add_recipient(l, m, f->recipient);

    return r ? settle(l, f, m, r, f->recipient) : -ENOMEM;
}

static bool has_own_fact(const struct message *m, const struct recipient *r,
                         const struct log_fact *f)
{
    if (f->kind == FACT_EXPIRY || r->attempts == 0)
        return false;
    return (f->numbering == NUMBERING_TIME || f->numbering == NUMBERING_BEGIN) &&
           r->last_attempt == m->begins;
}

static int each_open(struct lives *l, const struct log_fact *f, struct message *m)
{
    uint32_t number = m->first, looked = 0, next;
    int error = 0;

    for (; number != 0 && error == 0; number = next) {
        struct recipient *r = recipient_at(l, number);

        next = r->next;
        if (looked++ == LIVES_EXPANDED_MAX) {
            l->counts.not_expanded++;
            break;
        }
        if (!r->is_resolved && !has_own_fact(m, r, f))
            error = settle(l, f, m, r, text_of(r));
    }
    return error;
}

/* What is given up without having been named by anything. */
static void expire_unnamed(struct lives *l, struct message *m)
{
    if (m->arrived_ms == NEVER || m->told <= m->known || m->finals >= m->told)
        return;
    l->counts.expired += m->told - MAX_OF(m->known, m->finals);
    m->finals += m->told - MAX_OF(m->known, m->finals);
}

static int take_expiry(struct lives *l, const struct log_fact *f)
{
    struct message *m = find_message(l, key_of(l, f));
    int r;

    if (f->recipient.len > 0 && !m) {
        count_orphan(l, f);
        tell(l, f, NULL, f->recipient, 0, false);
        return 0;
    }
    if (!m)
        return 0;
    if (f->recipient.len > 0)
        return one(l, f, m);
    r = each_open(l, f, m);
    expire_unnamed(l, m);
    return r;
}

/* ---- handed over to this host itself ---- */

/* Where it is kept that the message is joined; NULL: it is none of this host's own that is known. */
static bool *find_next(struct lives *l, uint64_t key, struct message **ret_next)
{
    struct message *next = find_message(l, key);

    *ret_next = next;
    if (next)
        return next->is_from_here ? &next->is_joined : NULL;
    for (size_t i = 0; i < LIVES_ENDED_MAX; i++)
        if (l->ended[i].key == key)
            return &l->ended[i].is_joined;
    return NULL;
}

/* What was deferred before it was handed over goes on where it is now. */
static int go_on(struct lives *l, const struct log_fact *f, const struct recipient *from,
                 struct message *next)
{
    struct recipient *r = add_recipient(l, next, f->recipient);

    if (!r)
        return -ENOMEM;
    r->attempts += from->attempts;
    r->is_deferred |= from->is_deferred;
    return r->is_resolved ? 0 : keep_text(l, r, f->recipient);
}

/* 1: it was; 0: it is an attempt like others. */
static int hand_over(struct lives *l, const struct log_fact *f, struct message *m)
{
    struct message *next;
    bool *is_joined = find_next(l, log_hash(f->next, l->seed), &next);
    bool has_arrived = m && m->arrived_ms != NEVER;
    struct recipient *r = m && is_joined && next != m ? add_recipient(l, m, f->recipient) : NULL;

    if (!is_joined || next == m || (r && r->is_resolved)) {
        l->counts.handed_away += !is_joined;
        return 0;
    }
    if (m && !r)
        return -ENOMEM;
    l->counts.handed_over++;
    if (has_arrived && !*is_joined) {
        l->counts.messages--;
        if (next)
            next->arrived_ms = m->arrived_ms;
    }
    *is_joined = true;
    if (!r)
        return 1;
    r->is_resolved = true;
    forget_text(l, r);
    m->handed++;
    if (next && has_arrived && r->is_deferred && go_on(l, f, r, next) < 0)
        return -ENOMEM;
    return 1;
}

/* `m`: its message; NULL: not known. */
static int take_attempt_of(struct lives *l, const struct log_fact *f, struct message *m)
{
    int r = f->next.len > 0 && f->recipient.len > 0 ? hand_over(l, f, m) : 0;

    if (r != 0)
        return MIN_OF(r, 0);
    /* Of an orphan that is deferred its recipient is kept: it may be given up. */
    if (!m && !is_final(f)) {
        m = add_message(l, key_of(l, f));
        if (!m)
            return -ENOMEM;
    }
    if (!m) {
        count_orphan(l, f);
        tell(l, f, NULL, f->recipient, 0, false);
        return 0;
    }
    if (f->numbering == NUMBERING_TIME && m->tried_ms != f->at_ms) {
        m->tried_ms = f->at_ms;
        m->begins++;
    }
    return f->recipient.len > 0 || m->known == 0 ? one(l, f, m) : each_open(l, f, m);
}

/* ---- attempts before their arrival ---- */

static int take_kept(struct lives *l, struct lives_early_fact *kept)
{
    int r = take_attempt_of(l, &kept->fact, find_message(l, key_of(l, &kept->fact)));

    lives_early_done(kept);
    return r;
}

/* Takes those of a message that are of before `before_ms`, in order. */
static int take_waiting(struct lives *l, uint64_t key, int64_t before_ms)
{
    struct lives_early_fact kept;
    int r = 0;

    while (r == 0 && lives_early_take_of(&l->early, key, before_ms, &kept))
        r = take_kept(l, &kept);
    return r;
}

static int wait_for_arrival(struct lives *l, const struct log_fact *f, uint64_t key)
{
    struct lives_early_fact oldest;
    int r = 0;

    if (lives_early_is_full(&l->early) && lives_early_take(&l->early, &oldest))
        r = take_kept(l, &oldest);
    return r == 0 ? lives_early_keep(&l->early, key, f) : r;
}

int lives_end(struct lives *l)
{
    struct lives_early_fact kept;
    int r = 0;

    while (r == 0 && lives_early_take(&l->early, &kept))
        r = take_kept(l, &kept);
    return r;
}

static int take_attempt(struct lives *l, const struct log_fact *f)
{
    uint64_t key;
    struct message *m;

    if (f->numbering == NUMBERING_NONE) {
        tell(l, f, NULL, f->recipient, 0, false);
        return 0;
    }
    key = key_of(l, f);
    m = find_message(l, key);
    if (!m && f->is_unordered)
        return wait_for_arrival(l, f, key);
    return take_attempt_of(l, f, m);
}

/* ---- all ---- */

static int take(struct lives *l, const struct log_fact *f)
{
    switch ((enum fact_kind)f->kind) {
    case FACT_ARRIVAL:
        return take_arrival(l, f);
    case FACT_RECIPIENT:
        return take_recipient(l, f);
    case FACT_BEGIN:
        return take_begin(l, f);
    case FACT_ATTEMPT:
        return take_attempt(l, f);
    case FACT_EXPIRY:
        return take_expiry(l, f);
    case FACT_END:
        take_end(l, f);
        break;
    case FACT_REPLY:
    default:
        break;
    }
    return 0;
}

/* What waits and is older than the arrival was another message's of the same key; of what else the message
 * is over, or a recipient given up, it was none's. */
static int take_unordered(struct lives *l, const struct log_fact *f)
{
    uint64_t key = key_of(l, f);
    int r = 0;

    if (f->kind != FACT_ATTEMPT)
        r = take_waiting(l, key, f->kind == FACT_ARRIVAL ? f->at_ms : INT64_MAX);
    if (r == 0)
        r = take(l, f);
    return r == 0 && f->kind == FACT_ARRIVAL ? take_waiting(l, key, INT64_MAX) : r;
}

int lives_facts(struct lives *l, const struct log_fact *facts, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        bool is_simple =
            l->early.count == 0 || !facts[i].is_unordered || facts[i].kind == FACT_REPLY;

        r = is_simple ? take(l, &facts[i]) : take_unordered(l, &facts[i]);
    }
    return r;
}

/* Calls fn for the messages that are there. */
static void each_message(const struct lives *l, void (*fn)(void *ctx, const struct message *m),
                         void *ctx)
{
    for (size_t i = 0; i < l->by_key.slot_count; i++)
        if (l->by_key.slots[i].number != 0)
            fn(ctx, message_at(l, l->by_key.slots[i].number));
}

static void add_counts(void *ctx, const struct message *m)
{
    struct lives_counts *c = ctx;

    if (m->arrived_ms == NEVER)
        return;
    c->recipients += recipients_of(m);
    c->pending += open_of(m);
}

void lives_counts(const struct lives *l, struct lives_counts *ret)
{
    *ret = l->counts;
    each_message(l, add_counts, ret);
}

struct pending_call {
    void (*fn)(void *ctx, int64_t arrived_ms, uint64_t recipients);
    void *ctx;
};

static void tell_pending(void *ctx, const struct message *m)
{
    const struct pending_call *call = ctx;

    if (m->arrived_ms != NEVER && open_of(m) > 0)
        call->fn(call->ctx, m->arrived_ms, open_of(m));
}

void lives_each_pending(const struct lives *l,
                        void (*fn)(void *ctx, int64_t arrived_ms, uint64_t recipients), void *ctx)
{
    struct pending_call call = {fn, ctx};

    each_message(l, tell_pending, &call);
}

struct recipient_call {
    const struct lives *lives;
    lives_pending_fn *fn;
    void *ctx;
};

static void tell_recipients(void *ctx, const struct message *m)
{
    const struct recipient_call *call = ctx;
    uint64_t left = m->arrived_ms != NEVER ? open_of(m) : 0;

    for (uint32_t number = m->first; number != 0 && left > 0;) {
        const struct recipient *r = recipient_at(call->lives, number);

        number = r->next;
        if (r->is_resolved)
            continue;
        call->fn(call->ctx, m->arrived_ms, text_of(r), 1);
        left--;
    }
    if (left > 0)
        call->fn(call->ctx, m->arrived_ms, slice_make(NULL, 0), left);
}

void lives_each_pending_recipient(const struct lives *l, lives_pending_fn *fn, void *ctx)
{
    struct recipient_call call = {l, fn, ctx};

    each_message(l, tell_recipients, &call);
}

static void free_texts(void *ctx, const struct message *m)
{
    struct lives *l = ctx;

    for (uint32_t number = l->texts > 0 ? m->first : 0; number != 0;) {
        struct recipient *r = recipient_at(l, number);

        forget_text(l, r);
        number = r->next;
    }
}

void lives_free(struct lives **l)
{
    if (!*l)
        return;
    each_message(*l, free_texts, *l);
    lives_early_free(&(*l)->early);
    lives_store_done(&(*l)->messages);
    lives_store_done(&(*l)->recipients);
    lives_index_done(&(*l)->by_key);
    lives_index_done(&(*l)->by_address);
    log_table_done(&(*l)->senders);
    free(*l);
    *l = NULL;
}
