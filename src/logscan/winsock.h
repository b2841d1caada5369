/*
 * logscan/winsock.h - what Exchange's logs say of connections that failed, in the words of all formats.
 */
#pragma once

#include <stdbool.h>

#include "base/base.h"
#include "base/slice.h"

/* "Connection timed out" for a text with "Winsock error code: 10060" in it, and so on. False: it has
 * none, or one that is not known, and `*ret` is not set. The text is static. */
bool winsock_text(struct slice text, struct slice *ret);
