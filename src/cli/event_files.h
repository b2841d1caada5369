/*
 * cli/event_files.h - reads the files of the event log, or of another kind of log, in order, while
 * a server may be writing, ending, removing and renaming them.
 *
 * Other files in the folder are not looked at. A line without its end is one that is being written
 * or was cut off: it is not given out until it is whole, and counted as cut when a newer file or
 * the end comes first. So are lines over EVENT_FILES_LINE_MAX.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "event/folder.h"
#include "event/record.h"

#define EVENT_FILES_LINE_MAX KIB(64)

struct event_files { /* fields are private, but for `cut` */
    enum record_kind kind;
    char folder[FOLDER_PATH_MAX];
    int64_t since_ms;
    int fd; /* -1: none is open */
    struct folder_name open;
    bool has_begun; /* `open` is or was a file */
    uint64_t offset;
    bool skips; /* the rest of a line that is too long */
    size_t begin, end;
    uint64_t cut;
    uint8_t buffer[EVENT_FILES_LINE_MAX];
};

/* Files last written before `since_ms` are passed over. 0, or -Exxx: the folder cannot be read. */
MUST_CHECK int event_files_open(struct event_files *f, enum record_kind kind, const char *folder,
                                int64_t since_ms);
void event_files_close(struct event_files *f);

/* The next line, with its LF, valid until the next call. 1; 0: there is no more by now, and when
 * called again later there may be; -Exxx: a file cannot be read. */
MUST_CHECK int event_files_next(struct event_files *f, struct slice *ret);
/* No more lines will be asked for: a line that has no end yet counts as cut. */
void event_files_ended(struct event_files *f);
