/*
 * receive/clients.c - what one client may do in a minute.
 *
 * A count lives in one atomic word: the minute, what was counted in it, and in the one before. The
 * sum of the last 60 seconds is taken to be the present count and the part of the one before that
 * still lies within them, as if it had come evenly. So nobody gets twice the limit where one
 * minute ends and the next begins, and there is nothing to clear.
 */
#include "receive/receive_int.h"

#include "base/clock.h"

#define MINUTE_MS (60 * MS_PER_S)
#define COUNT_BITS 20
#define COUNT_MAX ((UINT64_C(1) << COUNT_BITS) - 1)
#define MINUTE_SHIFT (2 * COUNT_BITS)

_Static_assert(COUNT_MAX > 1000000, "the largest limit in the settings");

struct count {
    uint64_t minute, before, now;
};

/* As of `minute`. Loops look at the clock at the start of a turn, so one may lag behind the word:
 * its clients count into the minute that the others have begun. */
static struct count unpack(uint64_t word, uint64_t minute)
{
    struct count c = {word >> MINUTE_SHIFT, word >> COUNT_BITS & COUNT_MAX, word & COUNT_MAX};

    if (minute <= c.minute)
        return c;
    return (struct count){minute, minute == c.minute + 1 ? c.now : 0, 0};
}

static uint64_t pack(struct count c)
{
    return c.minute << MINUTE_SHIFT | c.before << COUNT_BITS | c.now;
}

bool client_may(atomic_ullong *word, uint32_t limit, uint64_t now_ms)
{
    uint64_t left_ms = MINUTE_MS - now_ms % MINUTE_MS;
    unsigned long long old = atomic_load_explicit(word, memory_order_relaxed);
    struct count c;

    do {
        c = unpack(old, now_ms / MINUTE_MS);
        if (c.now + c.before * left_ms / MINUTE_MS >= limit)
            return false;
        c.now = MIN_OF(c.now + 1, COUNT_MAX);
    } while (!atomic_compare_exchange_weak_explicit(word, &old, pack(c), memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
