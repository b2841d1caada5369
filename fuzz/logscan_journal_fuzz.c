/*
 * fuzz/logscan_journal_fuzz.c - any bytes as an export of a journal.
 */
#include <stddef.h>
#include <stdint.h>

#include "logscan/formats.h"
#include "logscan_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Where an entry ends cannot be told from its middle: values may hold anything. */
    fuzz_format(&postfix_journal_format, slice_make(data, size), /* cuts= */ false);
    return 0;
}
