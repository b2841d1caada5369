/*
 * cli/pressure_int.h - `penstock pressure`: what the server answers to GET /v1/pressure, for people
 * (pressure_text.c), with what to do (pressure_advice.c), and in Exchange's shape (pressure_xml.c).
 *
 * All take the answer as it is in JSON and write to a stream; none asks the server or the clock.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"

struct pressure_style {
    size_t width;   /* longer lines are cut; 0: none is */
    bool is_colour; /* medium and high in colours of a terminal */
};

/* One screen. */
void pressure_print(const json_t *view, const struct pressure_style *style, FILE *to);
/* For each resource off normal that is not merely watched, a line with what to do. Returns how
 * many. */
size_t pressure_print_advice(const json_t *view, FILE *to);
/* What to do about a resource, whatever its figures; "" where it is not known. */
const char *pressure_advice_for(const char *resource);
/* Adds the tables of docs/pressure.md to `ret`: resources with their defaults, remedies, and what
 * to do. 0, -E2BIG or -ENOMEM. */
MUST_CHECK int pressure_write_markdown(struct buf *ret);
/* The XML of Get-ExchangeDiagnosticInfo -Component ResourceThrottling. */
void pressure_print_xml(const json_t *view, FILE *to);

/*
 * Adds to the server's answer what this machine knows and the server's queue thread must not wait
 * for: the file systems of spool and logs ("mount", "device", "size_bytes", "free_bytes" in "spool"
 * and "log"), the bytes of the log files ("bytes" in "log"), and the process ("process": "threads",
 * "descriptors", "resident_bytes"). What cannot be read is left out.
 */
void pressure_add_machine(json_t *view);

/* "spool disk" of "spool_disk", into `ret`. */
#define PRESSURE_NAME_MAX 32
void pressure_name(const char *name, char ret[static PRESSURE_NAME_MAX]);
/* "38 MiB", "1.2 GiB", "512 B", into `ret`. */
#define PRESSURE_SIZE_MAX 32
void pressure_size(uint64_t bytes, char ret[static PRESSURE_SIZE_MAX]);
/* An amount in a resource's unit: "38 MiB", "12%", "12345 messages". */
void pressure_amount(uint64_t n, const char *unit, char ret[static PRESSURE_SIZE_MAX]);
