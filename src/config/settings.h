/*
 * config/settings.h - private: the one table of settings.
 */
#pragma once

#include "config/value.h"

extern const struct settings settings_main;

struct settings_section {
    const char *name; /* "smtp", also of a list of maps */
    const char *what; /* sentences for the manual */
};
extern const struct settings_section settings_sections[]; /* ends with a NULL name */

/* The setting called `name`; NULL. */
const struct setting *settings_find(const struct settings *t, struct slice name);
