#include "base/err.h"

#include <errno.h>
#include <string.h>

const char *err_str(int err)
{
    const char *s;

    switch (-err) {
    case ERR_DAMAGED:
        return "data on disk is damaged";
    case ERR_FAILED:
        return "failed earlier; reopen it";
    case ERR_LOCKED:
        return "in use by another process";
    case ERR_DNS_TEMP:
        return "no answer from DNS";
    case ERR_DNS_NONE:
        return "no such record in DNS";
    case ERR_TLS:
        return "TLS failed";
    default:
        s = err <= 0 ? strerrordesc_np(-err) : NULL;
        return s ? s : "unknown error";
    }
}
