/*
 * logscan/source.c - files found and opened, and their bytes cut at line ends.
 */
#include "logscan/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logscan/csv.h"
#include "logscan/stamp.h"
#include "logscan/unpack.h"

#define FOLDER_DEPTH_MAX 32
#define PATTERN_MAX 4096
#define HEAD_LINES 40 /* of a file are asked for a time */
#define PAGE SOURCE_ALIGN
#define NO_TIME INT64_MAX

/* ---- which files ---- */

static int add_file(struct source_list *l, const char *path)
{
    struct source *s;

    if (l->count == RUN_FILES_MAX)
        return -E2BIG;
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 16;
        struct source *more = realloc(l->items, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        l->items = more;
        l->room = room;
    }
    s = &l->items[l->count];
    *s = (struct source){.fd = -1, .first_ms = NO_TIME};
    s->path = strdup(path);
    if (!s->path)
        return -ENOMEM;
    s->view.path = s->path;
    l->count++;
    return 0;
}

static int add_folder(struct source_list *l, const char *path, unsigned depth);

/* Told at the end: hidden files, sockets, devices, links to folders. */
static int pass_over_name(struct source_list *l, const char *path)
{
    if (l->passed_over++ > 0)
        return 0;
    l->first_passed_over = strdup(path);
    return l->first_passed_over ? 0 : -ENOMEM;
}

/* One name of a folder. */
static int add_entry(struct source_list *l, const char *folder, const char *name, unsigned depth)
{
    char path[4096];
    struct stat link, st;
    int n;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    if (name[0] == '.')
        return pass_over_name(l, path);
    if (lstat(path, &link) < 0 || stat(path, &st) < 0)
        return add_file(l, path); /* opening it will tell what is wrong */
    if (S_ISREG(st.st_mode))
        return add_file(l, path);
    /* Links to folders may lead back to where they are. */
    if (S_ISDIR(link.st_mode) && depth < FOLDER_DEPTH_MAX)
        return add_folder(l, path, depth + 1);
    return pass_over_name(l, path);
}

static int add_folder(struct source_list *l, const char *path, unsigned depth)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort), r = 0;

    if (count < 0)
        return errno == ENOMEM ? -ENOMEM : add_file(l, path);
    for (int i = 0; i < count; i++) {
        if (r == 0)
            r = add_entry(l, path, names[i]->d_name, depth);
        free(names[i]);
    }
    free(names);
    return r;
}

/* The pattern that matches names without regard to case: letters outside brackets as "[aA]". */
static bool any_case(const char *pattern, char *ret, size_t room)
{
    size_t used = 0;
    bool in_brackets = false;

    for (const char *p = pattern; *p; p++) {
        char other = (char)(*p ^ ' ');

        if (used + 5 > room)
            return false;
        in_brackets = *p == '[' || (in_brackets && *p != ']');
        if (byte_is_alpha((uint8_t)*p) && !in_brackets) {
            ret[used++] = '[';
            ret[used++] = *p;
            ret[used++] = other;
            ret[used++] = ']';
        } else {
            ret[used++] = *p;
        }
    }
    ret[used] = '\0';
    return true;
}

/* Exchange's files end in .LOG and operators' statements in *.log, which is one to Windows: where nothing
 * matches as it is written, case does not count. */
static int find(const char *pattern, glob_t *found)
{
    char other[PATTERN_MAX];
    int r = glob(pattern, GLOB_NOSORT, NULL, found);

    if (r == GLOB_NOMATCH && any_case(pattern, other, sizeof(other)))
        r = glob(other, GLOB_NOSORT, NULL, found);
    return r;
}

static int add_glob(struct source_list *l, const char *pattern)
{
    glob_t found;
    int r = find(pattern, &found);

    if (r == GLOB_NOSPACE)
        return -ENOMEM;
    if (r != 0)
        return -ENOENT;
    for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
        struct stat st, link;
        bool is_there = lstat(found.gl_pathv[i], &link) == 0 && stat(found.gl_pathv[i], &st) == 0;

        if (is_there && S_ISDIR(link.st_mode))
            r = add_folder(l, found.gl_pathv[i], 0);
        else if (is_there && !S_ISREG(st.st_mode)) /* opening a pipe would wait for its writer */
            r = pass_over_name(l, found.gl_pathv[i]);
        else
            r = add_file(l, found.gl_pathv[i]);
    }
    globfree(&found);
    return r;
}

int source_add(struct source_list *l, const char *path)
{
    struct stat st;

    if (strcmp(path, "-") == 0)
        return add_file(l, path);
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? add_folder(l, path, 0) : add_file(l, path);
    if (errno == ENOENT && strpbrk(path, "*?["))
        return add_glob(l, path);
    return errno == ENOENT ? -ENOENT : add_file(l, path);
}

