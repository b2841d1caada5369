/*
 * base/crc32c.h - CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of the spool.
 *
 * crc32c(crc32c(0, a), b) == crc32c(0, ab). Uses the SSE 4.2 or ARMv8 instruction where the
 * processor has it, else a table; both give the same result (a test compares them). Pure.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

uint32_t crc32c(uint32_t crc, struct slice s);
uint32_t crc32c_portable(uint32_t crc, struct slice s);
