/*
 * cli/pressure_advice.c - what to do about each resource, with what is known of the case: how much
 * to free, where, and what of ours is there.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/size.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/pressure_int.h"

struct advice_case {
    const json_t *view, *resource;
    struct buf *line;
};

static void add_amount(struct buf *line, const json_t *object, const char *key, const char *unit)
{
    char text[SIZE_TEXT_MAX];

    pressure_amount(get_uint(object, key), unit, text);
    (void)buf_add_str(line, text);
}

/* "/var (/dev/sda2, 9.8 GiB, 512 MiB free)" */
static void add_file_system(const struct advice_case *c, const json_t *where)
{
    struct buf *line = c->line;

    if (!has_value(where, "mount")) {
        (void)buf_addf(line, "the file system of %s", get_text(where, "directory"));
        return;
    }
    (void)format_harmless(line, slice_str(get_text(where, "mount")));
    (void)buf_add_str(line, " (");
    (void)format_harmless(line, slice_str(get_text(where, "device")));
    (void)buf_add_str(line, ", ");
    add_amount(line, where, "size_bytes", "bytes");
    (void)buf_add_str(line, ", ");
    add_amount(line, where, "free_bytes", "bytes");
    (void)buf_add_str(line, " free)");
}

static bool is_same_file_system(const json_t *a, const json_t *b)
{
    return has_value(a, "mount") && has_value(b, "mount") &&
           strcmp(get_text(a, "mount"), get_text(b, "mount")) == 0;
}

/* What of ours is on the file system `where`, and what is not (R13: say what else is large). */
static void add_own_bytes(const struct advice_case *c, const json_t *where)
{
    const json_t *spool = json_object_get(c->view, "spool"), *log = json_object_get(c->view, "log");
    uint64_t size = get_uint(where, "size_bytes"), unused = get_uint(where, "free_bytes");
    uint64_t ours = 0;
    struct buf *line = c->line;

    if (spool == where || is_same_file_system(spool, where)) {
        (void)buf_add_str(line, " The spool has ");
        add_amount(line, spool, "bytes", "bytes");
        (void)buf_add_str(line, " there, ");
        add_amount(line, spool, "live_bytes", "bytes");
        (void)buf_addf(line, " of it mail (%" PRIu64 " message%s).", get_uint(spool, "messages"),
                       get_uint(spool, "messages") == 1 ? "" : "s");
        ours += get_uint(spool, "bytes");
    }
    if (has_value(log, "bytes") && (log == where || is_same_file_system(log, where))) {
        (void)buf_add_str(line, " Our logs have ");
        add_amount(line, log, "bytes", "bytes");
        (void)buf_add_str(line, " there.");
        ours += get_uint(log, "bytes");
    }
    if (size > 0 && size - MIN_OF(size, unused) > ours) {
        char others[SIZE_TEXT_MAX];

        size_format(size - unused - ours, others);
        (void)buf_addf(line, " Other files have %s.", others);
    }
}

/* "/srv/backup/ 12 GiB" or "/srv/cache/ 120000 files"; a folder ends in a slash. */
static void add_large(struct buf *line, const json_t *each, bool by_files)
{
    char amount[SIZE_TEXT_MAX];
    const char *path = get_text(each, "path");

    if (by_files)
        pressure_amount(get_uint(each, "files"), "files", amount);
    else
        size_format(get_uint(each, "bytes"), amount);
    (void)format_harmless(line, slice_str(*path ? path : "(a name that is not UTF-8)"));
    (void)buf_addf(line, "%s %s", get_bool(each, "folder") ? "/" : "", amount);
}

/* How far the walk came. */
static void add_cut(struct buf *line, const json_t *others)
{
    if (*get_text(others, "cut_by")) {
        char seen[SIZE_TEXT_MAX];

        size_format(get_uint(others, "bytes"), seen);
        (void)buf_addf(line,
                       " Only %" PRIu64 " files of %s were looked at: there may be larger ones, "
                       "and --largest looks for longer.",
                       get_uint(others, "files"), seen);
    }
    if (get_uint(others, "unreadable") > 0)
        (void)buf_addf(line, " Folders that could not be read: %" PRIu64 "; root sees more.",
                       get_uint(others, "unreadable"));
}

/* What else is large (R13). */
static void add_others(struct buf *line, const json_t *others, bool by_files)
{
    const json_t *each;
    size_t i;

    json_array_foreach(json_object_get(others, by_files ? "most_files" : "largest"), i, each)
    {
        (void)buf_add_str(line, i == 0 ? by_files ? " Most files: " : " Largest: " : ", ");
        add_large(line, each, by_files);
    }
    if (i > 0)
        (void)buf_add_str(line, ".");
}

static void add_to_free(const struct advice_case *c, const char *verb)
{
    (void)buf_addf(c->line, "%s ", verb);
    add_amount(c->line, c->resource, "to_free", get_text(c->resource, "unit"));
    (void)buf_add_str(c->line, " to be normal again");
}

static const json_t *others_of(const json_t *view, const json_t *where)
{
    const json_t *spool = json_object_get(view, "spool");

    if (!has_value(where, "others") && is_same_file_system(spool, where))
        where = spool;
    return json_object_get(where, "others");
}

static void advise_disk(const struct advice_case *c, const char *whose, bool by_files)
{
    const json_t *where = json_object_get(c->view, whose), *others = others_of(c->view, where);

    add_to_free(c, "free");
    (void)buf_add_str(c->line, " on ");
    add_file_system(c, where);
    (void)buf_add_str(c->line, ".");
    add_own_bytes(c, where);
    add_others(c->line, others, by_files);
    add_cut(c->line, others);
}

