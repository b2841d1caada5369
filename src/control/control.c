/*
 * control/control.c - the socket, the HTTP daemon in the queue's loop, and who may speak to it.
 *
 * libmicrohttpd runs without threads of its own: its epoll descriptor is watched by the loop, and
 * a timer stands in for its time-outs and for work it could not finish in one run.
 */
#include "control/control.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "control/control_int.h"
#include "io/loop.h"

#define CONNECTIONS_MAX 32
#define LOOK_MS 500
#define CONNECTION_MEMORY KIB(32)
#define BACKLOG 64

struct control {
    struct control_routes routes;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch;
    struct loop_timer timer;
    struct sockaddr_un path;
};

static bool is_full(const struct control *c)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info && info->num_connections >= CONNECTIONS_MAX;
}

static void run(struct control *c)
{
    MHD_UNSIGNED_LONG_LONG ms;
    bool was_full = is_full(c);

    c->routes.has_woken = false;
    (void)MHD_run(c->daemon);
    if (was_full) /* it listens again only in the run after the one that saw a connection end */
        (void)MHD_run(c->daemon);
    if (c->routes.has_woken)
        ms = 0;
    else if (MHD_get_timeout(c->daemon, &ms) != MHD_YES)
        ms = LOOK_MS;
    /* Where a flood of connections ends at an unlucky moment it does not listen, and nothing but
     * another run makes it: its descriptor stays silent. */
    loop_timer_start(&c->timer, MIN_OF(ms, LOOK_MS));
}

static void on_ready(void *ctx)
{
    run(ctx);
}

static void on_timer(struct loop_timer *t)
{
    run(CONTAINER_OF(t, struct control, timer));
}

/* Whether a server answers on the socket of this path. */
static bool is_answered(const struct sockaddr_un *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answered = false;

    if (fd < 0)
        return true; /* not known: do not take anybody's socket away */
    if (connect(fd, (const struct sockaddr *)path, sizeof(*path)) == 0 || errno == EAGAIN)
        answered = true;
    (void)close(fd);
    return answered;
}

/* Removes what a server that crashed has left. */
static int remove_stale(const struct sockaddr_un *path, struct buf *why)
{
    struct stat st;

    if (lstat(path->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode)) {
        (void)buf_addf(why,
                       "The control socket %s cannot be made: a file of another kind is there.",
                       path->sun_path);
        return -EADDRINUSE;
    }
    if (is_answered(path)) {
        (void)buf_addf(why, "Another server answers on the control socket %s.", path->sun_path);
        return -EADDRINUSE;
    }
    return unlink(path->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* A listening descriptor, or the error. */
static int listen_at(const struct sockaddr_un *path, struct buf *why)
{
    int fd, r = remove_stale(path, why);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* The mode of the socket before bind() is the mode the file gets (less the umask): there is
     * no moment in which others could connect. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)path, sizeof(*path)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        r = -errno;
        (void)close(fd);
        return r;
    }
    return fd;
}

static int start_daemon(struct control *c, int fd)
{
    const union MHD_DaemonInfo *info;

    c->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, control_on_request, &c->routes,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONTROL_IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED,
        control_on_completed, NULL, MHD_OPTION_END);
    if (!c->daemon) /* who closes `fd` then is not said; closing it twice would be worse */
        return -ENOMEM;
    info = MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? loop_watch_fd(c->loop, info->epoll_fd, on_ready, c, &c->watch) : -ENOTSUP;
}

int control_open(struct control **ret, struct loop *loop, const struct control_seams *seams,
                 const char *socket_path, struct buf *why)
{
    struct control *c;
    size_t len = strlen(socket_path);
    int fd, r;

    if (len == 0 || len >= sizeof(c->path.sun_path)) {
        (void)buf_addf(why, "The path of the control socket must have 1 to %zu bytes: %s",
                       sizeof(c->path.sun_path) - 1, socket_path);
        return -ENAMETOOLONG;
    }
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->loop = loop;
    c->path.sun_family = AF_UNIX;
    memcpy(c->path.sun_path, socket_path, len + 1);
    control_routes_init(&c->routes, seams, &c->timer);
    loop_timer_init(&c->timer, loop, on_timer);
    fd = listen_at(&c->path, why);
    r = fd < 0 ? fd : start_daemon(c, fd);
    if (r < 0) {
        if (buf_len(why) == 0)
            (void)buf_addf(why, "The control socket %s cannot be made: %s.", socket_path,
                           err_str(r));
        if (fd < 0) /* nothing of ours is at the path: it is not ours to remove */
            c->path.sun_path[0] = 0;
        control_close(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void control_close(struct control **cp)
{
    struct control *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    if (c->watch)
        loop_unwatch_fd(&c->watch);
    control_routes_done(&c->routes);
    loop_timer_stop(&c->timer);
    if (c->path.sun_path[0])
        (void)unlink(c->path.sun_path);
    if (c->daemon)
        MHD_stop_daemon(c->daemon); /* closes the listening descriptor, too */
    free(c);
}
