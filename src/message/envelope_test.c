/* message/envelope_test.c - envelopes and marks to bytes and back, and bytes nobody wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/rand.h"
#include "message/envelope.h"

#define ROOM 8
#define AT_MS INT64_C(1795378702123)

static void assert_slices_equal(struct slice a, struct slice b)
{
    assert_true(slice_eq(a, b));
}

static void assert_recipients_equal(const struct recipient *a, const struct recipient *b)
{
    assert_slices_equal(a->address, b->address);
    assert_slices_equal(a->orcpt, b->orcpt);
    assert_slices_equal(slice_sub(a->last_text, 0, ENVELOPE_TEXT_MAX), b->last_text);
    assert_int_equal(a->notify, b->notify);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->delay_dsn_sent, b->delay_dsn_sent);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->last_code, b->last_code);
    assert_int_equal(a->last_attempt_ms, b->last_attempt_ms);
    assert_int_equal(a->next_attempt_ms, b->next_attempt_ms);
}

static void assert_envelopes_equal(const struct envelope *a, const struct envelope *b)
{
    assert_slices_equal(a->sender, b->sender);
    assert_slices_equal(a->envid, b->envid);
    assert_slices_equal(a->client_ip, b->client_ip);
    assert_slices_equal(a->client_helo, b->client_helo);
    assert_slices_equal(a->client_name, b->client_name);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->arrival_ms, b->arrival_ms);
    assert_int_equal(a->body_bytes, b->body_bytes);
    assert_int_equal(a->recipient_count, b->recipient_count);
    for (size_t i = 0; i < a->recipient_count; i++)
        assert_recipients_equal(&a->recipients[i], &b->recipients[i]);
}

static void an_ordinary_envelope_is_small(void **state)
{
    struct recipient to = {.address = SLICE_LIT("someone@example.org")}, back;
    struct envelope e = {.sender = SLICE_LIT("sender@example.com"),
                         .client_ip = SLICE_LIT("192.0.2.25"),
                         .client_helo = SLICE_LIT("mail.example.com"),
                         .arrival_ms = AT_MS,
                         .body_bytes = 2048,
                         .recipients = &to,
                         .recipient_count = 1},
                    ret;
    struct buf b = BUF_INIT(1000);

    (void)state;
    assert_int_equal(envelope_encode(&e, &b), 0);
    assert_true(buf_len(&b) <= 25 + 19 + 18 + 10 + 16);
    assert_int_equal(envelope_decode(buf_slice(&b), &back, 1, &ret), 0);
    assert_envelopes_equal(&e, &ret);
    assert_true(envelope_is_pending(&ret));
    back.state = RECIPIENT_FAILED;
    assert_false(envelope_is_pending(&ret));
    buf_done(&b);
}

static uint8_t junk[2000];

static struct slice some_bytes(struct rand *r, size_t max)
{
    return slice_make(junk + rand_below(r, sizeof(junk) - max), (size_t)rand_below(r, max + 1));
}

static void random_recipient(struct rand *r, struct recipient *ret)
{
    *ret = (struct recipient){.address = some_bytes(r, 300), .orcpt = some_bytes(r, 3)};
    if (ret->address.len == 0)
        ret->address = SLICE_LIT("a");
    ret->notify = (uint8_t)rand_below(r, 16);
    ret->delay_dsn_sent = rand_below(r, 2);
    if (rand_below(r, 2))
        return;
    ret->state = (uint8_t)rand_below(r, RECIPIENT_REMOVED + 1);
    ret->attempts = (uint16_t)rand_u64(r);
    ret->last_code = (uint16_t)rand_below(r, 600);
    ret->last_attempt_ms = (int64_t)rand_u64(r);
    ret->next_attempt_ms = (int64_t)rand_u64(r) >> rand_below(r, 64);
    ret->last_text = some_bytes(r, 700);
}

static void random_envelope(struct rand *r, struct recipient *room, struct envelope *ret)
{
    *ret = (struct envelope){.sender = some_bytes(r, 200),
                             .envid = some_bytes(r, 100),
                             .client_ip = some_bytes(r, 40),
                             .client_helo = some_bytes(r, 200),
                             .client_name = some_bytes(r, 10),
                             .flags = (uint32_t)rand_u64(r),
                             .arrival_ms = (int64_t)rand_u64(r) >> rand_below(r, 64),
                             .body_bytes = rand_u64(r) >> rand_below(r, 64),
                             .recipients = room,
                             .recipient_count = (size_t)rand_below(r, ROOM + 1)};
    for (size_t i = 0; i < ret->recipient_count; i++)
        random_recipient(r, &room[i]);
}

static void any_envelope_comes_back_and_no_part_of_it_passes(void **state)
{
    struct buf b = BUF_INIT(100000);
    struct rand r;

    (void)state;
    rand_init(&r, 21);
    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = (uint8_t)rand_u64(&r);
    for (int round = 0; round < 300; round++) {
        struct recipient room[ROOM], back[ROOM];
        struct envelope e, ret;

        random_envelope(&r, room, &e);
        buf_clear(&b);
        assert_int_equal(envelope_encode(&e, &b), 0);
        assert_int_equal(envelope_decode(buf_slice(&b), back, ROOM, &ret), 0);
        assert_envelopes_equal(&e, &ret);
        for (size_t cut = 0; cut < buf_len(&b); cut++) {
            int err = envelope_decode(slice_sub(buf_slice(&b), 0, cut), back, ROOM, &ret);

            assert_int_equal(err, -ERR_DAMAGED);
        }
        assert_int_equal(buf_push(&b, 0), 0);
        assert_int_equal(envelope_decode(buf_slice(&b), back, ROOM, &ret), -ERR_DAMAGED);
    }
    buf_done(&b);
}

static void too_little_room_says_how_much(void **state)
{
    struct recipient to[3] = {{.address = SLICE_LIT("a@b")},
                              {.address = SLICE_LIT("c@d")},
                              {.address = SLICE_LIT("e@f")}};
    struct recipient back[3];
    struct envelope e = {.recipients = to, .recipient_count = 3}, ret;
    struct buf b = BUF_INIT(1000);

    (void)state;
    assert_int_equal(envelope_encode(&e, &b), 0);
    assert_int_equal(envelope_decode(buf_slice(&b), NULL, 0, &ret), -ENOBUFS);
    assert_int_equal(ret.recipient_count, 3);
    assert_int_equal(envelope_decode(buf_slice(&b), back, 3, &ret), 0);
    e.recipient_count = ENVELOPE_RECIPIENTS_MAX + 1;
    assert_int_equal(envelope_encode(&e, &b), -E2BIG);
    buf_done(&b);
}

static void a_full_buffer_stays_as_it_was(void **state)
{
    struct recipient to = {.address = SLICE_LIT("someone@example.org")};
    struct envelope e = {.recipients = &to, .recipient_count = 1};
    struct mark m = {.kind = MARK_HOLD};
    struct buf b = BUF_INIT(20);

    (void)state;
    assert_int_equal(envelope_encode(&e, &b), -E2BIG);
    assert_int_equal(mark_encode(&m, &b), -E2BIG);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

/* A mark as spool_read() gives it: its length before it. */
static void add_mark(struct buf *to, const struct mark *m)
{
    struct buf b = BUF_INIT(1000000);

    assert_int_equal(mark_encode(m, &b), 0);
    assert_int_equal(buf_add_u32(to, (uint32_t)buf_len(&b)), 0);
    assert_int_equal(buf_add(to, buf_slice(&b)), 0);
    buf_done(&b);
}

