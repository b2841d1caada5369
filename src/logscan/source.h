/*
 * logscan/source.h - the files of a run, opened: what each is, where its lines are, bytes by the chunk.
 *
 * Private to run.c. Plain files are read at any offset by any thread; a stream (gzip, zstd, standard
 * input, a pipe) gives its chunks one after the other, to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "logscan/run.h"
#include "logscan/scan.h"

struct source_stream; /* what turns the file into bytes */

struct source {
    struct log_file view; /* what the run tells of it; view.path is ours */
    char *path;
    int fd;                       /* -1: closed */
    uint64_t size;                /* plain: bytes when it was opened */
    bool is_stream;               /* packed, a pipe or standard input */
    struct source_stream *stream; /* while it is open; NULL: plain */
    struct log_carry first;       /* at its first line */
    struct log_carry guess;       /* at a line somewhere in it, as its head tells */
    int64_t first_ms;             /* of its first line that has a time; INT64_MAX: none */
};

struct source_list {
    struct source *items;
    size_t count, room;
    size_t passed_over; /* names in folders and of patterns that are no logs' */
    char *first_passed_over;
};

/* Adds what a path means: a file, the files of a folder and below, those of a glob, "-". 0; -ENOENT:
 * nothing; -E2BIG: more than RUN_FILES_MAX; -ENAMETOOLONG; -ENOMEM. A folder that cannot be read becomes
 * a file with an error. */
MUST_CHECK int source_add(struct source_list *l, const char *path);
void source_list_done(struct source_list *l);

/*
 * Finds out how it is packed and its format (unless given), its first time and its columns, and closes
 * it again where it can be opened twice. Errors are in view.error; view.format is NULL where it is not
 * known: the run goes on without it. `year`: as log_run_config.year.
 */
void source_probe(struct source *s, const struct log_format *format, int year);
/* 0, -errno. */
MUST_CHECK int source_open(struct source *s);
void source_close(struct source *s);
/* All of it has been read, and it is still open: is it what it was? Sets view.size_end. */
void source_ended(struct source *s);
/* The oldest first; those without a time by their names, numbers in them as numbers. */
void source_sort(struct source_list *l);

/* ---- chunks ---- */

/* A chunk's bytes: LOG_LOOKBACK before, a chunk, and a line over its end; aligned as the file is. */
#define SOURCE_ALIGN 4096
#define SOURCE_BUFFER_BYTES (LOG_LOOKBACK + LOG_CHUNK_BYTES + LOG_LINE_MAX + KIB(64))

/* Lines that begin in LOG_CHUNK_BYTES from `offset` of a plain file (with log_format.begins_row: rows,
 * so that a chunk never ends in quotes), into `buffer` (SOURCE_BUFFER_BYTES), with up to LOG_LOOKBACK
 * before them where `wants_lookback`. Sets s->bytes, offset, lookback, and tells of lines that are torn or
 * too long. 0; 1: the file is shorter than it was; -errno. Any thread. */
MUST_CHECK int source_read(const struct source *source, uint64_t offset, bool wants_lookback,
                           uint8_t *buffer, struct log_scan *s);
/* The next chunk of a stream. 1; 0: it is over; -errno (-EBADMSG: it is damaged; -ENODATA: it ends in the middle): what came before was
 * given. */
MUST_CHECK int source_next(struct source *source, uint8_t *buffer, struct log_scan *s);
