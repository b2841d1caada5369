/*
 * io/tls_int.h - sessions of a TLS configuration, for stream_tls.c.
 */
#pragma once

#include <openssl/ssl.h>

#include "base/slice.h"
#include "io/tls.h"

/*
 * A session of the side the configuration is for, without a BIO, its handshake not begun. A
 * client asks for `host` (SNI) and, where it verifies, takes no other name; a server ignores it.
 * NULL: out of memory, or `host` is no name, or it is empty and was to be verified.
 */
SSL *tls_session_new(struct tls_config *t, struct slice host);
/* Why the last call on the session failed, as a sentence part. */
void tls_session_error(SSL *ssl, char *ret, size_t size);
