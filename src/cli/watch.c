/* cli/watch.c - the terminal while it is watched: keys, signals, and what is on the screen. */
#include "cli/watch.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "cli/cli.h"
#include "cli/format.h"

#define WATCH_S_MAX 86400

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

/* One screen, or one after another where standard output is no terminal. */
static int show(int (*print)(void *ctx, FILE *to), void *ctx)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to;
    int r;

    if (!isatty(STDOUT_FILENO)) {
        r = print(ctx, stdout);
        puts("");
        return r;
    }
    to = open_memstream(&text, &len);
    if (!to)
        return EXIT_DONE; /* the next one may have memory */
    r = print(ctx, to);
    if (fclose(to) == 0 && r == EXIT_DONE)
        redraw(text);
    free(text);
    return r;
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
    /* Begun again, or half a screen would end as a report that could not be written. */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    (void)sigemptyset(ret);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        (void)sigaddset(ret, numbers[i]);
        (void)sigaction(numbers[i], &action, NULL);
    }
}

int watch_run(uint64_t seconds, int (*print)(void *ctx, FILE *to), void *ctx)
{
    sigset_t signals;
    int r = EXIT_DONE;

    terminal_begin();
    catch_signals(&signals);
    if (isatty(STDOUT_FILENO))
        fputs("\033[2J", stdout);
    while (r == EXIT_DONE && !is_ended) {
        r = show(print, ctx);
        if (fflush(stdout) == EOF)
            r = EXIT_FAILED;
        if (r == EXIT_DONE)
            wait_for_key(seconds * 1000, &signals);
    }
    terminal_end();
    return is_ended ? EXIT_DONE : r; /* what a signal broke off is no failure */
}

int watch_read(const char *command, const char *value, struct watch_option *ret)
{
    ret->is_on = true;
    if (value &&
        (slice_to_u64(slice_str(value), WATCH_S_MAX, &ret->seconds) < 0 || ret->seconds == 0))
        return usage_error(command, "--watch=%s: say 1 to %d seconds", value, WATCH_S_MAX);
    return EXIT_DONE;
}

bool watch_has_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    return format_terminal_width(stdout) > 0 && !(no_colour && *no_colour) && term &&
           strcmp(term, "dumb") != 0;
}
