/*
 * logscan/bands.h - what a share of capacity replies would be called by the controller of lanes
 * (schedule/throttle.h), with the shipped settings and the log's whole time as its window.
 */
#pragma once

#include <stdint.h>

#include "schedule/throttle.h"

/* As lanes.watch, lanes.throttle, lanes.incident, lanes.sample_min, lanes.hits_min,
 * 1 - lanes.confidence and lanes.baseline_factor are unless set. */
#define BANDS_WATCH_SHARE 0.0001
#define BANDS_THROTTLE_SHARE 0.0002
#define BANDS_INCIDENT_SHARE 0.002
#define BANDS_SAMPLE_MIN 200
#define BANDS_HITS_MIN 3
#define BANDS_ALPHA 0.01
#define BANDS_BASELINE_FACTOR 2.0

/* BAND_NORMAL, BAND_WATCH, BAND_THROTTLE or BAND_INCIDENT; the last two where the sample confirms it. */
enum band bands_of(uint64_t capacity, uint64_t attempts);
