/*
 * io/folders.h - makes folders with all that lead to them, at start and where a log begins.
 */
#pragma once

#include <sys/types.h>

#include "base/base.h"
#include "base/slice.h"

/*
 * Makes `path` and its parents with `mode`; those that are there stay as they are. 0, also where
 * all are there; -ENOTDIR: a part is something else; -ENAMETOOLONG: empty, or over PATH_MAX; -Exxx.
 */
MUST_CHECK int folders_make(struct slice path, mode_t mode);
