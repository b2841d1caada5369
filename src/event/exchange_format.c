/*
 * event/exchange_format.c - the lines of Exchange's formats, into the caller's buffer.
 *
 * Thousands of lines a second are made here, so nothing goes through printf: a field without
 * special bytes, as nearly all are, is looked at once and copied.
 */
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "event/exchange_log.h"

#define PROTOCOL_FIELDS                                                                            \
    "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data," \
    "context"
#define CONNECTIVITY_FIELDS "date-time,session,source,destination,direction,description"
#define TRACKING_FIELDS                                                                            \
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,"   \
    "source,event-id,internal-message-id,message-id,network-message-id,recipient-address,"         \
    "recipient-status,total-bytes,recipient-count,related-recipient-address,reference,"            \
    "message-subject,sender-address,return-path,message-info,directionality,tenant-id,"            \
    "original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,"             \
    "schema-version"
#define HEAD(type, fields)                                                                         \
    "#Software: Penstock\r\n#Version: " PENSTOCK_VERSION "\r\n#Log-type: " type                    \
    "\r\n#Date: %D\r\n#Fields: " fields "\r\n"

const char *exchange_head(enum record_kind kind)
{
    switch (kind) {
    case RECORD_RECEIVE:
        return HEAD("SMTP Receive Protocol Log", PROTOCOL_FIELDS);
    case RECORD_SEND:
        return HEAD("SMTP Send Protocol Log", PROTOCOL_FIELDS);
    case RECORD_CONNECTIVITY:
        return HEAD("Transport Connectivity Log", CONNECTIVITY_FIELDS);
    case RECORD_TRACKING:
        return HEAD("Message Tracking Log", TRACKING_FIELDS);
    case RECORD_EVENTS:
    case RECORD_DELIVERIES:
    case RECORD_KINDS:
        break;
    }
    return NULL;
}

/* ---- pieces: each returns where the next one goes ---- */

