/*
 * logscan/bands.c - the rules of one look of the controller, without a baseline.
 */
#include "logscan/bands.h"

#include "evidence/window.h"

enum band bands_of(uint64_t capacity, uint64_t attempts)
{
    double bound;

    if (capacity == 0 || attempts == 0 || (double)capacity < BANDS_WATCH_SHARE * (double)attempts)
        return BAND_NORMAL;
    if (attempts < BANDS_SAMPLE_MIN || capacity < BANDS_HITS_MIN)
        return BAND_WATCH;
    bound = rate_lower_bound(capacity, attempts, BANDS_ALPHA);
    if (bound > BANDS_INCIDENT_SHARE)
        return BAND_INCIDENT;
    return bound > BANDS_THROTTLE_SHARE ? BAND_THROTTLE : BAND_WATCH;
}
