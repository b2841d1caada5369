/*
 * evidence/share.h - private: the files of share/, embedded in the program by tools/embed.
 */
#pragma once

#include "base/slice.h"

extern const struct slice share_replies;   /* share/replies.yaml */
extern const struct slice share_providers; /* share/providers.yaml */
