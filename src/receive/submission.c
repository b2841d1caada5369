/*
 * receive/submission.c - one message on its way into the spool.
 *
 * Body bytes gather in `filling`; when it holds a block and nothing is out, it becomes `sending`
 * and goes to the writer, in pieces of at most SPOOL_EXTENT_MAX. While a block is out and the next
 * is full too, the session stops reading. A small message never leaves `filling`: it goes out with
 * its commit, as one request.
 *
 * A block is 48 KiB as a rule, and a read brings at most 64 KiB, so each of the two holds at most
 * 112 KiB, in 128 KiB of memory: 256 KiB for a message of any size. Where memory is short
 * (intake_memory_is_short()) a block is 4 KiB, a read brings as much, and buffers are given back
 * whenever they are empty: at most 8 KiB each.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "event/event.h"
#include "governor/governor.h"
#include "receive/receive_int.h"

#define BLOCK_MAX KIB(128)
/* Addresses and ORCPTs of all recipients, and with what the client is called. */
#define TEXTS_MAX KIB(1016)
/* RCPT may fill an envelope so far: the rest is for the client's names, and the last address. */
#define ADDRESSES_MAX (SPOOL_ENVELOPE_MAX - KIB(16))
#define RESERVE_STEP KIB(256)
/* So many recipients a message may have however short memory is (RFC 5321, section 4.5.3.1.8). */
#define RECIPIENTS_SURE 100
#define RECORD_OVERHEAD 512 /* of a message in the spool, envelope aside */

static struct receive_shared *shared_of(const struct submission *sub)
{
    return sub->receiver->shared;
}

struct submission *submission_new(struct receiver *r, struct session *session,
                                  enum mail_class class, uint64_t reserved)
{
    struct submission *sub = calloc(1, sizeof(*sub));

    if (!sub)
        return NULL;
    sub->receiver = r;
    sub->session = session;
    sub->class = class;
    sub->reserved = reserved;
    sub->since_ms = clock_wall_ms();
    sub->id = spool_new_id(r->shared->spool);
    sub->begun = true;
    list_add_tail(&r->submissions, &sub->node);
    r->submission_count++;
    buf_init(&sub->texts, TEXTS_MAX);
    buf_init(&sub->filling, BLOCK_MAX);
    buf_init(&sub->sending, BLOCK_MAX);
    buf_init(&sub->encoded, SPOOL_ENVELOPE_MAX);
    header_scan_init(&sub->scan);
    spool_writer_message_begins(r->shared->writer);
    return sub;
}

static void message_ends(struct submission *sub)
{
    if (sub->begun)
        spool_writer_message_ends(sub->receiver->shared->writer);
    sub->begun = false;
}

/* It is no longer in flight. */
static void leave_list(struct submission *sub)
{
    list_del(&sub->node);
    sub->receiver->submission_count--;
    policy_unref(&sub->origin.policy);
}

static void give_back_room(struct submission *sub)
{
    if (sub->reserved)
        spool_unreserve(sub->receiver->shared->spool, sub->reserved);
    sub->reserved = 0;
}

/* Says what it holds in memory, whenever that has changed. */
static void account(struct submission *sub)
{
    intake_account(shared_of(sub), &sub->accounted,
                   buf_memory(&sub->filling) + buf_memory(&sub->sending) + buf_memory(&sub->texts) +
                       buf_memory(&sub->encoded) + sub->recipients_room * sizeof(struct recipient));
}

/* In any thread; not in the list any more. */
static void free_memory(struct submission *sub)
{
    intake_account(shared_of(sub), &sub->accounted, 0);
    free(sub->recipients);
    buf_done(&sub->texts);
    buf_done(&sub->filling);
    buf_done(&sub->sending);
    buf_done(&sub->encoded);
    free(sub->extents);
    free(sub);
}

static void submission_free(struct submission *sub)
{
    leave_list(sub);
    message_ends(sub);
    give_back_room(sub);
    free_memory(sub);
}

/* ---- the envelope ---- */

/*
 * Slices of the envelope hold offsets into `texts` (which moves while it grows) until they are
 * made real for encoding.
 */
