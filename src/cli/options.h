/*
 * cli/options.h - the options of a subcommand as one table: name, letter, and where the value goes.
 *
 * Values stay where they are, in argv. What is wrong is told with usage_error(), once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "cli/cli.h"

#define OPTIONS_MAX 32
#define OPTION_LIST_MAX 256

/* The values of an option that may be given often, in the order in which they were typed. */
struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
};

struct option_spec {  /* made by the OPTION_ macros */
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum { OPTION_IS_FLAG, OPTION_HAS_VALUE, OPTION_MAY_HAVE_VALUE } kind;
    bool *flag;
    const char **text;
    struct option_list *list;
    uint64_t *number;
    uint32_t *number_32;
    uint64_t min, max; /* of number or number_32 */
    /* EXIT_DONE, or EXIT_USAGE and it was told. `value` NULL: it was left out. */
    int (*read)(const char *value, void *to);
    void *to;
};

#define OPTION_FLAG(n, l, f)                                                                       \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_IS_FLAG, .flag = (f)                            \
    }
#define OPTION_TEXT(n, l, t)                                                                       \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_HAS_VALUE, .text = (t)                          \
    }
#define OPTION_LIST(n, l, t)                                                                       \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_HAS_VALUE, .list = (t)                          \
    }
#define OPTION_NUMBER(n, l, lowest, highest, t)                                                    \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_HAS_VALUE, .number = (t), .min = (lowest),      \
        .max = (highest)                                                                           \
    }
#define OPTION_NUMBER_32(n, l, lowest, highest, t)                                                 \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_HAS_VALUE, .number_32 = (t), .min = (lowest),   \
        .max = (highest)                                                                           \
    }
#define OPTION_READ(n, l, r, t)                                                                    \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_HAS_VALUE, .read = (r), .to = (t)               \
    }
/* "--name" or "--name=value". */
#define OPTION_READ_MAYBE(n, l, r, t)                                                              \
    {                                                                                              \
        .name = (n), .letter = (l), .kind = OPTION_MAY_HAVE_VALUE, .read = (r), .to = (t)          \
    }

/*
 * Reads the options, in any place, and leaves optind at the first argument that is none. `command`
 * is for messages. EXIT_DONE, or EXIT_USAGE: there is no such option, it lacks its value, was given
 * more than OPTION_LIST_MAX times, is no number from its least to its greatest, or read() said so.
 */
MUST_CHECK int options_read(const char *command, int argc, char **argv,
                            const struct option_spec *specs, size_t count);
