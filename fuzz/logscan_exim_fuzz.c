/*
 * fuzz/logscan_exim_fuzz.c - any bytes as Exim's main log.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_format(&exim_format, slice_make(data, size), /* cuts= */ true);
    return 0;
}
