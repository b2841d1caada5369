/*
 * cli/pressure_xml.c - the shape that Get-ExchangeDiagnosticInfo -Component ResourceThrottling
 * gives, so that scripts which flatten it read ours as well.
 *
 * Element and attribute names are Exchange's, the order inside PressureTransitions too. Where
 * Exchange has a part that Penstock has not, it is there and never paused.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli/json_get.h"
#include "cli/pressure_int.h"

/* What XML 1.0 allows, escaped; the rest becomes '?'. The text is UTF-8: it came as JSON. */
static void print_escaped(const char *text, FILE *to)
{
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;

        if (c == '&')
            fputs("&amp;", to);
        else if (c == '<')
            fputs("&lt;", to);
        else if (c == '>')
            fputs("&gt;", to);
        else if (c == '"')
            fputs("&quot;", to);
        else if (c == 0xef && (uint8_t)text[1] == 0xbf && (uint8_t)text[2] >= 0xbe)
            text += fputc('?', to) == EOF ? 0 : 2; /* U+FFFE, U+FFFF */
        else
            fputc(c < 0x20 || c == 0x7f ? '?' : c, to);
    }
}

static void print_element(const char *name, const char *value, int depth, FILE *to)
{
    fprintf(to, "%*s<%s>", depth * 2, "", name);
    print_escaped(value, to);
    fprintf(to, "</%s>\n", name);
}

static void print_number(const char *name, uint64_t n, FILE *to)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    print_element(name, text, 2, to);
}

/* ---- times ---- */

