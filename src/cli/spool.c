/*
 * cli/spool.c - penstock spool: checks, exports and measures the queue on disk while the server is
 * stopped (the spool's lock sees to that). Verifying and exporting write nothing to it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/id.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/spool_dirs.h"
#include "config/config.h"
#include "io/fs.h"
#include "message/envelope.h"
#include "spool/spool.h"

struct options {
    const char *file, *directory, *to;
    struct option_list overrides;
    bool json, help;
};

struct run {
    const struct options *o;
    struct fs *fs, *out; /* out: the directory exported to */
    struct spool *spool;
    uint64_t messages, body_bytes, damaged, skipped;
    json_t *damages, *notes;
    struct buf envelope, marks;
    struct recipient *recipients;
    size_t recipients_room;
    int err; /* of writing what is exported */
};

static int print_help(void)
{
    printf("Usage: penstock spool verify|export|stat [-c FILE] [--spool DIR] [--json]\n\n"
           "The server must be stopped.\n\n"
           "  verify   checks every record and every message; tells file and offset of damage\n"
           "  export   writes each message as ID.eml, with its envelope as ID.json\n"
           "  stat     counts messages, bytes and segments\n\n"
           "  -c, --config FILE     the configuration that names the spool's directory\n"
           "  --set NAME=VALUE      a setting that wins over the file\n"
           "  --spool DIR           the spool's directory, whatever the configuration says\n"
           "  --to DIR              export: where to; made when it is not there\n"
           "  --json                for programs\n\n"
           "Exits with 1 when something is damaged.\n");
    return EXIT_DONE;
}

/* ---- what opening finds ---- */

static void on_damage(void *ctx, const char *file, uint64_t offset, uint64_t id, const char *what)
{
    struct run *run = ctx;
    char text[ID_TEXT_MAX] = "";

    run->damaged++;
    if (id)
        (void)id_format(id, text);
    if (run->o->json)
        (void)json_array_append_new(run->damages,
                                    json_pack("{s:s, s:I, s:s, s:s}", "file", file, "offset",
                                              (json_int_t)offset, "id", text, "what", what));
    else
        fprintf(stderr, "%s, offset %" PRIu64 "%s%s: %s\n", file, offset, id ? ", message " : "",
                text, what);
}

static void on_note(void *ctx, const char *sentence)
{
    struct run *run = ctx;

    if (run->o->json)
        (void)json_array_append_new(run->notes, json_string(sentence));
    else
        fprintf(stderr, "%s\n", sentence);
}

static int open_spool(struct run *run, const struct config *c)
{
    const char *directory = run->o->directory ? run->o->directory : c->spool.directory;
    const struct spool_report report = {.damage = on_damage, .note = on_note, .ctx = run};
    struct spool_config sc = {.segment_bytes = c->spool.segment_size_bytes,
                              .max_bytes = c->spool.size_max_bytes,
                              .drain_reserve_bytes = c->spool.drain_reserve_bytes,
                              .spare_segments = c->spool.spare_segments,
                              .read_only = true,
                              .path = directory,
                              .open_directory = spool_dirs_open};
    struct spool_dirs dirs = {0};
    struct buf why = BUF_INIT(KIB(4));
    int r = fs_posix_open(directory, false, &run->fs, &why);

    /* Of another spool's directories its own list tells. */
    if (r == 0 && !run->o->directory)
        r = spool_dirs_init(&dirs, c);
    sc.directories = dirs.value;
    if (r == 0)
        r = spool_open(&run->spool, run->fs, &sc, &report, &why);
    if (r < 0)
        (void)command_error("spool", "%s%s", buf_cstr(&why),
                            r == -ERR_LOCKED ? " Stop the server first." : "");
    spool_dirs_done(&dirs);
    buf_done(&why);
    return r;
}

/* ---- exporting ---- */

static const char *const state_names[] = {"pending", "delivered", "relayed", "failed", "removed"};

static json_t *text_json(struct slice s)
{
    json_t *text = json_stringn((const char *)s.ptr, s.len);

    return text ? text : json_string("(not UTF-8)");
}

static json_t *recipient_json(const struct recipient *r)
{
    json_t *j = json_pack(
        "{s:o, s:s, s:i, s:I, s:I, s:i}", "address", text_json(r->address), "state",
        r->state < ARRAY_SIZE(state_names) ? state_names[r->state] : "unknown", "attempts",
        (int)r->attempts, "last_attempt_ms", (json_int_t)r->last_attempt_ms, "next_attempt_ms",
        (json_int_t)r->next_attempt_ms, "last_code", (int)r->last_code);

    if (r->orcpt.len)
        (void)json_object_set_new(j, "orcpt", text_json(r->orcpt));
    if (r->notify)
        (void)json_object_set_new(j, "notify", json_integer(r->notify));
    if (r->last_text.len)
        (void)json_object_set_new(j, "last_text", text_json(r->last_text));
    return j;
}

