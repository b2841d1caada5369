/*
 * fuzz/logscan_postfix_fuzz.c - any bytes as a log of Postfix.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_format(&postfix_format, slice_make(data, size), /* cuts= */ true);
    return 0;
}
