#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(const char *name, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void complain(const char *name, const char *fmt, va_list ap)
{
    fprintf(stderr, "penstock %s: ", name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int usage_error(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(name, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try 'penstock %s --help'.\n", name);
    return EXIT_USAGE;
}

int command_error(const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(name, fmt, ap);
    va_end(ap);
    return EXIT_FAILED;
}
