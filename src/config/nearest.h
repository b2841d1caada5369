/*
 * config/nearest.h - how far apart two names are, to guess which one was meant.
 *
 * Optimal string alignment (restricted Damerau-Levenshtein) distance: insert, delete, replace a
 * character, or swap two neighbours, each 1. Case does not count. Names over 63 bytes are
 * infinitely far from everything. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/slice.h"

#define NEAREST_FAR 1000

size_t nearest_distance(struct slice a, struct slice b);
