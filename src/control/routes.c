/*
 * control/routes.c - from a request to its answer: one table of methods and paths.
 *
 * libmicrohttpd calls control_on_request() once for the head of a request, again for each piece of
 * its body, and a last time when the body is whole: only then is it answered.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/slice.h"
#include "control/answers_int.h"
#include "control/control_int.h"
#include "control/lane_int.h"
#include "control/metrics_int.h"
#include "control/pressure_int.h"
#include "control/suppress_int.h"
#include "event/event.h"
#include "spool/spool.h"

#define WHY_MAX KIB(16)
#define WAITING_MAX 16 /* half of the connections: others answer however long the disk takes */

struct request {
    struct buf body;
    bool body_is_too_long;
    /* Of an action that was done, and is answered when it is durable. */
    struct queue_waiter waiter;
    struct control_routes *routes;
    struct MHD_Connection *connection;
    struct list node;   /* among those that wait */
    struct buf *answer; /* NULL: nothing was done yet */
    uid_t uid;
    int result; /* when it waits no more */
};

/* A request while it is answered. */
struct asked {
    struct control_routes *routes;
    struct MHD_Connection *connection;
    struct request *request;
    uint64_t id;                   /* of the path, where its route has one */
    struct slice lane;             /* the same */
    struct buf *out;               /* gets the JSON */
    struct buf *why;               /* on failure gets the sentence */
    struct MHD_Response *response; /* set by a route that does not answer with JSON */
    const char *type;              /* of `out`; NULL: JSON */
    bool is_answered;              /* `out` is the answer, whatever the status */
    /* Until what was done is durable, in the spool or in the ledger. */
    bool waits, waits_for_ledger;
};

void control_routes_init(struct control_routes *r, const struct control_seams *seams,
                         struct loop_timer *wake)
{
    *r = (struct control_routes){
        .seams = *seams, .started_ms = seams->wall_ms(seams->ctx), .wake = wake};
    list_init(&r->waiting);
}

static int64_t now_ms(const struct asked *a)
{
    return a->routes->seams.wall_ms(a->routes->seams.ctx);
}

static unsigned fail(struct asked *a, unsigned status, const char *sentence)
{
    (void)buf_add_str(a->why, sentence);
    return status;
}

/* ---- the routes; each returns the HTTP status ---- */

struct query_reading {
    struct control_ask *ask;
    struct buf *why;
    int err;
};

static enum MHD_Result read_query_value(void *cls, enum MHD_ValueKind kind, const char *key,
                                        const char *value)
{
    struct query_reading *q = cls;

    (void)kind;
    q->err = control_ask_set(q->ask, slice_str(key), slice_str(value), q->why);
    return q->err < 0 ? MHD_NO : MHD_YES;
}

/* 0 or an HTTP status. */
static unsigned read_query(struct asked *a, struct control_ask *ask)
{
    struct control_seams *seams = &a->routes->seams;
    struct query_reading q = {.ask = ask, .why = a->why};

    control_ask_init(ask, seams->wall_ms(seams->ctx));
    (void)MHD_get_connection_values(a->connection, MHD_GET_ARGUMENT_KIND, read_query_value, &q);
    return q.err < 0 ? MHD_HTTP_BAD_REQUEST : 0;
}

static unsigned get_status(struct asked *a)
{
    answer_status(&a->routes->seams, a->routes->started_ms, a->out);
    return MHD_HTTP_OK;
}

static unsigned get_spool(struct asked *a)
{
    answer_spool(a->routes->seams.queue, a->out);
    return MHD_HTTP_OK;
}

static unsigned get_queue(struct asked *a)
{
    struct control_seams *seams = &a->routes->seams;
    struct control_ask ask;
    unsigned status = read_query(a, &ask);

    if (status)
        return status;
    answer_list(seams, &ask, seams->wall_ms(seams->ctx), a->out);
    return MHD_HTTP_OK;
}

static unsigned get_summary(struct asked *a)
{
    struct control_ask ask;
    unsigned status = read_query(a, &ask);

    if (status)
        return status;
    answer_summary(a->routes->seams.queue, &ask, a->out);
    return MHD_HTTP_OK;
}

