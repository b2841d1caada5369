#include "io/rlimit.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

#include "base/assert.h"

int rlimit_raise_files(uint64_t *ret_now)
{
    struct rlimit limit, wanted;
    int r;

    r = getrlimit(RLIMIT_NOFILE, &limit);
    ASSERT(r == 0);
    wanted = limit;
    wanted.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur != limit.rlim_max) {
        r = setrlimit(RLIMIT_NOFILE, &wanted) == 0 ? 0 : -errno;
        if (r == 0)
            limit = wanted;
    }
    if (ret_now)
        *ret_now = limit.rlim_cur;
    return r;
}