static char *put_slice(char *to, struct slice s)
{
    if (s.len)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static char *put_str(char *to, const char *s)
{
    return put_slice(to, slice_str(s));
}

size_t exchange_number(uint64_t n, unsigned digits_min, char ret[static EXCHANGE_NUMBER_MAX])
{
    char digits[EXCHANGE_NUMBER_MAX];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0 || sizeof(digits) - at < digits_min);
    memcpy(ret, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

/* `to` has room for the longest. */
static char *put_number(char *to, uint64_t n)
{
    return to + exchange_number(n, 1, to);
}

static char *put_hex(char *to, uint64_t n, unsigned digits, const char *alphabet)
{
    for (unsigned i = 0; i < digits; i++)
        to[i] = alphabet[n >> (4 * (digits - 1 - i)) & 15];
    return to + digits;
}

static char *put_session(char *to, uint64_t session)
{
    return put_hex(to, session, 16, "0123456789ABCDEF");
}

static char *put_end(char *to)
{
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void put_2(char *to, int n)
{
    to[0] = (char)('0' + n / 10 % 10);
    to[1] = (char)('0' + n % 10);
}

void exchange_time(int64_t wall_ms, char ret[static EXCHANGE_TIME_LEN])
{
    static const int64_t end_of_9999 = 253402300799999;
    static const char form[] = "0000-00-00T00:00:00.000Z";
    int64_t at_ms = MAX_OF(MIN_OF(wall_ms, end_of_9999), 0);
    time_t second = (time_t)(at_ms / 1000);
    int ms = (int)(at_ms % 1000);
    struct tm t;

    _Static_assert(sizeof(form) - 1 == EXCHANGE_TIME_LEN, "the length is a constant");
    memcpy(ret, form, EXCHANGE_TIME_LEN);
    (void)gmtime_r(&second, &t);
    put_2(ret, (t.tm_year + 1900) / 100);
    put_2(ret + 2, (t.tm_year + 1900) % 100);
    put_2(ret + 5, t.tm_mon + 1);
    put_2(ret + 8, t.tm_mday);
    put_2(ret + 11, t.tm_hour);
    put_2(ret + 14, t.tm_min);
    put_2(ret + 17, t.tm_sec);
    ret[20] = (char)('0' + ms / 100);
    put_2(ret + 21, ms % 100);
}

/* ---- one field ---- */

enum { PLAIN = 0, QUOTES = 1, HARD = 2 };

/* A table, because every byte of every line is looked at. */
#define HARD_4 HARD, HARD, HARD, HARD
#define HARD_32 HARD_4, HARD_4, HARD_4, HARD_4, HARD_4, HARD_4, HARD_4, HARD_4
/* clang-format off */
static const uint8_t byte_class[256] = {
    HARD_32,                                     /* controls */
    [' '] = PLAIN, ['"'] = QUOTES, [','] = QUOTES,
    [0x7f] = HARD,
    [0x80] = HARD_32, HARD_32, HARD_32, HARD_32, /* not ASCII */
};
/* clang-format on */

static unsigned classify(struct slice text)
{
    unsigned classes = PLAIN;

    for (size_t i = 0; i < text.len; i++)
        classes |= byte_class[text.ptr[i]];
    return classes;
}

/* The next character of `s` as it is written, at most 4 bytes; returns how many of `s` it took. */
static size_t next_character(struct slice s, char ret[static 4], size_t *ret_len)
{
    size_t len = byte_class[s.ptr[0]] == HARD ? utf8_len(s) : 1;
    bool is_control =
        s.ptr[0] < ' ' || s.ptr[0] == 0x7f || (len == 2 && s.ptr[0] == 0xc2 && s.ptr[1] < 0xa0);

    if (s.ptr[0] == '"') {
        ret[0] = ret[1] = '"';
        *ret_len = 2;
        return 1;
    }
    if (len == 0 || is_control) { /* one byte of it: of C1 controls each is escaped by itself */
        ret[0] = '\\';
        ret[1] = 'x';
        (void)put_hex(ret + 2, s.ptr[0], 2, "0123456789abcdef");
        *ret_len = 4;
        return 1;
    }
    memcpy(ret, s.ptr, len);
    *ret_len = len;
    return len;
}

static size_t put_hard_field(struct slice text, char *ret, size_t room, bool is_quoted)
{
    static const char dots[] = "...";
    char *to = ret, *end = ret + room - is_quoted;
    char *cut = ret; /* here the dots would still fit */
    char character[4];
    size_t len;

    if (is_quoted)
        *to++ = '"';
    while (text.len) {
        text = slice_from(text, next_character(text, character, &len));
        if (to + sizeof(dots) - 1 <= end)
            cut = to;
        if (to + len > end) {
            to = put_str(cut, dots);
            break;
        }
        to = put_slice(to, slice_make(character, len));
    }
    if (is_quoted)
        *to++ = '"';
    return (size_t)(to - ret);
}

size_t exchange_field(struct slice text, char *ret, size_t room)
{
    unsigned classes;

    ASSERT(room >= 8);
    /* What will be cut is not looked at to its end; a quote behind the cut quotes needlessly, no
     * more. */
    text = slice_sub(text, 0, room + 1);
    classes = classify(text);
    if (classes == PLAIN && text.len <= room)
        return (size_t)(put_slice(ret, text) - ret);
    return put_hard_field(text, ret, room, classes & QUOTES);
}

static char *put_field(char *to, struct slice text, size_t max)
{
    to += exchange_field(text, to, max);
    *to++ = ',';
    return to;
}

size_t exchange_connector(struct slice hostname, struct slice name,
                          char ret[static EXCHANGE_CONNECTOR_MAX])
{
    char text[2 * EXCHANGE_CONNECTOR_MAX + 1];
    char *to = put_slice(text, slice_sub(hostname, 0, EXCHANGE_CONNECTOR_MAX));

    *to++ = '\\';
    to = put_slice(to, slice_sub(name, 0, EXCHANGE_CONNECTOR_MAX));
    return exchange_field(slice_make(text, (size_t)(to - text)), ret, EXCHANGE_CONNECTOR_MAX);
}

/* ---- replies and commands ---- */

/* The next line of `*left`, without its end, CRLF or LF. */
static struct slice take_line(struct slice *left)
{
    ptrdiff_t lf = slice_find(*left, '\n');
    size_t len = lf < 0 ? left->len : (size_t)lf;
    struct slice line = slice_sub(*left, 0, len);

    *left = slice_from(*left, len + 1);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* The length of "5.7.1 " at the start of `text`; 0 where there is none. */
static size_t status_len(struct slice text)
{
    size_t at = 0, dots = 0;

    if (text.len < 6 || text.ptr[0] < '2' || text.ptr[0] > '5' || text.ptr[1] != '.')
        return 0;
    for (; at < text.len && (byte_is_digit(text.ptr[at]) || text.ptr[at] == '.'); at++)
        dots += text.ptr[at] == '.';
    return dots == 2 && at < text.len && text.ptr[at] == ' ' ? at + 1 : 0;
}

static char *put_bounded(char *to, const char *end, struct slice text)
{
    return put_slice(to, slice_sub(text, 0, (size_t)(end - to)));
}

/* The texts of all lines behind the code; `skip` bytes at the start of each are the code again. */
static struct slice join(struct slice code, struct slice lines, size_t skip, char *scratch,
                         size_t room)
{
    char *to = scratch, *end = scratch + room;
    struct slice text = slice_from(take_line(&lines), skip);
    struct slice status = slice_sub(text, 0, status_len(text));

    to = put_bounded(to, end, code);
    to = put_bounded(to, end, lines.len && !status.len ? SLICE_LIT("  ") : SLICE_LIT(" "));
    to = put_bounded(to, end, text);
    while (lines.len) {
        text = slice_from(take_line(&lines), skip);
        if (status.len && slice_has_prefix_case(text, status))
            text = slice_from(text, status.len);
        to = put_bounded(to, end, SLICE_LIT(" "));
        to = put_bounded(to, end, text);
    }
    return slice_make(scratch, (size_t)(to - scratch));
}

struct slice exchange_reply(struct slice wire, char *scratch, size_t room)
{
    struct slice left = wire, line = take_line(&left);

    return left.len ? join(slice_sub(line, 0, 3), wire, 4, scratch, room) : line;
}

struct slice exchange_reply_text(unsigned code, struct slice text, char *scratch, size_t room)
{
    char digits[20];

    return join(slice_make(digits, (size_t)(put_number(digits, code) - digits)), text, 0, scratch,
                room);
}

static size_t word_len(struct slice s)
{
    size_t n = 0;

    while (n < s.len && byte_is_alpha(s.ptr[n]))
        n++;
    return n;
}

#define UNKNOWN_VERB_MAX 16

/* Only what is known is told: a password sent as a mechanism must not be. */
static size_t mechanism_len(struct slice text)
{
    static const char *const known[] = {"PLAIN",    "LOGIN",       "CRAM-MD5",     "DIGEST-MD5",
                                        "NTLM",     "GSSAPI",      "XOAUTH2",      "OAUTHBEARER",
                                        "EXTERNAL", "SCRAM-SHA-1", "SCRAM-SHA-256"};
    ptrdiff_t blank = slice_find(text, ' ');
    struct slice word = blank < 0 ? text : slice_sub(text, 0, (size_t)blank);

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (slice_eq_case(word, slice_str(known[i])))
            return word.len;
    return 0;
}

bool exchange_is_command(struct slice line)
{
    static const char *const verbs[] = {"BDAT", "DATA", "EHLO", "EXPN", "HELO", "HELP", "LHLO",
                                        "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "VRFY", "STARTTLS"};
    ptrdiff_t blank = slice_find(line, ' ');
    struct slice word = blank < 0 ? line : slice_sub(line, 0, (size_t)blank);

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (slice_eq_case(word, slice_str(verbs[i])))
            return true;
    return false;
}

/* `verb`: of the trimmed line, its letters "AUTH". */
static struct slice mask_auth(struct slice line, size_t verb, char *scratch)
{
    static const char mask[] = " <authentication information>";
    struct slice mechanism = slice_trim(slice_from(line, verb));
    char *to;

    if (mechanism.len && line.ptr[verb] != ' ')
        mechanism.len = 0;
    mechanism.len = mechanism_len(mechanism);
    if (verb + (mechanism.len ? 1 + mechanism.len : 0) == line.len)
        return line;
    _Static_assert(EXCHANGE_COMMAND_ROOM >= 4 + 1 + sizeof("SCRAM-SHA-256") + sizeof(mask), "");
    to = put_str(scratch, "AUTH");
    if (mechanism.len)
        *to++ = ' ';
    to = put_slice(to, mechanism);
    to = put_str(to, mask);
    return slice_make(scratch, (size_t)(to - scratch));
}

/* The verb of an unknown command: letters and hyphens, then a blank or the end. Other words are
 * rather what somebody took for a prompt for a password, or lines of a message. */
static size_t unknown_verb_len(struct slice line)
{
    size_t n = 0;

    while (n < line.len && (byte_is_alpha(line.ptr[n]) || (n > 0 && line.ptr[n] == '-')))
        n++;
    return n <= UNKNOWN_VERB_MAX && (n == line.len || line.ptr[n] == ' ') ? n : 0;
}

static struct slice mask_unknown(struct slice line, char *scratch)
{
    struct slice verb = slice_sub(line, 0, unknown_verb_len(line));
    size_t hidden = slice_trim(slice_from(line, verb.len)).len;
    char *to;

    if (hidden == 0)
        return line;
    _Static_assert(EXCHANGE_COMMAND_ROOM >= UNKNOWN_VERB_MAX + 2 + 20 + sizeof(" bytes>"), "");
    to = put_slice(scratch, verb);
    to = put_str(to, verb.len ? " <" : "<");
    to = put_number(to, hidden);
    to = put_str(to, hidden == 1 ? " byte>" : " bytes>");
    return slice_make(scratch, (size_t)(to - scratch));
}

struct slice exchange_command(struct slice line, char scratch[static EXCHANGE_COMMAND_ROOM])
{
    struct slice trimmed = slice_trim(line);
    size_t letters = word_len(trimmed);
    bool is_auth = letters == 4 && slice_has_prefix_case(trimmed, SLICE_LIT("AUTH"));

    if (exchange_is_command(line))
        return line;
    /* "AUTH-X" is another verb, and one that nobody knows. */
    if (is_auth && (trimmed.len == 4 || trimmed.ptr[4] != '-'))
        return mask_auth(trimmed, letters, scratch);
    return mask_unknown(line, scratch);
}

/* ---- lines ---- */

_Static_assert(EXCHANGE_TIME_LEN + EXCHANGE_CONNECTOR_MAX + 16 + 10 + 2 * EXCHANGE_ENDPOINT_MAX +
                       EXCHANGE_DATA_MAX + EXCHANGE_CONTEXT_MAX + 16 <=
                   RECORD_LINE_MAX,
               "a line of the protocol log");

size_t exchange_protocol_line(const struct protocol_line *l, char ret[static RECORD_LINE_MAX])
{
    char *to = put_slice(ret, slice_make(l->time, EXCHANGE_TIME_LEN));

    *to++ = ',';
    to = put_slice(to, slice_sub(l->connector, 0, EXCHANGE_CONNECTOR_MAX));
    *to++ = ',';
    to = put_session(to, l->session);
    *to++ = ',';
    to = put_number(to, l->sequence);
    *to++ = ',';
    to = put_slice(to, slice_sub(l->endpoints, 0, 2 * EXCHANGE_ENDPOINT_MAX));
    *to++ = ',';
    *to++ = l->event;
    *to++ = ',';
    to = put_field(to, l->data, EXCHANGE_DATA_MAX);
    if (l->context.len)
        to += exchange_field(l->context, to, EXCHANGE_CONTEXT_MAX);
    return (size_t)(put_end(to) - ret);
}

size_t exchange_connectivity_line(const struct connectivity_line *l,
                                  char ret[static RECORD_LINE_MAX])
{
    char *to = put_slice(ret, slice_make(l->time, EXCHANGE_TIME_LEN));

    *to++ = ',';
    to = put_session(to, l->session);
    to = put_str(to, ",SMTP,");
    to = put_field(to, l->destination, EXCHANGE_NAME_MAX);
    *to++ = l->direction;
    *to++ = ',';
    to += exchange_field(l->description, to, EXCHANGE_DATA_MAX);
    return (size_t)(put_end(to) - ret);
}

/* ---- the tracking log ---- */

static char *put_uuid(char *to, uint64_t own, uint64_t id)
{
    static const char digits[] = "0123456789abcdef";

    to = put_hex(to, own >> 32, 8, digits);
    *to++ = '-';
    to = put_hex(to, own >> 16, 4, digits);
    to = put_str(to, "-8"); /* the version: made by rules of our own */
    to = put_hex(to, id >> 52, 3, digits);
    *to++ = '-';
    to = put_hex(to, 0x8 | (own & 3), 1, digits); /* the variant of RFC 9562 */
    to = put_hex(to, own >> 4, 2, digits);
    to = put_hex(to, id >> 48, 1, digits);
    *to++ = '-';
    return put_hex(to, id, 12, digits);
}

enum { SALT_MESSAGE = 0x6d657373, SALT_ROW = 0x726f77 };

void exchange_uuid(struct slice hostname, uint64_t id, char ret[static EXCHANGE_UUID_LEN])
{
    (void)put_uuid(ret, slice_hash_case(hostname, SALT_MESSAGE), id);
}

void exchange_list_add(struct exchange_list *l, struct slice text)
{
    static const char more[] = ";...";
    size_t len = text.len + (l->len > 0);

    if (l->is_full)
        return;
    if (len > sizeof(l->text) - l->len - (sizeof(more) - 1)) {
        l->len +=
            (size_t)(put_str(l->text + l->len, l->len ? more : more + 1) - (l->text + l->len));
        l->is_full = true;
        return;
    }
    if (l->len)
        l->text[l->len++] = ';';
    (void)put_slice(l->text + l->len, text);
    l->len += text.len;
}

static char *put_ip(char *to, struct slice ip)
{
    return put_field(to, ip, EXCHANGE_ENDPOINT_MAX / 2);
}

static char *put_return_path(char *to, struct slice sender)
{
    return sender.len ? put_field(to, sender, EXCHANGE_TEXT_MAX) : put_str(to, "<>,");
}

/* From date-time to event-id. */
static char *put_tracking_head(char *to, const struct tracking_line *l)
{
#define TRACKING_WORDS(constant, source, event) [constant] = source "," event ",",
    static const char *const words[] = {TRACKING_TABLE(TRACKING_WORDS)};

    ASSERT(l->event < TRACKING_EVENTS);
    to = put_slice(to, slice_make(l->time, EXCHANGE_TIME_LEN));
    *to++ = ',';
    to = put_ip(to, l->client_ip);
    to = put_field(to, l->client_hostname, EXCHANGE_NAME_MAX);
    to = put_ip(to, l->server_ip);
    to = put_field(to, l->server_hostname, EXCHANGE_NAME_MAX);
    to = put_field(to, l->source_context, EXCHANGE_CONTEXT_MAX);
    to = put_slice(to, slice_sub(l->connector, 0, EXCHANGE_CONNECTOR_MAX));
    *to++ = ',';
    return put_str(to, words[l->event]);
}

enum {
    TRACKING_NUMBERS = 20 + 20 + 20 + EXCHANGE_TIME_LEN + 2 * EXCHANGE_UUID_LEN + 30,
    TRACKING_WORDS_MAX = 32 + sizeof("Originating") + sizeof("Email") + sizeof(PENSTOCK_VERSION),
};
_Static_assert(EXCHANGE_TIME_LEN + 4 * (EXCHANGE_ENDPOINT_MAX / 2) + 2 * EXCHANGE_NAME_MAX +
                       2 * EXCHANGE_CONTEXT_MAX + EXCHANGE_CONNECTOR_MAX + 5 * EXCHANGE_TEXT_MAX +
                       EXCHANGE_RECIPIENTS_MAX + TRACKING_NUMBERS + TRACKING_WORDS_MAX <=
                   RECORD_LINE_MAX,
               "a line of the tracking log");

size_t exchange_tracking_line(const struct tracking_line *l, char ret[static RECORD_LINE_MAX])
{
    char *to = put_tracking_head(ret, l);

    to = put_number(to, l->id);
    *to++ = ',';
    to = put_field(to, l->message_id, EXCHANGE_TEXT_MAX);
    to = put_uuid(to, slice_hash_case(l->own_hostname, SALT_MESSAGE), l->id);
    *to++ = ',';
    to = put_field(to, l->recipients, EXCHANGE_RECIPIENTS_MAX);
    to = put_field(to, l->statuses, EXCHANGE_CONTEXT_MAX);
    to = put_number(to, l->bytes);
    *to++ = ',';
    to = put_number(to, l->recipient_count);
    to = put_str(to, ",,"); /* related-recipient-address */
    to = put_field(to, l->reference, EXCHANGE_TEXT_MAX);
    to = put_field(to, l->subject, EXCHANGE_TEXT_MAX);
    to = put_field(to, l->sender, EXCHANGE_TEXT_MAX);
    to = put_return_path(to, l->sender);
    if (l->arrival_ms) {
        exchange_time(l->arrival_ms, to);
        to += EXCHANGE_TIME_LEN;
    }
    *to++ = ',';
    to = put_str(to, l->directionality ? l->directionality : "Undefined");
    to = put_str(to, ",,"); /* tenant-id */
    to = put_ip(to, l->original_client_ip);
    to = put_ip(to, l->original_server_ip);
    to = put_str(to, ",Email,"); /* custom-data is empty */
    to = put_uuid(to, slice_hash_case(l->own_hostname, SALT_ROW), l->row);
    to = put_str(to, "," PENSTOCK_VERSION);
    return (size_t)(put_end(to) - ret);
}