static void advise_spool_disk(const struct advice_case *c)
{
    advise_disk(c, "spool", /* by_files= */ false);
}

static void advise_spool_inodes(const struct advice_case *c)
{
    advise_disk(c, "spool", /* by_files= */ true);
}

static void advise_log_disk(const struct advice_case *c)
{
    advise_disk(c, "log", /* by_files= */ false);
}

static void advise_limit(const struct advice_case *c)
{
    add_to_free(c, "free");
    (void)buf_add_str(c->line, " of ");
    add_amount(c->line, c->resource, "limit", get_text(c->resource, "unit"));
    (void)buf_add_str(c->line, " (");
    (void)format_harmless(c->line, slice_str(get_text(c->resource, "origin")));
    (void)buf_addf(c->line, "); sessions %" PRIu64 ", messages in flight %" PRIu64 ", ",
                   get_uint(c->view, "sessions"), get_uint(c->view, "messages_in_flight"));
    add_amount(c->line, c->view, "bytes_in_flight", "bytes");
    (void)buf_add_str(c->line, ".");
}

static void advise_amount(const struct advice_case *c)
{
    add_amount(c->line, c->resource, "used", get_text(c->resource, "unit"));
    (void)buf_add_str(c->line, ", normal from ");
    add_amount(c->line, json_object_get(c->resource, "effective"), "medium_to_low",
               get_text(c->resource, "unit"));
    (void)buf_add_str(c->line, " down.");
}

/* `what` is the operator's part, whatever the figures. */
static const struct advice {
    const char *resource;
    void (*figures)(const struct advice_case *c);
    const char *what;
} advices[] = {
    {"spool_disk", advise_spool_disk,
     "Remove other files, let mail drain ('penstock queue summary' shows to where it cannot), or "
     "give the spool more room while it runs ('More room' in docs/pressure.md)."},
    {"spool_inodes", advise_spool_inodes,
     "Remove small files there; the spool itself needs few inodes."},
    {"log_disk", advise_log_disk,
     "Remove other files, or lower log.files.folder_max or log.files.age_max."},
    {"uncommitted", advise_amount,
     "The spool's disk is slower than mail comes: look at its latency ('iostat -x 1') and at what "
     "else writes to it."},
    {"memory", advise_limit,
     "Raise the limit, or lower smtp.connections_max, smtp.message_size_max or "
     "pressure.body_memory."},
    {"system_memory", advise_limit,
     "Look for the processes that grow ('ps aux --sort -rss'); for this alone no mail is refused."},
    {"queue", advise_amount,
     "Mail comes faster than it is scheduled: look at 'unfiled' in 'GET /v1/status' (no memory) "
     "and "
     "at the CPU."},
    {"descriptors", advise_limit,
     "Raise the limit (LimitNOFILE= in the unit, 'ulimit -n'), or lower smtp.connections_max or "
     "delivery.connections_max."},
    {"cpu_stall", advise_amount,
     "Look for what else uses the CPU ('top'), or give the machine more of it."},
    {"memory_stall", advise_amount,
     "Tasks wait for memory: look for the processes that grow, and for swapping ('vmstat 1')."},
    {"io_stall", advise_amount,
     "Tasks wait for a disk: look for what keeps it busy ('iostat -x 1', 'iotop')."},
};

static const struct advice *find_advice(const char *resource)
{
    for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
        if (strcmp(advices[i].resource, resource) == 0)
            return &advices[i];
    return NULL;
}

const char *pressure_advice_for(const char *resource)
{
    const struct advice *a = find_advice(resource);

    return a ? a->what : "";
}

void pressure_print_advice(const json_t *view, FILE *to)
{
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(view, "resources"), i, r)
    {
        const struct advice *a = find_advice(get_text(r, "name"));
        struct buf line = BUF_INIT(KIB(16));
        struct advice_case c = {.view = view, .resource = r, .line = &line};
        char name[PRESSURE_NAME_MAX];

        if (!a || !get_bool(r, "known") || strcmp(get_text(r, "level"), "normal") == 0)
            continue;
        pressure_name(get_text(r, "name"), name);
        (void)buf_addf(&line, "%s%s: ", name,
                       get_bool(r, "observe_only") ? " (observed only)"
                       : get_bool(r, "advisory")   ? " (advisory)"
                                                   : "");
        a->figures(&c);
        fprintf(to, "%s %s\n", buf_cstr(&line), a->what);
        buf_done(&line);
    }
}

void pressure_print_others(const json_t *view, FILE *to)
{
    static const char *const whose[] = {"spool", "log"};

    for (size_t i = 0; i < ARRAY_SIZE(whose); i++) {
        const json_t *others = json_object_get(json_object_get(view, whose[i]), "others");
        struct buf line = BUF_INIT(KIB(64));

        if (!others)
            continue;
        (void)buf_add_str(&line, "Below ");
        (void)format_harmless(&line, slice_str(get_text(others, "below")));
        (void)buf_add_str(&line, ", spool and logs left out.");
        add_others(&line, others, /* by_files= */ false);
        add_others(&line, others, /* by_files= */ true);
        add_cut(&line, others);
        fprintf(to, "%s\n", buf_cstr(&line));
        buf_done(&line);
    }
}
