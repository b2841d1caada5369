/* cli/pressure_test.c - the screen, the advice and the XML for a server made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json_get.h"
#include "cli/pressure_int.h"
#include "control/pressure_int.h"
#include "control/pressure_kit.h"
#include "deliver/queue.h"
#include "spool/spool.h"

/* ---- what control/ asks beside the governor ---- */

struct spool *queue_spool(const struct queue *q)
{
    (void)q;
    return NULL;
}

void spool_get_stat(struct spool *sp, struct spool_stat *ret)
{
    (void)sp;
    *ret = (struct spool_stat){
        .messages = 42, .live_bytes = GIB(1), .segments = 48, .file_bytes = GIB(3)};
}

size_t spool_get_directories(struct spool *sp,
                             struct spool_directory_stat ret[static SPOOL_DIRECTORIES_MAX])
{
    (void)sp;
    ret[0] = (struct spool_directory_stat){.path = "/var/spool/penstock",
                                           .segments = 40,
                                           .file_bytes = GIB(2),
                                           .live_bytes = MIB(512),
                                           .free_bytes = MIB(100),
                                           .total_bytes = GIB(10)};
    ret[1] = (struct spool_directory_stat){.path = "/disk2",
                                           .draining = true,
                                           .waits = true,
                                           .segments = 8,
                                           .file_bytes = GIB(1),
                                           .live_bytes = MIB(512)};
    return 2;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return KIT_NOW_MS;
}

static struct pressure governed;

static json_t *view_of(struct pressure *p)
{
    const struct control_seams seams = {.pressure = p, .wall_ms = wall_ms};
    struct buf text = BUF_INIT(MIB(1));
    json_t *view;

    answer_pressure(&seams, KIT_NOW_MS - 90061001, &text);
    assert_false(buf_failed(&text));
    view = json_loadb(buf_cstr(&text), buf_len(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(view);
    buf_done(&text);
    return view;
}

/* Both on one file system, with room known: what pressure_add_machine() finds. */
static void add_machine(json_t *view)
{
    static const char *const parts[] = {"spool", "log"};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        json_t *part = json_object_get(view, parts[i]);

        assert_int_equal(json_object_set_new(part, "mount", json_string("/var")), 0);
        assert_int_equal(json_object_set_new(part, "device", json_string("/dev/sda2")), 0);
        assert_int_equal(json_object_set_new(part, "size_bytes", json_integer(GIB(10))), 0);
        assert_int_equal(json_object_set_new(part, "free_bytes", json_integer(GIB(1))), 0);
    }
    assert_int_equal(
        json_object_set_new(json_object_get(view, "log"), "bytes", json_integer(MIB(250))), 0);
}

static char *screen_of(const json_t *view, struct pressure_style style)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    assert_non_null(to);
    pressure_print(view, &style, to);
    assert_int_equal(fclose(to), 0);
    return text;
}

/* The line that begins with `start`; NULL. In a static buffer. */
static const char *line_of(const char *text, const char *start)
{
    static char line[1024];

    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        size_t len = strcspn(at, "\n");

        if (strncmp(at, start, strlen(start)) == 0 && len < sizeof(line)) {
            memcpy(line, at, len);
            line[len] = '\0';
            return line;
        }
        if (!at[len])
            break;
    }
    return NULL;
}

/* ---- tests ---- */

