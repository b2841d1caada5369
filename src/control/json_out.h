/*
 * control/json_out.h - writes JSON (RFC 8259) straight into a buffer.
 *
 * No tree is built: a page of a thousand queue entries costs one buffer and no other memory. What
 * comes from peers may hold any bytes: what is not UTF-8 becomes U+FFFD, so the result always is.
 *
 * Ownership: a value on the caller's stack that borrows the buffer. Errors are the buffer's: ask
 * buf_failed() once at the end. The caller balances begin and end and gives keys inside objects,
 * NULL inside arrays and at the top.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct json_out { /* fields are private */
    struct buf *to;
    bool needs_comma;
};

void json_out_init(struct json_out *j, struct buf *to);

void json_out_object(struct json_out *j, const char *key);
void json_out_object_end(struct json_out *j);
void json_out_array(struct json_out *j, const char *key);
void json_out_array_end(struct json_out *j);

void json_out_text(struct json_out *j, const char *key, struct slice text);
void json_out_str(struct json_out *j, const char *key, const char *nul_ended);
void json_out_int(struct json_out *j, const char *key, int64_t n);
void json_out_uint(struct json_out *j, const char *key, uint64_t n);
/* To six digits; null where JSON has no such number (infinities, NaN). */
void json_out_real(struct json_out *j, const char *key, double n);
/* A number that is written already, as JSON has it. */
void json_out_number(struct json_out *j, const char *key, struct slice digits);
void json_out_bool(struct json_out *j, const char *key, bool value);
void json_out_null(struct json_out *j, const char *key);