void source_list_done(struct source_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        source_close(&l->items[i]);
        free(l->items[i].path);
    }
    free(l->items);
    free(l->first_passed_over);
    *l = (struct source_list){0};
}

/* ---- their order ---- */

static int compare_names(const void *x, const void *y)
{
    const struct source *a = x, *b = y;

    if (a->first_ms != b->first_ms)
        return a->first_ms < b->first_ms ? -1 : 1;
    return strverscmp(a->path, b->path);
}

void source_sort(struct source_list *l)
{
    if (l->count > 1)
        qsort(l->items, l->count, sizeof(*l->items), compare_names);
}

/* ---- streams ---- */

struct source_stream {
    struct unpack *unpack;
    uint64_t offset; /* of left[0] in what is unpacked */
    size_t len;      /* of `left`: read, and in no chunk yet */
    size_t before;   /* bytes in `last` */
    bool at_end, in_long_line;
    int error;
    uint8_t last[LOG_LOOKBACK]; /* what the chunk before ended with */
    uint8_t left[LOG_CHUNK_BYTES + LOG_LINE_MAX];
};

static void stream_free(struct source_stream **t)
{
    if (*t)
        unpack_free(&(*t)->unpack);
    free(*t);
    *t = NULL;
}

static void fill(struct source_stream *t)
{
    while (t->error == 0 && !t->at_end && t->len < sizeof(t->left)) {
        ptrdiff_t n = unpack_read(t->unpack, t->left + t->len, sizeof(t->left) - t->len);

        if (n < 0)
            t->error = (int)n;
        t->at_end = n == 0;
        t->len += n > 0 ? (size_t)n : 0;
    }
}

static void forget(struct source_stream *t, size_t n)
{
    t->len -= n;
    t->offset += n;
    memmove(t->left, t->left + n, t->len);
}

static size_t rows_end(const struct source_stream *t, size_t end,
                       bool (*begins_row)(struct slice line))
{
    size_t border = end;

    if (begins_row && end > 0)
        border = csv_row_border(slice_make(t->left, t->len), end, begins_row, LOG_LINE_MAX);
    return border == SIZE_MAX ? end : border; /* its quotes do not end */
}

/* Where the chunk ends: after the last line that ends in it, or where that is none the first, and the
 * row that goes on there. */
static size_t chunk_end(const struct source_stream *t, bool (*begins_row)(struct slice line))
{
    struct slice chunk = slice_make(t->left, MIN_OF(t->len, (size_t)LOG_CHUNK_BYTES));
    ptrdiff_t end = slice_rfind(chunk, '\n');

    if (end < 0)
        end = slice_find(slice_make(t->left, t->len), '\n');
    return rows_end(t, (size_t)(end + 1), begins_row);
}

static void keep_last(struct source_stream *t, const uint8_t *bytes, size_t n)
{
    size_t keep = MIN_OF(n, sizeof(t->last));

    memcpy(t->last, bytes + n - keep, keep);
    t->before = keep;
}

/* No line ends in what is left: it is a part of one that is too long, or torn. */
static void pass_over(struct source_stream *t, struct log_scan *s)
{
    bool is_over = t->at_end || t->error < 0;

    if (t->len > 0 && !t->in_long_line)
        log_scan_skip(s, is_over ? SKIP_TORN : SKIP_LONG, s->bytes.ptr);
    t->in_long_line = !is_over;
    t->before = 0;
    forget(t, t->len);
}

int source_next(struct source *source, uint8_t *buffer, struct log_scan *s)
{
    struct source_stream *t = source->stream;
    size_t n;

    fill(t);
    s->offset = t->offset;
    s->lookback = t->before;
    s->bytes = slice_make(buffer + t->before, 0);
    if (t->len == 0)
        return t->error;
    n = chunk_end(t, source->view.format->begins_row);
    if (n == 0) {
        pass_over(t, s);
        return 1;
    }
    if (t->in_long_line) { /* its end is no line */
        size_t rest = (size_t)slice_find(slice_make(t->left, n), '\n') + 1;

        t->in_long_line = false;
        forget(t, rest);
        s->offset += rest;
        n -= rest;
    }
    memcpy(buffer, t->last, t->before);
    memcpy(buffer + t->before, t->left, n);
    s->bytes = slice_make(buffer + t->before, n);
    keep_last(t, t->left, n);
    forget(t, n);
    return 1;
}

/* ---- plain files ---- */

static ptrdiff_t read_at(int fd, uint8_t *to, size_t size, uint64_t offset)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = pread(fd, to + got, size - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ptrdiff_t)got;
}