static void marks_fold_into_the_envelope(void **state)
{
    struct recipient to[3] = {{.address = SLICE_LIT("a@b")},
                              {.address = SLICE_LIT("c@d")},
                              {.address = SLICE_LIT("e@f")}};
    struct envelope e = {.recipients = to, .recipient_count = 3};
    struct mark_result first[] = {
        {.recipient = 2, .state = RECIPIENT_PENDING, .code = 452, .text = SLICE_LIT("452 full")},
        {.recipient = 0, .state = RECIPIENT_DELIVERED, .code = 250, .text = SLICE_LIT("250 ok")}};
    struct mark_result second[] = {
        {.recipient = 2, .state = RECIPIENT_FAILED, .code = 550, .text = SLICE_LIT("550 no")}};
    struct buf b = BUF_INIT(10000);

    (void)state;
    add_mark(&b, &(struct mark){.kind = MARK_ATTEMPT,
                                .at_ms = 1000,
                                .next_attempt_ms = 5000,
                                .results = first,
                                .result_count = 2});
    add_mark(&b, &(struct mark){.kind = MARK_DELAY_DSN, .results = first, .result_count = 1});
    add_mark(&b, &(struct mark){.kind = MARK_HOLD});
    assert_int_equal(envelope_apply_marks(&e, buf_slice(&b)), 0);
    assert_int_equal(to[0].state, RECIPIENT_DELIVERED);
    assert_int_equal(to[0].next_attempt_ms, 0);
    assert_int_equal(to[1].attempts, 0);
    assert_int_equal(to[2].next_attempt_ms, 5000);
    assert_int_equal(to[2].last_attempt_ms, 1000);
    assert_int_equal(to[2].last_code, 452);
    assert_slices_equal(to[2].last_text, SLICE_LIT("452 full"));
    assert_true(to[2].delay_dsn_sent && !to[0].delay_dsn_sent);
    assert_int_equal(e.flags, ENVELOPE_HELD);

    buf_clear(&b);
    add_mark(&b, &(struct mark){.kind = MARK_RELEASE});
    add_mark(&b, &(struct mark){
                     .kind = MARK_ATTEMPT, .at_ms = 2000, .results = second, .result_count = 1});
    assert_int_equal(envelope_apply_marks(&e, buf_slice(&b)), 0);
    assert_int_equal(e.flags, 0);
    assert_int_equal(to[2].state, RECIPIENT_FAILED);
    assert_int_equal(to[2].attempts, 2);
    assert_true(envelope_is_pending(&e));
    buf_done(&b);
}

