/*
 * cli/lanes_int.h - private to `penstock lanes`: lanes.c (options, the server), lanes_text.c (its
 * answers for people), lanes_resolve.c and lanes_resolve_text.c (what holds for an address) and
 * lanes_mx.c (its MX hosts).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"

struct config;
struct providers;

struct lanes_style {
    size_t width;   /* of the terminal: rows are cut, sentences wrapped; 0: neither */
    bool is_colour; /* bands that need a look in colours of a terminal */
};

/* The answer to GET /v1/lanes: one line a lane, those that need a look first. */
void lanes_print(const json_t *view, const struct lanes_style *style, FILE *to);
/* The answer to GET /v1/lanes/NAME. */
void lanes_print_one(const json_t *view, const struct lanes_style *style, FILE *to);

/* ---- resolve ---- */

#define RESOLVE_HOSTS_MAX 16

struct resolve_question {
    const struct config *config;
    const struct providers *providers;
    struct slice address;                  /* "user@example.org", or a domain */
    struct slice hosts[RESOLVE_HOSTS_MAX]; /* MX hosts, best first */
    size_t host_count;
    const char *hosts_from; /* "DNS", "--mx"; with no hosts a sentence part why */
};
/* What holds for mail to that address, and why: the object of docs/api.md. NULL: no memory. */
MUST_CHECK json_t *lanes_resolve(const struct resolve_question *q);
/* The same for people, in lines of `width` columns; 0: however long. */
void lanes_print_resolved(const json_t *view, size_t width, FILE *to);
/* Does mail for the address go to hosts that are found by MX? */
bool lanes_goes_by_mx(const struct config *c, struct slice address);
/* "deferred mail is tried again after 10m, 20m and then every 40m, ..." */
void lanes_add_retries(const json_t *view, struct buf *to);

/* The MX hosts of a domain, asked with the configuration's resolver; `names` gets their texts, which
 * the hosts point to. What went wrong is in hosts_from. EXIT_DONE, or EXIT_FAILED and it was told. */
MUST_CHECK int lanes_ask_mx(struct resolve_question *q, struct buf *names, struct buf *why);