static int keep_text(struct submission *sub, struct slice text, struct slice *ret)
{
    size_t at = buf_len(&sub->texts);
    int r = buf_add(&sub->texts, text);

    if (r == 0)
        *ret = (struct slice){.ptr = (const uint8_t *)at, .len = text.len};
    return r;
}

static void make_real(const struct submission *sub, struct slice *text)
{
    *text = slice_sub(buf_slice(&sub->texts), (size_t)text->ptr, text->len);
}

int submission_set_sender(struct submission *sub, const struct smtp_mail *mail)
{
    struct envelope *e = &sub->envelope;
    int r = keep_text(sub, smtp_address_mailbox(&mail->sender), &e->sender);

    if (r == 0)
        r = keep_text(sub, mail->envid, &e->envid);
    e->flags = (mail->body == SMTP_BODY_8BITMIME ? ENVELOPE_8BITMIME : 0u) |
               (mail->smtputf8 ? ENVELOPE_SMTPUTF8 : 0u) |
               (mail->ret == SMTP_RET_FULL ? ENVELOPE_RET_FULL : 0u) |
               (mail->ret == SMTP_RET_HDRS ? ENVELOPE_RET_HDRS : 0u);
    return r;
}

static int grow_recipients(struct submission *sub)
{
    size_t room = sub->recipients_room ? sub->recipients_room * 4 : 1;
    struct recipient *more;

    /* With the results of attempts folded in, it must still be one that the spool takes. */
    if (buf_len(&sub->texts) + (sub->envelope.recipient_count + 1) * ENVELOPE_RECIPIENT_BYTES_MAX >
        ADDRESSES_MAX)
        return -E2BIG;
    if (sub->envelope.recipient_count < sub->recipients_room)
        return 0;
    if (room > ENVELOPE_RECIPIENTS_MAX)
        room = ENVELOPE_RECIPIENTS_MAX;
    if (room == sub->recipients_room)
        return -E2BIG;
    more = realloc(sub->recipients, room * sizeof(*more));
    if (!more)
        return -ENOMEM;
    sub->recipients = more;
    sub->recipients_room = room;
    return 0;
}

/* A bare "postmaster" is ours (RFC 5321, section 4.5.1). */
static int keep_address(struct submission *sub, const struct smtp_address *a, struct slice hostname,
                        struct slice *ret)
{
    int r = keep_text(sub, smtp_address_mailbox(a), ret);

    if (r == 0 && smtp_address_domain(a).len == 0) {
        r = buf_push(&sub->texts, '@');
        if (r == 0)
            r = buf_add(&sub->texts, hostname);
        ret->len += 1 + hostname.len;
    }
    return r;
}

int submission_add_recipient(struct submission *sub, const struct smtp_rcpt *rcpt,
                             struct slice hostname)
{
    struct recipient kept = {.notify = (uint8_t)rcpt->notify};
    int r = 0;

    if (sub->envelope.recipient_count >= RECIPIENTS_SURE && intake_memory_is_over(shared_of(sub)))
        return -ENOBUFS;
    r = grow_recipients(sub);
    if (r == 0)
        r = keep_address(sub, &rcpt->recipient, hostname, &kept.address);
    if (r == 0)
        r = keep_text(sub, rcpt->orcpt, &kept.orcpt);
    if (r == 0)
        sub->recipients[sub->envelope.recipient_count++] = kept;
    account(sub);
    return r;
}

struct slice submission_only_recipient(const struct submission *sub)
{
    struct slice address = sub->recipients[0].address;

    make_real(sub, &address);
    return address;
}

struct slice submission_sender(const struct submission *sub)
{
    struct slice sender = sub->envelope.sender;

    if (!sub->is_encoded)
        make_real(sub, &sender);
    return sender;
}

static int encode_envelope(struct submission *sub, struct slice client_ip, struct slice helo,
                           struct slice listener_name)
{
    struct envelope *e = &sub->envelope;
    int r = keep_text(sub, client_ip, &e->client_ip);

