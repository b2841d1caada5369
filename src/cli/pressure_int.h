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
#include "base/size.h"

struct pressure_style {
    size_t width;   /* longer lines are cut; 0: none is */
    bool is_colour; /* medium and high in colours of a terminal */
    bool others;    /* with what else is large, where the view has it */
};

/* One screen. */
void pressure_print(const json_t *view, const struct pressure_style *style, FILE *to);
/* For each resource off normal a line with what to do. */
void pressure_print_advice(const json_t *view, FILE *to);
/* A line for each file system whose "others" the view has. */
void pressure_print_others(const json_t *view, FILE *to);
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
/*
 * Adds what else is large where a disk is short (R13), or on both file systems where `always`:
 * "others" in "spool", and in "log" where that is another file system. Each is a walk of at most
 * so many entries and so much time; with `always` somebody waits for it, and it may take longer.
 * After pressure_add_machine().
 */
#define PRESSURE_OTHERS_ENTRIES_MAX 200000
#define PRESSURE_OTHERS_MS_MAX 1000
#define PRESSURE_LARGEST_ENTRIES_MAX 2000000
#define PRESSURE_LARGEST_MS_MAX 30000
void pressure_add_others(json_t *view, bool always);

/* "spool disk" of "spool_disk", into `ret`. */
#define PRESSURE_NAME_MAX 32
void pressure_name(const char *name, char ret[static PRESSURE_NAME_MAX]);
/* An amount in a resource's unit: "38 MiB", "12%", "12345 messages". */
void pressure_amount(uint64_t n, const char *unit, char ret[static SIZE_TEXT_MAX]);
