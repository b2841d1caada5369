/*
 * cli/client.c - libcurl over the control socket.
 *
 * A server that hangs must not make the commands hang that are there to find out why. Who listens
 * is known all the same: the kernel tells the process of the other end of a Unix socket.
 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"

#define ANSWER_MAX MIB(80)
#define CONNECT_S_MAX 10L
/* Without a byte. What reads is answered from memory, or from 250 looks into the spool; what acts
 * may wait for the disk. */
#define READ_STALL_S_MAX 10L
#define ACT_STALL_S_MAX 60L
#define HOST "http://penstock" /* a name is needed and means nothing */

struct client {
    const char *command;
    char *socket_path;
    CURL *curl;
    struct buf answer; /* of a request for JSON, and of every failure */
    FILE *download;    /* NULL: the answer goes to `answer` */
    bool download_failed;
    const char *method, *question; /* that is asked, for messages */
    long stall_s_max;
};

static size_t take_answer(char *data, size_t one, size_t count, void *ctx)
{
    struct client *c = ctx;
    long status = 0;

    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!c->download || status != 200)
        return buf_add(&c->answer, slice_make(data, one * count)) < 0 ? 0 : one * count;
    if (fwrite(data, one, count, c->download) != count) {
        c->download_failed = true;
        return 0;
    }
    return one * count;
}

/* The socket's path as the configuration has it; NULL: it was told why. */
static char *path_of_config(const char *command, const char *config_file)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *config = NULL;
    const struct config *held;
    char *path = NULL;

    if (config_load(config_file, NULL, 0, &config, &why) < 0) {
        (void)command_error(command,
                            "%sWithout it the control socket is not known: to ask a server that "
                            "runs all the same, say --socket PATH, its server.control_socket",
                            buf_cstr(&why));
    } else {
        path = strdup(config->server.control_socket);
        held = config;
        config_unref(&held);
    }
    buf_done(&why);
    return path;
}

int client_new(struct client **ret, const char *command, const char *socket_path,
               const char *config_file)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return command_error(command, "out of memory");
    c->command = command;
    buf_init(&c->answer, ANSWER_MAX);
    c->socket_path = socket_path ? strdup(socket_path) : path_of_config(command, config_file);
    if (!c->socket_path) {
        client_free(&c);
        return EXIT_FAILED;
    }
    c->curl = curl_easy_init();
    if (!c->curl) {
        client_free(&c);
        return command_error(command, "libcurl cannot be started");
    }
    *ret = c;
    return EXIT_DONE;
}

void client_free(struct client **cp)
{
    struct client *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    curl_easy_cleanup(c->curl);
    buf_done(&c->answer);
    free(c->socket_path);
    free(c);
}

/* ---- a server that does not answer ---- */

/* Connects once more. 0 and the process that listens (0: not told), or the error. */
static int find_listener(const struct client *c, pid_t *ret)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct ucred peer = {.pid = 0};
    socklen_t len = sizeof(peer);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;

    if (fd < 0)
        return -errno;
    (void)snprintf(path.sun_path, sizeof(path.sun_path), "%s", c->socket_path);
    if (connect(fd, (const struct sockaddr *)&path, sizeof(path)) < 0)
        r = -errno;
    else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        *ret = peer.pid;
    (void)close(fd);
    return r;
}

/* The letter of proc(5) for what a process does; 0: not known. */
static char process_state(pid_t pid)
{
    char path[64], line[256], state = 0;
    FILE *status;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    status = fopen(path, "re");
    while (status && fgets(line, sizeof(line), status))
        if (sscanf(line, "State: %c", &state) == 1)
            break;
    if (status)
        (void)fclose(status);
    return state;
}

static int tell_full(struct client *c)
{
    return command_error(c->command,
                         "the server on %s takes no more connections, and those that wait get no "
                         "answer: look for its process ('ps -C penstock') and at its log, and "
                         "restart it",
                         c->socket_path);
}