/* The envelope with its marks folded in. NULL: it cannot be read. */
static json_t *envelope_json(struct run *run, struct slice bytes, struct slice marks)
{
    struct envelope e;
    json_t *recipients, *j;
    int r = envelope_decode(bytes, run->recipients, run->recipients_room, &e);

    if (r == -ENOBUFS) {
        struct recipient *more =
            realloc(run->recipients, e.recipient_count * sizeof(*run->recipients));

        if (!more)
            return NULL;
        run->recipients = more;
        run->recipients_room = e.recipient_count;
        r = envelope_decode(bytes, run->recipients, run->recipients_room, &e);
    }
    if (r == 0)
        r = envelope_apply_marks(&e, marks);
    if (r < 0)
        return NULL;
    recipients = json_array();
    for (size_t i = 0; i < e.recipient_count; i++)
        (void)json_array_append_new(recipients, recipient_json(&e.recipients[i]));
    j = json_pack("{s:o, s:I, s:o, s:o, s:i, s:o}", "sender", text_json(e.sender), "arrival_ms",
                  (json_int_t)e.arrival_ms, "client_ip", text_json(e.client_ip), "client_helo",
                  text_json(e.client_helo), "flags", (int)e.flags, "recipients", recipients);
    if (e.envid.len)
        (void)json_object_set_new(j, "envid", text_json(e.envid));
    return j;
}

static int export_file(struct run *run, uint64_t id, const char *suffix, struct fs_file **ret)
{
    char text[ID_TEXT_MAX], name[32];

    (void)id_format(id, text);
    (void)snprintf(name, sizeof(name), "%s.%s", text, suffix);
    return fs_open(run->out, name, FS_WRITE | FS_CREATE | FS_TRUNCATE, ret);
}

static int export_envelope(struct run *run, uint64_t id)
{
    json_t *j = envelope_json(run, buf_slice(&run->envelope), buf_slice(&run->marks));
    char text[ID_TEXT_MAX], *dump;
    struct fs_file *f = NULL;
    int r;

    if (!j)
        return -ERR_DAMAGED;
    (void)id_format(id, text);
    (void)json_object_set_new(j, "id", json_string(text));
    dump = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    if (!dump)
        return -ENOMEM;
    r = export_file(run, id, "json", &f);
    if (r == 0)
        r = fs_write(f, slice_str(dump), 0);
    fs_close(&f);
    free(dump);
    return r;
}

/* ---- every message ---- */

/* Reads the whole body, and writes it where `out` is given. */
static int read_body(struct run *run, struct spool_reader *reader, struct fs_file *out)
{
    static uint8_t block[4 * SPOOL_EXTENT_MAX];
    uint64_t at = 0;
    ptrdiff_t n;

    while ((n = spool_read_body(reader, false, block, sizeof(block))) > 0) {
        int r = out ? fs_write(out, slice_make(block, (size_t)n), at) : 0;

        if (r < 0) {
            run->err = r;
            return r;
        }
        at += (uint64_t)n;
    }
    run->body_bytes += at;
    return (int)n;
}

static int on_message(struct run *run, uint64_t id)
{
    struct spool_reader reader;
    struct fs_file *f = NULL;
    int r = spool_read(run->spool, id, false, &reader, &run->envelope, &run->marks);

    if (r == 0 && run->out) {
        run->err = export_file(run, id, "eml", &f);
        if (run->err == 0) {
            r = export_envelope(run, id);
            if (r < 0 && r != -ERR_DAMAGED)
                run->err = r;
        }
    }
    if (r == 0 && run->err == 0)
        r = read_body(run, &reader, f);
    fs_close(&f);
    spool_read_done(&reader);
    if (run->err < 0)
        return run->err;
    if (r == 0)
        run->messages++;
    else if (spool_set_aside(run->spool, id) < 0) /* reports where the damage is */
        run->skipped++;
    return 0;
}

static int collect(void *ctx, uint64_t id, struct slice envelope, struct slice marks)
{
    (void)envelope;
    (void)marks;
    return buf_add_u64(ctx, id);
}

static int each_message(struct run *run)
{
    struct buf ids = BUF_INIT(GIB(1));
    int r = spool_each(run->spool, collect, &ids);

    for (struct slice left = buf_slice(&ids); r == 0 && left.len; left = slice_from(left, 8)) {
        uint64_t id;

        memcpy(&id, left.ptr, sizeof(id));
        r = on_message(run, id);
    }
    buf_done(&ids);
    return r;
}

/* ---- results ---- */

