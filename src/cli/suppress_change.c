/*
 * cli/suppress_change.c - add, remove and import: by the server that runs, in pieces of a bounded
 * size, each durable when it is answered.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json_get.h"
#include "cli/suppress_int.h"
#include "evidence/suppression_csv.h"

#define PATH "/v1/suppressions/actions"
#define PIECE_BYTES KIB(24) /* of a request, which may have 64 KiB: escapes make it longer */
#define PIECE_ADDRESSES 200

struct sums {
    int64_t added, replaced, already, removed, refused, wrong;
};

/* ---- a request ---- */

static void tell_refused(const char *command, const json_t *answer, struct sums *sums)
{
    const json_t *refused = json_object_get(answer, "refused");

    for (size_t i = 0; i < json_array_size(refused); i++) {
        const json_t *one = json_array_get(refused, i);
        struct buf address = BUF_INIT(KIB(4));

        (void)format_harmless(&address, slice_str(get_text(one, "address")));
        (void)command_error(command, "%s: %s", buf_cstr(&address), get_text(one, "why"));
        buf_done(&address);
        sums->refused++;
    }
}

/* Takes `body` over. */
static int post(struct client *c, const char *command, json_t *body, struct sums *sums)
{
    json_t *answer = NULL;
    int r;

    if (!body)
        return command_error(command, "what was given is not UTF-8, or out of memory");
    r = client_post(c, PATH, body, &answer);
    json_decref(body);
    if (r != EXIT_DONE)
        return r;
    sums->added += get_int(answer, "added");
    sums->replaced += get_int(answer, "replaced");
    sums->already += get_int(answer, "already");
    sums->removed += get_int(answer, "removed");
    tell_refused(command, answer, sums);
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- add, remove ---- */

static json_t *texts_of(char **addresses, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(addresses[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static int change(struct client *c, const char *command, const char *action, char **addresses,
                  size_t count, const char *note, struct sums *sums)
{
    int r = EXIT_DONE;

    for (size_t at = 0; r == EXIT_DONE && at < count; at += PIECE_ADDRESSES) {
        json_t *texts = texts_of(addresses + at, MIN_OF(count - at, (size_t)PIECE_ADDRESSES));
        json_t *body = texts ? json_pack("{s:s, s:o, s:s}", "action", action, "addresses", texts,
                                         "note", note ? note : "")
                             : NULL;

        r = post(c, command, body, sums);
    }
    return r;
}

int suppress_add(struct client *c, char **addresses, size_t count, const char *note)
{
    struct sums sums = {0};
    int r = change(c, "suppress add", "add", addresses, count, note, &sums);

    if (r == EXIT_DONE)
        printf("%" PRId64 " added, %" PRId64 " replaced\n", sums.added, sums.replaced);
    return r == EXIT_DONE && sums.refused > 0 ? EXIT_FAILED : r;
}

int suppress_remove(struct client *c, char **addresses, size_t count)
{
    struct sums sums = {0};
    int r = change(c, "suppress remove", "remove", addresses, count, NULL, &sums);

    if (r == EXIT_DONE)
        printf("%" PRId64 " removed\n", sums.removed);
    return r == EXIT_DONE && sums.refused > 0 ? EXIT_FAILED : r;
}

/* ---- import ---- */

struct importing {
    struct client *client;
    const char *file; /* for messages */
    uint64_t line;
    struct suppression_csv csv;
    struct buf piece;
    struct sums sums;
};

static void tell_wrong(struct importing *i, const char *why)
{
    struct buf text = BUF_INIT(KIB(8));

    (void)format_harmless(&text, slice_str(why));
    fprintf(stderr, "%s:%" PRIu64 ": %s\n", i->file, i->line, buf_cstr(&text));
    buf_done(&text);
    i->sums.wrong++;
}

static int send_piece(struct importing *i)
{
    json_t *body;
    int r;

    if (buf_len(&i->piece) == 0)
        return EXIT_DONE;
    body = json_pack("{s:s, s:s%}", "action", "import", "csv", buf_cstr(&i->piece),
                     buf_len(&i->piece));
    r = post(i->client, "suppress import", body, &i->sums);
    buf_clear(&i->piece);
    return r;
}

/* What the server would refuse is found here, where the line's number is known. 0; -EINVAL, and
 * `why` says it; -ENOMEM. */
static int take_entry(struct importing *i, const struct suppression_view *v, struct buf *why)
{
    const char *sentence = NULL;
    struct suppression *s = NULL;
    int r = suppression_restore(&s, v, &sentence);

    if (r == -EINVAL) {
        struct slice address = slice_sub(v->address, 0, 80);

        (void)buf_addf(why, "'%.*s': %s", SLICE_FMT(address), sentence);
    }
    if (r != 0)
        return r;
    if (buf_len(&i->piece) == 0)
        suppression_csv_head(&i->piece);
    suppression_csv_write(suppression_get(s), &i->piece);
    suppression_unref(&s);
    return 0;
}

static int take_line(struct importing *i, struct slice line)
{
    struct buf why = BUF_INIT(KIB(8));
    struct suppression_view v;
    int r = suppression_csv_read(&i->csv, line, &v, &why);

    if (r == 1)
        r = take_entry(i, &v, &why);
    if (r == -EINVAL)
        tell_wrong(i, buf_cstr(&why));
    buf_done(&why);
    if (r < 0 && r != -EINVAL)
        return command_error("suppress import", "out of memory");
    return buf_len(&i->piece) >= PIECE_BYTES ? send_piece(i) : EXIT_DONE;
}

/* Lines of any length are read in bounded memory: what is too long is told, and passed over. */
static int read_lines(struct importing *i, FILE *from)
{
    char line[SUPPRESSION_LINE_MAX + 3];
    int r = EXIT_DONE;
    size_t len = 0;
    int byte;

    do {
        byte = getc(from);
        if (byte != EOF && len < sizeof(line))
            line[len++] = (char)byte;
        if (byte == '\n' || (byte == EOF && len > 0)) {
            i->line++;
            r = take_line(i, slice_make(line, len));
            len = 0;
        }
    } while (r == EXIT_DONE && byte != EOF);
    if (r == EXIT_DONE && ferror(from))
        r = command_error("suppress import", "%s: %s", i->file, strerror(errno));
    return r == EXIT_DONE ? send_piece(i) : r;
}

int suppress_import(struct client *c, const char *file)
{
    bool is_input = strcmp(file, "-") == 0;
    struct importing *i = calloc(1, sizeof(*i));
    FILE *from = is_input ? stdin : fopen(file, "re");
    int r = EXIT_FAILED;

    if (!from)
        r = command_error("suppress import", "%s: %s", file, strerror(errno));
    else if (!i)
        r = command_error("suppress import", "out of memory");
    if (i && from) {
        i->client = c;
        i->file = is_input ? "standard input" : file;
        buf_init(&i->piece, KIB(64));
        r = read_lines(i, from);
        printf("%" PRIu64 " lines: %" PRId64 " added, %" PRId64 " replaced, %" PRId64
               " already there, %" PRId64 " wrong\n",
               i->line, i->sums.added, i->sums.replaced, i->sums.already,
               i->sums.wrong + i->sums.refused);
        if (i->sums.wrong + i->sums.refused > 0)
            r = EXIT_FAILED;
        buf_done(&i->piece);
    }
    if (from && !is_input)
        (void)fclose(from);
    free(i);
    return r;
}
