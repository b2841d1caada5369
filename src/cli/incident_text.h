/*
 * cli/incident_text.h - an incident as people read it: lines for a terminal, Markdown for a ticket
 * or for the receiver's postmaster, a row of a list. Programs get incident_encode().
 *
 * Texts in it come from other hosts and are made harmless. Times are UTC.
 */
#pragma once

#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/format.h"
#include "evidence/incident.h"

#define INCIDENT_TEXT_MAX KIB(256) /* a cap for `to` that holds any incident */

/* `now_ms`: wall clock, for how long an open one lasts. The buffer says whether it had room. */
void incident_text_write(struct buf *to, const struct incident *i, int64_t now_ms);
void incident_text_markdown(struct buf *to, const struct incident *i, int64_t now_ms);

/* `penstock incidents list`: give the columns to table_init(), then a row for each. */
#define INCIDENT_TEXT_COLUMNS 8
extern const struct table_column incident_text_columns[INCIDENT_TEXT_COLUMNS];
MUST_CHECK int incident_text_row(struct table *t, const struct incident *i, int64_t now_ms);
