/*
 * smtp/command.h - one command line of a client (RFC 5321, section 4.1.1), with the parameters of
 * SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), DSN (RFC 3461) and CHUNKING
 * (RFC 3030).
 *
 * Pure. What it cannot take it answers with the reply to give, which names what is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "smtp/address.h"
#include "smtp/reply.h"

enum smtp_extension {
    SMTP_EXT_PIPELINING = 1 << 0,
    SMTP_EXT_8BITMIME = 1 << 1,
    SMTP_EXT_SIZE = 1 << 2,
    SMTP_EXT_ENHANCEDSTATUSCODES = 1 << 3,
    SMTP_EXT_CHUNKING = 1 << 4,
    SMTP_EXT_SMTPUTF8 = 1 << 5,
    SMTP_EXT_DSN = 1 << 6,
    SMTP_EXT_LIMITS = 1 << 7,
    SMTP_EXT_STARTTLS = 1 << 8,
};
/* All but STARTTLS, which needs a certificate. */
#define SMTP_EXT_USUAL 0xffu

enum smtp_verb {
    SMTP_VERB_HELO,
    SMTP_VERB_EHLO,
    SMTP_VERB_LHLO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BDAT,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_VRFY,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELP,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_COUNT,
};
const char *smtp_verb_name(enum smtp_verb verb);

enum smtp_body { SMTP_BODY_NOT_GIVEN, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_NOT_GIVEN, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify { /* RFC 3461, section 4.1; 0: not given */
                   SMTP_NOTIFY_NEVER = 1 << 0,
                   SMTP_NOTIFY_SUCCESS = 1 << 1,
                   SMTP_NOTIFY_FAILURE = 1 << 2,
                   SMTP_NOTIFY_DELAY = 1 << 3,
};

struct smtp_mail {
    struct smtp_address sender; /* empty: the null sender */
    uint64_t size;              /* SIZE=; 0 where not given */
    bool has_size;
    bool smtputf8;
    enum smtp_body body;
    enum smtp_ret ret;
    struct slice envid; /* xtext as given, checked; points into the line; may be empty */
};

struct smtp_rcpt {
    struct smtp_address recipient;
    unsigned notify;    /* enum smtp_notify */
    struct slice orcpt; /* "type;xtext" as given, checked; points into the line; may be empty */
};

struct smtp_bdat {
    uint64_t size;
    bool is_last;
};

struct smtp_command {
    enum smtp_verb verb;
    struct slice argument; /* what follows the verb, without blanks around it */
    union {
        struct smtp_mail mail;
        struct smtp_rcpt rcpt;
        struct smtp_bdat bdat;
    } u;
};

/* The reply to a command that cannot be taken; `text` is static. */
struct smtp_fault {
    unsigned code;
    struct smtp_enhanced enhanced;
    const char *text;
};

/*
 * Parses `line`, given without its CRLF. `extensions`: those on offer, enum smtp_extension; the
 * parameters of others are unknown. Slices of `*ret` point into `line`.
 *
 * 0, or -EPROTO: `*ret_fault` is the reply to give; ret->verb is set when the verb was known, else
 * it is SMTP_VERB_COUNT. Whether a command may come now is the session's to know.
 */
MUST_CHECK int smtp_command_parse(struct slice line, unsigned extensions, struct smtp_command *ret,
                                  struct smtp_fault *ret_fault);

/*
 * Decodes xtext (RFC 3461, section 4) or, with `is_utf8`, utf-8-addr-xtext and -unitext (RFC 6533,
 * section 3) into `to` of `size` bytes. The length, or -EINVAL, -E2BIG.
 */
MUST_CHECK ptrdiff_t smtp_xtext_decode(struct slice xtext, bool is_utf8, uint8_t *to, size_t size);