struct piece { /* of a file, in memory */
    uint8_t *bytes;
    uint64_t offset; /* of bytes[0] */
    size_t len;
    bool is_end; /* nothing follows it */
};

static int read_on(const struct source *source, struct piece *p)
{
    ptrdiff_t n = read_at(source->fd, p->bytes + p->len, KIB(64), p->offset + p->len);

    if (n < 0)
        return (int)n;
    p->len += (size_t)n;
    p->is_end = n < (ptrdiff_t)KIB(64);
    return 0;
}

/* Reads on until a line ends at or after `from`, or it is too long. The position after it; 0: none. */
static ptrdiff_t find_end(const struct source *source, struct piece *p, size_t from)
{
    for (;;) {
        struct slice rest = slice_make(p->bytes + from, p->len - from);
        ptrdiff_t end = p->len > from ? slice_find(rest, '\n') : -1;
        int r;

        if (end >= 0)
            return (ptrdiff_t)from + end + 1;
        if (p->is_end || p->len - from > LOG_LINE_MAX)
            return 0;
        r = read_on(source, p);
        if (r < 0)
            return r;
    }
}

/*
 * The first line at or after `border` begins at `line`: where does the first row? The two chunks that meet
 * there ask the same of the same bytes, LOG_LOOKBACK before the border to LOG_LINE_MAX behind it.
 */
static ptrdiff_t find_row(const struct source *source, struct piece *p, size_t border, size_t line)
{
    bool (*begins_row)(struct slice line) = source->view.format->begins_row;
    size_t from = border - MIN_OF(border, (size_t)LOG_LOOKBACK), row = SIZE_MAX;

    if (!begins_row)
        return (ptrdiff_t)line;
    for (;;) {
        int r;

        row = csv_row_border(slice_make(p->bytes + from, p->len - from), line - from, begins_row,
                             LOG_LINE_MAX);
        if (row != SIZE_MAX)
            return (ptrdiff_t)(from + row);
        if (p->is_end)
            return (ptrdiff_t)line;
        r = read_on(source, p);
        if (r < 0)
            return r;
    }
}

/* The lines that begin in it are [begin, end); what follows and is not whole is told. */
static void cut(const struct piece *p, size_t begin, size_t end, bool has_end, struct log_scan *s)
{
    size_t whole = end;

    if (!has_end) {
        ptrdiff_t last = slice_rfind(slice_make(p->bytes + begin, p->len - begin), '\n');

        whole = begin + (size_t)(last + 1);
    }
    s->bytes = slice_make(p->bytes + begin, whole - begin);
    s->offset = p->offset + begin;
    if (!has_end && whole < p->len)
        log_scan_skip(s, p->is_end ? SKIP_TORN : SKIP_LONG, p->bytes + whole);
}

/* How much is read before the chunk. The byte before it tells whether a line begins with it; a whole page
 * is read, for a copy between places of different alignment takes the kernel eight times as long. */
static size_t bytes_before(const struct source *source, uint64_t offset, bool wants_lookback)
{
    bool is_far = wants_lookback || source->view.format->begins_row;

    return (size_t)MIN_OF(offset, (uint64_t)(is_far ? LOG_LOOKBACK : PAGE));
}

/* Where the first row of the chunk begins; LOG_CHUNK_BYTES behind its border or more: none does. */
static ptrdiff_t find_begin(const struct source *source, struct piece *p, size_t border)
{
    size_t from = border - 1;
    ptrdiff_t line =
        p->len > from ? slice_find(slice_make(p->bytes + from, p->len - from), '\n') : -1;

    if (line < 0)
        return (ptrdiff_t)(border + LOG_CHUNK_BYTES);
    return find_row(source, p, border, from + (size_t)line + 1);
}

/* It ends before it did as it was opened. */
static bool is_short(const struct source *source, const struct piece *p)
{
    return p->is_end && p->offset + p->len < source->size;
}

int source_read(const struct source *source, uint64_t offset, bool wants_lookback, uint8_t *buffer,
                struct log_scan *s)
{
    size_t before = bytes_before(source, offset, wants_lookback);
    struct piece p = {.bytes = buffer, .offset = offset - before};
    size_t wanted = before + LOG_CHUNK_BYTES;
    ptrdiff_t n = read_at(source->fd, buffer, wanted, p.offset), begin = 0, end;

    if (n < 0)
        return (int)n;
    p.len = (size_t)n;
    p.is_end = p.len < wanted;
    s->bytes = slice_make(buffer, 0);
    s->offset = offset;
    if (offset > 0)
        begin = find_begin(source, &p, before);
    if (begin < 0)
        return (int)begin;
    if ((size_t)begin >= wanted)
        return is_short(source, &p); /* no line begins here */
    end = find_end(source, &p, MAX_OF((size_t)begin, wanted - 1));
    if (end > 0)
        end = find_row(source, &p, wanted, (size_t)end);
    if (end < 0)
        return (int)end;
    cut(&p, (size_t)begin, (size_t)end, end > 0, s);
    s->lookback = wants_lookback ? (size_t)begin : 0;
    return is_short(source, &p);
}

