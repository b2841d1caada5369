/*
 * config/config_int.h - private: what a snapshot holds beside its fields, and the loading of one.
 */
#pragma once

#include <stdatomic.h>

#include "base/map.h"
#include "config/config.h"
#include "config/pool.h"
#include "config/settings.h"
#include "config/yaml.h"

/* The "files" that the default elements of lists and the command line's settings come from, known
 * by their pointers. */
extern const char config_default_file[];
extern const char config_command_line[];

/* Where a setting was given; .file NULL: it was not, and has its default. */
struct origin {
    struct place place;
    struct place *elements; /* VALUE_MAPS: for each element, one for each setting of it */
};

struct config_private {
    atomic_uint refs;
    struct pool pool;                 /* everything the snapshot points to */
    struct origin *origins;           /* one for each of settings_main */
    struct map routes, relay_domains; /* by pattern, to the entry */
    struct map destinations;          /* by pattern: blocks by domain, by suffix and "*" */
    struct map names;                 /* by name or text: blocks by provider and by next hop */
    struct map lanes;                 /* blocks that have lanes of their own, by their names */
    const struct config_destination **mx_blocks; /* by MX host, the longest pattern first */
    size_t mx_block_count;
    struct config_pool all_sources;
};

/* A snapshot being filled. */
struct loader {
    struct config *config;
    struct pool *pool; /* the snapshot's */
    struct pool trees; /* freed at the end */
    struct errors errors;
    struct node **lists; /* for each of settings_main: the elements given; NULL */
    const struct node **overrides;
    size_t override_count;
    uint32_t files; /* read so far */
};

/* Gives every setting its default. */
void apply_defaults(struct loader *ld);
/* Takes what a file says; settings given before are replaced, lists of maps are joined. */
void apply_tree(struct loader *ld, const struct node *tree);
/* "name=value" of the command line. */
void apply_override(struct loader *ld, const char *text);
/* When all is taken: fills in what depends on other settings, makes the lists of maps, and checks
 * what concerns several settings. */
void apply_end(struct loader *ld);

/* config/check.c: what concerns several settings, and the maps of patterns. */
void check_all(struct loader *ld);
/* Where an element of a list says `name`; .file NULL: it does not. */
struct place check_place(const struct loader *ld, const char *list, size_t element,
                         const char *name);
/* Where a setting is given; .file NULL: it is not. */
struct place check_place_of(const struct loader *ld, const char *name);
/* Tells that the settings whose values are at `low` and `high` of a snapshot are not in order. */
void check_not_in_order(struct loader *ld, size_t low, size_t high, bool may_be_equal,
                        const char *rule);
/* Files `value` under its pattern, which no other may have. */
void check_file(struct loader *ld, struct map *m, const char *pattern, const void *value,
                struct place at, const char *list, size_t i);
/* config/check_policy.c: sources, pools, destinations and lanes. */
void check_policies(struct loader *ld);
