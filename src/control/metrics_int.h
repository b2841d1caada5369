/*
 * control/metrics_int.h - the metrics page (docs/api.md); no HTTP.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "control/control.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The whole page. What the governor knows is left out where there is none. */
void answer_metrics(const struct control_seams *seams, int64_t started_ms, struct buf *to);
