/*
 * fuzz/address_fuzz.c - a path from the enemy: what is taken is canonical, that is, it reads as
 * itself, keeps the limits, and holds nothing that could break a command line.
 *
 * Input: a byte of what is allowed, then the path.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_address a, again;
    const char *why = NULL;
    struct slice mailbox;
    size_t used = 0;
    unsigned allow;

    if (size == 0)
        return 0;
    allow = data[0] & 7;
    if (smtp_path_parse(slice_make(data + 1, size - 1), allow, &a, &used, &why) < 0) {
        ASSERT(why != NULL);
        return 0;
    }
    mailbox = smtp_address_mailbox(&a);
    ASSERT(used >= 2 && used <= size - 1 && data[used] == '>');
    ASSERT(mailbox.len + 2 <= SMTP_PATH_MAX && a.local_len <= SMTP_LOCAL_MAX);
    ASSERT(a.is_utf8 == !smtp_is_ascii(mailbox) && utf8_is_valid(mailbox));
    for (size_t i = 0; i < mailbox.len; i++)
        ASSERT(mailbox.ptr[i] >= 32 && mailbox.ptr[i] != 127);
    ASSERT(smtp_mailbox_parse(mailbox, allow, &again, &why) == 0);
    ASSERT(slice_eq(smtp_address_mailbox(&again), mailbox) && again.local_len == a.local_len);
    return 0;
}
