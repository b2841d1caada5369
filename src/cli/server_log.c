/* cli/server_log.c - see server_log.h. */
#include "cli/server_log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"
#include "event/event.h"
#include "event/exchange_log.h"
#include "event/record.h"

#define FREE_MIN_BYTES MIB(1) /* on a disk where the spool is not */
#define PATH_BYTES_MAX 1024

static bool goes_to_journal(const struct config *c)
{
    return c->log.target == CONFIG_LOG_JOURNAL ||
           (c->log.target == CONFIG_LOG_AUTO && event_fd_is_journal(STDERR_FILENO));
}

void server_set_log(const struct config *c)
{
    static const enum event_level levels[] = {
        [CONFIG_LOG_DEBUG] = EVENT_DEBUG,   [CONFIG_LOG_INFO] = EVENT_INFO,
        [CONFIG_LOG_NOTICE] = EVENT_NOTICE, [CONFIG_LOG_WARNING] = EVENT_WARNING,
        [CONFIG_LOG_ERROR] = EVENT_ERROR,
    };
    struct event_config ec = {
        .target = goes_to_journal(c) ? EVENT_TO_JOURNAL : EVENT_TO_FD,
        .fd = STDERR_FILENO,
        .format = c->log.format == CONFIG_LOG_JSON ? EVENT_JSON : EVENT_LOGFMT,
        .level = c->log.target == CONFIG_LOG_OFF ? EVENT_NOTHING : levels[c->log.level],
    };

    event_set_config(&ec);
}

bool server_log_is_on_terminal(const struct config *c)
{
    return c->log.target != CONFIG_LOG_OFF && !goes_to_journal(c) && isatty(STDERR_FILENO);
}

/* The disk that `path` is on, or will be when it is made. */
static int device_of(const char *path, dev_t *ret)
{
    char part[PATH_BYTES_MAX];
    size_t len = strlen(path);
    struct stat st;

    if (len >= sizeof(part))
        return -ENAMETOOLONG;
    memcpy(part, path, len + 1);
    while (stat(part, &st) < 0) {
        char *slash = strrchr(part, '/');

        if (errno != ENOENT || strcmp(part, "/") == 0 || strcmp(part, ".") == 0)
            return -errno;
        if (!slash)
            memcpy(part, ".", 2);
        else if (slash == part)
            part[1] = '\0';
        else
            *slash = '\0';
    }
    *ret = st.st_dev;
    return 0;
}

/* What must stay free on the disk of the log files: with the spool, what draining needs. */
static uint64_t free_min_bytes(const struct config *c)
{
    const struct config_texts *more = &c->spool.more_directories;
    dev_t logs = 0, spool = 0;
    bool shared;

    if (device_of(c->log.files.directory, &logs) < 0)
        return FREE_MIN_BYTES;
    shared = device_of(c->spool.directory, &spool) == 0 && logs == spool;
    for (size_t i = 0; i < more->count && !shared; i++)
        shared = device_of(more->list[i], &spool) == 0 && logs == spool;
    return shared ? c->spool.drain_reserve_bytes + c->spool.segment_size_bytes : FREE_MIN_BYTES;
}

static int apply_log_files(const struct config *c, struct buf *why,
                           int (*apply)(const struct record_config *rc, const char **failed_path))
{
    const struct config_log_files *f = &c->log.files;
    struct record_config rc = {
        .directory = f->directory,
        .is_on = {[RECORD_EVENTS] = f->events,
                  [RECORD_RECEIVE] = f->protocol,
                  [RECORD_SEND] = f->protocol,
                  [RECORD_CONNECTIVITY] = f->connectivity,
                  [RECORD_TRACKING] = f->tracking,
                  [RECORD_DELIVERIES] = f->deliveries},
        .file_max_bytes = f->file_max_bytes,
        .folder_max_bytes = f->folder_max_bytes,
        .age_max_s = f->age_max_s,
        .free_min_bytes = f->directory ? free_min_bytes(c) : 0,
    };
    const char *failed_path;
    int r;

    for (enum record_kind k = 0; k < RECORD_KINDS; k++)
        rc.heads[k] = exchange_head(k);
    r = apply(&rc, &failed_path);
    if (r < 0)
        (void)buf_addf(why,
                       "log.files.directory: %s cannot be used: %s. log.files.directory=none turns "
                       "log files off",
                       failed_path, err_str(r));
    return r;
}

int server_set_log_files(const struct config *c, struct buf *why)
{
    return apply_log_files(c, why, record_set_config);
}

int server_check_log_files(const struct config *c, struct buf *why)
{
    return apply_log_files(c, why, record_check_config);
}
