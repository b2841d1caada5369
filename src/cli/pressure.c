/*
 * cli/pressure.c - `penstock pressure`: why is mail slowed or refused, and what to do?
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/format.h"
#include "cli/json_get.h"
#include "cli/options.h"
#include "cli/pressure_int.h"

#define WATCH_S_DEFAULT 2
#define WATCH_S_MAX 86400
#define OTHERS_KEPT_NS (UINT64_C(60) * 1000000000)

struct options {
    const char *socket, *config;
    bool json, xml, watch, largest, help;
    uint64_t watch_s;
};

static int print_help(void)
{
    puts("Usage: penstock pressure [OPTIONS]\n"
         "\n"
         "Shows how a running server does: the level, each resource with its thresholds and how\n"
         "much must be freed, whose mail is slowed and refused, what was done about it, and what\n"
         "to do. docs/pressure.md explains it.\n"
         "\n"
         "      --watch[=SECONDS]  again every 2 (or so many) seconds, until q or Ctrl-C\n"
         "      --json             the same for programs\n"
         "      --exchange-xml     in the shape of Exchange's Get-ExchangeDiagnosticInfo\n"
         "      --largest          what else is large on the file systems, though they are not "
         "short\n"
         "      --socket PATH      the server's control socket\n"
         "  -c, --config FILE      the server's configuration, which names the socket\n"
         "  -h, --help             this text");
    return EXIT_DONE;
}

/* What watching keeps from one screen to the next. */
struct others {
    json_t *spool, *log;
    uint64_t looked_ns;
};

static void keep(json_t **kept, const json_t *view, const char *whose)
{
    json_decref(*kept);
    *kept = json_incref(json_object_get(json_object_get(view, whose), "others"));
}

static void put_back(json_t *kept, json_t *view, const char *whose)
{
    if (kept)
        (void)json_object_set(json_object_get(view, whose), "others", kept);
}

/* Looked for once in a while: a walk a screen would itself be a load on a disk that is short. */
static void add_others(const struct options *o, struct others *known, json_t *view)
{
    uint64_t now_ns = clock_mono_ns();

    if (known->looked_ns && now_ns - known->looked_ns < OTHERS_KEPT_NS &&
        (known->spool || known->log)) {
        put_back(known->spool, view, "spool");
        put_back(known->log, view, "log");
        return;
    }
    pressure_add_others(view, o->largest);
    keep(&known->spool, view, "spool");
    keep(&known->log, view, "log");
    known->looked_ns = now_ns;
}

static int get_view(const struct options *o, struct client *c, struct others *known, json_t **ret)
{
    int r = client_get(c, "/v1/pressure", ret);

    if (r != EXIT_DONE)
        return r;
    pressure_add_machine(*ret);
    if (!o->xml)
        add_others(o, known, *ret);
    return EXIT_DONE;
}

static struct pressure_style style_of_stdout(const struct options *o)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    struct pressure_style style = {.width = format_terminal_width(stdout), .others = o->largest};

    style.is_colour =
        style.width > 0 && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
    return style;
}

static void print_as(const struct options *o, const json_t *view, FILE *to)
{
    struct pressure_style style = style_of_stdout(o);

    if (o->json) {
        (void)json_dumpf(view, to, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        fputc('\n', to);
    } else if (o->xml) {
        pressure_print_xml(view, to);
    } else {
        pressure_print(view, &style, to);
    }
}

static int run_once(const struct options *o, struct client *c)
{
    struct others known = {NULL};
    json_t *view = NULL;
    int r = get_view(o, c, &known, &view);

    if (r == EXIT_DONE)
        print_as(o, view, stdout);
    json_decref(view);
    json_decref(known.spool);
    json_decref(known.log);
    return r;
}

/* ---- watching ---- */

struct terminal {
    struct termios before;
    bool is_changed;
};

static volatile sig_atomic_t is_ended;
static struct terminal terminal; /* for the signal's handler, too */

static void terminal_end(void)
{
    if (terminal.is_changed)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before);
}

/* The second one does not wait for a server that hangs. */
static void on_signal(int number)
{
    if (is_ended) {
        terminal_end();
        _exit(128 + number);
    }
    is_ended = 1;
}

