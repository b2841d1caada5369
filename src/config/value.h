/*
 * config/value.h - private: the kinds of values a setting can have, from text and back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"
#include "config/pool.h"

enum value_type {
    VALUE_BOOL,          /* bool */
    VALUE_NUMBER,        /* unsigned of 2, 4 or 8 bytes */
    VALUE_SIZE,          /* bytes; unsigned of 4 or 8 bytes */
    VALUE_DURATION,      /* in setting.unit; unsigned of 4 or 8 bytes */
    VALUE_PERCENT,       /* double, a share; min and max in percent */
    VALUE_WHOLE_PERCENT, /* uint64_t: 0..100 */
    VALUE_CHANGE,        /* double, a negative share; min and max in percent without the sign */
    VALUE_SHARE,       /* double, a share to a ten-thousandth of a percent, in which min and max */
    VALUE_FACTOR,      /* double, to a hundredth, in which min and max */
    VALUE_RATE,        /* struct config_rate; min and max of its count, 0 is no limit */
    VALUE_DATE,        /* int64_t, ms: the beginning of a day in UTC */
    VALUE_ENUM,        /* an enum, the index into setting.words */
    VALUE_TEXT,        /* const char * */
    VALUE_PATH,        /* const char * */
    VALUE_FOLDER,      /* const char *; "" is never allowed */
    VALUE_HOST,        /* const char *, a domain name */
    VALUE_PATTERN,     /* const char *, "example.org", ".example.org" or "*" */
    VALUE_DESTINATION, /* const char *: a pattern, "mx:PATTERN", "route:TEXT", or a word */
    VALUE_NAME,        /* const char *, letters, digits, '-', '_' and '.' */
    VALUE_MAILBOX,     /* const char *, local@domain or local */
    VALUE_ADDRESS,     /* struct addr with a port (setting.min is the default one), or Unix path */
    VALUE_IPV4,        /* struct addr without a port */
    VALUE_IPV6,        /* struct addr without a port */
    VALUE_TARGET,      /* struct config_target */
    VALUE_NETWORKS,    /* struct config_networks */
    VALUE_PATTERNS,    /* struct config_texts */
    VALUE_SERVERS,     /* struct config_texts in libunbound's form */
    VALUE_DELAYS,      /* struct config_retry: all delays but the first */
    VALUE_COUNTS,      /* struct config_counts */
    VALUE_MEMBERS,     /* struct config_members: "name" or "name x weight" */
    VALUE_FOLDERS,     /* struct config_texts */
    VALUE_MAPS,        /* a pointer to structs, and a count: setting.sub */
};

enum value_unit { UNIT_NONE, UNIT_US, UNIT_MS, UNIT_S };

struct setting {
    const char *name; /* with its sections: "smtp.recipients_max" */
    enum value_type type;
    enum value_unit unit;
    size_t offset, size; /* in struct config, or in the element of a list */
    const char *def;     /* as it would be written; NULL: not set, or see `inherits` */
    uint64_t min, max;
    const char *const *words;   /* VALUE_ENUM; NULL-ended */
    const char *inherits;       /* where not given: the value of this setting of the main table */
    const char *def_note;       /* what the manual says instead of the default */
    bool optional;              /* "" and "none" mean not set; of a folder "none" alone */
    bool required;              /* in a list's element: must be given */
    bool needs_unit;            /* VALUE_SIZE: 0, or a number with its unit */
    bool reload;                /* a reload changes it in the running server */
    const char *what;           /* a sentence */
    const struct settings *sub; /* VALUE_MAPS */
    size_t count_offset;        /* VALUE_MAPS: of the size_t with the number of elements */
};

struct settings {
    const struct setting *list;
    size_t count;
    size_t element_size; /* VALUE_MAPS */
};

bool value_is_list(const struct setting *s); /* takes several items, "a, b" or [a, b] */

/*
 * Reads one item and puts it to `base` + offset; items of a list are added to those that are
 * there. 0; -EINVAL: not allowed, and `*detail` may have a part of a sentence that says why;
 * -ENOMEM. On -EINVAL nothing is changed.
 */
MUST_CHECK int value_parse(const struct setting *s, struct slice text, void *base,
                           struct pool *pool, struct buf *detail);
/* Before the items of a list: no items. For others: not set. */
void value_clear(const struct setting *s, void *base);
/* The value of `from` in `from_base` (same type) becomes that of `to`. */
void value_copy(const struct setting *to, void *base, const struct setting *from,
                const void *from_base);
/* The value as the file would have it; "" where not set. Not for VALUE_MAPS. */
void value_format(const struct setting *s, const void *base, struct buf *ret);
/* "a whole number from 1 to 50", for errors and the manual. */
void value_allowed(const struct setting *s, struct buf *ret);