static void damaged_marks_are_found(void **state)
{
    struct recipient to = {.address = SLICE_LIT("a@b")};
    struct envelope e = {.recipients = &to, .recipient_count = 1};
    struct mark_result x = {.recipient = 1, .code = 450};
    struct mark_result good = {.recipient = 0, .code = 450, .text = SLICE_LIT("later")};
    struct buf b = BUF_INIT(10000);

    (void)state;
    add_mark(&b, &(struct mark){.kind = MARK_ATTEMPT, .results = &x, .result_count = 1});
    assert_int_equal(envelope_apply_marks(&e, buf_slice(&b)), -ERR_DAMAGED);
    buf_clear(&b);
    add_mark(&b, &(struct mark){.kind = (enum mark_kind)9});
    assert_int_equal(envelope_apply_marks(&e, buf_slice(&b)), -ERR_DAMAGED);
    buf_clear(&b);
    add_mark(&b, &(struct mark){.kind = MARK_ATTEMPT, .results = &good, .result_count = 1});
    for (size_t cut = 1; cut < buf_len(&b); cut++) {
        struct slice part = slice_sub(buf_slice(&b), 0, cut);

        assert_int_equal(envelope_apply_marks(&e, part), -ERR_DAMAGED);
    }
    assert_int_equal(envelope_apply_marks(&e, buf_slice(&b)), 0);
    assert_int_equal(to.last_code, 450);
    buf_done(&b);
}

struct seen {
    size_t marks, results;
    uint64_t next;
};

static int count(void *ctx, const struct mark *m)
{
    struct seen *seen = ctx;

    assert_true(m->result_count <= MARK_RESULTS_AT_ONCE);
    seen->marks++;
    for (size_t i = 0; i < m->result_count; i++, seen->results++) {
        assert_int_equal(m->results[i].recipient, seen->next++);
        assert_int_equal(m->results[i].code, 452);
        assert_slices_equal(m->results[i].text, SLICE_LIT("same for all"));
    }
    return 0;
}

static int stop(void *ctx, const struct mark *m)
{
    (void)m;
    return ++*(int *)ctx == 2 ? 77 : 0;
}

static void many_results_share_a_text_and_are_walked_in_parts(void **state)
{
    enum { COUNT = 4 * MARK_RESULTS_AT_ONCE };
    struct mark_result results[COUNT];
    struct seen seen = {0};
    struct buf b = BUF_INIT(10000);
    int calls = 0;

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        results[i] =
            (struct mark_result){.recipient = i, .code = 452, .text = SLICE_LIT("same for all")};
    add_mark(&b, &(struct mark){.kind = MARK_ATTEMPT, .results = results, .result_count = COUNT});
    assert_true(buf_len(&b) < 2 * COUNT + 50);
    add_mark(&b, &(struct mark){.kind = MARK_HOLD});
    assert_int_equal(marks_each(buf_slice(&b), count, &seen), 0);
    assert_int_equal(seen.marks, 5);
    assert_int_equal(seen.results, COUNT);
    assert_int_equal(marks_each(buf_slice(&b), stop, &calls), 77);
    assert_int_equal(calls, 2);
    buf_done(&b);
}

static void domains_of_addresses(void **state)
{
    (void)state;
    assert_slices_equal(address_domain(SLICE_LIT("a@example.org")), SLICE_LIT("example.org"));
    assert_slices_equal(address_domain(SLICE_LIT("\"a@b\"@[192.0.2.1]")), SLICE_LIT("[192.0.2.1]"));
    assert_int_equal(address_domain(SLICE_LIT("postmaster")).len, 0);
    assert_true(address_is_ascii(SLICE_LIT("a@b")));
    assert_false(address_is_ascii(SLICE_LIT("\xc3\xa9@b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_envelope_is_small),
        cmocka_unit_test(any_envelope_comes_back_and_no_part_of_it_passes),
        cmocka_unit_test(too_little_room_says_how_much),
        cmocka_unit_test(a_full_buffer_stays_as_it_was),
        cmocka_unit_test(marks_fold_into_the_envelope),
        cmocka_unit_test(damaged_marks_are_found),
        cmocka_unit_test(many_results_share_a_text_and_are_walked_in_parts),
        cmocka_unit_test(domains_of_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
