/*
 * event/journal.c - lines as entries of the systemd journal.
 *
 * A line of logfmt is taken apart again: time and level become what the journal has for them, each
 * field one of the entry's, and the rest is the message. The values were escaped when the line was
 * made and are unescaped here, so that `journalctl -o json` has what the event had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "event/event_int.h"

#define FIELDS_MAX 40 /* of one entry */
#define FIELD_PREFIX "PENSTOCK_"

bool event_fd_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM"); /* NOLINT(concurrency-mt-unsafe): main thread */
    unsigned long long device, inode;
    struct stat st;
    char end;

    return stream && sscanf(stream, "%llu:%llu%c", &device, &inode, &end) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

struct entry {
    struct iovec fields[FIELDS_MAX];
    size_t count, used;
    char
        text[3 * EVENT_LINE_MAX]; /* names are longer than keys, values are not than escaped ones */
};

/* The next word of `line`, up to a space outside quotes. */
static struct slice take_word(struct slice *line)
{
    bool quoted = false;
    size_t n = 0;
    struct slice word;

    for (; n < line->len && (quoted || line->ptr[n] != ' '); n++) {
        if (line->ptr[n] == '"')
            quoted = !quoted;
        else if (quoted && line->ptr[n] == '\\' && n + 1 < line->len)
            n++;
    }
    word = slice_sub(*line, 0, n);
    *line = slice_from(*line, n + 1);
    return word;
}

static uint8_t hex_value(uint8_t c)
{
    return (uint8_t)(byte_is_digit(c) ? c - '0' : byte_lower(c) - 'a' + 10);
}

/* The character that the escape at `s`, after its backslash, stands for; counts what it took. */
static char unescape(struct slice s, size_t *ret_took)
{
    *ret_took = 1;
    switch (s.ptr[0]) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'x':
        if (s.len < 3)
            return 'x';
        *ret_took = 3;
        return (char)(hex_value(s.ptr[1]) << 4 | hex_value(s.ptr[2]));
    default:
        return (char)s.ptr[0];
    }
}

static void put_value(struct entry *e, struct slice value)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"';

    if (!quoted) {
        memcpy(e->text + e->used, value.ptr, value.len);
        e->used += value.len;
        return;
    }
    value = slice_sub(value, 1, value.len - 2);
    while (value.len) {
        size_t took = 0;

        if (value.ptr[0] == '\\' && value.len > 1) {
            e->text[e->used++] = unescape(slice_from(value, 1), &took);
            took++;
        } else {
            e->text[e->used++] = (char)value.ptr[0];
            took = 1;
        }
        value = slice_from(value, took);
    }
}

/* "NAME=value" as a field; what does not fit is left out, the message has it all the same. */
static void add_field(struct entry *e, const char *prefix, struct slice key, struct slice value)
{
    size_t begin = e->used, prefix_len = strlen(prefix);

    if (e->count == FIELDS_MAX || sizeof(e->text) - e->used < prefix_len + key.len + 1 + value.len)
        return;
    memcpy(e->text + e->used, prefix, prefix_len);
    e->used += prefix_len;
    for (size_t i = 0; i < key.len; i++)
        e->text[e->used++] = (char)(byte_is_alpha(key.ptr[i]) ? key.ptr[i] & ~0x20 : key.ptr[i]);
    e->text[e->used++] = '=';
    put_value(e, value);
    e->fields[e->count++] = (struct iovec){e->text + begin, e->used - begin};
}

bool event_to_journal(enum event_level level, struct slice line)
{
    static const char priorities[] = {'0' + LOG_DEBUG, '0' + LOG_INFO, '0' + LOG_NOTICE,
                                      '0' + LOG_WARNING, '0' + LOG_ERR};
    struct entry e;

    e.count = e.used = 0;
    line = slice_sub(line, 0, line.len - 1); /* without LF */
    (void)take_word(&line);                  /* the time */
    (void)take_word(&line);                  /* the level */
    add_field(&e, "", SLICE_LIT("priority"), slice_make(&priorities[level], 1));
    add_field(&e, "", SLICE_LIT("syslog_identifier"), SLICE_LIT("penstock"));
    add_field(&e, "", SLICE_LIT("message"), line);
    add_field(&e, FIELD_PREFIX, SLICE_LIT("event"), take_word(&line));
    while (line.len) {
        struct slice word = take_word(&line);
        ptrdiff_t equals = slice_find(word, '=');

        if (equals > 0)
            add_field(&e, FIELD_PREFIX, slice_sub(word, 0, (size_t)equals),
                      slice_from(word, (size_t)equals + 1));
    }
    return sd_journal_sendv(e.fields, (int)e.count) >= 0;
}
