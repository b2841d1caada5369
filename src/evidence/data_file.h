/*
 * evidence/data_file.h - private: what the readers of share/replies.yaml and share/providers.yaml
 * share: a tree with places in, checked values out, every error with file, line and column.
 *
 * Values and texts lie in the pool. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "config/pool.h"
#include "config/yaml.h"

struct data_file {
    struct pool *pool;
    struct errors *errors;
    const char *name;
};

/* A key of a map, and what reads its value into `to`. `names` ends in a NULL name. */
struct data_key {
    const char *name;
    void (*read)(struct data_file *f, const struct node *value, void *to);
};

/* Reads a map: each key by its reader; one that is not in the table is an error that names the
 * nearest. A node of another kind is an error too. */
void data_read_map(struct data_file *f, const struct node *map, const char *what,
                   const struct data_key *keys, void *to);
/* Is it a list of maps, at most `max`? Says what is wrong. */
bool data_is_list(struct data_file *f, const struct node *value, const char *what, size_t max);
/* Text of one line, not empty, at most `max` bytes, NUL-ended; NULL: wrong, and said. */
const char *data_text(struct data_file *f, const struct node *value, const char *what, size_t max);
/* Is it a name: letters of lower case, digits, '-', '.'? At most `max` bytes. */
const char *data_name(struct data_file *f, const struct node *value, const char *what, size_t max);

/* The scalars of a list, or the one scalar; commas in a scalar part it too where `commas`. Calls
 * item() for each, trimmed and not empty; `place` is that of the scalar. */
void data_each(struct data_file *f, const struct node *value, const char *what, bool commas,
               size_t max,
               void (*item)(struct data_file *f, struct place place, struct slice text, void *to),
               void *to);

/* A zeroed array in the pool that grows: room for one more element behind `*list`'s `count`.
 * False: no memory, which the errors have. */
bool data_grow(struct data_file *f, void **list, size_t count, size_t element_size);