    /* Copies: the session may go while its message is being committed. */
    if (r == 0)
        r = keep_text(sub, helo, &e->client_helo);
    if (r == 0)
        r = keep_text(sub, listener_name, &e->client_name);
    if (r < 0)
        return r;
    sub->is_encoded = true;
    make_real(sub, &e->client_ip);
    make_real(sub, &e->client_helo);
    make_real(sub, &e->client_name);
    make_real(sub, &e->sender);
    make_real(sub, &e->envid);
    for (size_t i = 0; i < e->recipient_count; i++) {
        make_real(sub, &sub->recipients[i].address);
        make_real(sub, &sub->recipients[i].orcpt);
    }
    e->recipients = sub->recipients;
    e->arrival_ms = clock_wall_ms();
    e->body_bytes = sub->body_bytes;
    if (header_scan_has_8bit(&sub->scan))
        e->flags |= ENVELOPE_8BITMIME;
    return envelope_encode(e, &sub->encoded);
}

/* ---- requests ---- */

static void refuse(struct submission *sub, int err)
{
    if (sub->refusal != SUBMISSION_FINE)
        return;
    sub->refused_for = err == -ENOMEM ? GOVERNOR_MEMORY : GOVERNOR_SPOOL_DISK;
    sub->refusal = err == -ENOSPC   ? SUBMISSION_NO_SPACE
                   : err == -ENOMEM ? SUBMISSION_NO_MEMORY
                                    : SUBMISSION_DISK_ERROR;
}

static void post(struct submission *sub, enum spool_op op, struct slice data,
                 void (*answered)(struct parcel *p, void *receiver))
{
    sub->request = (struct spool_request){.parcel.deliver = answered,
                                          .op = op,
                                          .id = sub->id,
                                          .data = data,
                                          .extents = sub->extents,
                                          .extent_count = sub->extent_count,
                                          .answer_to = sub->receiver->answers};
    sub->request_is_out = true;
    sub->receiver->requests++;
    if (op == SPOOL_OP_COMMIT) {
        sub->request.envelope = buf_slice(&sub->encoded);
        sub->request.ends_message = sub->begun;
        sub->begun = false;
    }
    spool_writer_post(sub->receiver->shared->writer, &sub->request);
}

static int room_for_extents(struct submission *sub, uint32_t count)
{
    uint32_t room = sub->extents_room ? sub->extents_room * 2 : 4;
    struct spool_extent *more;

    if (sub->extent_count + count <= sub->extents_room)
        return 0;
    more = realloc(sub->extents, room * sizeof(*more));
    if (!more)
        return -ENOMEM;
    sub->extents = more;
    sub->extents_room = room;
    return 0;
}

static void advance(struct submission *sub);

static void aborted(struct parcel *p, void *receiver)
{
    struct submission *sub = CONTAINER_OF(p, struct submission, request.parcel);

    (void)receiver;
    sub->receiver->requests--;
    submission_free(sub);
}

/* What was appended is given back to the spool before the submission goes. */
static void post_abort(struct submission *sub)
{
    if (sub->extent_count)
        post(sub, SPOOL_OP_ABORT, (struct slice){0}, aborted);
    else
        submission_free(sub);
}

/* What the spool appended came out of the reserve. */
static void reserve_used(struct submission *sub, uint64_t bytes)
{
    sub->reserved -= MIN_OF(sub->reserved, bytes);
    sub->used += bytes;
}

static void appended(struct parcel *p, void *receiver)
{
    struct submission *sub = CONTAINER_OF(p, struct submission, request.parcel);

    (void)receiver;
    sub->receiver->requests--;
    sub->request_is_out = false;
    if (sub->request.result < 0) {
        refuse(sub, sub->request.result);
    } else {
        sub->extents[sub->extent_count++] = sub->request.extent;
        reserve_used(sub, sub->request.data.len);
    }
    advance(sub);
}

/* In the queue thread: the last step of its life. */
static void filed(struct parcel *p, void *receiver)
{
    struct submission *sub = CONTAINER_OF(p, struct submission, request.parcel);
    struct receive_shared *shared = sub->receiver->shared;

    (void)receiver;
    shared->committed(shared->committed_ctx, sub->id, buf_slice(&sub->encoded));
    (void)atomic_fetch_sub_explicit(&shared->commits_unfiled, 1, memory_order_relaxed);
    free_memory(sub);
}