/* Line by line: what each must say, wherever the columns are. */
static void the_screen_tells_all(void **state)
{
    static const struct {
        const char *start, *parts[6];
    } lines[] = {
        {"Level medium for 3m, since 2026-11-22", {": spool disk"}},
        {"RESOURCE", {"LEVEL", "VALUE", "MEDIUM", "HIGH", "NORMAL", "FREE"}},
        {"spool disk ", {"medium", "9.0G", "10G", "90", "614M", "high in 6m, hardened"}},
        {"system memory ", {"high", "advisory, medium at 9.0G"}},
        {"in use ", {"2.0G", "512M", "100M", "10G", "/var/spool/penstock"}},
        {"draining, no room ", {"1.0G", "512M", "/disk2"}},
        {"queue ", {"12", "9999", "15000", "2000", "observe only, medium in 1d"}},
        {"cpu stall ", {"not available: /proc/pressure/cpu: No such file or directory"}},
        {"Limits: spool disk: statvfs /var; spool inodes: MemTotal;", {0}},
        {"spool disk: free 614 MiB to be normal again on /var (/dev/sda2, 10 GiB, 1.0 GiB free).",
         {"The spool has 3.0 GiB there, 1.0 GiB of it mail (42 messages).",
          "Our logs have 250 MiB there.", "Other files have 5.8 GiB."}},
        {"system memory (advisory): free 1.0 GiB", {"for this alone no mail is refused"}},
        {"external ", {"refused (spool-disk)", " 11 ", " 220 ", " 3300 ", "300M"}},
        {"internal ", {"slowed by 4s (spool-disk)", " 2 ", " 40 ", " 600 "}},
        {"second copy ", {"accepted"}},
        {"Of the day's refusals: 300 too big for now, 0 at end of DATA", {0}},
        {"Sessions 250, delayed 12 of 500; messages in flight 31, 1.0 GiB; over 25 MiB is too big",
         {" for now."}},
        {"Lines lost of our logs since the start: 5 (no room on their disk, or nobody reads).",
         {0}},
        {"192.0.2.7 ", {" 9 ", " 180 ", " 2700 ", "300M"}},
        {"2001:db8::1 ", {" 2 ", " 40 ", " 600 "}},
        {"drop bodies ", {"3 runs, the last 2m ago for memory: freed 38 MiB in 12 ms"}},
        {"compact spool ", {"1 run, the last 2s ago for spool disk: took 0.90 ms"}},
        {"pause background under way for cpu stall", {0}},
        {"Largest sender: news@example.org, 59 MiB in 2 messages.", {0}},
        {"Last hour: normal 56m, medium 3m, high 0s.", {"Last day: normal 23h56m"}},
        {"11-22 21:10:24  server        rose from normal to medium for spool disk after 1h56m",
         {0}},
        {"11-22 21:10:24  spool disk ", {"at 8.9 GiB (threshold 8.8 GiB)"}},
        {"11-22 21:08:44  queue ", {"fell from high to normal", "not counted"}},
        {"pressure.interval = 1s  (p.yaml:1)", {0}},
    };
    json_t *view = view_of(&governed);
    char *text;

    (void)state;
    add_machine(view);
    text = screen_of(view, (struct pressure_style){0});
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        const char *line = line_of(text, lines[i].start);

        if (!line)
            fail_msg("no line '%s' in:\n%s", lines[i].start, text);
        for (size_t k = 0; k < ARRAY_SIZE(lines[i].parts) && lines[i].parts[k]; k++)
            if (line && !strstr(line, lines[i].parts[k]))
                fail_msg("'%s' has no '%s'", line, lines[i].parts[k]);
    }
    assert_null(strchr(text, '\033')); /* the sender's, too */
    assert_null(strstr(text, "FAILED"));
    free(text);
    json_decref(view);
}

static void lines_are_cut_and_coloured(void **state)
{
    json_t *view = view_of(&governed);
    char *text = screen_of(view, (struct pressure_style){.width = 100, .is_colour = true});
    size_t lines = 0;

    (void)state;
    for (const char *at = text; *at; lines++) {
        size_t len = strcspn(at, "\n"), columns = 0;

        for (size_t i = 0; i < len; i++) {
            if (at[i] == '\033')
                i += strcspn(at + i, "m");
            else
                columns += ((uint8_t)at[i] & 0xc0) != 0x80;
        }
        if (columns > 100)
            fail_msg("%zu columns: %.*s", columns, (int)len, at);
        at += len + (at[len] == '\n');
    }
    assert_in_range(lines, 30, 70);
    assert_non_null(strstr(text, "\033[33mspool disk"));
    assert_non_null(strstr(text, "\033[1;31msystem memory"));
    free(text);
    json_decref(view);
}

