/*
 * config/yaml.c - builds the tree from libfyaml's events.
 *
 * Events rather than libfyaml's documents, because every event has a place, lists and maps
 * included, and because nothing is resolved that we do not want: no aliases, no merges.
 */
#include "config/yaml.h"

#include <libfyaml.h>
#include <stdarg.h>
#include <string.h>

#include "base/utf8.h"

void error_at(struct errors *e, struct place at, const char *fmt, ...)
{
    va_list ap;

    if (e->count++ >= ERRORS_MAX)
        return;
    if (at.line)
        (void)buf_addf(e->why, "%s:%u:%u: ", at.file, at.line, at.column);
    else if (at.file)
        (void)buf_addf(e->why, "%s: ", at.file);
    va_start(ap, fmt);
    (void)buf_vaddf(e->why, fmt, ap);
    va_end(ap);
    (void)buf_push(e->why, '\n');
}

void errors_end(struct errors *e)
{
    if (e->count > ERRORS_MAX)
        (void)buf_addf(e->why, "and %zu more errors\n", e->count - ERRORS_MAX);
}

void node_add(struct node *parent, struct node *child)
{
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

struct node *node_get(const struct node *map, struct slice key)
{
    for (struct node *n = map->first; n; n = n->next)
        if (slice_eq(n->key, key))
            return n;
    return NULL;
}

struct builder {
    struct pool *pool;
    struct errors *errors;
    const char *file;
    struct node *root;
    struct node *open[YAML_DEPTH_MAX]; /* lists and maps not ended yet */
    size_t depth;
    struct slice key; /* of the open map, waiting for its value */
    struct place key_place;
    bool has_key, failed;
    struct place last; /* of the latest event that had one */
};

static void fail(struct builder *b, struct place at, const char *what)
{
    b->failed = true;
    error_at(b->errors, at, "%s", what);
}

static struct node *new_node(struct builder *b, enum node_kind kind)
{
    struct node *n = pool_alloc(b->pool, sizeof(*n));

    if (!n) {
        b->failed = b->errors->no_memory = true;
        return NULL;
    }
    n->kind = kind;
    n->place = b->last;
    return n;
}

static void take_key(struct builder *b, const struct node *n)
{
    const struct node *map = b->open[b->depth - 1], *first;

    if (n->kind != NODE_SCALAR || n->text.len == 0) {
        fail(b, n->place, "a key must be a name");
        return;
    }
    if (map->count == YAML_KEYS_MAX) {
        fail(b, n->place, "too many keys in one map");
        return;
    }
    first = node_get(map, n->text);
    if (first) {
        b->failed = true;
        error_at(b->errors, n->place, "key '%.*s' is given twice, first in line %u",
                 SLICE_FMT(n->text), first->key_place.line);
        return;
    }
    b->key = n->text;
    b->key_place = n->place;
    b->has_key = true;
}

/* Puts a value where it belongs: to the root, into the open list, or as key or value of the open
 * map. */
static void place_node(struct builder *b, struct node *n)
{
    struct node *parent;

    if (b->depth == 0) {
        if (b->root)
            fail(b, n->place, "more than one document in a file");
        b->root = n;
        return;
    }
    parent = b->open[b->depth - 1];
    if (parent->kind == NODE_MAP && !b->has_key) {
        take_key(b, n);
        return;
    }
    if (parent->kind == NODE_MAP) {
        n->key = b->key;
        n->key_place = b->key_place;
        b->has_key = false;
    }
    node_add(parent, n);
}

static void open_node(struct builder *b, enum node_kind kind)
{
    struct node *n = new_node(b, kind);

    if (!n)
        return;
    place_node(b, n);
    if (b->depth == YAML_DEPTH_MAX)
        fail(b, n->place, "lists and maps lie too deep in each other");
    if (!b->failed)
        b->open[b->depth++] = n;
}

static void take_scalar(struct builder *b, struct fy_event *event)
{
    struct node *n = new_node(b, NODE_SCALAR);
    size_t len = 0;
    const char *text = NULL;
    bool is_plain;

    if (!n)
        return;
    if (event->scalar.value)
        text = fy_token_get_text(event->scalar.value, &len);
    n->text = pool_slice(b->pool, slice_make(text, len));
    if (!n->text.ptr) {
        b->failed = b->errors->no_memory = true;
        return;
    }
    is_plain = !event->scalar.value || fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN;
    n->is_null = is_plain && (len == 0 || slice_eq(n->text, SLICE_LIT("~")) ||
                              slice_eq(n->text, SLICE_LIT("null")));
    for (size_t i = 0; i < len; i++)
        if (n->text.ptr[i] < 0x20 || n->text.ptr[i] == 0x7f) {
            fail(b, n->place, "a value must be one line without control characters");
            return;
        }
    place_node(b, n);
}

static void refuse_extras(struct builder *b, const struct fy_token *anchor,
                          const struct fy_token *tag)
{
    if (anchor || tag)
        fail(b, b->last, "anchors (&) and tags (!) are not used here");
}

static void take_event(struct builder *b, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);

    if (mark)
        b->last = (struct place){b->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
    switch (event->type) {
    case FYET_MAPPING_START:
        refuse_extras(b, event->mapping_start.anchor, event->mapping_start.tag);
        open_node(b, NODE_MAP);
        break;
    case FYET_SEQUENCE_START:
        refuse_extras(b, event->sequence_start.anchor, event->sequence_start.tag);
        open_node(b, NODE_LIST);
        break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        b->depth--;
        break;
    case FYET_SCALAR:
        refuse_extras(b, event->scalar.anchor, event->scalar.tag);
        take_scalar(b, event);
        break;
    case FYET_ALIAS:
        fail(b, b->last, "aliases (*) are not used here; quote a value that begins with *");
        break;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_START:
    case FYET_DOCUMENT_END:
        break;
    }
}

/* Tells what libfyaml found; it stops at the first. */
static void tell_syntax(struct builder *b, struct fy_diag *diag)
{
    const struct fy_diag_error *found;
    void *it = NULL;
    bool told = false;

    while ((found = fy_diag_errors_iterate(diag, &it))) {
        struct place at = {b->file, (uint32_t)MAX_OF(found->line, 1),
                           (uint32_t)MAX_OF(found->column, 1)};

        if (found->type != FYET_ERROR)
            continue;
        error_at(b->errors, at, "not YAML: %s", found->msg);
        told = true;
    }
    if (!told)
        fail(b, b->last, "not YAML");
    b->failed = true;
}

static void run(struct builder *b, struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_event *event;
    bool ended = false;

    while (!b->failed && (event = fy_parser_parse(parser))) {
        ended = event->type == FYET_STREAM_END;
        take_event(b, event);
        fy_parser_event_free(parser, event);
        if (ended)
            break;
    }
    if (!b->failed && (!ended || fy_parser_get_stream_error(parser)))
        tell_syntax(b, diag);
}

/* libfyaml takes the encoding from the first bytes; ours is UTF-8 and nothing else. */
static bool check_bytes(struct builder *b, struct slice text)
{
    struct place at = {b->file, 1, 1};

    if (text.len > YAML_BYTES_MAX) {
        error_at(b->errors, (struct place){.file = b->file}, "larger than 16 MiB");
        return false;
    }
    while (text.len) {
        size_t len = utf8_len(text);

        if (len == 0 || text.ptr[0] == 0) {
            error_at(b->errors, at, "not UTF-8 text");
            return false;
        }
        at.column++;
        if (text.ptr[0] == '\n') {
            at.line++;
            at.column = 1;
        }
        text = slice_from(text, len);
    }
    return true;
}

struct node *yaml_parse(struct pool *pool, const char *file, struct slice text, struct errors *e)
{
    struct builder b = {
        .pool = pool, .errors = e, .file = file, .last = {.file = file, .line = 1, .column = 1}};
    struct fy_diag_cfg diag_config = {.level = FYET_ERROR};
    struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE};
    struct fy_parser *parser = NULL;

    if (!check_bytes(&b, text))
        return NULL;
    config.diag = fy_diag_create(&diag_config);
    if (config.diag) {
        fy_diag_set_collect_errors(config.diag, true);
        parser = fy_parser_create(&config);
    }
    if (parser && text.len && fy_parser_set_string(parser, (const char *)text.ptr, text.len) == 0)
        run(&b, parser, config.diag);
    else if (text.len)
        b.failed = e->no_memory = true;
    fy_parser_destroy(parser);
    fy_diag_destroy(config.diag);
    if (b.failed)
        return NULL;
    if (!b.root || (b.root->kind == NODE_SCALAR && b.root->is_null)) {
        b.root = new_node(&b, NODE_MAP);
        if (b.root)
            b.root->is_null = true;
    }
    return b.root;
}