static void log_accepted(const struct submission *sub)
{
    const struct envelope *e = &sub->envelope;

    counter_add(COUNTER_RECIPIENTS_ACCEPTED, e->recipient_count);
    event(EVENT_MESSAGE_ACCEPTED, sub->id, EV_SLICE("from", e->sender),
          EV_UINT("recipients", e->recipient_count), EV_SLICE("to", e->recipients[0].address),
          EV_UINT("size", e->body_bytes), EV_SLICE("client", e->client_ip),
          EV_SLICE("helo", e->client_helo), EV_SLICE("listener", e->client_name));
    track_received(sub);
}

static void committed(struct parcel *p, void *receiver)
{
    struct submission *sub = CONTAINER_OF(p, struct submission, request.parcel);
    int result = sub->request.result;

    (void)receiver;
    sub->receiver->requests--;
    sub->receiver->commits--;
    if (result == 0) {
        reserve_used(sub, sub->request.data.len + sub->request.envelope.len);
        (void)atomic_fetch_add_explicit(&sub->receiver->shared->commits_unfiled, 1,
                                        memory_order_relaxed);
        log_accepted(sub);
    }
    if (result < 0)
        sub->refused_for = result == -ENOMEM ? GOVERNOR_MEMORY : GOVERNOR_SPOOL_DISK;
    if (sub->session)
        session_committed(sub->session, result, sub);
    if (result < 0) {
        sub->session = NULL;
        post_abort(sub); /* the extents appended before are given back */
        return;
    }
    buf_done(&sub->filling);
    buf_done(&sub->sending);
    account(sub);
    give_back_room(sub);
    leave_list(sub);
    sub->request.parcel.deliver = filed;
    mailbox_post_later(sub->receiver->shared->queue, &sub->request.parcel);
}

static void give_up(struct submission *sub, int result)
{
    struct session *session = sub->session;

    sub->session = NULL;
    sub->receiver->commits--;
    if (session)
        session_committed(session, result, sub);
    post_abort(sub);
}

static int refusal_error(enum submission_refusal refusal)
{
    switch (refusal) {
    case SUBMISSION_NO_SPACE:
        return -ENOSPC;
    case SUBMISSION_LOOP:
        return -ELOOP;
    case SUBMISSION_NO_MEMORY:
        return -ENOMEM;
    case SUBMISSION_FINE:
    case SUBMISSION_DISK_ERROR:
    default:
        return -EIO;
    }
}

static void commit_now(struct submission *sub)
{
    if (room_for_extents(sub, 1) < 0)
        refuse(sub, -ENOMEM);
    if (sub->refusal != SUBMISSION_FINE) {
        give_up(sub, refusal_error(sub->refusal));
        return;
    }
    post(sub, SPOOL_OP_COMMIT, slice_from(buf_slice(&sub->sending), sub->sent), committed);
}

/* Posts the next piece of `sending`; the last one waits for the commit when the body is whole. */
static bool send_piece(struct submission *sub)
{
    struct slice left = slice_from(buf_slice(&sub->sending), sub->sent);
    bool is_last = sub->body_is_whole && buf_len(&sub->filling) == 0;

    if (left.len == 0 || (is_last && left.len <= SPOOL_EXTENT_MAX))
        return false;
    if (room_for_extents(sub, 1) < 0) {
        refuse(sub, -ENOMEM);
        return false;
    }
    left = slice_sub(left, 0, SPOOL_EXTENT_MAX);
    sub->sent += left.len;
    post(sub, SPOOL_OP_APPEND, left, appended);
    return true;
}

static void swap_blocks(struct submission *sub)
{
    struct buf empty = sub->sending;

    sub->sending = sub->filling;
    sub->filling = empty;
    buf_clear(&sub->filling);
    sub->sent = 0;
    if (intake_memory_is_short(shared_of(sub)))
        (void)buf_relieve(&sub->filling);
}

/* What neither waits for the writer nor for the client. */
static size_t relieve(struct submission *sub)
{
    if (!sub->request_is_out && sub->sent == buf_len(&sub->sending)) {
        buf_clear(&sub->sending);
        sub->sent = 0;
    }
    return buf_relieve(&sub->filling) + buf_relieve(&sub->sending);
}

size_t submission_relieve(struct submission *sub)
{
    size_t freed = relieve(sub);

    account(sub);
    return freed;
}