/* "2026-09-30T15:12:38.3040000Z" */
static void print_time(const char *name, int64_t wall_ms, FILE *to)
{
    time_t s = (time_t)(wall_ms / 1000);
    char text[64] = "", date[32];
    struct tm tm;

    if (wall_ms >= 0 && gmtime_r(&s, &tm) && strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
        (void)snprintf(text, sizeof(text), "%s.%03d0000Z", date, (int)(wall_ms % 1000));
    print_element(name, text, 2, to);
}

/* A TimeSpan: "17:01:45.9760000", from a day on "1.17:01:45.9760000". */
static void print_lifetime(int64_t ms, FILE *to)
{
    int64_t s = ms / 1000;
    char text[64], days[24] = "";

    if (ms < 0)
        s = ms = 0;
    if (s >= 86400)
        (void)snprintf(days, sizeof(days), "%" PRId64 ".", s / 86400);
    (void)snprintf(text, sizeof(text), "%s%02d:%02d:%02d.%03d0000", days, (int)(s / 3600 % 24),
                   (int)(s / 60 % 60), (int)(s % 60), (int)(ms % 1000));
    print_element("lifetime", text, 2, to);
}

/* ISO 8601: "PT55S", "PT0.5S", "PT1M30S", "PT5M". */
static void print_duration(const char *attribute, uint64_t ms, FILE *to)
{
    uint64_t minutes = ms / 60000, rest = ms % 60000;

    fprintf(to, " %s=\"PT", attribute);
    if (minutes >= 60)
        fprintf(to, "%" PRIu64 "H", minutes / 60);
    if (minutes % 60)
        fprintf(to, "%" PRIu64 "M", minutes % 60);
    if (rest % 1000)
        fprintf(to, "%g", (double)rest / 1000);
    else if (rest || ms == 0)
        fprintf(to, "%" PRIu64, rest / 1000);
    if (rest || ms == 0)
        fputc('S', to);
    fputc('"', to);
}

/* "115,101,696" */
static void add_grouped(uint64_t n, char *ret, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    size_t at = 0;

    for (int i = 0; i < len && at + 2 < size; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            ret[at++] = ',';
        ret[at++] = digits[i];
    }
    ret[at] = '\0';
}

static void print_process(const json_t *view, FILE *to)
{
    const json_t *process = json_object_get(view, "process");
    uint64_t resident = get_uint(process, "resident_bytes");
    char grouped[40], set[96];

    fputs("  <ProcessInfo>\n", to);
    print_number("id", get_uint(view, "pid"), to);
    print_element("serverName", get_text(view, "hostname"), 2, to);
    print_time("startTime", get_int(view, "started_ms"), to);
    print_time("currentTime", get_int(view, "now_ms"), to);
    print_lifetime(get_int(view, "now_ms") - get_int(view, "started_ms"), to);
    print_number("threadCount", get_uint(process, "threads"), to);
    print_number("handleCount", get_uint(process, "descriptors"), to);
    add_grouped(resident, grouped, sizeof(grouped));
    (void)snprintf(set, sizeof(set), "%.1f MB (%s bytes)", (double)resident / MIB(1), grouped);
    print_element("workingSet", set, 2, to);
    print_element("fastTrainExchangeVersion", get_text(view, "version"), 2, to);
    fputs("  </ProcessInfo>\n", to);
}

/* ---- meters ---- */

static const char *level_word(const char *level)
{
    if (strcmp(level, "high") == 0)
        return "High";
    return strcmp(level, "medium") == 0 ? "Medium" : "Low";
}

/* A share of the limit where the meter is in percent, as Exchange has it; rounded down. */
static uint64_t to_meter(const json_t *r, uint64_t n)
{
    uint64_t limit = get_uint(r, "limit");

    return get_bool(r, "is_percent") && limit ? (uint64_t)((__uint128_t)n * 100 / limit) : n;
}

static uint64_t threshold(const json_t *r, const char *key)
{
    if (get_bool(r, "is_percent") && get_uint(r, "limit") == 0)
        return get_uint(json_object_get(r, "thresholds"), key);
    return to_meter(r, get_uint(json_object_get(r, "effective"), key));
}

/* "UsedDiskSpace[/var/log/penstock]": the folder behind what is of a folder. */
static void print_meter_name(const json_t *view, const char *name, FILE *to)
{
    static const struct {
        const char *name, *part;
    } folders[] = {{"DatabaseUsedSpace", "spool"},
                   {"UsedInodes", "spool"},
                   {"UsedVersionBuckets", "spool"},
                   {"UsedDiskSpace", "log"}};

    print_escaped(name, to);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        if (strcmp(folders[i].name, name) == 0) {
            fputc('[', to);
            print_escaped(get_text(json_object_get(view, folders[i].part), "directory"), to);
            fputc(']', to);
        }
}

static void print_meter(const json_t *view, const json_t *r, const char *name, FILE *to)
{
    fputs("        <ResourceMeter Resource=\"", to);
    print_meter_name(view, name, to);
    fputs("\">\n", to);
    print_element("CurrentResourceUse", level_word(get_text(r, "level")), 5, to);
    print_element("PreviousResourceUse", level_word(get_text(r, "previous")), 5, to);
    fprintf(to,
            "          <PressureTransitions>[PressureTransitions: MediumToHigh=%" PRIu64
            " HighToMedium=%" PRIu64 " LowToMedium=%" PRIu64 " MediumToLow=%" PRIu64
            "]</PressureTransitions>\n",
            threshold(r, "medium_to_high"), threshold(r, "high_to_medium"),
            threshold(r, "low_to_medium"), threshold(r, "medium_to_low"));
    fprintf(to, "          <Pressure>%" PRIu64 "</Pressure>\n", to_meter(r, get_uint(r, "used")));
    fputs("        </ResourceMeter>\n", to);
}

/* Logs beside the spool are measured once, with the spool's disk; the meter has both names. */
static const json_t *stand_in(const json_t *view, const json_t *r)
{
    const char *spool = get_text(json_object_get(view, "spool"), "mount");
    const char *log = get_text(json_object_get(view, "log"), "mount");

    if (get_bool(r, "known"))
        return r;
    if (strcmp(get_text(r, "name"), "log_disk") != 0 || !*spool || strcmp(spool, log) != 0)
        return NULL;
    return find_in(json_object_get(view, "resources"), "name", "spool_disk");
}

static void print_tracker(const json_t *view, FILE *to)
{
    const json_t *r;
    size_t i;

    fputs("      <ResourceTracker>\n", to);
    print_element("AggregateUse", level_word(get_text(view, "level")), 4, to);
    json_array_foreach(json_object_get(view, "resources"), i, r)
    {
        const json_t *measured = stand_in(view, r);

        if (measured)
            print_meter(view, measured, get_text(r, "exchange_name"), to);
    }
    fputs("      </ResourceTracker>\n", to);
}

/* ---- observers ---- */

static void print_observer(const char *name, bool is_paused, const char *status, FILE *to)
{
    fprintf(to, "        <ResourceLevelObserver Name=\"%s\">\n", name);
    print_element("Paused", is_paused ? "true" : "false", 5, to);
    print_element("SubStatus", status, 5, to);
    fputs("        </ResourceLevelObserver>\n", to);
}

/* "external, internal mail is refused (spool-disk)": the classes that get `verdict`, and what it
 * is, or does, to the first of them. */
static void add_classes(const json_t *view, const char *const *classes, const char *verdict,
                        struct buf *to)
{
    const json_t *list = json_object_get(json_object_get(view, "admission"), "classes");
    const json_t *first = NULL;

    for (size_t i = 0; classes[i]; i++) {
        const json_t *c = find_in(list, "class", classes[i]);

        if (strcmp(get_text(c, "verdict"), verdict) != 0)
            continue;
        (void)buf_addf(to, "%s%s", first ? ", " : buf_len(to) ? "; " : "", classes[i]);
        first = first ? first : c;
    }
    if (first && strcmp(verdict, "delay") == 0)
        (void)buf_addf(to, " mail is delayed by %" PRIu64 " ms", get_uint(first, "delay_ms"));
    else if (first)
        (void)buf_addf(to, " mail is refused (%s)", get_text(first, "token"));
}

/* An observer that asks the gate: paused when its first class, the lowest, is refused; which
 * classes are, and which are delayed, is its sub-status. */
static void print_gated(const json_t *view, const char *name, const char *const *classes, FILE *to)
{
    const json_t *list = json_object_get(json_object_get(view, "admission"), "classes");
    const char *lowest = get_text(find_in(list, "class", classes[0]), "verdict");
    struct buf status = BUF_INIT(KIB(1));

    add_classes(view, classes, "refuse", &status);
    add_classes(view, classes, "delay", &status);
    print_observer(name, strcmp(lowest, "refuse") == 0, buf_cstr(&status), to);
    buf_done(&status);
}

static void print_mediator(const json_t *view, FILE *to)
{
    static const char *const never_paused[] = {
        "BootScanner",        "ContentAggregator",   "DelayedDelivery",   "EnhancedDns",
        "IsMemberOfResolver", "MessageResubmission", "MessagingDatabase", "Pickup",
        "RemoteDelivery",     "Replication",         "Categorizer"};

    static const char *const smtp_in[] = {"external", "internal", "authenticated", NULL};
    static const char *const shadow[] = {"second_copy", NULL};

    fputs("      <ResourceLevelMediator>\n", to);
    print_gated(view, "SmtpIn", smtp_in, to);
    print_gated(view, "ShadowRedundancy", shadow, to);
    for (size_t i = 0; i < ARRAY_SIZE(never_paused); i++)
        print_observer(never_paused[i], false, "", to);
    fputs("      </ResourceLevelMediator>\n", to);
}

/* ---- configuration ---- */

static void print_overrideable(const json_t *view, FILE *to)
{
    static const char *const parts[] = {"mediumtohigh", "hightomedium", "lowtomedium",
                                        "mediumtolow"};
    bool is_first = true;
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(view, "resources"), i, r) for (size_t k = 0;
                                                                      k < ARRAY_SIZE(parts); k++)
    {
        fprintf(to, "%sresourcethrottling.", is_first ? "" : ",");
        for (const char *c = get_text(r, "exchange_name"); *c && *c != '['; c++)
            fputc(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c, to);
        fprintf(to, ".%s", parts[k]);
        is_first = false;
    }
}

