/*
 * cli/ledger_reader.h - the server's ledger, found by its configuration.
 */
#pragma once

#include "base/base.h"
#include "ledger/query.h"

/* `directory` wins over the configuration `config` (NULL: the embedded defaults). EXIT_DONE, or
 * EXIT_FAILED and `command` has told why. */
MUST_CHECK int open_ledger_reader(struct ledger_reader **ret, const char *command,
                                  const char *config, const char *directory);
