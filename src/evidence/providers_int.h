/*
 * evidence/providers_int.h - private: a table without the shipped one, for tests of the reader.
 */
#pragma once

#include "evidence/providers.h"

/* As providers_new(). */
MUST_CHECK int providers_new_alone(struct providers **ret, struct slice own, const char *own_name,
                                   struct buf *why);
