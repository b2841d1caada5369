/*
 * fuzz/smtp_server_fuzz.c - a client from the enemy: cutting its bytes anywhere changes nothing,
 * nothing it says makes the session break the contract with its owner (the kit asserts it), and
 * memory stays in its bounds.
 *
 * Input: two bytes of settings, a byte that says where to cut, then the bytes of the client.
 */
#include <stddef.h>
#include <stdint.h>

#include "smtp/session_kit.h"

static void run(struct kit *k, const uint8_t *settings, struct slice in, size_t step)
{
    kit_init(k);
    k->config.lmtp = settings[0] & 1;
    k->config.lax_hello = settings[0] & 2;
    k->config.extensions = settings[0] & 4 ? SMTP_EXT_USUAL : settings[1];
    k->on_data.code = settings[0] & 8 ? 452 : settings[0] & 16 ? 0 : 250;
    k->on_end.code = settings[0] & 32 ? 550 : settings[0] & 16 ? 0 : 250;
    k->config.size_max = settings[0] & 64 ? 30 : 100000;
    k->config.recipients_max = settings[0] & 128 ? 2 : 100;
    k->config.text_line_max = 50;
    k->config.command_max = 512;
    k->pauses = step % 2;
    kit_start(k);
    while (in.len) {
        struct slice part = slice_sub(in, 0, step);

        if (kit_feed(k, part) == SMTP_SERVER_CLOSE)
            break;
        ASSERT(k->server.line.size <= k->config.command_max);
        in = slice_from(in, part.len);
    }
    smtp_server_eof(&k->server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kit whole, cut;
    struct slice in;

    if (size < 3)
        return 0;
    in = slice_make(data + 3, size - 3);
    run(&whole, data, in, SIZE_MAX);
    run(&cut, data, in, (size_t)data[2] + 1);
    ASSERT(slice_eq(buf_slice(&whole.out), buf_slice(&cut.out)));
    ASSERT(slice_eq(buf_slice(&whole.log), buf_slice(&cut.log)));
    kit_done(&whole);
    kit_done(&cut);
    return 0;
}
