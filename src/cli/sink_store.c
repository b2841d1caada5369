/*
 * cli/sink_store.c - messages on disk. A Maildir gets a file each, renamed into place when whole;
 * an mbox one write() each, at its end (O_APPEND), so that threads need no lock. Lines end in LF.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/sink_int.h"

#define PATH_SIZE 4096

static int fail(struct buf *why, const char *path, int err)
{
    (void)buf_addf(why, "%s: %s", path, err_str(err));
    return err;
}

static int make_folder(const char *path, struct buf *why)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : fail(why, path, -errno);
}

int sink_store_open(struct sink_store *st, struct buf *why)
{
    static const char *const folders[] = {"", "/tmp", "/new", "/cur"};
    char path[PATH_SIZE];

    st->mbox_fd = -1;
    if (st->mbox) {
        st->mbox_fd = open(st->mbox, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (st->mbox_fd < 0)
            return fail(why, st->mbox, -errno);
    }
    for (size_t i = 0; st->maildir && i < ARRAY_SIZE(folders); i++) {
        int r;

        (void)snprintf(path, sizeof(path), "%s%s", st->maildir, folders[i]);
        r = make_folder(path, why);
        if (r < 0)
            return r;
    }
    return 0;
}

void sink_store_close(struct sink_store *st)
{
    if (st->mbox && st->mbox_fd >= 0)
        (void)close(st->mbox_fd);
    st->mbox_fd = -1;
}

static int write_all(int fd, struct slice data)
{
    while (data.len) {
        ssize_t n = write(fd, data.ptr, data.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            data = slice_from(data, (size_t)n);
    }
    return 0;
}

/* Lines with LF; in an mbox a line of any number of '>' and "From " gets one '>' more. */
static void add_lines(struct buf *to, struct slice message, bool is_mbox)
{
    while (message.len) {
        ptrdiff_t lf = slice_find(message, '\n');
        struct slice line = lf < 0 ? message : slice_sub(message, 0, (size_t)lf);
        size_t marks = 0;

        message = slice_from(message, line.len + (lf >= 0));
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        while (marks < line.len && line.ptr[marks] == '>')
            marks++;
        if (is_mbox && slice_has_prefix(slice_from(line, marks), SLICE_LIT("From ")))
            (void)buf_push(to, '>');
        (void)buf_add(to, line);
        (void)buf_push(to, '\n');
    }
}

static int add_to_mbox(struct sink_store *st, struct slice sender, struct slice message,
                       struct buf *scratch)
{
    time_t now = (time_t)(clock_wall_ms() / MS_PER_S);
    char date[32];
    struct tm tm;

    buf_clear(scratch);
    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
    (void)buf_addf(scratch, "From %.*s %s\n",
                   SLICE_FMT(sender.len ? sender : SLICE_LIT("MAILER-DAEMON")), date);
    add_lines(scratch, message, true);
    (void)buf_push(scratch, '\n');
    return buf_failed(scratch) ? -ENOMEM : write_all(st->mbox_fd, buf_slice(scratch));
}

static int add_to_maildir(struct sink_store *st, struct slice message, struct buf *scratch)
{
    unsigned long long number = atomic_fetch_add(&st->next, 1);
    char tmp[PATH_SIZE], path[PATH_SIZE], name[64];
    int fd, r;

    (void)snprintf(name, sizeof(name), "%lld.P%dQ%llu.sink",
                   (long long)(clock_wall_ms() / MS_PER_S), (int)getpid(), number);
    (void)snprintf(tmp, sizeof(tmp), "%s/tmp/%s", st->maildir, name);
    (void)snprintf(path, sizeof(path), "%s/new/%s", st->maildir, name);
    buf_clear(scratch);
    add_lines(scratch, message, false);
    if (buf_failed(scratch))
        return -ENOMEM;
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = write_all(fd, buf_slice(scratch));
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(tmp);
    return r;
}

int sink_store_add(struct sink_store *st, struct slice sender, struct slice message,
                   struct buf *scratch)
{
    int r = st->mbox ? add_to_mbox(st, sender, message, scratch) : 0;

    if (r == 0 && st->maildir)
        r = add_to_maildir(st, message, scratch);
    return r;
}
