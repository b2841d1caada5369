/*
 * logscan/logparser_functions.h - the functions of Log Parser 2.2 that queries on mail logs use, for SQLite.
 *
 * NULL in is NULL out. Positions and indexes count from 0 and characters, negative ones from the end. What
 * is not there (the second separator where there is one, a text that is no stamp) is NULL.
 * SUBSTR, TRIM, LTRIM and RTRIM differ from SQLite's own, ADD is one of its keywords: they have the names
 * LP_SUBSTR, LP_ADD ...
 */
#pragma once

#include <sqlite3.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

/* An SQLite code. */
MUST_CHECK int logparser_functions_add(sqlite3 *db);
/* The name nearest to `name` among these, PROPCOUNT and the commonest of SQLite's; NULL: none is near. */
const char *logparser_functions_nearest(struct slice name);
/* A sentence: how many arguments the function takes. `called` is as SQLite names it: "LP_SUBSTR()". */
void logparser_functions_tell_arguments(struct slice called, struct buf *why);
