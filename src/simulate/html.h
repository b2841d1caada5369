/*
 * simulate/html.h - the results of a scenario as one HTML file that needs nothing else: a table, and
 * plots in SVG of the queue, the capacity replies and the deliveries over time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "simulate/simulate.h"

#define SIMULATE_HTML_MAX MIB(8)

/* Adds the page to `to`. `count` 1 or more. 0, -E2BIG, -ENOMEM. */
MUST_CHECK int simulate_html(const struct scenario *s, uint64_t seed,
                             const struct simulate_result *results, size_t count, struct buf *to);