static unsigned fail_to_read(struct asked *a, int err)
{
    char id[ID_TEXT_MAX];

    (void)id_format(a->id, id);
    if (err == -ENOENT) {
        (void)buf_addf(a->why, "There is no message %s in the queue.", id);
        return MHD_HTTP_NOT_FOUND;
    }
    (void)buf_addf(a->why, "Message %s cannot be read: %s.", id, err_str(err));
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static unsigned get_message(struct asked *a)
{
    int r = answer_message(a->routes->seams.queue, a->id, a->out);

    return r < 0 ? fail_to_read(a, r) : MHD_HTTP_OK;
}

static ssize_t stream_body(void *cls, uint64_t pos, char *to, size_t size)
{
    ptrdiff_t n = spool_read_body(cls, /* nowait= */ false, to, size);

    (void)pos;
    /* The length was promised in the head: an end before it is an error, too. */
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_reader(void *cls)
{
    spool_read_done(cls);
    free(cls);
}

static unsigned get_body(struct asked *a)
{
    struct spool_reader *reader = calloc(1, sizeof(*reader));
    int r;

    if (!reader)
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is out of memory.");
    r = spool_read(queue_spool(a->routes->seams.queue), a->id, /* nowait= */ false, reader,
                   /* ret_envelope= */ NULL, /* ret_marks= */ NULL);
    if (r < 0) {
        free(reader);
        return fail_to_read(a, r);
    }
    a->response = MHD_create_response_from_callback(reader->body_bytes, SPOOL_EXTENT_MAX,
                                                    stream_body, reader, free_reader);
    if (!a->response) {
        free_reader(reader);
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is out of memory.");
    }
    (void)MHD_add_response_header(a->response, MHD_HTTP_HEADER_CONTENT_TYPE, "message/rfc822");
    return MHD_HTTP_OK;
}

static unsigned get_pressure(struct asked *a)
{
    if (!a->routes->seams.pressure)
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "This server has no governor.");
    answer_pressure(&a->routes->seams, a->routes->started_ms, a->out);
    return MHD_HTTP_OK;
}

static unsigned get_metrics(struct asked *a)
{
    answer_metrics(&a->routes->seams, a->routes->started_ms, a->out);
    a->type = METRICS_CONTENT_TYPE;
    return MHD_HTTP_OK;
}

/* Who gets an answer knows that the queue's thread runs. */
static unsigned get_live(struct asked *a)
{
    (void)buf_add_str(a->out, "{\"live\":true}");
    return MHD_HTTP_OK;
}

static unsigned get_ready(struct asked *a)
{
    const char *name = MHD_lookup_connection_value(a->connection, MHD_GET_ARGUMENT_KIND, "class");
    enum mail_class c = MAIL_EXTERNAL;

    if (name && !read_mail_class(slice_str(name), &c))
        return fail(a, MHD_HTTP_BAD_REQUEST,
                    "class: allowed are external, internal, authenticated and second_copy.");
    if (answer_ready(&a->routes->seams, c, a->out))
        return MHD_HTTP_OK;
    a->is_answered = true;
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned post_actions(struct asked *a)
{
    struct control_seams *seams = &a->routes->seams;
    struct slice text = buf_slice(&a->request->body);
    struct control_ask ask;
    json_error_t error;
    json_t *body = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    unsigned status = MHD_HTTP_OK;

    if (!body) {
        (void)buf_addf(a->why, "The body is not JSON: line %d: %s.", error.line, error.text);
        return MHD_HTTP_BAD_REQUEST;
    }
    control_ask_init(&ask, seams->wall_ms(seams->ctx));
    if (control_ask_set_json(&ask, body, a->why) < 0) {
        status = MHD_HTTP_BAD_REQUEST;
    } else if (control_ask_is_blank(&ask)) {
        status = fail(a, MHD_HTTP_BAD_REQUEST,
                      "The filter is empty: to act on every message say \"all\": true.");
    } else if (a->routes->waiting_count == WAITING_MAX) {
        status = fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many actions wait for the disk.");
    } else {
        a->waits = answer_action(seams->queue, &ask, seams->wall_ms(seams->ctx), a->out);
        if (seams->queue_changed)
            seams->queue_changed(seams->ctx);
    }
    json_decref(body);
    return status;
}

/* The lanes; NULL, and `why` has a sentence. */
static struct lanes *find_lanes(struct asked *a)
{
    struct lanes *lanes = queue_lanes(a->routes->seams.queue);

    if (!lanes)
        (void)buf_add_str(a->why, "This server has no lanes.");
    return lanes;
}

static unsigned get_lanes(struct asked *a)
{
    struct lanes *lanes = find_lanes(a);

    if (!lanes)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    answer_lanes(lanes, now_ms(a), a->out);
    return MHD_HTTP_OK;
}

static unsigned get_lane(struct asked *a)
{
    struct lanes *lanes = find_lanes(a);

    if (!lanes)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    if (answer_lane(lanes, a->lane, now_ms(a), a->out) == 0)
        return MHD_HTTP_OK;
    (void)buf_addf(a->why, "There is no lane '%.*s'.", SLICE_FMT(a->lane));
    return MHD_HTTP_NOT_FOUND;
}

static unsigned post_lane_actions(struct asked *a)
{
    struct control_seams *seams = &a->routes->seams;
    struct lanes *lanes = find_lanes(a);
    int r;

    if (!lanes)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    r = act_on_lane(lanes, buf_slice(&a->request->body), now_ms(a), a->out, a->why);
    if (r == -ENOENT)
        return MHD_HTTP_NOT_FOUND;
    if (r == -EINVAL)
        return MHD_HTTP_BAD_REQUEST;
    if (r < 0)
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is out of memory.");
    queue_keep_lanes(seams->queue);
    if (seams->queue_changed)
        seams->queue_changed(seams->ctx);
    return MHD_HTTP_OK;
}

static unsigned post_suppressions(struct asked *a)
{
    struct control_seams *seams = &a->routes->seams;
    int r;

    if (!queue_has_suppressions(seams->queue))
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE,
                    "This server keeps no evidence, and so no suppression list: set "
                    "evidence.enabled to yes and restart it, or see in its log why the ledger in "
                    "evidence.directory could not be opened.");
    if (a->routes->waiting_count == WAITING_MAX)
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many actions wait for the disk.");
    r = act_on_suppressions(seams->queue, buf_slice(&a->request->body), now_ms(a), a->out, a->why);
    if (r == -EINVAL)
        return MHD_HTTP_BAD_REQUEST;
    if (r < 0)
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is out of memory.");
    a->waits = a->waits_for_ledger = true;
    return MHD_HTTP_OK;
}

static unsigned post_reload(struct asked *a)
{
    struct control_seams *seams = &a->routes->seams;

    if (seams->reload(seams->ctx, a->why) < 0)
        return fail(a, MHD_HTTP_UNPROCESSABLE_CONTENT, "");
    (void)buf_add_str(a->out, "{\"reloaded\":true}");
    return MHD_HTTP_OK;
}

static const struct route {
    const char *method, *path; /* "{id}" stands for a queue id, "{lane}" for all that is left */
    unsigned (*answer)(struct asked *a);
} routes[] = {
    {"GET", "/v1/status", get_status},
    {"GET", "/v1/spool", get_spool},
    {"GET", "/v1/queue", get_queue},
    {"GET", "/v1/queue/summary", get_summary},
    {"POST", "/v1/queue/actions", post_actions},
    {"GET", "/v1/queue/{id}", get_message},
    {"GET", "/v1/queue/{id}/body", get_body},
    {"POST", "/v1/config/reload", post_reload},
    {"GET", "/v1/pressure", get_pressure},
    {"GET", "/v1/lanes", get_lanes},
    {"POST", "/v1/lanes/actions", post_lane_actions},
    {"GET", "/v1/lanes/{lane}", get_lane},
    {"POST", "/v1/suppressions/actions", post_suppressions},
    {"GET", "/metrics", get_metrics},
    {"GET", "/health/live", get_live},
    {"GET", "/health/ready", get_ready},
};

/* ---- finding the route ---- */

static bool path_fits(struct slice pattern, struct slice path, struct asked *a)
{
    ptrdiff_t at = slice_find(pattern, '{');
    struct slice before, after, id;

    if (at < 0)
        return slice_eq(pattern, path);
    before = slice_sub(pattern, 0, (size_t)at);
    if (slice_eq(slice_from(pattern, (size_t)at), SLICE_LIT("{lane}"))) {
        a->lane = slice_from(path, before.len);
        return a->lane.len > 0 && slice_has_prefix(path, before);
    }
    after = slice_from(pattern, (size_t)at + sizeof("{id}") - 1);
    if (path.len <= before.len + after.len || !slice_has_prefix(path, before) ||
        !slice_eq(slice_from(path, path.len - after.len), after))
        return false;
    id = slice_sub(path, before.len, path.len - before.len - after.len);
    return id_parse(id, &a->id) == 0 && a->id != 0;
}

/* The route, or NULL with the status why not. */
static const struct route *find_route(struct asked *a, const char *method, const char *url,
                                      unsigned *ret_status)
{
    bool path_is_known = false;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        if (!path_fits(slice_str(routes[i].path), slice_str(url), a))
            continue;
        path_is_known = true;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
    }
    *ret_status = path_is_known
                      ? fail(a, MHD_HTTP_METHOD_NOT_ALLOWED, "This path takes another method.")
                      : fail(a, MHD_HTTP_NOT_FOUND, "There is nothing at this path.");
    return NULL;
}

