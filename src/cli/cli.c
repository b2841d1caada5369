#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/slice.h"
#include "cli/format.h"

#define COMPLAINT_MAX KIB(256)

static void complain(const char *name, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void complain(const char *name, const char *fmt, va_list ap)
{
    struct buf text = BUF_INIT(COMPLAINT_MAX), line = BUF_INIT(COMPLAINT_MAX);
    struct slice left;

    fprintf(stderr, "penstock %s: ", name);
    (void)buf_vaddf(&text, fmt, ap);
    left = buf_slice(&text);
    do { /* what was typed or read is repeated, and may hold anything */
        ptrdiff_t end = slice_find(left, '\n');
        size_t len = end < 0 ? left.len : (size_t)end;

        buf_clear(&line);
        (void)format_harmless(&line, slice_sub(left, 0, len));
        fprintf(stderr, "%s\n", buf_cstr(&line));
        left = slice_from(left, len + 1);
    } while (left.len > 0);
    buf_done(&text);
    buf_done(&line);
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
