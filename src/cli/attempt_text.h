/*
 * cli/attempt_text.h - attempts as rows, lines, JSON and CSV.
 */
#pragma once

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/format.h"
#include "evidence/attempt.h"

#define ATTEMPT_TEXT_COLUMNS 9
extern const struct table_column attempt_text_columns[ATTEMPT_TEXT_COLUMNS];
/* 0, -ENOMEM. */
MUST_CHECK int attempt_text_row(struct table *t, const struct attempt *a);

/* One JSON object and a line end; texts that are no UTF-8 have '?' for their other bytes. 0,
 * -ENOMEM, -EIO. */
MUST_CHECK int attempt_text_json(const struct attempt *a, FILE *to);
/* RFC 4180, the names of the columns first. */
void attempt_text_csv_head(FILE *to);
void attempt_text_csv(const struct attempt *a, FILE *to);
/* A step of one message's way, on two lines: when, where and how; then the reply. */
void attempt_text_step(const struct attempt *a, struct buf *to);
