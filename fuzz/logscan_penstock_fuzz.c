/*
 * fuzz/logscan_penstock_fuzz.c - any bytes as a delivery log or event log of ours.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_format(&penstock_events_format, slice_make(data, size), /* cuts= */ true);
    return 0;
}
