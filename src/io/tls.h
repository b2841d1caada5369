/*
 * io/tls.h - TLS configurations (OpenSSL 3): made at start or reload, then shared and unchanged.
 *
 * TLS 1.2 and later only, compression and renegotiation off. Reference counted and safe to use
 * from any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"

struct tls_config; /* opaque */

/*
 * A server's: certificate chain and key as PEM files. -ENOENT, -EACCES, -EINVAL (not PEM, key does
 * not match), -ENOMEM; `*why` gets a sentence that names the file.
 */
MUST_CHECK int tls_config_new_server(const char *cert_file, const char *key_file,
                                     struct tls_config **ret, struct buf *why);
/* A server's with a self-signed certificate (P-256, ten years) for `host`, made now, in memory
 * only. -EINVAL: `host` is no host name. -ENOMEM. */
MUST_CHECK int tls_config_new_self_signed(const char *host, struct tls_config **ret,
                                          struct buf *why);
/*
 * A client's. `verify`: the peer's chain must lead to `ca_file` (NULL: the system's store) and
 * name the host (RFC 6125); else opportunistic: any certificate is taken (RFC 7435). Errors as
 * for a server's.
 */
MUST_CHECK int tls_config_new_client(bool verify, const char *ca_file, struct tls_config **ret,
                                     struct buf *why);
struct tls_config *tls_config_ref(struct tls_config *t);
void tls_config_unref(struct tls_config **t);