/* Keys come one by one and are not shown, so that q needs no return. */
static void terminal_begin(void)
{
    struct termios keys;

    terminal.is_changed = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal.before) == 0;
    if (!terminal.is_changed)
        return;
    keys = terminal.before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &keys);
}

static size_t terminal_height(void)
{
    struct winsize size = {0};

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ? 0 : size.ws_row;
}

/* Writes over what is on the screen, without a moment in which it is empty. */
static void redraw(const char *text)
{
    size_t rows = terminal_height();

    fputs("\033[H", stdout);
    for (size_t row = 1; *text && (rows == 0 || row < rows); row++) {
        size_t len = strcspn(text, "\n");

        printf("%.*s\033[K\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
    fputs("\033[J", stdout);
}

static void show(const struct options *o, const json_t *view)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to;

    if (!isatty(STDOUT_FILENO)) {
        print_as(o, view, stdout);
        puts("");
        return;
    }
    to = open_memstream(&text, &len);
    if (!to)
        return;
    print_as(o, view, to);
    if (fclose(to) == 0)
        redraw(text);
    free(text);
}

/* Until time is over, a key asks to end, or a signal does: one that came just before is not missed,
 * for they are held back until ppoll() waits. */
static void wait_for_key(uint64_t ms, const sigset_t *signals)
{
    struct pollfd p = {.fd = terminal.is_changed ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    sigset_t before;
    int ready = 0;
    char key;

    (void)sigprocmask(SIG_BLOCK, signals, &before);
    if (!is_ended)
        ready = ppoll(&p, 1, &time, &before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (ready > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
        is_ended = 1;
}

static void catch_signals(sigset_t *ret)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction action = {.sa_handler = on_signal};

    (void)sigemptyset(ret);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        (void)sigaddset(ret, numbers[i]);
        (void)sigaction(numbers[i], &action, NULL);
    }
}

static int run_watch(const struct options *o, struct client *c)
{
    struct others known = {NULL};
    sigset_t signals;
    int r = EXIT_DONE;

    terminal_begin();
    catch_signals(&signals);
    if (isatty(STDOUT_FILENO))
        fputs("\033[2J", stdout);
    while (r == EXIT_DONE && !is_ended) {
        json_t *view = NULL;

        r = get_view(o, c, &known, &view);
        if (r == EXIT_DONE)
            show(o, view);
        json_decref(view);
        if (fflush(stdout) == EOF)
            r = EXIT_FAILED;
        if (r == EXIT_DONE)
            wait_for_key(o->watch_s * 1000, &signals);
    }
    terminal_end();
    json_decref(known.spool);
    json_decref(known.log);
    return is_ended ? EXIT_DONE : r; /* what a signal broke off is no failure */
}

/* ---- options ---- */

static int set_watch(const char *value, void *to)
{
    struct options *o = to;

    o->watch = true;
    if (value && (slice_to_u64(slice_str(value), WATCH_S_MAX, &o->watch_s) < 0 || o->watch_s == 0))
        return usage_error("pressure", "--watch=%s: say 1 to %d seconds", value, WATCH_S_MAX);
    return EXIT_DONE;
}

int cmd_pressure(int argc, char **argv)
{
    struct options o = {.watch_s = WATCH_S_DEFAULT};
    const struct option_spec specs[] = {
        OPTION_TEXT("config", 'c', &o.config),       OPTION_FLAG("help", 'h', &o.help),
        OPTION_TEXT("socket", 0, &o.socket),         OPTION_FLAG("json", 0, &o.json),
        OPTION_FLAG("exchange-xml", 0, &o.xml),      OPTION_FLAG("largest", 0, &o.largest),
        OPTION_READ_MAYBE("watch", 0, set_watch, &o)};
    struct client *c = NULL;
    int r = options_read("pressure", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && o.help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("pressure", "'%s': it takes options only", argv[optind]);
    if (r == EXIT_DONE && o.json && o.xml)
        r = usage_error("pressure", "--json and --exchange-xml together make no sense");
    if (r == EXIT_DONE)
        r = client_new(&c, "pressure", o.socket, o.config);
    if (r == EXIT_DONE)
        r = o.watch ? run_watch(&o, c) : run_once(&o, c);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error("pressure", "cannot write to standard output");
    return r;
}