static void print_json(json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

static int print_messages(struct run *run, const char *verb)
{
    char bytes[FORMAT_TEXT_MAX];

    size_format_short(run->body_bytes, bytes);
    if (run->o->json) {
        print_json(json_pack("{s:b, s:I, s:I, s:I, s:O, s:O}", "ok", run->damaged == 0, "messages",
                             (json_int_t)run->messages, "body_bytes", (json_int_t)run->body_bytes,
                             "damaged", (json_int_t)run->damaged, "damages", run->damages, "notes",
                             run->notes));
    } else {
        printf("%" PRIu64 " message%s %s (%s)", run->messages, run->messages == 1 ? "" : "s",
               strcmp(verb, "export") == 0 ? "exported" : "whole", bytes);
        if (run->damaged)
            printf(", %" PRIu64 " damage%s found", run->damaged, run->damaged == 1 ? "" : "s");
        putchar('\n');
    }
    return run->damaged ? EXIT_FAILED : EXIT_DONE;
}

/* Only where there are several. */
static void print_directories(struct spool *sp)
{
    struct spool_directory_stat *d = calloc(SPOOL_DIRECTORIES_MAX, sizeof(*d));
    size_t count = d ? spool_get_directories(sp, d) : 0;

    for (size_t i = 0; count > 1 && i < count; i++) {
        char bytes[FORMAT_TEXT_MAX], live[FORMAT_TEXT_MAX];

        size_format_short(d[i].file_bytes, bytes);
        size_format_short(d[i].live_bytes, live);
        printf("directory %s%s: %" PRIu64 " segments, %s, %s of it mail\n", d[i].path,
               d[i].draining ? " (draining)" : "", d[i].segments, bytes, live);
    }
    free(d);
}

static int print_stat(struct run *run)
{
    struct spool_stat st;
    char live[FORMAT_TEXT_MAX], capacity[FORMAT_TEXT_MAX], segment[FORMAT_TEXT_MAX];

    spool_get_stat(run->spool, &st);
    if (run->o->json) {
        print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
                             (json_int_t)st.messages, "live_bytes", (json_int_t)st.live_bytes,
                             "segments", (json_int_t)st.segments, "segments_free",
                             (json_int_t)st.segments_free, "segment_bytes",
                             (json_int_t)st.segment_bytes, "capacity_bytes",
                             (json_int_t)st.capacity_bytes, "damaged", (json_int_t)st.damaged));
    } else {
        size_format_short(st.live_bytes, live);
        size_format_short(st.capacity_bytes, capacity);
        size_format_short(st.segment_bytes, segment);
        printf("messages  %" PRIu64 "\nlive      %s\nsegments  %" PRIu64 " (%" PRIu64
               " free) of %s\ncapacity  %s\n",
               st.messages, live, st.segments, st.segments_free, segment, capacity);
        print_directories(run->spool);
    }
    return st.damaged ? EXIT_FAILED : EXIT_DONE;
}

static int act(struct run *run, const char *verb)
{
    struct buf why = BUF_INIT(KIB(4));
    int r = 0;

    if (strcmp(verb, "stat") == 0)
        return print_stat(run);
    if (strcmp(verb, "export") == 0) {
        r = fs_posix_open(run->o->to, true, &run->out, &why);
        if (r < 0) {
            (void)command_error("spool", "%s", buf_cstr(&why));
            buf_done(&why);
            return EXIT_FAILED;
        }
    }
    buf_done(&why);
    r = each_message(run);
    if (r < 0)
        return command_error("spool", "the messages cannot be %s: %s",
                             run->out ? "written" : "listed", err_str(r));
    return print_messages(run, verb);
}

static int run_verb(const struct options *o, const char *verb)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *loaded = NULL;
    const struct config *c;
    struct run run = {.o = o, .damages = json_array(), .notes = json_array()};
    int code = EXIT_FAILED, r;

    buf_init(&run.envelope, SPOOL_ENVELOPE_MAX);
    buf_init(&run.marks, 2 * SPOOL_ENVELOPE_MAX);
    r = config_load(o->file, o->overrides.items, o->overrides.count, &loaded, &why);
    c = loaded;
    if (r < 0)
        fprintf(stderr, "%s", buf_len(&why) ? buf_cstr(&why) : err_str(r));
    else if (open_spool(&run, c) == 0)
        code = act(&run, verb);
    spool_close(&run.spool);
    fs_free(&run.fs);
    fs_free(&run.out);
    json_decref(run.damages);
    json_decref(run.notes);
    free(run.recipients);
    buf_done(&run.envelope);
    buf_done(&run.marks);
    buf_done(&why);
    config_unref(&c);
    return code;
}

int cmd_spool(int argc, char **argv)
{
    struct options o = {0};
    const struct option_spec specs[] = {
        OPTION_TEXT("config", 'c', &o.file),   OPTION_LIST("set", 0, &o.overrides),
        OPTION_TEXT("spool", 0, &o.directory), OPTION_TEXT("to", 0, &o.to),
        OPTION_FLAG("json", 0, &o.json),       OPTION_FLAG("help", 'h', &o.help)};
    int r = options_read("spool", argc, argv, specs, ARRAY_SIZE(specs));
    const char *verb = optind + 1 == argc ? argv[optind] : "";

    if (r != EXIT_DONE)
        return r;
    if (o.help)
        return print_help();
    if (strcmp(verb, "export") == 0 && !o.to)
        return usage_error("spool", "say with --to DIR where to export to");
    if (strcmp(verb, "verify") == 0 || strcmp(verb, "export") == 0 || strcmp(verb, "stat") == 0)
        return run_verb(&o, verb);
    return usage_error("spool", "say what to do: verify, export or stat");
}
