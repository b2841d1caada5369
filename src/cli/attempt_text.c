/*
 * cli/attempt_text.c - attempts as rows, lines, JSON and CSV: one table of fields for the last two.
 */
#include "cli/attempt_text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/utf8.h"

const struct table_column attempt_text_columns[ATTEMPT_TEXT_COLUMNS] = {
    {"TIME (UTC)", 0, false}, {"ID", 0, false},    {"TRY", 0, true},
    {"RESULT", 0, false},     {"CLASS", 0, false}, {"DOMAIN", 28, false},
    {"HOST", 36, false},      {"TOOK", 0, true},   {"REPLY", 0, false},
};

static struct slice time_text(int64_t ms, char text[FORMAT_TEXT_MAX])
{
    format_time(ms, text);
    return slice_str(text);
}

static struct slice took_text(uint32_t ms, char text[FORMAT_TEXT_MAX])
{
    int n = ms < 10000 ? snprintf(text, FORMAT_TEXT_MAX, "%" PRIu32 "ms", ms)
                       : snprintf(text, FORMAT_TEXT_MAX, "%.1fs", (double)ms / 1000);

    return slice_make(text, (size_t)MAX_OF(n, 0));
}

/* "mx.example.org[192.0.2.1]" */
static struct slice host_text(const struct attempt *a, char text[512])
{
    int n = snprintf(text, 512, a->peer.len ? "%.*s[%.*s]" : "%.*s%.*s", SLICE_FMT(a->host),
                     SLICE_FMT(a->peer));

    return slice_make(text, MIN_OF((size_t)MAX_OF(n, 0), (size_t)511));
}

int attempt_text_row(struct table *t, const struct attempt *a)
{
    char time[FORMAT_TEXT_MAX], took[FORMAT_TEXT_MAX], id[ID_TEXT_MAX], number[16], host[512];
    const struct slice cells[ATTEMPT_TEXT_COLUMNS] = {
        time_text(a->at_ms, time),
        slice_make(id, id_format(a->queue_id, id)),
        slice_make(number, (size_t)snprintf(number, sizeof(number), "%" PRIu32, a->number)),
        slice_str(attempt_result_name(a->result)),
        slice_str(a->klass == REPLY_NONE ? "-" : reply_class_name(a->klass)),
        a->domain,
        host_text(a, host),
        took_text(a->latency_ms, took),
        a->text,
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ATTEMPT_TEXT_COLUMNS; i++)
        r = table_add(t, cells[i]);
    return r;
}

/* ---- fields for programs ---- */

struct field {
    const char *name;
    bool is_number;
    struct slice text;
    int64_t number;
};
#define FIELDS_MAX 32

struct field_texts {
    char id[ID_TEXT_MAX], enhanced[16];
};

static size_t fields_of(const struct attempt *a, struct field_texts *t,
                        struct field ret[FIELDS_MAX])
{
    size_t n = 0;

#define TEXT(key, value) ret[n++] = (struct field){.name = (key), .text = (value)}
#define NUMBER(key, value)                                                                         \
    ret[n++] = (struct field)                                                                      \
    {                                                                                              \
        .name = (key), .is_number = true, .number = (int64_t)(value)                               \
    }
    t->enhanced[0] = '\0';
    if (a->enhanced.klass)
        (void)snprintf(t->enhanced, sizeof(t->enhanced), "%d.%d.%d", a->enhanced.klass,
                       a->enhanced.subject % 1000, a->enhanced.detail % 1000);
    NUMBER("at_ms", a->at_ms);
    TEXT("id", slice_make(t->id, id_format(a->queue_id, t->id)));
    TEXT("message_id", a->message_id);
    NUMBER("attempt", a->number);
    TEXT("result", slice_str(attempt_result_name(a->result)));
    NUMBER("code", a->code);
    TEXT("enhanced", slice_str(t->enhanced));
    TEXT("class", slice_str(reply_class_name(a->klass)));
    TEXT("phase", slice_str(smtp_phase_name(a->phase)));
    TEXT("reply", a->text);
    TEXT("sender", a->sender);
    TEXT("recipient", a->recipient);
    TEXT("domain", a->domain);
    TEXT("provider", a->provider);
    TEXT("source", a->source);
    TEXT("host", a->host);
    TEXT("peer", a->peer);
    TEXT("local", a->local);
    NUMBER("recipients", a->recipients);
    NUMBER("delivered", a->delivered);
    NUMBER("deferred", a->deferred);
    NUMBER("failed", a->failed);
    NUMBER("arrival_ms", a->arrival_ms);
    NUMBER("in_queue_ms", MAX_OF(a->at_ms - a->arrival_ms, 0));
    NUMBER("latency_ms", a->latency_ms);
    NUMBER("tls", a->tls);
    NUMBER("own_relay", a->is_ours);
#undef TEXT
#undef NUMBER
    return n;
}