static void a_failed_spool_is_told(void **state)
{
    json_t *view = view_of(&governed);
    char *text;

    (void)state;
    assert_int_equal(json_object_set_new(json_object_get(view, "spool"), "failed", json_true()), 0);
    text = screen_of(view, (struct pressure_style){0});
    assert_non_null(line_of(text, "The spool has FAILED: no mail is taken"));
    free(text);
    json_decref(view);
}

/* Names of files are anybody's; a walk that was cut says so. */
static void the_advice_names_what_else_is_large(void **state)
{
    static const char others[] =
        "{\"below\":\"/srv\",\"bytes\":5,\"files\":1234,\"unreadable\":2,\"cut_by\":\"time\","
        "\"largest\":[{\"path\":\"/srv/"
        "a\\u001b[1m\",\"bytes\":1073741824,\"files\":1,\"folder\":false},"
        "{\"path\":\"/srv/b\",\"bytes\":52428800,\"files\":3,\"folder\":true},"
        "{\"path\":null,\"bytes\":20971520,\"files\":1,\"folder\":false}],"
        "\"most_files\":[{\"path\":\"/srv/c\",\"bytes\":0,\"files\":1200,\"folder\":true}]}";
    json_t *view = view_of(&governed), *spool = json_object_get(view, "spool");
    char *text;

    (void)state;
    assert_int_equal(json_object_set_new(spool, "others", json_loads(others, 0, NULL)), 0);
    text = screen_of(view, (struct pressure_style){0});
    assert_non_null(strstr(text,
                           " Largest: /srv/a?[1m 1.0 GiB, /srv/b/ 50 MiB, (a name that is not "
                           "UTF-8) 20 MiB. Only 1234 files of 5 B were looked at: there may be "
                           "larger ones, and --largest looks for longer. Folders that could not be "
                           "read: 2; root sees more. "
                           "Remove other files"));
    assert_null(strstr(text, "WHAT ELSE IS LARGE"));
    free(text);
    text = screen_of(view, (struct pressure_style){.others = true});
    assert_non_null(
        line_of(text, "Below /srv, spool and logs left out. Largest: /srv/a?[1m 1.0 GiB"));
    assert_non_null(strstr(text, "Most files: /srv/c/ 1200 files. Only"));
    free(text);
    assert_int_equal(
        json_object_set_new(json_object_get(spool, "others"), "cut_by", json_string("")), 0);
    text = screen_of(view, (struct pressure_style){0});
    assert_null(strstr(text, "were looked at"));
    free(text);
    json_decref(view);
}

/* A calm server: a short screen, and no advice. */
static void normal_is_quiet(void **state)
{
    struct pressure calm;
    json_t *view;
    char *text;

    (void)state;
    kit_init(&calm, "");
    calm.view.governor.level = PRESSURE_NORMAL;
    calm.view.governor.history_count = 0;
    calm.view.holder_count = 0;
    calm.view.enabled = false;
    memset(calm.view.governor.remedies, 0, sizeof(calm.view.governor.remedies));
    memset(calm.view.sums, 0, sizeof(calm.view.sums));
    for (int i = 0; i < GOVERNOR_RESOURCES; i++)
        calm.view.governor.resources[i].level = PRESSURE_NORMAL;
    view = view_of(&calm);
    text = screen_of(view, (struct pressure_style){0});
    assert_non_null(strstr(text, "No remedy was needed"));
    assert_non_null(strstr(text, "All settings are the defaults"));
    assert_non_null(strstr(text, "pressure.enabled: no, nothing is refused"));
    assert_null(strstr(text, "WHAT TO DO"));
    assert_null(strstr(text, "CLIENTS REFUSED"));
    assert_null(strstr(text, "LAST CHANGES"));
    free(text);
    json_decref(view);
    kit_done(&calm);
}

