/*
 * logscan/scan.h - one chunk of a log: whole lines in, facts out. Pure: the same chunk with the same
 * carry gives the same facts, so chunks are scanned on all cores at once.
 *
 *     plan -> chunk 0 | chunk 1 | chunk 2 ...   scanned in any order, by any thread
 *                 \        |        /
 *                  merge, in order: sessions that cross a border, then the report
 *
 * What a chunk cannot know is what stood before it: the columns in force, the year of stamps that
 * have none, sessions that began earlier. The first two are the carry: it is guessed from the newest
 * known, and the rare chunk whose guess proves wrong is scanned once more. The third is the format's:
 * it keeps such rows in the chunk's scan until merge() has the session.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "logscan/arena.h"
#include "logscan/fact.h"

#define LOG_CHUNK_BYTES MIB(1) /* lines that begin in so many bytes of a file */
#define LOG_LINE_MAX KIB(256)  /* a longer line is skipped, and told */
#define LOG_COLUMNS_MAX 96     /* of a CSV format */

/* Why a line is not in the report. */
#define LOG_SKIP_TABLE(X)                                                                          \
    X(SKIP_NUL, "nothing but NUL bytes")                                                           \
    X(SKIP_TORN, "cut: the last line has no end")                                                  \
    X(SKIP_LONG, "longer than 256 KiB")                                                            \
    X(SKIP_COLUMNS, "not the columns that the header names")                                       \
    X(SKIP_HEADER, "before any header that names the columns")                                     \
    X(SKIP_TIME, "no time that can be read")                                                       \
    X(SKIP_REPEATED, "\"last message repeated\": the system log left lines out")                   \
    X(SKIP_FORM, "not a line of this format")
#define LOG_SKIP_LINE(constant, text) constant,
enum log_skip { LOG_SKIP_TABLE(LOG_SKIP_LINE) LOG_SKIPS };
_Static_assert(LOG_LINE_MAX == KIB(256), "the text says so");
const char *log_skip_text(enum log_skip s);

/* The columns that a header names. Interned: equal columns are the same object, for the process's
 * life; any thread. */
struct log_columns {
    uint32_t count;
    struct slice names[LOG_COLUMNS_MAX]; /* as the header spells them */
};
/* The columns of "a,b,c" (no prefix "#Fields: "). NULL: more than LOG_COLUMNS_MAX or LOG_HEADER_MAX bytes of
 * them, or more than LOG_HEADERS_MAX headers that differ; or no memory: rows below it are skipped as SKIP_HEADER. */
#define LOG_HEADER_MAX KIB(8)
#define LOG_HEADERS_MAX 200
const struct log_columns *log_columns_of(struct slice names);
/* "#Fields: a,b" (ASCII case ignored), as Exchange's logs have it: the names, for log_columns_of(). False: the
 * line is no such header. */
bool log_columns_header(struct slice line, struct slice *ret_names);
/* The index of a column by its name (ASCII case ignored); -1: there is none. */
int log_columns_find(const struct log_columns *c, struct slice name);

/* For formats whose columns are a table of X(CONSTANT, "name"): an enum of them, their names one by one, and
 * all names as log_format has them. */
#define LOG_COLUMN_CONSTANT(constant, name) constant,
#define LOG_COLUMN_NAME(constant, name) name,
#define LOG_COLUMN_IN_LIST(constant, name) "," name
#define LOG_COLUMN_LIST(TABLE) (&TABLE(LOG_COLUMN_IN_LIST)[1]) /* without the first comma */

struct log_carry {
    const struct log_columns *columns; /* NULL: no header yet */
    int16_t year, month;               /* of the last stamp without a year; year 0: not known */
};
bool log_carry_eq(const struct log_carry *a, const struct log_carry *b);

enum {                    /* what the report wants: facts that nobody reads are not made */
       WANT_REPLIES = 1,  /* FACT_REPLY of refusals */
       WANT_ACCEPTED = 2, /* FACT_REPLY of 2xx and 3xx as well */
       WANT_LIVES = 4,    /* all other kinds */
       WANT_SESSIONS =
           8, /* replies with host and recipient, where that needs the session's state */
};

/* Which of them a FACT_REPLY of this reply is for. */
static inline unsigned log_reply_want(const struct log_reply *r)
{
    return r->code > 0 && r->code < 400 ? WANT_ACCEPTED : WANT_REPLIES;
}

