/*
 * logscan/unpack.h - a stream of bytes out of a file as it is packed: plain, gzip (RFC 1952, any number
 * of members) or zstd (RFC 8878, any number of frames), told by its first bytes. Private to source.c.
 *
 * Memory: a read buffer, and what the library needs (zstd: windows of at most 128 MiB, its default).
 * One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

enum packing { PACKING_PLAIN, PACKING_GZIP, PACKING_ZSTD };
/* By a file's first bytes. */
enum packing packing_of(struct slice head);

struct unpack;
/* Borrows `fd`, at its begin. 0, -ENOMEM, -errno of reading. */
MUST_CHECK int unpack_new(struct unpack **ret, int fd);
void unpack_free(struct unpack **u);
/* Up to `size` bytes. Their count; 0: the end; -EBADMSG: damaged; -ENODATA: packed data that ends in
 * the middle; -errno. An error is final. */
MUST_CHECK ptrdiff_t unpack_read(struct unpack *u, uint8_t *to, size_t size);