/* A server of another version: whatever is missing, the command does not fall. */
static void missing_members_do_no_harm(void **state)
{
    json_t *whole = view_of(&governed);
    const char *key;
    json_t *value;

    (void)state;
    json_object_foreach(whole, key, value)
    {
        json_t *part = json_copy(whole);
        char *text = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);

        (void)json_object_del(part, key);
        pressure_print(part, &(struct pressure_style){0}, to);
        pressure_print_xml(part, to);
        pressure_add_machine(part);
        pressure_add_others(part, false);
        assert_int_equal(fclose(to), 0);
        assert_true(len > 1000);
        free(text);
        json_decref(part);
    }
    json_decref(whole);
}

static void the_xml_has_exchanges_shape(void **state)
{
    static const char *const parts[] = {
        "<Diagnostics>\n  <ProcessInfo>\n    <id>",
        "<startTime>2026-11-21T20:12:43.9990000Z</startTime>",
        "<lifetime>1.01:01:01.0010000</lifetime>",
        "<handleCount>77</handleCount>",
        "<workingSet>109.8 MB (115,101,696 bytes)</workingSet>",
        "<ResourceTracker>\n        <AggregateUse>Medium</AggregateUse>\n",
        "<ResourceMeter Resource=\"SystemMemory\">\n"
        "          <CurrentResourceUse>High</CurrentResourceUse>\n"
        "          <PreviousResourceUse>Low</PreviousResourceUse>\n"
        "          <PressureTransitions>[PressureTransitions: MediumToHigh=94 HighToMedium=89 "
        "LowToMedium=88 MediumToLow=84]</PressureTransitions>\n"
        "          <Pressure>40</Pressure>\n"
        "        </ResourceMeter>\n",
        "<ResourceMeter Resource=\"DatabaseUsedSpace[/s&lt;&amp;&quot;&gt;]\">",
        "<ResourceMeter Resource=\"QueueLength[SubmissionQueue]\">",
        "MediumToHigh=15000 HighToMedium=10000 LowToMedium=9999 MediumToLow=2000]",
        "<ResourceLevelObserver Name=\"SmtpIn\">\n          <Paused>true</Paused>\n"
        "          <SubStatus>external mail is refused (spool-disk); internal mail is delayed by "
        "4000 ms</SubStatus>\n",
        "<ResourceLevelObserver Name=\"RemoteDelivery\">\n          <Paused>false</Paused>",
        "ResourceThrottlingEnabled=\"true\" SmtpBaseThrottlingDelayInterval=\"PT0S\" "
        "SmtpMaxThrottlingDelayInterval=\"PT1M30S\" SmtpStepThrottlingDelayInterval=\"PT0.5S\" "
        "SmtpStartThrottlingDelayInterval=\"PT1S\"",
        ("<Status OverrideCount=\"2\" OverrideableProperties=\"resourcethrottling."
         "databaseusedspace.mediumtohigh,"),
    };
    struct pressure odd;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    json_t *view;

    (void)state;
    kit_init(&odd, "spool.directory: '/s<&\">'\n"
                   "pressure.tarpit: {max: 90s, step: 500ms}\n");
    view = view_of(&odd);
    assert_int_equal(json_object_set_new(view, "process",
                                         json_pack("{s:i,s:i,s:i}", "threads", 6, "descriptors", 77,
                                                   "resident_bytes", 115101696)),
                     0);
    pressure_print_xml(view, to);
    assert_int_equal(fclose(to), 0);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!strstr(text, parts[i]))
            fail_msg("no '%s' in\n%s", parts[i], text);
    assert_null(strstr(text, "ProcessorStall\"")); /* not known to this kernel: no meter */
    free(text);
    json_decref(view);
    kit_done(&odd);
}

/* At high it is not external mail alone. */
static void the_xml_names_the_classes_that_are_refused(void **state)
{
    struct pressure high;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    json_t *view;

    (void)state;
    kit_init(&high, "");
    for (int c = 0; c < MAIL_REPORT; c++)
        high.view.governor.gate.lines[c] =
            (struct gate_line){.verdict = GATE_REFUSE, .resource = GOVERNOR_SPOOL_DISK};
    view = view_of(&high);
    pressure_print_xml(view, to);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(text, "<SubStatus>external, internal, authenticated mail is refused "
                                 "(spool-disk)</SubStatus>"));
    assert_non_null(
        strstr(text, "<SubStatus>second_copy mail is refused (spool-disk)</SubStatus>"));
    free(text);
    json_decref(view);
    kit_done(&high);
}

