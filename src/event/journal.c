/*
 * event/journal.c - lines as entries of the systemd journal, in its own protocol: one datagram an
 * entry, one "NAME=value" a line; a value with line ends has its length before it, in binary.
 *
 * sd_journal_sendv() would wait for as long as the journal does not read, and the log files with it.
 * So the datagram is sent from here: what the journal's socket does not take soon is lost.
 *
 * A line of logfmt is taken apart again: time and level become what the journal has for them, each
 * field one of the entry's, and the rest is the message. The values were escaped when the line was
 * made and are unescaped here, so that `journalctl -o json` has what the event had.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "event/event_int.h"

#define SOCKET_PATH "/run/systemd/journal/socket"
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
    size_t count, used;
    /* Names are longer than keys, and lengths are added; values are not longer than escaped ones. */
    char text[3 * EVENT_LINE_MAX];
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

/* The value that begins at `at`, behind "NAME=", has a line end in it: its length goes before it. */
static void put_length(struct entry *e, size_t at)
{
    uint64_t len = htole64(e->used - at);

    memmove(e->text + at + sizeof(len), e->text + at, e->used - at);
    memcpy(e->text + at, &len, sizeof(len));
    e->text[at - 1] = '\n';
    e->used += sizeof(len);
}

/* A field; what does not fit is left out, the message has it all the same. */
static void add_field(struct entry *e, const char *prefix, struct slice key, struct slice value)
{
    size_t prefix_len = strlen(prefix), value_at;

    if (e->count == FIELDS_MAX ||
        sizeof(e->text) - e->used < prefix_len + key.len + 1 + value.len + sizeof(uint64_t) + 1)
        return;
    e->count++;
    memcpy(e->text + e->used, prefix, prefix_len);
    e->used += prefix_len;
    for (size_t i = 0; i < key.len; i++)
        e->text[e->used++] = (char)(byte_is_alpha(key.ptr[i]) ? key.ptr[i] & ~0x20 : key.ptr[i]);
    e->text[e->used++] = '=';
    value_at = e->used;
    put_value(e, value);
    if (memchr(e->text + value_at, '\n', e->used - value_at))
        put_length(e, value_at);
    e->text[e->used++] = '\n';
}

static int connect_journal(void)
{
    static const struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&journal, sizeof(journal)) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* One socket for all entries; a new one where nobody reads the old one any more. */
static bool send_entry(const struct entry *e, int wait_ms)
{
    static int fd = -1;
    struct pollfd p = {.events = POLLOUT};
    ssize_t n;

    if (fd < 0)
        fd = connect_journal();
    if (fd < 0)
        return false;
    p.fd = fd;
    n = send(fd, e->text, e->used, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN && poll(&p, 1, wait_ms) > 0)
        n = send(fd, e->text, e->used, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        (void)close(fd);
        fd = -1;
    }
    return n >= 0;
}

bool event_to_journal(enum event_level level, struct slice line, int wait_ms)
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
    return send_entry(&e, wait_ms);
}