/* ---- who asks ---- */

static bool peer_may_ask(struct MHD_Connection *connection, uid_t *ret_uid)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    *ret_uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid();
}

/* ---- answering ---- */

static void free_answer(void *cls)
{
    buf_done(cls);
    free(cls);
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
                                 const char *type, struct buf *text)
{
    struct MHD_Response *response;
    enum MHD_Result r;

    response = MHD_create_response_from_buffer_with_free_callback_cls(
        buf_len(text), buf_tail(text) - buf_len(text), free_answer, text);
    if (!response) {
        free_answer(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status,
                                 struct buf *text)
{
    (void)buf_push(text, '\n');
    return send_text(connection, status, "application/json", text);
}

static unsigned answer(struct asked *a, const char *method, const char *url, uid_t *ret_uid)
{
    const struct route *route;
    unsigned status;

    if (!peer_may_ask(a->connection, ret_uid))
        return fail(a, MHD_HTTP_FORBIDDEN, "Only root and the server's user may ask.");
    if (a->request->body_is_too_long)
        return fail(a, MHD_HTTP_CONTENT_TOO_LARGE, "The body is longer than 65536 bytes.");
    route = find_route(a, method, url, &status);
    if (!route)
        return status;
    status = route->answer(a);
    if (buf_failed(a->out)) {
        a->is_answered = false;
        return fail(a, MHD_HTTP_SERVICE_UNAVAILABLE, "The answer is too large for the server.");
    }
    return status;
}

/* What changes something, or was refused for who asked, is in the log. */
static void log_request(const char *method, const char *url, unsigned status, uid_t uid)
{
    if (strcmp(method, "GET") == 0 && status != MHD_HTTP_FORBIDDEN)
        return;
    event(EVENT_CONTROL, EVENT_NO_ID, EV_STR("method", method), EV_STR("path", url),
          EV_UINT("status", status), EV_UINT("uid", uid));
}

/* ---- actions that wait until they are durable ---- */

static void end_wait(struct request *request, int result)
{
    list_del(&request->node);
    request->routes->waiting_count--;
    request->result = result;
    MHD_resume_connection(request->connection); /* the daemon asks again when it runs */
    request->routes->has_woken = true;
    loop_timer_start(request->routes->wake, 0);
}

static void on_durable(struct queue_waiter *w, int result)
{
    end_wait(CONTAINER_OF(w, struct request, waiter), result);
}

static void begin_wait(struct asked *a, uid_t uid)
{
    struct request *request = a->request;

    request->routes = a->routes;
    request->connection = a->connection;
    request->answer = a->out;
    request->uid = uid;
    request->waiter.fn = on_durable;
    list_add_tail(&a->routes->waiting, &request->node);
    a->routes->waiting_count++;
    MHD_suspend_connection(a->connection);
    if (a->waits_for_ledger)
        queue_wait_suppressions(a->routes->seams.queue, &request->waiter);
    else
        queue_wait_durable(a->routes->seams.queue, &request->waiter);
}

static enum MHD_Result answer_waited(struct request *request, const char *method, const char *url)
{
    struct buf *out = request->answer, why = BUF_INIT(WHY_MAX);
    unsigned status = MHD_HTTP_OK;

    request->answer = NULL;
    if (request->result < 0) {
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        (void)buf_addf(&why, "It was done, but a crash may undo it: %s.", err_str(request->result));
        buf_clear(out);
        answer_error(buf_slice(&why), out);
        buf_done(&why);
    }
    log_request(method, url, status, request->uid);
    return send_json(request->connection, status, out);
}

void control_routes_done(struct control_routes *r)
{
    LIST_FOR_SAFE(node, next, &r->waiting)
    {
        struct request *request = LIST_ENTRY(node, struct request, node);

        queue_wait_cancel(&request->waiter);
        end_wait(request, -ECANCELED);
    }
}

/* ---- the requests ---- */

static enum MHD_Result answer_request(struct control_routes *routes_of,
                                      struct MHD_Connection *connection, struct request *request,
                                      const char *method, const char *url)
{
    struct buf why = BUF_INIT(WHY_MAX), *out = calloc(1, sizeof(*out));
    struct asked a = {
        .routes = routes_of, .connection = connection, .request = request, .out = out, .why = &why};
    enum MHD_Result r = MHD_NO;
    uid_t uid = (uid_t)-1;
    unsigned status;

    if (!out)
        return MHD_NO; /* closes the connection */
    buf_init(out, ANSWER_MAX);
    status = answer(&a, method, url, &uid);
    if (a.waits && !buf_failed(out)) {
        begin_wait(&a, uid);
        return MHD_YES;
    }
    log_request(method, url, status, uid);
    if (a.response) {
        r = MHD_queue_response(connection, status, a.response);
        MHD_destroy_response(a.response);
        free_answer(out);
    } else {
        if (status != MHD_HTTP_OK && !a.is_answered) {
            buf_clear(out);
            answer_error(buf_slice(&why), out);
            a.type = NULL;
        }
        r = a.type ? send_text(connection, status, a.type, out)
                   : send_json(connection, status, out);
    }
    buf_done(&why);
    return r;
}

static void set_idle_max(struct MHD_Connection *connection, unsigned seconds)
{
    (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

enum MHD_Result control_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **requestp)
{
    struct request *request = *requestp;

    (void)version;
    if (!request) {
        request = calloc(1, sizeof(*request));
        if (!request)
            return MHD_NO;
        buf_init(&request->body, CONTROL_BODY_MAX);
        *requestp = request;
        set_idle_max(connection, CONTROL_REQUEST_S_MAX);
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        if (!request->body_is_too_long &&
            buf_add(&request->body, slice_make(upload_data, *upload_data_size)) < 0)
            request->body_is_too_long = true;
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (request->answer)
        return answer_waited(request, method, url);
    return answer_request(cls, connection, request, method, url);
}

void control_on_completed(void *cls, struct MHD_Connection *connection, void **requestp,
                          enum MHD_RequestTerminationCode how)
{
    struct request *request = *requestp;

    (void)cls;
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK) /* it may stay, and ask for more */
        set_idle_max(connection, CONTROL_IDLE_S_MAX);
    if (request) {
        buf_done(&request->body);
        if (request->answer)
            free_answer(request->answer);
    }
    free(request);
    *requestp = NULL;
}
