#include "base/clock.h"

#include <time.h>

static uint64_t now_ns(clockid_t which)
{
    struct timespec ts;

    (void)clock_gettime(which, &ts); /* cannot fail for the two clocks used */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / NS_PER_MS;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(now_ns(CLOCK_REALTIME) / NS_PER_MS);
}

int64_t clock_wall_us(void)
{
    return (int64_t)(now_ns(CLOCK_REALTIME) / 1000);
}
