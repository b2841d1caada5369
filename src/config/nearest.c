#include "config/nearest.h"

#include <string.h>

#define NAME_MAX_BYTES 63

size_t nearest_distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_BYTES + 1]; /* of the table: two before, one before, this */

    if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
        return NEAREST_FAR;
    for (size_t j = 0; j <= b.len; j++)
        rows[1][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        const size_t *before2 = rows[(i + 2) % 3], *before = rows[i % 3];
        size_t *now = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t x = byte_lower(a.ptr[i - 1]), y = byte_lower(b.ptr[j - 1]);
            size_t best = before[j - 1] + (x != y);

            best = MIN_OF(best, before[j] + 1);
            best = MIN_OF(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && x == byte_lower(b.ptr[j - 2]) && byte_lower(a.ptr[i - 2]) == y)
                best = MIN_OF(best, before2[j - 2] + 1);
            now[j] = best;
        }
    }
    return rows[(a.len + 1) % 3][b.len];
}
