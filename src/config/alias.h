/*
 * config/alias.h - private: Exchange's names for the settings of the section pressure.
 *
 * An administrator's numbers carry over from EdgeTransport.exe.config: `PrivateBytes.LowToMedium`
 * is `memory.low_to_medium`, `UsedDiskSpace[D:\Queue].MediumToHigh` is `log_disk.medium_to_high`,
 * `SubmissionQueueHistoryDepth` is `queue.history`. Case does not count, and what stands in
 * brackets does not matter. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

/* The name as the table of settings has it, valid as long as `name` and `room`, which it may be
 * put into. A name without such words comes back as it is. */
struct slice alias_resolve(struct slice name, struct buf *room);
