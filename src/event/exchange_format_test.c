/*
 * event/exchange_format_test.c - each field where it belongs, quoted only where needed, and any
 * bytes in one line. Lines are read back by a strict reader of CSV.
 */
#include "event/exchange_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "base/utf8.h"

#define S(literal) SLICE_LIT(literal)
#define FIELDS_MAX 40

struct csv {
    size_t count;
    struct slice field[FIELDS_MAX]; /* unquoted */
    bool was_quoted[FIELDS_MAX];
    char text[RECORD_LINE_MAX];
};

/* A line with CR LF, fields quoted if and only if they have a comma or a quote. */
static void parse(struct csv *csv, const char *line, size_t len)
{
    char *to = csv->text;
    size_t i = 0;

    assert_true(len >= 2 && len <= RECORD_LINE_MAX);
    assert_memory_equal(line + len - 2, "\r\n", 2);
    assert_true(utf8_is_valid(slice_make(line, len)));
    len -= 2;
    csv->count = 0;
    for (;;) {
        bool quoted = i < len && line[i] == '"', needs = false;
        char *start = to;

        i += quoted;
        while (i < len && (quoted || line[i] != ',')) {
            if (line[i] == '"') {
                assert_true(quoted);
                if (i + 1 == len || line[i + 1] != '"')
                    break;
                i++;
                needs = true;
            }
            assert_true((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
            needs |= line[i] == ',';
            *to++ = line[i++];
        }
        if (quoted)
            assert_true(i < len && line[i++] == '"');
        assert_true(i == len || line[i] == ',');
        assert_true(csv->count < FIELDS_MAX);
        csv->was_quoted[csv->count] = quoted;
        if (needs)
            assert_true(quoted);
        csv->field[csv->count++] = slice_make(start, (size_t)(to - start));
        if (i++ == len)
            break;
    }
}

static void is_text(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got '%.*s', want '%s'", SLICE_FMT(got), want);
}

static size_t count_commas(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += *s == ',';
    return n;
}

static void heads(void **state)
{
    static const struct {
        enum record_kind kind;
        const char *type, *fields;
        size_t commas;
    } cases[] = {
        {RECORD_RECEIVE, "SMTP Receive Protocol Log",
         "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,"
         "data,context",
         8},
        {RECORD_SEND, "SMTP Send Protocol Log",
         "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,"
         "data,context",
         8},
        {RECORD_CONNECTIVITY, "Transport Connectivity Log",
         "date-time,session,source,destination,direction,description", 5},
        {RECORD_TRACKING, "Message Tracking Log",
         "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,"
         "connector-id,source,event-id,internal-message-id,message-id,network-message-id,"
         "recipient-address,recipient-status,total-bytes,recipient-count,"
         "related-recipient-address,reference,message-subject,sender-address,return-path,"
         "message-info,directionality,tenant-id,original-client-ip,original-server-ip,"
         "custom-data,transport-traffic-type,log-id,schema-version",
         29},
    };
    char want[1024];

    (void)state;
    assert_null(exchange_head(RECORD_EVENTS));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)snprintf(want, sizeof(want),
                       "#Software: Penstock\r\n#Version: %s\r\n#Log-type: %s\r\n#Date: %%D\r\n"
                       "#Fields: %s\r\n",
                       PENSTOCK_VERSION, cases[i].type, cases[i].fields);
        assert_string_equal(exchange_head(cases[i].kind), want);
        assert_int_equal(count_commas(cases[i].fields), cases[i].commas);
    }
}

static void times(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {1790842461934, "2026-10-01T08:14:21.934Z"},
        {951827696789, "2000-02-29T12:34:56.789Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    char text[EXCHANGE_TIME_LEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        exchange_time(cases[i].ms, text);
        is_text(slice_make(text, sizeof(text)), cases[i].text);
    }
}

