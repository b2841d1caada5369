/*
 * fuzz/smtp_client_fuzz.c - a host from the enemy: every recipient gets exactly one result, and
 * cutting the host's bytes changes nothing of what we send and conclude.
 *
 * Input: a byte of settings, a byte that says where to cut, then the bytes of the host. After the
 * first of them that wants to end, the connection breaks.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "smtp/client.h"

#define LIT(s)                                                                                     \
    {                                                                                              \
        .ptr = (const uint8_t *)(s), .len = sizeof(s) - 1                                          \
    }
#define RECIPIENTS 3

static const struct smtp_recipient recipients[RECIPIENTS] = {
    {.address = LIT("a@b")},
    {.address = LIT("c@d"), .notify = SMTP_NOTIFY_NEVER},
    {.address = LIT("e@f")}};
static const char body[] = "a: b\r\n\r\n.c\r\n";

struct party {
    struct smtp_client client;
    struct smtp_client_config config;
    struct smtp_transaction t;
    struct buf out, said;
    unsigned results, transactions;
    bool is_open;
};

static void on_result(void *ctx, size_t recipient, const struct smtp_result *r)
{
    struct party *p = ctx;

    ASSERT(p->is_open && recipient < RECIPIENTS && !(p->results & 1u << recipient));
    ASSERT(r->code == 0 || (r->code >= 200 && r->code <= 599));
    ASSERT((r->outcome == SMTP_DELIVERED) == (r->code / 100 == 2));
    ASSERT(r->code != 0 || r->text.len > 0);
    p->results |= 1u << recipient;
    (void)buf_addf(&p->said, "[%zu %d %d %u]", recipient, (int)r->outcome, (int)r->phase, r->code);
}

static void on_done(void *ctx)
{
    struct party *p = ctx;

    ASSERT(p->is_open && p->results == (1u << RECIPIENTS) - 1);
    p->is_open = false;
}

static const struct smtp_client_handler handler = {.on_result = on_result, .on_done = on_done};

static void act(struct party *p)
{
    for (;;) {
        enum smtp_client_wants wants = smtp_client_wants(&p->client);

        if (wants == SMTP_CLIENT_BODY) {
            size_t left = smtp_client_body_left(&p->client);

            ASSERT(left <= sizeof(body) - 1);
            ASSERT(smtp_client_body(&p->client, slice_make(body + sizeof(body) - 1 - left, left)) ==
                   0);
        } else if (wants == SMTP_CLIENT_TRANSACTION && p->transactions < 3) {
            p->transactions++;
            p->results = 0;
            p->is_open = true;
            smtp_client_begin(&p->client, &p->t);
        } else if (wants == SMTP_CLIENT_TRANSACTION) {
            smtp_client_quit(&p->client);
        } else if (wants == SMTP_CLIENT_TLS) {
            smtp_client_tls_started(&p->client);
        } else {
            break;
        }
    }
    (void)buf_add(&p->said, buf_slice(&p->out));
    buf_clear(&p->out);
}

/* Lines are given one by one at most, as a host that answers does: where its bytes come ahead of
 * our commands, what we send depends on time, not on the host. */
static void run(struct party *p, uint8_t settings, struct slice in, size_t step)
{
    *p = (struct party){.config = SMTP_CLIENT_CONFIG_INIT,
                        .t = {.sender = LIT("s@t"),
                              .recipients = recipients,
                              .recipient_count = RECIPIENTS,
                              .body_bytes = sizeof(body) - 1,
                              .is_8bit = true},
                        .out = BUF_INIT(1 << 20),
                        .said = BUF_INIT(1 << 20)};
    p->config.hello_name = SLICE_LIT("us");
    p->config.lmtp = settings & 1;
    p->config.tls = settings & 2 ? SMTP_TLS_NEVER : settings & 4 ? SMTP_TLS_MUST : SMTP_TLS_MAY;
    p->config.eager_body_max = settings & 8 ? 0 : 1000;
    p->config.reply_max = settings & 16 ? 100 : 4000;
    smtp_client_init(&p->client, &p->config, &handler, p, &p->out);
    while (in.len) {
        ptrdiff_t lf = slice_find(in, '\n');
        struct slice line = lf < 0 ? in : slice_sub(in, 0, (size_t)lf + 1);

        in = slice_from(in, line.len);
        while (line.len) {
            struct slice part = slice_sub(line, 0, step);

            smtp_client_feed(&p->client, part);
            act(p);
            line = slice_from(line, part.len);
        }
    }
    smtp_client_eof(&p->client, settings & 32 ? -ECONNRESET : 0);
    ASSERT(!p->is_open && smtp_client_wants(&p->client) == SMTP_CLIENT_CLOSE);
    smtp_client_done(&p->client);
    buf_done(&p->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct party whole, cut, lines;
    struct slice in;

    if (size < 2)
        return 0;
    in = slice_make(data + 2, size - 2);
    run(&whole, data[0], in, SIZE_MAX);
    run(&cut, data[0], in, (size_t)data[1] + 1);
    run(&lines, data[0], in, 1);
    ASSERT(slice_eq(buf_slice(&whole.said), buf_slice(&cut.said)));
    ASSERT(slice_eq(buf_slice(&whole.said), buf_slice(&lines.said)));
    buf_done(&whole.said);
    buf_done(&cut.said);
    buf_done(&lines.said);
    return 0;
}
