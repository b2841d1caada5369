/*
 * cli/logs_progress.c - how far it is, for those who wait.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/format.h"
#include "cli/logs_int.h"

#define QUIET_MS 500 /* what is done by then needs no progress */
#define EVERY_MS 200

static void show(void *ctx, uint64_t bytes, uint64_t total, uint64_t rows)
{
    struct logs_progress *p = ctx;
    uint64_t now = clock_mono_ms(), took = now - p->began_ms;
    char left[FORMAT_TEXT_MAX] = "?";

    if (took < QUIET_MS || now - p->told_ms < EVERY_MS)
        return;
    p->told_ms = now;
    p->is_shown = true;
    fprintf(stderr, "\r\033[K%.1f MB, %.2f M rows/s", (double)bytes / 1e6,
            (double)rows / 1e3 / (double)took);
    if (bytes > 0 && bytes <= total) {
        format_age((int64_t)((double)took * (double)(total - bytes) / (double)bytes), left);
        fprintf(stderr, ", %.0f %% of %.1f MB, %s left", (double)bytes / (double)total * 100,
                (double)total / 1e6, left);
    }
}

void logs_progress_begin(struct logs_progress *p, struct log_run_config *run)
{
    *p = (struct logs_progress){.began_ms = clock_mono_ms()};
    if (!isatty(STDERR_FILENO))
        return;
    run->progress = show;
    run->ctx = p;
}

void logs_progress_end(struct logs_progress *p)
{
    if (p->is_shown)
        fputs("\r\033[K", stderr);
}
