/* cli/client.c - libcurl over the control socket. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define ANSWER_MAX MIB(80)
#define CONNECT_S_MAX 10L
#define STALL_S_MAX 120L       /* without a byte */
#define HOST "http://penstock" /* a name is needed and means nothing */

struct client {
    const char *command;
    char *socket_path;
    CURL *curl;
    struct buf answer; /* of a request for JSON, and of every failure */
    FILE *download;    /* NULL: the answer goes to `answer` */
    bool download_failed;
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
        (void)command_error(command, "%s", buf_cstr(&why));
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

static int tell_transport_error(struct client *c, CURLcode code)
{
    long err = 0;

    (void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &err);
    if (c->download_failed)
        return command_error(c->command, "cannot write: %s", strerror(errno));
    if (code == CURLE_COULDNT_CONNECT && (err == EACCES || err == EPERM))
        return command_error(c->command,
                             "no permission to use %s: only root and the server's user may",
                             c->socket_path);
    if (code == CURLE_COULDNT_CONNECT)
        return command_error(c->command,
                             "no server answers on %s: is 'penstock serve' running? "
                             "--socket PATH or -c FILE tell where",
                             c->socket_path);
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
    buf_clear(&c->answer);
    curl_easy_reset(c->curl); /* keeps the connection */
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, buf_cstr(&url));
    (void)curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket_path);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S_MAX);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, STALL_S_MAX);
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
