/* io/mailbox_test.c - many threads post, one receives: nothing lost, nothing doubled, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "io/loop.h"
#include "io/mailbox.h"
#include "io/thread.h"

#define SENDERS 4
#define PARCELS 20000 /* of each sender */

struct note {
    struct parcel parcel;
    unsigned sender, number;
};

struct receiver {
    unsigned next[SENDERS]; /* the number expected from each */
    unsigned count, disorder;
    struct loop *loop; /* stopped after the last */
};

struct sender {
    struct thread thread;
    struct mailbox *to;
    struct note *notes;
    unsigned me;
};

static void note_deliver(struct parcel *p, void *ctx)
{
    struct note *n = CONTAINER_OF(p, struct note, parcel);
    struct receiver *r = ctx;

    if (r->next[n->sender]++ != n->number)
        r->disorder++;
    n->number = UINT32_MAX; /* ours now: a second delivery would show as disorder */
    r->count++;
    if (r->loop && r->count == SENDERS * PARCELS)
        loop_stop(r->loop);
}

static void send_all(void *ctx)
{
    struct sender *s = ctx;

    for (unsigned i = 0; i < PARCELS; i++) {
        s->notes[i] =
            (struct note){.parcel = {.deliver = note_deliver}, .sender = s->me, .number = i};
        mailbox_post(s->to, &s->notes[i].parcel);
    }
}

static void senders_start(struct sender *senders, struct mailbox *to)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.to = to, .me = i};
        senders[i].notes = calloc(PARCELS, sizeof(struct note));
        assert_non_null(senders[i].notes);
        assert_int_equal(thread_start(&senders[i].thread, "sender", send_all, &senders[i]), 0);
    }
}

static void senders_join(struct sender *senders)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        thread_join(&senders[i].thread);
        free(senders[i].notes);
    }
}

static void check(const struct receiver *r)
{
    assert_int_equal(r->count, SENDERS * PARCELS);
    assert_int_equal(r->disorder, 0);
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(r->next[i], PARCELS);
}

static void many_to_one_thread(void **state)
{
    struct receiver r = {0};
    struct sender senders[SENDERS];
    struct mailbox *mb = NULL;
    size_t count = 0;

    (void)state;
    assert_int_equal(mailbox_new_blocking(&mb, &r), 0);
    senders_start(senders, mb);
    while (count < SENDERS * PARCELS) /* with and without a limit to the wait */
        count += mailbox_receive(mb, count % 2 ? UINT64_MAX : 1000000000);
    assert_int_equal(mailbox_receive(mb, 0), 0);
    senders_join(senders);
    check(&r);
    mailbox_free(&mb);
    assert_null(mb);
}

static void many_to_one_loop(void **state)
{
    struct receiver r = {0};
    struct sender senders[SENDERS];
    struct mailbox *mb = NULL;

    (void)state;
    assert_int_equal(loop_new(&r.loop), 0);
    assert_int_equal(mailbox_new_on_loop(&mb, r.loop, &r), 0);
    senders_start(senders, mb);
    loop_run(r.loop);
    senders_join(senders);
    check(&r);
    mailbox_free(&mb);
    loop_free(&r.loop);
    assert_null(r.loop);
}

/* A parcel that goes to and fro between two threads: each post must wake the other side. */
struct ball {
    struct parcel parcel;
    struct mailbox *boxes[2];
    unsigned hops, hops_max;
    bool over[2];
};

static void ball_deliver(struct parcel *p, void *receiver)
{
    struct ball *b = CONTAINER_OF(p, struct ball, parcel);
    bool *over = receiver;

    *over = b->hops >= b->hops_max - 1;
    if (b->hops++ < b->hops_max)
        mailbox_post(b->boxes[b->hops % 2], &b->parcel);
}

static void play(void *ctx)
{
    struct ball *b = ctx;

    while (!b->over[1])
        (void)mailbox_receive(b->boxes[1], UINT64_MAX);
}

static void every_post_wakes(void **state)
{
    struct ball b = {.parcel = {.deliver = ball_deliver}, .hops_max = 20000};
    struct thread other;

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(mailbox_new_blocking(&b.boxes[i], &b.over[i]), 0);
    assert_int_equal(thread_start(&other, "player", play, &b), 0);
    mailbox_post(b.boxes[0], &b.parcel);
    while (!b.over[0])
        (void)mailbox_receive(b.boxes[0], UINT64_MAX);
    thread_join(&other);
    for (int i = 0; i < 2; i++)
        mailbox_free(&b.boxes[i]);
}

static void waiting_ends(void **state)
{
    struct mailbox *mb = NULL;

    (void)state;
    assert_int_equal(mailbox_new_blocking(&mb, NULL), 0);
    assert_int_equal(mailbox_receive(mb, 0), 0);
    assert_int_equal(mailbox_receive(mb, 1000000), 0);
    mailbox_free(&mb);
    mailbox_free(&mb);
}

/* The receiver may post to its own box, also from a delivery. */
static void echo_deliver(struct parcel *p, void *receiver)
{
    struct ball *b = CONTAINER_OF(p, struct ball, parcel);

    (void)receiver;
    if (++b->hops < b->hops_max)
        mailbox_post(b->boxes[0], p);
}

static void posting_to_oneself(void **state)
{
    struct ball b = {.parcel = {.deliver = echo_deliver}, .hops_max = 100};
    struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(mailbox_new_on_loop(&b.boxes[0], loop, NULL), 0);
    mailbox_post(b.boxes[0], &b.parcel);
    while (b.hops < b.hops_max)
        loop_turn(loop, /* wait= */ true);
    mailbox_free(&b.boxes[0]);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_to_one_thread), cmocka_unit_test(many_to_one_loop),
        cmocka_unit_test(every_post_wakes),   cmocka_unit_test(waiting_ends),
        cmocka_unit_test(posting_to_oneself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