static json_t *text_json(struct slice text)
{
    char *clean;
    json_t *o;

    if (text.len == 0)
        return json_string("");
    if (utf8_is_valid(text))
        return json_stringn((const char *)text.ptr, text.len);
    clean = malloc(text.len);
    if (!clean)
        return NULL;
    for (size_t i = 0; i < text.len; i++)
        clean[i] = (char)(text.ptr[i] & 0x80 ? '?' : text.ptr[i]);
    o = json_stringn(clean, text.len);
    free(clean);
    return o;
}

int attempt_text_json(const struct attempt *a, FILE *to)
{
    struct field fields[FIELDS_MAX];
    struct field_texts texts;
    size_t n = fields_of(a, &texts, fields);
    json_t *o = json_object();
    int r = o ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < n; i++)
        if (json_object_set_new(o, fields[i].name,
                                fields[i].is_number ? json_integer(fields[i].number)
                                                    : text_json(fields[i].text)) < 0)
            r = -ENOMEM;
    if (r == 0 && (json_dumpf(o, to, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII) < 0 ||
                   putc('\n', to) < 0))
        r = -EIO;
    json_decref(o);
    return r;
}

void attempt_text_csv_head(FILE *to)
{
    const struct attempt none = {.queue_id = 0};
    struct field fields[FIELDS_MAX];
    struct field_texts texts;
    size_t n = fields_of(&none, &texts, fields);

    for (size_t i = 0; i < n; i++)
        fprintf(to, "%s%s", i ? "," : "", fields[i].name);
    fputs("\r\n", to);
}

/* A spreadsheet computes a cell that begins so, and a sender may be called "=cmd|...". */
static bool is_formula(struct slice text)
{
    return text.len > 0 && memchr("=+-@", text.ptr[0], 4);
}

static void csv_text(struct slice text, FILE *to)
{
    struct buf clean = BUF_INIT(text.len + 64);
    struct slice line;

    (void)format_harmless(&clean, text); /* never longer */
    line = buf_slice(&clean);
    fputs(is_formula(line) ? "\"'" : "\"", to);
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '"')
            putc('"', to);
        putc(line.ptr[i], to);
    }
    putc('"', to);
    buf_done(&clean);
}

void attempt_text_csv(const struct attempt *a, FILE *to)
{
    struct field fields[FIELDS_MAX];
    struct field_texts texts;
    size_t n = fields_of(a, &texts, fields);

    for (size_t i = 0; i < n; i++) {
        if (i)
            putc(',', to);
        if (fields[i].is_number)
            fprintf(to, "%" PRId64, fields[i].number);
        else
            csv_text(fields[i].text, to);
    }
    fputs("\r\n", to);
}

/* ---- for trace ---- */

void attempt_text_step(const struct attempt *a, struct buf *to)
{
    char time[FORMAT_TEXT_MAX], took[FORMAT_TEXT_MAX], age[FORMAT_TEXT_MAX], host[512];

    format_time(a->at_ms, time);
    format_age(a->at_ms - a->arrival_ms, age);
    (void)took_text(a->latency_ms, took);
    (void)buf_addf(to,
                   "%s  attempt %" PRIu32 " (after %s): %s, %" PRIu32 " of %" PRIu32
                   " recipients delivered, took %s\n",
                   time, a->number, age, attempt_result_name(a->result), a->delivered,
                   a->recipients, took);
    (void)buf_add_str(to, "    to ");
    (void)format_harmless(to, a->host.len ? host_text(a, host) : SLICE_LIT("no host"));
    (void)buf_add_str(to, a->tls ? ", TLS, provider " : ", no TLS, provider ");
    (void)format_harmless(to, a->provider);
    (void)buf_add_str(to, ", from source ");
    (void)format_harmless(to, a->source);
    if (a->local.len) {
        (void)buf_add_str(to, " ");
        (void)format_harmless(to, a->local);
    }
    (void)buf_addf(to,
                   "\n    %s%sat %s: ", a->klass == REPLY_NONE ? "" : reply_class_name(a->klass),
                   a->klass == REPLY_NONE ? "" : " ", smtp_phase_name(a->phase));
    (void)format_harmless(to, a->text);
    (void)buf_push(to, '\n');
}
