/*
 * cli/client.h - how the commands speak to a running server: the API of docs/api.md over its
 * control socket (libcurl).
 *
 * Functions print what went wrong, once, as a sentence with what to do about it, and return the
 * exit code: EXIT_DONE or EXIT_FAILED.
 */
#pragma once

#include <stdio.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "cli/cli.h"

struct client; /* opaque */
struct json_t;

/*
 * `command` names the caller in messages and is borrowed. The socket is `socket_path`, else what
 * the configuration in `config_file` says (NULL: the defaults). Nothing is connected yet.
 */
MUST_CHECK int client_new(struct client **ret, const char *command, const char *socket_path,
                          const char *config_file);
void client_free(struct client **c);

/* GET; `path` with its query, escaped by client_add_query(). `*ret` is the caller's reference. */
MUST_CHECK int client_get(struct client *c, const char *path, struct json_t **ret);
/* POST; a NULL body is an empty one. */
MUST_CHECK int client_post(struct client *c, const char *path, const struct json_t *body,
                           struct json_t **ret);
/* GET, the bytes of the answer to `to`. */
MUST_CHECK int client_download(struct client *c, const char *path, FILE *to);

/* Appends "?name=value" or "&name=value" with the value escaped. */
int client_add_query(struct buf *path, const char *name, const char *value);
