#include "io/rlimit.h"

#include <errno.h>
#include <malloc.h>
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

void rlimit_save_address_space(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        (void)mallopt(M_ARENA_MAX, 1); /* with more it goes on as it can */
}