/* Exchange's name of each resource, as the XML has it, is one the configuration takes. */
static void the_names_of_the_xml_can_be_set(void **state)
{
    (void)state;
    for (int i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;
        struct buf text = BUF_INIT(1000), why = BUF_INIT(CONFIG_WHY_MAX);
        struct config *c = NULL;
        const struct config *dead;

        (void)buf_addf(&text, "pressure.%s.observe_only: yes\n",
                       governor_resource_exchange_name(r));
        if (config_load_text("t.yaml", buf_slice(&text), NULL, 0, &c, &why) < 0)
            fail_msg("%s", buf_cstr(&why));
        assert_true(c->pressure.rules[i].observe_only);
        assert_true(strlen(pressure_advice_for(governor_resource_name(r))) > 20);
        dead = c;
        config_unref(&dead);
        buf_done(&text);
        buf_done(&why);
    }
}

/* When this fails: penstock config doc --pressure prints what belongs between the markers. */
static void the_manual_has_the_programs_tables(void **state)
{
    const char *path = getenv("PRESSURE_MD");
    static char manual[MIB(1)];
    struct buf tables = BUF_INIT(KIB(64));
    const char *begin, *end;
    size_t len;
    FILE *f;

    (void)state;
    assert_int_equal(pressure_write_markdown(&tables), 0);
    if (!path)
        skip();
    f = fopen(path, "r");
    assert_non_null(f);
    len = fread(manual, 1, sizeof(manual) - 1, f);
    manual[len] = '\0';
    assert_int_equal(fclose(f), 0);
    begin = strstr(manual, "<!-- tables: begin -->\n");
    end = strstr(manual, "<!-- tables: end -->\n");
    assert_true(begin && end && begin < end);
    begin += strlen("<!-- tables: begin -->\n");
    manual[end - manual] = '\0';
    assert_string_equal(begin, buf_cstr(&tables));
    buf_done(&tables);
}

static void this_machine_is_found(void **state)
{
    json_t *view = json_pack("{s:i,s:{s:s},s:{s:s}}", "pid", (int)getpid(), "spool", "directory",
                             "/proc", "log", "directory", "/nowhere/at/all");
    const json_t *spool = json_object_get(view, "spool"), *log = json_object_get(view, "log");

    (void)state;
    pressure_add_machine(view);
    assert_string_equal(get_text(spool, "mount"), "/proc");
    assert_string_equal(get_text(spool, "type"), "proc");
    assert_true(has_value(spool, "size_bytes"));
    assert_false(has_value(log, "mount"));
    assert_false(has_value(log, "bytes"));
    assert_true(get_uint(json_object_get(view, "process"), "threads") >= 1);
    assert_true(get_uint(json_object_get(view, "process"), "descriptors") >= 3);
    assert_true(get_uint(json_object_get(view, "process"), "resident_bytes") > 4096);
    json_decref(view);
}

static int begin(void **state)
{
    (void)state;
    kit_init(&governed, "pressure.interval: 1s\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    kit_done(&governed);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_screen_tells_all),
        cmocka_unit_test(lines_are_cut_and_coloured),
        cmocka_unit_test(a_failed_spool_is_told),
        cmocka_unit_test(the_advice_names_what_else_is_large),
        cmocka_unit_test(normal_is_quiet),
        cmocka_unit_test(missing_members_do_no_harm),
        cmocka_unit_test(the_xml_has_exchanges_shape),
        cmocka_unit_test(the_xml_names_the_classes_that_are_refused),
        cmocka_unit_test(the_names_of_the_xml_can_be_set),
        cmocka_unit_test(the_manual_has_the_programs_tables),
        cmocka_unit_test(this_machine_is_found),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
