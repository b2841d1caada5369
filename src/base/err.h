/*
 * base/err.h - one number space for what can go wrong.
 *
 * Functions return 0 or more for success and -Exxx of <errno.h>, or one of the codes below, for
 * failure. err_str() names any of them for a log line or a person.
 */
#pragma once

#define ERR_BASE 20000
#define ERR_DAMAGED (ERR_BASE + 1)  /* a checksum or a structure on disk is wrong */
#define ERR_FAILED (ERR_BASE + 2)   /* the object failed earlier and only a reopen helps */
#define ERR_LOCKED (ERR_BASE + 3)   /* another process holds it */
#define ERR_DNS_TEMP (ERR_BASE + 4) /* SERVFAIL, time-out, bogus: ask again later */
#define ERR_DNS_NONE (ERR_BASE + 5) /* NXDOMAIN or no such record */
#define ERR_TLS (ERR_BASE + 6)      /* the handshake or a record failed */

/* A static, NUL-ended sentence part ("no space left on device") for 0 or a negative code. */
const char *err_str(int err);
