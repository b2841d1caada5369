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
    struct pool pool;                               /* everything the snapshot points to */
    struct origin *origins;                         /* one for each of settings_main */
    struct map routes, destinations, relay_domains; /* by pattern, to the entry */
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