static int tell_stall(struct client *c)
{
    static const char no_answer[] =
        "the server on %s took the question %s %s and gave no answer for "
        "%ld s: its process %d %s";
    char state, advice[128];
    pid_t pid = 0;

    if (find_listener(c, &pid) == -EAGAIN)
        return tell_full(c);
    state = process_state(pid);
    if (state == 'T' || state == 't')
        (void)snprintf(advice, sizeof(advice), "is stopped; 'kill -CONT %d' lets it go on",
                       (int)pid);
    else if (state == 'D')
        (void)snprintf(advice, sizeof(advice),
                       "waits for a disk; 'dmesg' and 'iostat -x 1' may tell which");
    else
        (void)snprintf(advice, sizeof(advice),
                       "is there; look at its log and at 'top -H -p %d', and restart it if it "
                       "stays so",
                       (int)pid);
    return command_error(c->command, no_answer, c->socket_path, c->method, c->question,
                         c->stall_s_max, (int)pid, advice);
}

static int tell_not_connected(struct client *c)
{
    pid_t pid = 0;
    int r = find_listener(c, &pid);

    if (r == -EACCES || r == -EPERM)
        return command_error(c->command,
                             "no permission to use %s: only root and the server's user may",
                             c->socket_path);
    if (r == -EAGAIN)
        return tell_full(c);
    return command_error(c->command,
                         "no server answers on %s: is 'penstock serve' running? "
                         "--socket PATH or -c FILE tell where",
                         c->socket_path);
}

static int tell_transport_error(struct client *c, CURLcode code)
{
    if (c->download_failed)
        return command_error(c->command, "cannot write: %s", strerror(errno));
    if (code == CURLE_COULDNT_CONNECT)
        return tell_not_connected(c);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return tell_stall(c);
    if (code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR)
        return command_error(c->command, "the server broke off its answer");
    return command_error(c->command, "asking the server on %s failed: %s", c->socket_path,
                         curl_easy_strerror(code));
}

/* The sentence of an answer that is not 200. */
static int tell_refusal(struct client *c, long status)
{
    json_t *answer = json_loadb(buf_cstr(&c->answer), buf_len(&c->answer), 0, NULL);
    const char *sentence = json_string_value(json_object_get(answer, "error"));

    if (sentence)
        (void)command_error(c->command, "%s", sentence);
    else
        (void)command_error(c->command, "the server answered with status %ld", status);
    json_decref(answer);
    return EXIT_FAILED;
}

/* One request; `body` NULL: a GET. */
static int ask(struct client *c, const char *path, const char *body)
{
    struct buf url = BUF_INIT(KIB(64));
    long status = 0;
    CURLcode code;

    if (buf_add_str(&url, HOST) < 0 || buf_add_str(&url, path) < 0) {
        buf_done(&url);
        return command_error(c->command, "the question is too long");
    }
    c->method = body ? "POST" : "GET";
    c->question = path;
    c->stall_s_max = body ? ACT_STALL_S_MAX : READ_STALL_S_MAX;
    buf_clear(&c->answer);
    curl_easy_reset(c->curl);
    /* Between two questions of --watch its place is another's: the server has few. */
    (void)curl_easy_setopt(c->curl, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, buf_cstr(&url));
    (void)curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket_path);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S_MAX);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, c->stall_s_max);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    if (body) {
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    }
    code = curl_easy_perform(c->curl);
    buf_done(&url);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        return tell_transport_error(c, code);
    return status == 200 ? EXIT_DONE : tell_refusal(c, status);
}

static int ask_json(struct client *c, const char *path, const char *body, json_t **ret)
{
    json_t *answer;
    int r = ask(c, path, body);

    if (r != EXIT_DONE)
        return r;
    answer = json_loadb(buf_cstr(&c->answer), buf_len(&c->answer), JSON_ALLOW_NUL, NULL);
    if (!answer)
        return command_error(c->command, "what answers on %s is no Penstock server",
                             c->socket_path);
    *ret = answer;
    return EXIT_DONE;
}

int client_get(struct client *c, const char *path, struct json_t **ret)
{
    return ask_json(c, path, NULL, ret);
}

int client_post(struct client *c, const char *path, const struct json_t *body, struct json_t **ret)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : strdup("");
    int r;

    if (!text)
        return command_error(c->command, "out of memory");
    r = ask_json(c, path, text, ret);
    free(text);
    return r;
}

int client_download(struct client *c, const char *path, FILE *to)
{
    int r;

    c->download = to;
    c->download_failed = false;
    r = ask(c, path, NULL);
    c->download = NULL;
    return r;
}

int client_add_query(struct buf *path, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    int r = -ENOMEM;

    if (escaped)
        r = buf_addf(path, "%c%s=%s", slice_find(buf_slice(path), '?') < 0 ? '?' : '&', name,
                     escaped);
    curl_free(escaped);
    return r;
}
