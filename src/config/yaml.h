/*
 * config/yaml.h - private: YAML text to a tree in which every key and value knows its place.
 *
 * A subset: one document; maps with scalar keys, lists, scalars. Anchors, aliases, tags and keys
 * given twice are errors, as is anything deeper than YAML_DEPTH_MAX. Scalars are text; what they
 * mean is the table's business.
 *
 * Ownership: the tree and its texts live in the pool. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/pool.h"

#define YAML_DEPTH_MAX 16
#define YAML_KEYS_MAX 1000 /* in one map */
#define YAML_BYTES_MAX MIB(16)

/* Where something was said. */
struct place {
    const char *file;      /* NULL: nowhere, it is a default */
    uint32_t line, column; /* from 1; line 0: not in a file, `file` says where */
};

/* What is wrong, one line each; the first ERRORS_MAX are told, the others counted. */
#define ERRORS_MAX 20
struct errors {
    struct buf *why;
    size_t count;
    bool no_memory;
};
void error_at(struct errors *e, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The count of those not told. */
void errors_end(struct errors *e);

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
struct node {
    enum node_kind kind;
    bool is_null;
    struct place place; /* of a quoted scalar: behind the quote */
    struct slice text;  /* NODE_SCALAR */
    struct slice key;   /* where it is a value in a map */
    struct place key_place;
    struct node *first, *last, *next; /* children, and the next one of the parent's */
    size_t count;                     /* of children */
};

/* Adds a child to a list or map. */
void node_add(struct node *parent, struct node *child);
/* The value of a key; NULL. */
struct node *node_get(const struct node *map, struct slice key);

/* Reads `text`, called `file` in places. NULL when something is wrong, which `e` then says (or
 * e->no_memory). A text with nothing in it is an empty map that is_null. */
struct node *yaml_parse(struct pool *pool, const char *file, struct slice text, struct errors *e);