struct log_format;
struct log_place {   /* the first of a kind */
    uint64_t offset; /* in its file */
    uint64_t line;   /* 1 is the first of the file; set by the merge */
    uint32_t file;   /* index among the files */
};
struct log_tally {
    uint64_t rows;    /* records: without headers, and without what is skipped */
    uint64_t headers; /* lines */
    uint64_t skipped[LOG_SKIPS];
    struct log_place first[LOG_SKIPS]; /* where skipped[] is not 0 */
};

/* A chunk and what was found in it. Belongs to one thread at a time. */
struct log_scan {
    /* given */
    const struct log_format *format;
    struct slice bytes; /* whole lines, each with its '\n' */
    uint64_t offset;    /* of bytes.ptr[0] in the file */
    /* Bytes of whole lines that stand before `bytes` in memory: for what a reply's last line needs
     * to know of its first ones. At most LOG_LOOKBACK; never scanned for facts. */
    size_t lookback;
    uint32_t file;
    unsigned wants;
    struct log_carry carry; /* at the first line */
    /* found */
    struct log_carry carry_end;
    struct log_tally tally;
    uint64_t lines;         /* in `bytes`; 0: not counted */
    struct log_fact *facts; /* in order of offset */
    size_t fact_count, fact_room;
    struct arena arena; /* text that is not in the chunk as it stands */
    void *session_rows; /* the format's: rows of sessions that began earlier, and open sessions */
    void *own;          /* the report's, where it scans by itself */
    int error;          /* -ENOMEM: the run stops */
};
#define LOG_LOOKBACK KIB(64)

/* Frees what it found. */
void log_scan_done(struct log_scan *s);
/* Forgets what it found, keeps the memory: for the next chunk, or the same with another carry. */
void log_scan_again(struct log_scan *s);

/* Adds a fact of `kind`, all else zero but its offset; NULL: no memory (s->error is set). The
 * pointer is good until the next. */
struct log_fact *log_scan_fact(struct log_scan *s, enum fact_kind kind, const uint8_t *line);
/* Puts the facts from `from` on, which merge() has added in their order, among those before: in order of
 * offset, of one line the added ones first. 0, -ENOMEM. */
MUST_CHECK int log_scan_sort_in(struct log_scan *s, size_t from);
/* Tells of a line that is not in the report. */
void log_scan_skip(struct log_scan *s, enum log_skip why, const uint8_t *line);

/*
 * Walks the lines of a chunk: `*at` begins at 0, false at the end. `*ret` is without line end ("\n",
 * "\r\n") and without NUL bytes and a byte order mark at its begin; empty lines are passed over, a
 * line of NULs is told.
 */
bool log_scan_line(struct log_scan *s, size_t *at, struct slice *ret);

/* ---- what a format is ---- */

#define LOG_DETECT_BYTES KIB(64) /* of a file's begin are looked at */

struct log_format {
    const char *name;  /* as --format takes it: "exchange-send" */
    const char *title; /* "Exchange SMTP send protocol log" */
    /* 0: not this format; higher: more certain. `head`: the file's first bytes, cut at a line. */
    unsigned (*detect)(struct slice head);
    /* Fills in what was found. */
    void (*scan)(struct log_scan *s);
    /* A row may go on in the next lines, in quotes (CSV): does a line look like a row's begin? Chunks
     * then end where rows do (csv_row_border()). NULL: a row is a line. */
    bool (*begins_row)(struct slice line);
    /* NULL where a chunk needs no other. Called in order, one thread at a time: adds to s->facts what
     * rows of earlier sessions give, keeping the order of offsets, and frees s->session_rows.
     * `state` is kept for the run and all files of the format, from NULL. 0, -ENOMEM. */
    int (*merge)(void **state, struct log_scan *s);
    void (*discard)(void **session_rows); /* a scan that is not merged */
    void (*free_state)(void **state);
    /* The columns of a row, for `query`: those of the carry for CSV formats (NULL here), else these
     * names, comma-separated. */
    const char *columns;
    /* Splits one row (without its line end) into fields, in the order of the columns; slices point
     * into the line or the arena. The count; -EINVAL: not a row of it; -ENOMEM. */
    int (*split)(const struct log_carry *carry, struct slice line, struct arena *a,
                 struct slice fields[LOG_COLUMNS_MAX]);
    /* Index of the column with the reply, or a row's text; -1: none. */
    int reply_column;
};

/* All formats, NULL-ended. */
extern const struct log_format *const log_formats[];
const struct log_format *log_format_find(struct slice name);
/* The format of a file by its first bytes; NULL: unknown. */
const struct log_format *log_format_detect(struct slice head);
