#include "base/rand.h"

#include "base/assert.h"

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* splitmix64: spreads a small seed over the whole state, as its authors advise. */
void rand_init(struct rand *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t rand_u64(struct rand *r)
{
    uint64_t result = rotl(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotl(r->s[3], 45);
    return result;
}

uint64_t rand_below(struct rand *r, uint64_t bound)
{
    uint64_t floor, v;

    ASSERT(bound > 0);
    floor = (0 - bound) % bound; /* the values below it would make low results likelier */
    do
        v = rand_u64(r);
    while (v < floor);
    return v % bound;
}

double rand_symmetric(struct rand *r)
{
    return (double)(rand_u64(r) >> 11) * 0x1.0p-52 - 1.0;
}
