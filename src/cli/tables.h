/*
 * cli/tables.h - the tables of replies and providers with the operator's files before them.
 */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "config/config.h"
#include "evidence/knowledge.h"
#include "evidence/providers.h"
#include "evidence/replies.h"

#define TABLES_WHY_MAX KIB(64)

/*
 * `file` NULL or "": the shipped table alone. 0; -errno with one line an error in `why`, each with
 * file, line and column where it is about the file's text. Blocking: at start and at a reload.
 */
MUST_CHECK int tables_replies(struct replies **ret, const char *file, struct buf *why);
MUST_CHECK int tables_providers(struct providers **ret, const char *file, struct buf *why);
/* Both, from the files that `c` names, which has no word that they do not know. As above. */
MUST_CHECK int tables_knowledge(const struct config *c, const struct knowledge **ret,
                                struct buf *why);
/* The bytes of a file added to `to`, whose cap is YAML_BYTES_MAX; none where `file` is NULL or "". */
MUST_CHECK int tables_read(const char *file, struct buf *to, struct buf *why);