static void fields(void **state)
{
    const struct {
        struct slice text;
        const char *want;
        size_t room;
    } cases[] = {
        {{0}, "", 8},
        {S("EHLO mail7.example.net"), "EHLO mail7.example.net", 64},
        {S("D:\\Queue (a;b)"), "D:\\Queue (a;b)", 64},
        {S(" leading"), " leading", 64},
        {S("a,b"), "\"a,b\"", 64},
        {S("\""), "\"\"\"\"", 64},
        {S("say \"hi\", you"), "\"say \"\"hi\"\", you\"", 64},
        {S("a\r\nb"), "a\\x0d\\x0ab", 64},
        {S("a\tb"), "a\\x09b", 64},
        {S("nul\0nul"), "nul\\x00nul", 64},
        {S("\x7f\x1b[1m"), "\\x7f\\x1b[1m", 64},
        {S("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f", 64},
        {S("\xc2\x85next\xc2\xa0"), "\\xc2\\x85next\xc2\xa0", 64},
        {S("\xff\xfe"), "\\xff\\xfe", 64},
        {S("\xc3"), "\\xc3", 64},
        {S("\xe2\x82\xac,"), "\"\xe2\x82\xac,\"", 64},
        /* cut: whole characters, quotes closed */
        {S("12345678"), "12345678", 8},
        {S("123456789"), "12345...", 8},
        {S("123456,89"), "\"123...\"", 8},
        {S("\"\"\"\"\"\"\"\"\""), "\"\"\"...\"", 8},
        {S("1234\xe2\x82\xac\xe2\x82\xac"), "1234...", 8},
        {S("\x01\x01\x01"), "\\x01...", 8},
        {S("123,5678"), "\"123...\"", 8},
        {S("123,56"), "\"123,56\"", 8},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t len = exchange_field(cases[i].text, text, cases[i].room);

        assert_true(len <= cases[i].room);
        is_text(slice_make(text, len), cases[i].want);
    }
}

static void connectors(void **state)
{
    char text[EXCHANGE_CONNECTOR_MAX], name[600];
    size_t len;

    (void)state;
    len = exchange_connector(S("mx1.example.org"), S("main"), text);
    is_text(slice_make(text, len), "mx1.example.org\\main");
    len = exchange_connector(S("mx1"), S("a, \"b\""), text);
    is_text(slice_make(text, len), "\"mx1\\a, \"\"b\"\"\"");
    memset(name, 'n', sizeof(name));
    len = exchange_connector(slice_make(name, sizeof(name)), slice_make(name, sizeof(name)), text);
    assert_int_equal(len, EXCHANGE_CONNECTOR_MAX);
    assert_memory_equal(text + len - 3, "...", 3);
}

static void replies(void **state)
{
    static const struct {
        const char *wire, *want;
    } cases[] = {
        {"", ""},
        {"250 2.1.0 Ok\r\n", "250 2.1.0 Ok"},
        {"354\r\n", "354"},
        {"452 4.3.1 Insufficient system resources (spool-disk)\r\n",
         "452 4.3.1 Insufficient system resources (spool-disk)"},
        {"250-mx1.example.org Hello\r\n250-PIPELINING\r\n250 SIZE 1000\r\n",
         "250  mx1.example.org Hello PIPELINING SIZE 1000"},
        {"452-4.2.2 over quota\r\n452 4.2.2 see https://x.example\r\n",
         "452 4.2.2 over quota see https://x.example"},
        {"550-5.7.1 no\r\n550 really\r\n", "550 5.7.1 no really"},
        {"250-\r\n250 \r\n", "250   "},
        {"x\r\ny\r\n", "x   "},
    };
    static const struct {
        unsigned code;
        const char *text, *want;
    } read_cases[] = {
        {250, "", "250 "},
        {250, "2.1.5 Recipient OK", "250 2.1.5 Recipient OK"},
        {250, "mx Hello\nPIPELINING\nSIZE 1", "250  mx Hello PIPELINING SIZE 1"},
        {452, "4.2.2 over\n4.2.2 quota", "452 4.2.2 over quota"},
    };
    char scratch[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        is_text(exchange_reply(slice_str(cases[i].wire), scratch, sizeof(scratch)), cases[i].want);
    for (size_t i = 0; i < ARRAY_SIZE(read_cases); i++)
        is_text(exchange_reply_text(read_cases[i].code, slice_str(read_cases[i].text), scratch,
                                    sizeof(scratch)),
                read_cases[i].want);
    /* What does not fit is left out, wherever that is. */
    for (size_t room = 0; room < 40; room++) {
        struct slice whole = exchange_reply(slice_str(cases[4].wire), scratch, room);

        assert_true(whole.len <= room);
        assert_memory_equal(whole.ptr, cases[4].want, whole.len);
    }
}

static void commands(void **state)
{
    const struct {
        struct slice line;
        const char *want;
    } cases[] = {
        {S("MAIL FROM:<a@b> SIZE=1"), "MAIL FROM:<a@b> SIZE=1"},
        {S("AUTH"), "AUTH"},
        {S("AUTH LOGIN"), "AUTH LOGIN"},
        {S("auth plain AGEAYg=="), "AUTH plain <authentication information>"},
        {S("AUTH PLAIN  AGEAYg=="), "AUTH PLAIN <authentication information>"},
        {S("AUTH AGEAYg"), "AUTH <authentication information>"},
        {S("AUTH\tPLAIN AGEAYg=="), "AUTH <authentication information>"},
        {S("AUTH\0PLAIN AGEAYg=="), "AUTH <authentication information>"},
        {S("  AUTH CRAM-MD5 x"), "AUTH CRAM-MD5 <authentication information>"},
        {S("AUTH XOAUTH2 dXNlcj1h"), "AUTH XOAUTH2 <authentication information>"},
        {S("AUTHX SECRET"), "AUTHX <6 bytes>"},
        {S("authx  two words "), "authx <9 bytes>"},
        {S("AUTH-X SECRET"), "AUTH-X <6 bytes>"},
        {S("AUTH1 SECRET"), "AUTH <authentication information>"},
        {S("X-ANONYMOUSTLS"), "X-ANONYMOUSTLS"},
        {S("XCLIENT NAME=x"), "XCLIENT <6 bytes>"},
        {S("XFORWARD\0x"), "<10 bytes>"},
        {S("FOO\tSECRET"), "<10 bytes>"},
        {S("ABCDEFGHIJKLMNOP x"), "ABCDEFGHIJKLMNOP <1 byte>"},
        {S("ABCDEFGHIJKLMNOPQ x"), "<19 bytes>"},
        {S("c2VjcmV0"), "<8 bytes>"},
        {S("Subject: secret"), "<15 bytes>"},
        {S("-x"), "<2 bytes>"},
        {S(" MAIL FROM:<a@b>"), "<15 bytes>"},
        {S("MAILX FROM:<a@b>"), "MAILX <10 bytes>"},
        {S("mail from:<a@b>"), "mail from:<a@b>"},
        {S("NOOP x"), "NOOP x"},
        {S("\x1b[2Jx y"), "<7 bytes>"},
        {S(""), ""},
        {S(" "), " "},
    };
    char scratch[EXCHANGE_COMMAND_ROOM];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        is_text(exchange_command(cases[i].line, scratch), cases[i].want);
}

static struct protocol_line sample(void)
{
    struct protocol_line l = {.connector = S("MX1\\Default Frontend MX1"),
                              .session = 0x08DE20A41C3F7B52,
                              .sequence = 4,
                              .endpoints = S("198.51.100.10:25,192.0.2.25:41722"),
                              .event = '<',
                              .data = S("MAIL FROM:<alice@example.net> SIZE=48211")};

    exchange_time(1790842462027, l.time);
    return l;
}

static void protocol_lines(void **state)
{
    static struct csv csv;
    char line[RECORD_LINE_MAX], data[RECORD_LINE_MAX + 100], connector[EXCHANGE_CONNECTOR_MAX];
    struct protocol_line l = sample();
    size_t len = exchange_protocol_line(&l, line);

    (void)state;
    is_text(slice_make(line, len),
            "2026-10-01T08:14:22.027Z,MX1\\Default Frontend MX1,08DE20A41C3F7B52,4,"
            "198.51.100.10:25,192.0.2.25:41722,<,MAIL FROM:<alice@example.net> SIZE=48211,\r\n");
    l.event = '-';
    l.data = (struct slice){0};
    l.context = S("Remote");
    l.sequence = UINT32_MAX;
    len = exchange_protocol_line(&l, line);
    is_text(slice_make(line, len),
            "2026-10-01T08:14:22.027Z,MX1\\Default Frontend MX1,08DE20A41C3F7B52,4294967295,"
            "198.51.100.10:25,192.0.2.25:41722,-,,Remote\r\n");
    /* The largest line there is: all fields full, nothing is lost but ends. */
    memset(data, '"', sizeof(data));
    l.connector =
        slice_make(connector, exchange_connector(slice_make(data, sizeof(data)),
                                                 slice_make(data, sizeof(data)), connector));
    l.data = l.context = slice_make(data, sizeof(data));
    len = exchange_protocol_line(&l, line);
    parse(&csv, line, len);
    assert_int_equal(csv.count, 9);
    assert_true(slice_has_suffix_case(csv.field[7], S("\"...")));
    assert_true(slice_has_suffix_case(csv.field[8], S("\"...")));
}

static void connectivity_lines(void **state)
{
    struct connectivity_line l = {.session = 0x08DE20A41C3F9001,
                                  .destination = S("contoso.example"),
                                  .direction = '-',
                                  .description = S("Messages: 0 Bytes: 0 (Retry : 452 4.3.1 x)")};
    char line[RECORD_LINE_MAX];
    size_t len;

    (void)state;
    exchange_time(1790842472080, l.time);
    len = exchange_connectivity_line(&l, line);
    is_text(slice_make(line, len),
            "2026-10-01T08:14:32.080Z,08DE20A41C3F9001,SMTP,contoso.example,-,"
            "Messages: 0 Bytes: 0 (Retry : 452 4.3.1 x)\r\n");
}

static void tracking_lines(void **state)
{
    static const char *const want[30] = {"2026-10-01T08:14:20.410Z",
                                         "10.0.0.7",
                                         "app1.example.net",
                                         "192.0.2.25",
                                         "mail7",
                                         "08DE20A41C3F8FF0;2026-10-01T08:14:20.377Z;0",
                                         "mail7\\Relay",
                                         "SMTP",
                                         "RECEIVE",
                                         "4716213174273",
                                         "<a1@example.net>",
                                         NULL,
                                         "bob@contoso.example;eve@contoso.example",
                                         "",
                                         "48211",
                                         "2",
                                         "",
                                         "",
                                         "Quarterly numbers, \"final\"",
                                         "alice@example.net",
                                         "alice@example.net",
                                         "",
                                         "Originating",
                                         "",
                                         "10.0.0.7",
                                         "192.0.2.25",
                                         "",
                                         "Email",
                                         NULL,
                                         PENSTOCK_VERSION};
    static struct csv csv;
    struct exchange_list to;
    struct tracking_line l = {.event = TRACKING_RECEIVE,
                              .client_ip = S("10.0.0.7"),
                              .client_hostname = S("app1.example.net"),
                              .server_ip = S("192.0.2.25"),
                              .server_hostname = S("mail7"),
                              .source_context = S("08DE20A41C3F8FF0;2026-10-01T08:14:20.377Z;0"),
                              .connector = S("mail7\\Relay"),
                              .id = 4716213174273,
                              .message_id = S("<a1@example.net>"),
                              .bytes = 48211,
                              .recipient_count = 2,
                              .subject = S("Quarterly numbers, \"final\""),
                              .sender = S("alice@example.net"),
                              .directionality = "Originating",
                              .original_client_ip = S("10.0.0.7"),
                              .original_server_ip = S("192.0.2.25"),
                              .own_hostname = S("mail7"),
                              .row = 77};
    char line[RECORD_LINE_MAX], uuid[EXCHANGE_UUID_LEN];

    (void)state;
    exchange_list_init(&to);
    exchange_list_add(&to, S("bob@contoso.example"));
    exchange_list_add(&to, S("eve@contoso.example"));
    l.recipients = exchange_list_slice(&to);
    exchange_time(1790842460410, l.time);
    parse(&csv, line, exchange_tracking_line(&l, line));
    assert_int_equal(csv.count, ARRAY_SIZE(want));
    for (size_t i = 0; i < csv.count; i++)
        if (want[i])
            is_text(csv.field[i], want[i]);
    exchange_uuid(S("mail7"), l.id, uuid);
    assert_true(slice_eq(csv.field[11], slice_make(uuid, sizeof(uuid))));
    assert_int_equal(csv.field[28].len, EXCHANGE_UUID_LEN);
    assert_false(slice_eq(csv.field[11], csv.field[28]));

    /* The null sender has an empty address and the return path <>. */
    l.sender = (struct slice){0};
    l.event = TRACKING_DSN;
    l.arrival_ms = 1790842460377;
    parse(&csv, line, exchange_tracking_line(&l, line));
    is_text(csv.field[7], "DSN");
    is_text(csv.field[8], "DSN");
    is_text(csv.field[19], "");
    is_text(csv.field[20], "<>");
    is_text(csv.field[21], "2026-10-01T08:14:20.377Z");
}

static void tracking_is_bounded(void **state)
{
    static struct csv csv;
    char line[RECORD_LINE_MAX], long_text[4096];
    struct slice s = slice_make(long_text, sizeof(long_text));
    struct tracking_line l = {.client_ip = s,
                              .client_hostname = s,
                              .server_ip = s,
                              .server_hostname = s,
                              .source_context = s,
                              .connector = S("c"),
                              .id = UINT64_MAX,
                              .message_id = s,
                              .recipients = s,
                              .statuses = s,
                              .bytes = UINT64_MAX,
                              .recipient_count = UINT64_MAX,
                              .reference = s,
                              .subject = s,
                              .sender = s,
                              .arrival_ms = INT64_MAX,
                              .original_client_ip = s,
                              .original_server_ip = s,
                              .row = UINT64_MAX};

    (void)state;
    exchange_time(0, l.time);
    for (int c = 0; c < 256; c++) {
        memset(long_text, c, sizeof(long_text));
        parse(&csv, line, exchange_tracking_line(&l, line));
        assert_int_equal(csv.count, 30);
    }
}

static void uuids(void **state)
{
    char a[EXCHANGE_UUID_LEN + 1] = {0}, b[EXCHANGE_UUID_LEN + 1] = {0};
    static const uint64_t ids[] = {0, 1, UINT64_MAX, 0x0123456789abcdef};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        char tail[13];

        exchange_uuid(S("mx1.example.org"), ids[i], a);
        exchange_uuid(S("MX1.EXAMPLE.ORG"), ids[i], b);
        assert_string_equal(a, b);
        exchange_uuid(S("mx2.example.org"), ids[i], b);
        assert_string_not_equal(a, b);
        exchange_uuid(S("mx1.example.org"), ids[i] ^ 1 << 20, b);
        assert_string_not_equal(a, b);
        for (size_t at = 0; at < EXCHANGE_UUID_LEN; at++)
            assert_true(at == 8 || at == 13 || at == 18 || at == 23
                            ? a[at] == '-'
                            : strchr("0123456789abcdef", a[at]) != NULL);
        assert_int_equal(a[14], '8');
        assert_non_null(strchr("89ab", a[19]));
        (void)snprintf(tail, sizeof(tail), "%012llx",
                       (unsigned long long)(ids[i] & 0xffffffffffff));
        assert_string_equal(a + 24, tail);
    }
    /* The high bits count, too. */
    exchange_uuid(S("a"), 1ull << 48, a);
    exchange_uuid(S("a"), 1ull << 52, b);
    assert_string_not_equal(a, b);
}

static void lists(void **state)
{
    struct exchange_list l;
    char long_text[sizeof(l.text) + 1];

    (void)state;
    exchange_list_init(&l);
    is_text(exchange_list_slice(&l), "");
    exchange_list_add(&l, S("a@b"));
    exchange_list_add(&l, S("c@d"));
    is_text(exchange_list_slice(&l), "a@b;c@d");
    memset(long_text, 'x', sizeof(long_text));
    exchange_list_add(&l, slice_make(long_text, sizeof(long_text)));
    exchange_list_add(&l, S("e@f"));
    is_text(exchange_list_slice(&l), "a@b;c@d;...");
    exchange_list_init(&l);
    exchange_list_add(&l, slice_make(long_text, sizeof(long_text)));
    is_text(exchange_list_slice(&l), "...");
    for (exchange_list_init(&l); !l.is_full;)
        exchange_list_add(&l, S("someone@example.org"));
    assert_true(l.len <= sizeof(l.text));
    assert_true(slice_has_suffix_case(exchange_list_slice(&l), S("someone@example.org;...")));
}

/* Any bytes, from a seed: one record of nine fields that gives back what has no controls. */
static void any_bytes(void **state)
{
    static struct csv csv;
    char line[RECORD_LINE_MAX];
    uint8_t data[300];
    uint64_t x = 88172645463325252ull;
    struct protocol_line l = sample();

    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t len = (size_t)round % sizeof(data);

        for (size_t i = 0; i < len; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            data[i] = (uint8_t)(round % 3 ? x : ' ' + x % 90);
        }
        l.data = slice_make(data, len);
        l.context = slice_sub(l.data, len / 2, len);
        parse(&csv, line, exchange_protocol_line(&l, line));
        assert_int_equal(csv.count, 9);
        if (round % 3 == 0)
            assert_true(slice_eq(csv.field[7], l.data));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),          cmocka_unit_test(times),
        cmocka_unit_test(fields),         cmocka_unit_test(connectors),
        cmocka_unit_test(replies),        cmocka_unit_test(commands),
        cmocka_unit_test(protocol_lines), cmocka_unit_test(connectivity_lines),
        cmocka_unit_test(tracking_lines), cmocka_unit_test(tracking_is_bounded),
        cmocka_unit_test(uuids),          cmocka_unit_test(lists),
        cmocka_unit_test(any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
