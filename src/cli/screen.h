/*
 * cli/screen.h - what the screens of `penstock pressure` and `penstock lanes` are made of: lines in
 * a colour, cut to the terminal; headings; tables whose rows have colours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/base.h"
#include "cli/format.h"

#define SCREEN_RED "\033[1;31m"
#define SCREEN_YELLOW "\033[33m"

struct screen {
    size_t width;   /* longer lines are cut; 0: none is */
    bool is_colour; /* a terminal that has colours */
    bool is_ascii;  /* a terminal whose texts are no UTF-8 */
};

/* Does the environment say that texts are UTF-8 (LC_ALL, LC_CTYPE, LANG)? */
bool screen_is_utf8(void);
/* One line, cut to the width; `colour` is one of the above or "". */
void screen_line(const struct screen *s, const char *colour, const char *line, size_t len,
                 FILE *to);
/* An empty line, and one that stands out. */
void screen_heading(const struct screen *s, const char *text, FILE *to);
/* Wrapped at spaces: nothing of it is cut. */
void screen_wrapped(const char *text, size_t width, FILE *to);

/* A table that is gathered in memory first, so that its lines can be cut and coloured. */
struct sheet { /* fields are private */
    struct table table;
    FILE *to;
    char *text;
    size_t len;
};
/* False: no memory, and there is no sheet to end. */
bool sheet_begin(struct sheet *s, const struct table_column *columns, size_t count);
void sheet_cell(struct sheet *s, const char *text);
/* Prints it; row i has colours[i], those from `count` on have none. */
void sheet_end(struct sheet *s, const struct screen *screen, const char *const *colours,
               size_t count, FILE *to);