/* Of pressure.* alone: what stands beside it is not the governor's. */
static size_t count_overrides(const json_t *view)
{
    const json_t *item;
    size_t i, count = 0;

    json_array_foreach(json_object_get(view, "configuration"), i, item) count +=
        strncmp(get_text(item, "name"), "pressure.", 9) == 0;
    return count;
}

static void print_configuration(const json_t *view, FILE *to)
{
    const json_t *tarpit = json_object_get(view, "tarpit");

    fputs("      <Configuration>\n"
          "        <ResourceThrottlingConfiguration DehydrateMessagesUnderMemoryPressure=\"true\""
          " DisabledResourceLevelObservers=\"\" MaxTransientExceptionsAllowed=\"0\"",
          to);
    print_duration("ResourceLevelObserverTimeout", 0, to);
    fprintf(to, " ResourceThrottlingEnabled=\"%s\"", get_bool(view, "enabled") ? "true" : "false");
    print_duration("SmtpBaseThrottlingDelayInterval", 0, to);
    print_duration("SmtpMaxThrottlingDelayInterval", get_uint(tarpit, "max_ms"), to);
    print_duration("SmtpStepThrottlingDelayInterval", get_uint(tarpit, "step_ms"), to);
    print_duration("SmtpStartThrottlingDelayInterval", get_uint(tarpit, "start_ms"), to);
    fputs(" PeriodicDehydrationEnabled=\"false\"", to);
    print_duration("PeriodicDehydrationInterval", 0, to);
    fprintf(to,
            " />\n"
            "        <Overrides>\n"
            "          <Status OverrideCount=\"%zu\" OverrideableProperties=\"",
            count_overrides(view));
    print_overrideable(view, to);
    fputs("\" />\n"
          "        </Overrides>\n"
          "      </Configuration>\n",
          to);
}

void pressure_print_xml(const json_t *view, FILE *to)
{
    fputs("<Diagnostics>\n", to);
    print_process(view, to);
    fputs("  <Components>\n"
          "    <ResourceThrottling>\n",
          to);
    print_tracker(view, to);
    print_mediator(view, to);
    print_configuration(view, to);
    fputs("    </ResourceThrottling>\n"
          "  </Components>\n"
          "</Diagnostics>\n",
          to);
}
