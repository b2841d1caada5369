/*
 * cli/options.h - the options of a subcommand as one table: name, letter, and where the value goes.
 *
 * Values stay where they are, in argv. What is wrong is told with usage_error(), once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "cli/cli.h"

#define OPTIONS_MAX 32

struct option_spec {  /* made by the OPTION_ macros */
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum { OPTION_IS_FLAG, OPTION_HAS_VALUE, OPTION_MAY_HAVE_VALUE } kind;
    bool *flag;
    const char **text;
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
 * is for messages. EXIT_DONE, or EXIT_USAGE: there is no such option, it lacks its value, or
 * read() said so.
 */
MUST_CHECK int options_read(const char *command, int argc, char **argv,
                            const struct option_spec *specs, size_t count);
