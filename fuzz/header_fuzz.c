/*
 * fuzz/header_fuzz.c - a message of any bytes: cutting it changes nothing, and the scanner and the
 * reader of fields agree on what the header section is.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "message/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_make(data, size), left = all;
    struct header_scan whole, cut;
    struct header_field field;
    size_t step = size ? 1 + data[0] % 16 : 1;

    header_scan_init(&whole);
    header_scan_feed(&whole, all);
    header_scan_end(&whole);
    header_scan_init(&cut);
    for (size_t at = 0; at < size; at += step)
        header_scan_feed(&cut, slice_sub(all, at, step));
    header_scan_end(&cut);
    ASSERT(whole.received == cut.received && whole.lines == cut.lines);
    ASSERT(whole.fields == cut.fields && whole.header_bytes == cut.header_bytes);
    ASSERT(whole.total_bytes == size && cut.total_bytes == size);
    ASSERT(whole.ended == cut.ended && whole.malformed == cut.malformed);
    ASSERT(whole.header_has_8bit == cut.header_has_8bit);
    ASSERT(whole.body_has_8bit == cut.body_has_8bit);
    ASSERT(slice_eq(header_text_slice(&whole.message_id), header_text_slice(&cut.message_id)));
    ASSERT(slice_eq(header_text_slice(&whole.subject), header_text_slice(&cut.subject)));
    while (header_next(&left, &field) > 0)
        ASSERT(field.whole.len > field.name.len + field.value.len);
    ASSERT(whole.header_bytes == size - left.len);
    return 0;
}
