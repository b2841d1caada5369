/*
 * fuzz/logscan_tracking_fuzz.c - any bytes as an Exchange message tracking log.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_format(&exchange_tracking_format, slice_make(data, size), /* cuts= */ false);
    return 0;
}
