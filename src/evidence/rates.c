/*
 * evidence/rates.c - bounds of a binomial share, from the regularized incomplete beta function.
 *
 * The probability of `hits` or more of n at share p is I_p(hits, n - hits + 1) (DLMF 8.17.5), which
 * rises with p: the bound is where it meets alpha. The function is a continued fraction (DLMF
 * 8.17.22, by Lentz's method), which needs about the square root of the larger parameter in terms
 * where it is slowest; the root is found by Newton's steps kept inside a bracket.
 */
#include <math.h>
#include <stdbool.h>

#include "evidence/window.h"

enum { TERMS_MAX = 20000, STEPS_MAX = 100 };

/* lgamma() writes a global. */
static double log_gamma(double x)
{
    int sign;

    return lgamma_r(x, &sign);
}

/* What Stirling's formula leaves of log_gamma(x), for x of 20 or more. */
static double stirling_rest(double x)
{
    return (1.0 / 12 - (1.0 / 360 - 1.0 / (1260 * x * x)) / (x * x)) / x;
}

/* The difference of two large log_gamma()s would lose the digits that matter: of 10^9 tries, nine. */
static double log_beta_of(double a, double b)
{
    double small = fmin(a, b), large = fmax(a, b);

    if (large < 20)
        return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
    return log_gamma(small) - (large - 0.5) * log1p(small / large) - small * log(a + b) + small -
           stirling_rest(a + b) + stirling_rest(large);
}

static double away_from_zero(double x)
{
    return fabs(x) < 1e-300 ? 1e-300 : x;
}

static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), f = d;

    for (int m = 1; m <= TERMS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step;

        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        f *= c * d;
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        step = c * d;
        f *= step;
        if (fabs(step - 1) < 1e-14)
            break;
    }
    return f;
}

/* The logarithm of x^a (1-x)^b / B(a, b). */
static double log_front(double a, double b, double log_beta, double x)
{
    return a * log(x) + b * log1p(-x) - log_beta;
}

/* I_x(a, b), for 0 < x < 1. */
static double incomplete_beta(double a, double b, double log_beta, double x)
{
    double front = exp(log_front(a, b, log_beta, x));

    /* The side on which the fraction converges fast. */
    if (x < (a + 1) / (a + b + 2))
        return front * fraction(a, b, x) / a;
    return 1 - front * fraction(b, a, 1 - x) / b;
}

/* The x in (low, high) at which I_x(a, b) is `wanted`. */
static double solve(double a, double b, double wanted, double low, double high)
{
    double log_beta = log_beta_of(a, b);
    double x = low + (high - low) / 2;

    for (int i = 0; i < STEPS_MAX; i++) {
        double over = incomplete_beta(a, b, log_beta, x) - wanted;
        double slope = exp(log_front(a, b, log_beta, x)) / (x * (1 - x));
        double next = x - over / slope;

        if (over > 0)
            high = x;
        else
            low = x;
        if (!(next > low && next < high)) /* not a number, too */
            next = low + (high - low) / 2;
        if (fabs(next - x) <= 1e-12 * x)
            return next;
        x = next;
    }
    return x;
}

double rate_lower_bound(uint64_t hits, uint64_t tries, double alpha)
{
    double share;

    if (hits > tries)
        hits = tries;
    if (hits == 0)
        return 0;
    if (hits == tries)
        return pow(alpha, 1 / (double)tries);
    share = (double)hits / (double)tries;
    /* At the share itself `hits` is the median: the bound, for an alpha up to a half, is below. */
    return solve((double)hits, (double)(tries - hits) + 1, alpha, 0, share);
}

double rate_upper_bound(uint64_t hits, uint64_t tries, double alpha)
{
    if (hits >= tries)
        return 1;
    if (hits == 0)
        return -expm1(log(alpha) / (double)tries);
    return solve((double)hits + 1, (double)(tries - hits), 1 - alpha, (double)hits / (double)tries,
                 1);
}

/* ---- percentiles ---- */

/* Times below 8 ms have a bucket each; above, each doubling has eight. */
static uint32_t times_bucket(uint64_t ms)
{
    uint32_t octave, bucket;

    if (ms < 8)
        return (uint32_t)ms;
    octave = 63 - (uint32_t)__builtin_clzll(ms);
    bucket = (octave - 2) * 8 + ((uint32_t)(ms >> (octave - 3)) & 7);
    return bucket < TIMES_BUCKETS ? bucket : TIMES_BUCKETS - 1;
}

/* The number as far from the bucket's beginning as from its end, in proportion: 1/17 at most. */
static uint64_t times_middle(uint32_t bucket)
{
    uint64_t low, width;

    if (bucket < 8)
        return bucket;
    width = 1ULL << (bucket / 8 - 1);
    low = (8 + bucket % 8) * width;
    return low + low * width / (2 * low + width);
}

void times_add(struct times *t, uint64_t ms)
{
    uint32_t *count = &t->counts[times_bucket(ms)];

    if (*count < UINT32_MAX)
        (*count)++;
    t->count++;
    t->max_ms = MAX_OF(t->max_ms, ms);
}

void times_merge(struct times *to, const struct times *from)
{
    for (int i = 0; i < TIMES_BUCKETS; i++) {
        uint32_t room = UINT32_MAX - to->counts[i];

        to->counts[i] += MIN_OF(room, from->counts[i]);
    }
    to->count += from->count;
    to->max_ms = MAX_OF(to->max_ms, from->max_ms);
}

uint64_t times_percentile(const struct times *t, double share)
{
    double wanted = share * (double)t->count;
    uint64_t seen = 0;

    if (t->count == 0)
        return 0;
    for (uint32_t i = 0; i < TIMES_BUCKETS; i++) {
        seen += t->counts[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t middle = times_middle(i);

            return MIN_OF(middle, t->max_ms);
        }
    }
    return t->max_ms;
}