/* Does what comes next when no request is out. */
static void advance(struct submission *sub)
{
    bool sending_is_over;

    if (!sub->session && !sub->is_committing) {
        post_abort(sub);
        return;
    }
    if (sub->refusal != SUBMISSION_FINE) { /* swallow the rest; the answer comes at the end */
        buf_clear(&sub->filling);
        buf_clear(&sub->sending);
        sub->sent = 0;
    }
    if (send_piece(sub))
        return;
    sending_is_over = sub->sent == buf_len(&sub->sending);
    if (sending_is_over && buf_len(&sub->filling) &&
        (sub->body_is_whole || buf_len(&sub->filling) >= intake_block(sub->receiver))) {
        swap_blocks(sub);
        if (send_piece(sub))
            return;
    }
    if (intake_memory_is_short(shared_of(sub)))
        (void)relieve(sub);
    account(sub);
    if (sub->body_is_whole)
        commit_now(sub);
    else
        session_resume_body(sub->session);
}

/* Room for the body so far and an envelope of that size, and `more` for what comes. */
static void keep_reserve(struct submission *sub, uint64_t envelope_bytes, uint64_t more)
{
    uint64_t needed = sub->body_bytes + envelope_bytes, have = sub->used + sub->reserved, got;
    uint8_t resource;

    if (needed <= have)
        return;
    if (intake_reserve_more(sub->receiver->shared, sub->class, sub->body_bytes, needed - have, more,
                            &got, &resource) == 0) {
        sub->reserved += got;
        return;
    }
    refuse(sub, -ENOSPC);
    sub->refused_for = resource;
}

bool submission_body(struct submission *sub, struct slice body)
{
    header_scan_feed(&sub->scan, body);
    sub->body_bytes += body.len;
    if (sub->refusal == SUBMISSION_FINE)
        keep_reserve(sub, buf_len(&sub->texts) + RECORD_OVERHEAD, RESERVE_STEP);
    if (sub->refusal != SUBMISSION_FINE)
        return true;
    if (buf_add(&sub->filling, body) < 0)
        refuse(sub, -ENOMEM);
    account(sub);
    if (buf_len(&sub->filling) < intake_block(sub->receiver))
        return true;
    if (sub->request_is_out)
        return false;
    swap_blocks(sub);
    if (!send_piece(sub))
        ASSERT(sub->refusal != SUBMISSION_FINE);
    return true;
}

int submission_commit(struct submission *sub, struct slice client_ip, struct slice helo,
                      struct slice listener_name)
{
    if (encode_envelope(sub, client_ip, helo, listener_name) < 0 || room_for_extents(sub, 3) < 0)
        refuse(sub, -ENOMEM);
    account(sub);
    if (sub->refusal == SUBMISSION_FINE)
        keep_reserve(sub, buf_len(&sub->encoded), 0);
    if (sub->refusal != SUBMISSION_FINE && !sub->request_is_out)
        return refusal_error(sub->refusal);
    sub->body_is_whole = true;
    sub->is_committing = true;
    sub->receiver->commits++;
    if (!sub->request_is_out)
        advance(sub);
    return 0;
}

void submission_abort(struct submission **subp)
{
    struct submission *sub = *subp;

    *subp = NULL;
    if (!sub)
        return;
    ASSERT(!sub->is_committing);
    sub->session = NULL;
    message_ends(sub);
    if (!sub->request_is_out)
        post_abort(sub);
}

/* ---- for reports ---- */

void submission_describe(const struct submission *sub, struct receive_holder *ret)
{
    struct slice sender = submission_sender(sub);
    struct slice client = sub->session      ? session_client(sub->session)
                          : sub->is_encoded ? sub->envelope.client_ip
                                            : slice_make(NULL, 0);

    *ret = (struct receive_holder){.bytes = sub->used + sub->reserved, .since_ms = sub->since_ms};
    client.len = MIN_OF(client.len, sizeof(ret->client) - 1);
    for (size_t i = 0; i < client.len; i++)
        ret->client[i] = (char)client.ptr[i];
    sender.len = MIN_OF(sender.len, sizeof(ret->sender) - 1);
    for (size_t i = 0; i < sender.len; i++)
        ret->sender[i] = sender.ptr[i] >= ' ' && sender.ptr[i] < 0x7f ? (char)sender.ptr[i] : '?';
}
