/*
 * cli/logs_progress.c - how far it is, for those who wait: one line, drawn over again and gone at the
 * end, also when the run is ended by a signal.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/format.h"
#include "cli/logs_int.h"
#include "cli/screen.h"

#define QUIET_MS 500 /* what is done by then needs no progress */
#define EVERY_MS 200
#define BAR_LEAST 10
#define BAR_MOST 40
#define WIDTH_USUAL 80
#define LESS_THAN_S 999 /* milliseconds: what is left is rounded up */
#define LINE_MAX_BYTES 1024
#define ERASE "\r\033[K"

/* ---- the line ---- */

/* Of the forms of the text the longest that leaves room for a bar. */
static void text_of(const struct logs_progress_figures *f, size_t room, char *ret, size_t ret_size)
{
    double part = (double)f->bytes / (double)f->total, megabytes = (double)f->bytes / 1e6;
    double rate = (double)f->rows / 1e3 / (double)MAX_OF(f->took_ms, UINT64_C(1));
    char left[FORMAT_TEXT_MAX], whole[FORMAT_TEXT_MAX];

    if (f->total == 0 || f->bytes > f->total) {
        (void)snprintf(ret, ret_size, "%.1f MB, %.2f M rows/s", megabytes, rate);
        return;
    }
    format_age((int64_t)((double)f->took_ms * (1 - part) / MAX_OF(part, 1e-9)) + LESS_THAN_S, left);
    (void)snprintf(whole, sizeof(whole), "%.0f %%", part * 100);
    for (int form = 0; form < 4; form++) {
        size_t len =
            (size_t)(form == 0
                         ? snprintf(ret, ret_size, "%s, %.1f of %.1f MB, %.2f M rows/s, %s left",
                                    whole, megabytes, (double)f->total / 1e6, rate, left)
                     : form == 1
                         ? snprintf(ret, ret_size, "%s, %.2f M rows/s, %s left", whole, rate, left)
                     : form == 2 ? snprintf(ret, ret_size, "%s, %s left", whole, left)
                                 : snprintf(ret, ret_size, "%s", whole));

        if (len + 1 + BAR_LEAST + 2 <= room)
            break;
    }
}

void logs_progress_line(struct buf *to, const struct logs_progress_figures *f, size_t width,
                        bool is_utf8)
{
    size_t room = width > 0 ? width - 1 : 0; /* nothing in the last column: it might wrap */
    size_t cells = 0, full, len;
    char text[LINE_MAX_BYTES / 4];

    text_of(f, room, text, sizeof(text));
    len = MIN_OF(strlen(text), room);
    if (f->total > 0 && f->bytes <= f->total && len + 1 + BAR_LEAST + 2 <= room)
        cells = MIN_OF(room - len - 3, (size_t)BAR_MOST);
    full = cells > 0 ? (size_t)((double)f->bytes / (double)f->total * (double)cells) : 0;
    if (cells > 0 && !is_utf8)
        (void)buf_push(to, '[');
    for (size_t i = 0; i < cells; i++)
        (void)buf_add_str(to, is_utf8 ? (i < full ? "█" : "░") : (i < full ? "#" : "-"));
    if (cells > 0)
        (void)buf_add_str(to, is_utf8 ? " " : "] ");
    (void)buf_add(to, slice_make(text, len));
}

/* ---- the terminal ---- */

static volatile sig_atomic_t is_shown, is_over; /* for the signal's handler, too */

static size_t terminal_width(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ? WIDTH_USUAL
                                                                           : size.ws_col;
}

static void show(void *ctx, uint64_t bytes, uint64_t total, uint64_t rows)
{
    struct logs_progress *p = ctx;
    uint64_t now = clock_mono_ms(), took = now - p->began_ms;
    const struct logs_progress_figures f = {bytes, total, rows, took};
    struct buf line = BUF_INIT(LINE_MAX_BYTES);

    if (took < QUIET_MS || now - p->told_ms < EVERY_MS)
        return;
    p->told_ms = now;
    (void)buf_add_str(&line, ERASE);
    logs_progress_line(&line, &f, terminal_width(), p->is_utf8);
    is_shown = 1;
    if (!is_over) /* in one piece, or a signal leaves half of it */
        ignore_result(write(STDERR_FILENO, buf_slice(&line).ptr, buf_len(&line)) < 0);
    buf_done(&line);
}

static void erase(void)
{
    if (is_shown)
        ignore_result(write(STDERR_FILENO, ERASE, sizeof(ERASE) - 1) < 0);
    is_shown = 0;
}

/* The action is the usual one again when this is called: the signal ends the run. */
static void on_signal(int number)
{
    is_over = 1;
    erase();
    (void)raise(number);
}

static const int signals[LOGS_PROGRESS_SIGNALS] = {SIGINT, SIGTERM};

void logs_progress_begin(struct logs_progress *p, struct log_run_config *run)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    *p = (struct logs_progress){.began_ms = clock_mono_ms(), .is_utf8 = screen_is_utf8()};
    p->is_on = isatty(STDERR_FILENO) == 1;
    if (!p->is_on)
        return;
    for (size_t i = 0; i < LOGS_PROGRESS_SIGNALS; i++) {
        (void)sigaction(signals[i], NULL, &p->before[i]);
        if (p->before[i].sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &action, NULL);
    }
    run->progress = show;
    run->ctx = p;
}

void logs_progress_end(struct logs_progress *p)
{
    if (!p->is_on)
        return;
    erase();
    for (size_t i = 0; i < LOGS_PROGRESS_SIGNALS; i++)
        (void)sigaction(signals[i], &p->before[i], NULL);
}
