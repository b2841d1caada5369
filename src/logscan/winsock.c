/*
 * logscan/winsock.c - numbers of Windows Sockets; its own texts are localised and have the address in them.
 */
#include "logscan/winsock.h"

static const struct {
    const char *code, *text;
} known[] = {
    {"10051", "Network is unreachable"},   {"10053", "Connection aborted"},
    {"10054", "Connection reset by peer"}, {"10060", "Connection timed out"},
    {"10061", "Connection refused"},       {"10064", "Host is down"},
    {"10065", "No route to host"},         {"11001", "Host not found"},
};

bool winsock_text(struct slice text, struct slice *ret)
{
    const struct slice before = SLICE_LIT("Winsock error code: ");
    ptrdiff_t at = slice_find_slice(text, before);

    if (at < 0)
        return false;
    text = slice_from(text, (size_t)at + before.len);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (slice_has_prefix(text, slice_str(known[i].code))) {
            *ret = slice_str(known[i].text);
            return true;
        }
    }
    return false;
}
