/*
 * message/trace.h - our Received field (RFC 5321, section 4.4; RFC 3848; RFC 6531, section 4.3;
 * RFC 8314, section 7.4).
 *
 *     Received: from helo.example (ptr.example [192.0.2.1])
 *         by mx.example.org (Penstock) with ESMTPS id 1m2n3p4q5r6s7
 *         (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)
 *         for <a@example.org>; Sun, 22 Nov 2026 20:18:22 +0000
 *
 * What the client said is not trusted: anything in its EHLO argument or its name that could end a
 * line, a comment or a token is replaced by '?', long ones are cut, and a recipient that is not
 * plain (quoted, or 8-bit without `utf8`) is left out. So no line is longer than 998 bytes whatever
 * comes in; with ordinary input none is longer than 78.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct trace {
    struct slice helo;      /* the argument of EHLO or HELO; empty: none was given */
    struct slice ptr;       /* the client's name by reverse DNS; empty: not known */
    struct slice client_ip; /* "192.0.2.1", "2001:db8::1"; empty: made here, no "from" */
    struct slice host;      /* our name */
    struct slice id;        /* the queue id */
    struct slice tls;       /* "TLSv1.3 with cipher X"; empty: no TLS */
    struct slice recipient; /* the only one of the message; empty: there are several */
    bool esmtp, utf8, lmtp, authenticated;
    int64_t at_ms; /* wall */
};

/* Appends the field with its final CRLF. 0, -E2BIG, -ENOMEM; on failure nothing is added. */
MUST_CHECK int trace_received(const struct trace *t, struct buf *to);
