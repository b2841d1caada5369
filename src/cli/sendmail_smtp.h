/*
 * cli/sendmail_smtp.h - sendmail's connection to the server: blocking, one message, then gone.
 *
 * Functions tell on stderr what went wrong and return an exit code of sysexits.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "base/slice.h"
#include "io/addr.h"
#include "smtp/address.h"
#include "smtp/command.h"

struct submission;

struct sendmail_mail { /* all borrowed */
    struct slice hello_name, sender, envid;
    const struct smtp_address *recipients;
    size_t recipient_count;
    unsigned notify; /* enum smtp_notify */
    enum smtp_ret ret;
    bool smtputf8, is_verbose;
    struct submission *message;
};

/*
 * Submits the mail, in several transactions where the server takes fewer recipients at once. EX_OK
 * when all recipients were taken; else the code of the worst, EX_TEMPFAIL before all others, and
 * each that was not taken is told: the rest was.
 */
MUST_CHECK int sendmail_submit(const struct addr *server, const struct sendmail_mail *mail);

/*
 * Copies standard input to the server and the server to standard output until the server closes.
 * Nothing is sent before the greeting came: a client that talks early is refused by many servers.
 */
MUST_CHECK int sendmail_bridge(const struct addr *server);