/* ---- opening ---- */

/* What its first lines tell. */
static void learn(struct source *s, const struct log_format *format, int year, struct slice head)
{
    struct log_scan scan = {.wants = WANT_REPLIES | WANT_ACCEPTED | WANT_LIVES, .bytes = head};
    struct slice line;
    size_t at = 0;
    struct stat st;
    int64_t changed_ms = 0;

    s->view.is_empty = head.len == 0;
    s->view.format = format ? format : log_format_detect(head);
    if (!s->view.format)
        return;
    if (fstat(s->fd, &st) == 0)
        changed_ms = (int64_t)st.st_mtim.tv_sec * 1000;
    s->first.year = (int16_t)(year > 0 ? year : stamp_first_year(head, changed_ms));
    s->view.year_inferred = year == 0 && s->first.year > 0;
    scan.format = s->view.format;
    scan.carry = s->first;
    s->view.format->scan(&scan);
    s->guess = scan.carry_end;
    if (scan.fact_count > 0)
        s->first_ms = scan.facts[0].at_ms;
    for (unsigned i = 0; i < HEAD_LINES && log_scan_line(&scan, &at, &line); i++) {
        struct log_carry carry = s->first;
        int64_t ms;

        if ((stamp_iso(line, &ms) > 0 || stamp_syslog(line, &carry, &ms) > 0) && ms < s->first_ms)
            s->first_ms = ms;
    }
    log_scan_done(&scan);
}

static struct slice whole_lines(struct slice head)
{
    ptrdiff_t end = slice_rfind(head, '\n');

    return end < 0 ? head : slice_sub(head, 0, (size_t)end + 1);
}

static int open_stream(struct source *s)
{
    int r;

    s->is_stream = true;
    s->stream = calloc(1, sizeof(*s->stream));
    if (!s->stream)
        return -ENOMEM;
    r = unpack_new(&s->stream->unpack, s->fd);
    if (r == 0)
        fill(s->stream);
    return r < 0 || s->stream->len > 0 ? r : s->stream->error;
}

/* Packed or not, and how large. */
static int look_at(struct source *s)
{
    uint8_t first[8];
    struct stat st;
    ptrdiff_t n;

    if (fstat(s->fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) || lseek(s->fd, 0, SEEK_CUR) != 0)
        return open_stream(s);
    n = read_at(s->fd, first, sizeof(first), 0);
    if (n < 0)
        return (int)n;
    s->size = s->view.size_begin = s->view.size_end = (uint64_t)st.st_size;
    return packing_of(slice_make(first, (size_t)n)) == PACKING_PLAIN ? 0 : open_stream(s);
}

int source_open(struct source *s)
{
    int r;

    if (s->fd >= 0) /* what cannot be opened twice */
        return 0;
    s->fd = strcmp(s->path, "-") == 0 ? dup(STDIN_FILENO)
                                      : open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    r = s->fd < 0 ? -errno : look_at(s);
    if (r < 0)
        source_close(s);
    return r;
}

static int read_head(struct source *s, const struct log_format *format, int year)
{
    uint8_t *buffer;
    ptrdiff_t n;

    if (s->stream) {
        size_t len = MIN_OF(s->stream->len, (size_t)LOG_DETECT_BYTES);

        learn(s, format, year, whole_lines(slice_make(s->stream->left, len)));
        return 0;
    }
    buffer = malloc(LOG_DETECT_BYTES);
    n = buffer ? read_at(s->fd, buffer, LOG_DETECT_BYTES, 0) : -ENOMEM;
    if (n >= 0)
        learn(s, format, year, whole_lines(slice_make(buffer, (size_t)n)));
    free(buffer);
    return n < 0 ? (int)n : 0;
}

void source_probe(struct source *s, const struct log_format *format, int year)
{
    struct stat st;
    bool opens_again;

    s->view.error = source_open(s);
    if (s->view.error == 0)
        s->view.error = read_head(s, format, year);
    opens_again =
        s->fd >= 0 && fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) && strcmp(s->path, "-") != 0;
    if (s->view.error < 0 || !s->view.format || opens_again)
        source_close(s);
}

void source_ended(struct source *s)
{
    struct stat st;

    if (s->view.size_begin > 0 && fstat(s->fd, &st) == 0)
        s->view.size_end = (uint64_t)st.st_size;
}

void source_close(struct source *s)
{
    stream_free(&s->stream);
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}
