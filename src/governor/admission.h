/*
 * governor/admission.h - levels in, verdicts a class out.
 *
 *     level    external                     internal,      second copies     reports
 *                                           authenticated
 *     normal   open; delayed while the      open           open              open
 *              delay runs down
 *     medium   delayed; refused from when   open           open              open
 *              a resource hardened until
 *              it is normal
 *     high     refused                      refused        refused where     open
 *                                                          the spool has
 *                                                          only its need
 *
 * The delay begins at `start`, grows by `step` with each sample in which external mail is delayed
 * at medium, to `max`, stays as it is while that mail is refused, and shrinks by `step` a sample at
 * normal; a step of 0 ends it at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "governor/governor.h"
#include "governor/resource.h"

struct admission { /* fields are private; zero: all open */
    bool is_ramping;
    uint64_t delay_ms;
    enum governor_resource reason; /* of the last pressure; the run-down and a level that only the
                                      dwell keeps up are still its */
};

/* After each sample. `level` is the server's. */
void admission_decide(struct admission *a, const struct governor_settings *s,
                      const struct resource *resources, enum pressure_level level,
                      uint64_t message_size_max, struct gate_settings *ret);
