/*
 * cli/event_run.h - the commands that show a log of JSON lines, `penstock events` and `penstock
 * deliveries`: options, files, what fits, the last so many, and following.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/event_files.h"
#include "cli/format.h"
#include "cli/options.h"

struct json_t;

struct event_options { /* those that all such commands have */
    const char *config, *directory;
    const char *since, *until;
    struct option_list overrides;
    uint64_t count; /* 0: all */
    bool follow, json, help;
    int64_t since_ms, until_ms; /* event_run() reads them */
};

#define EVENT_COUNT_MAX 1000000
#define EVENT_FOLLOW_COUNT 10 /* shown first when following, unless told otherwise */
#define EVENT_OPTION_SPECS(o)                                                                      \
    OPTION_TEXT("since", 0, &(o)->since), OPTION_TEXT("until", 0, &(o)->until),                    \
        OPTION_NUMBER("lines", 'n', 1, EVENT_COUNT_MAX, &(o)->count),                              \
        OPTION_FLAG("follow", 'f', &(o)->follow), OPTION_FLAG("json", 0, &(o)->json),              \
        OPTION_TEXT("config", 'c', &(o)->config), OPTION_LIST("set", 0, &(o)->overrides),          \
        OPTION_TEXT("directory", 0, &(o)->directory), OPTION_FLAG("help", 'h', &(o)->help)
/* What --help says of them: those that choose, and those at its end. */
extern const char event_options_help[], event_options_help_end[];

/* What one command shows. */
struct event_view {
    const char *command, *log; /* "events", "event log" */
    const char *folder;        /* of its files, in the folder of all log files */
    enum record_kind kind;
    const struct table_column *columns;
    size_t column_count;
    void *ctx;
    /* 1: it is to be shown; 0: not; negative: it is no line of that log. */
    int (*fits)(void *ctx, const struct json_t *event);
    /* Adds one row. 0 or the error. */
    int (*add_row)(void *ctx, struct table *t, const struct json_t *event, int64_t at_ms);
    /* Instead of rows; NULL: rows. 1: printed; 0: there is nothing to print; or the error. */
    int (*print)(void *ctx, const struct json_t *event);
};

/* Once the options are read: the exit code of the command. */
int event_run(const struct event_view *view, struct event_options *o);
