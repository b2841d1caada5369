/* base/size.c - see size.h. */
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/base.h"

static const char letters[] = "KMGTPE";

/* 0: whole bytes; n: the nth letter, and `*ret` is in its unit. What would be "1024" is one of the
 * next. */
static size_t scale(uint64_t bytes, double *ret)
{
    size_t unit = 0;

    *ret = (double)bytes;
    while (*ret >= 1023.5 && unit + 1 < sizeof(letters)) {
        *ret /= 1024;
        unit++;
    }
    return unit;
}

/* Below ten with one digit behind the point. */
static int digits_of(double n)
{
    return n < 9.95 ? 1 : 0;
}

void size_format(uint64_t bytes, char ret[static SIZE_TEXT_MAX])
{
    double n;
    size_t unit = scale(bytes, &n);

    if (unit == 0)
        (void)snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64 " B", bytes);
    else
        (void)snprintf(ret, SIZE_TEXT_MAX, "%.*f %ciB", digits_of(n), n, letters[unit - 1]);
}

void size_format_short(uint64_t bytes, char ret[static SIZE_TEXT_MAX])
{
    double n;
    size_t unit = scale(bytes, &n);

    if (unit == 0)
        (void)snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64, bytes);
    else
        (void)snprintf(ret, SIZE_TEXT_MAX, "%.*f%c", digits_of(n), n, letters[unit - 1]);
}
