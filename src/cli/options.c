/* cli/options.c - getopt_long() behind a table. */
#include "cli/options.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"

#define FIRST_NUMBER 256 /* of options in getopt's answer: letters are below */

static const int arguments[] = {[OPTION_IS_FLAG] = no_argument,
                                [OPTION_HAS_VALUE] = required_argument,
                                [OPTION_MAY_HAVE_VALUE] = optional_argument};

static void add_letter(char *letters, const struct option_spec *spec)
{
    size_t len = strlen(letters);

    if (!spec->letter)
        return;
    letters[len++] = spec->letter;
    for (int i = 0; i < arguments[spec->kind]; i++)
        letters[len++] = ':';
    letters[len] = '\0';
}

static const struct option_spec *find(const struct option_spec *specs, size_t count, int got)
{
    if (got >= FIRST_NUMBER)
        return &specs[got - FIRST_NUMBER];
    for (size_t i = 0; i < count; i++)
        if (specs[i].letter && specs[i].letter == got)
            return &specs[i];
    return NULL;
}

static int take_number(const char *command, const struct option_spec *spec, int got,
                       const char *value)
{
    const char letter[] = {(char)got, '\0'};
    bool is_long = got >= FIRST_NUMBER;
    uint64_t n;

    if (slice_to_u64(slice_str(value), spec->max, &n) < 0 || n < spec->min)
        return usage_error(command, "%s%s '%s': allowed: a number from %" PRIu64 " to %" PRIu64,
                           is_long ? "--" : "-", is_long ? spec->name : letter, value, spec->min,
                           spec->max);
    if (spec->number)
        *spec->number = n;
    if (spec->number_32)
        *spec->number_32 = (uint32_t)n;
    return EXIT_DONE;
}

static int take(const char *command, const struct option_spec *spec, int got, const char *value)
{
    if (spec->flag)
        *spec->flag = true;
    if (spec->text)
        *spec->text = value;
    if (spec->list && spec->list->count == OPTION_LIST_MAX)
        return usage_error(command, "more than %d --%s", OPTION_LIST_MAX, spec->name);
    if (spec->list)
        spec->list->items[spec->list->count++] = value;
    if (spec->number || spec->number_32)
        return take_number(command, spec, got, value);
    return spec->read ? spec->read(value, spec->to) : EXIT_DONE;
}

int options_read(const char *command, int argc, char **argv, const struct option_spec *specs,
                 size_t count)
{
    struct option longs[OPTIONS_MAX + 1] = {{0}};
    char letters[3 * OPTIONS_MAX + 1] = "";
    int got, r = EXIT_DONE;

    ASSERT(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        ASSERT(!specs[i].number_32 || specs[i].max <= UINT32_MAX);
        longs[i] = (struct option){.name = specs[i].name,
                                   .has_arg = arguments[specs[i].kind],
                                   .val = FIRST_NUMBER + (int)i};
        add_letter(letters, &specs[i]);
    }
    opterr = 0;
    while (r == EXIT_DONE && (got = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const struct option_spec *spec = find(specs, count, got);

        r = spec ? take(command, spec, got, optarg)
                 : usage_error(command, "'%s': there is no such option, or it lacks its value",
                               argv[optind - 1]);
    }
    return r;
}
