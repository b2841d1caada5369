/*
 * fuzz/logscan_tracking_fuzz.c - any bytes as an Exchange message tracking log.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice log = slice_make(data, size);

    /* A field in quotes may hold line breaks. */
    fuzz_format(&exchange_tracking_format, log, /* cuts= */ slice_find(log, '"') < 0);
    return 0;
}
