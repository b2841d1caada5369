/*
 * config/load.c - files and command line in, one snapshot out.
 *
 * Included files come before the file that includes them, whose settings win.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config_int.h"

#define INCLUDE_DEPTH_MAX 8
#define FILES_MAX 256

static void load_file(struct loader *ld, const char *path, struct place from, int depth, int *err);

/* ---- files ---- */

static int read_all(int fd, uint8_t *to, size_t size, size_t *ret_len)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, to + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

/* Regular files only: a pipe or a device could hold a reload up for ever. */
static int read_file(struct pool *pool, const char *path, struct slice *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
    struct stat st;
    uint8_t *text = NULL;
    size_t len = 0;

    if (fd < 0)
        return -errno;
    r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && S_ISDIR(st.st_mode))
        r = -EISDIR;
    else if (r == 0 && !S_ISREG(st.st_mode))
        r = -EINVAL;
    else if (r == 0 && (uint64_t)st.st_size > YAML_BYTES_MAX)
        r = -EFBIG;
    if (r == 0) {
        text = pool_alloc(pool, (size_t)st.st_size + 1);
        r = text ? read_all(fd, text, (size_t)st.st_size, &len) : -ENOMEM;
    }
    (void)close(fd);
    if (r == 0)
        *ret = slice_make(text, len);
    return r;
}

/* ---- includes ---- */

/* `name` as seen from the folder of `includer`. NULL: no memory. */
static char *resolve(struct loader *ld, const char *includer, struct slice name)
{
    const char *slash = strrchr(includer, '/');
    struct buf path = BUF_INIT(KIB(8));
    char *copy = NULL;

    if (slash && (name.len == 0 || name.ptr[0] != '/'))
        (void)buf_add(&path, slice_make(includer, (size_t)(slash - includer) + 1));
    (void)buf_add(&path, name);
    if (!buf_failed(&path))
        copy = pool_text(ld->pool, buf_slice(&path));
    ld->errors.no_memory |= !copy;
    buf_done(&path);
    return copy;
}

/* A pattern may match nothing; a plain name must be there. */
static void include_one(struct loader *ld, const struct node *n, int depth)
{
    char *pattern;
    glob_t found;

    if (n->kind != NODE_SCALAR || n->text.len == 0) {
        error_at(&ld->errors, n->place, "key 'include': allowed: file names or patterns");
        return;
    }
    pattern = resolve(ld, n->place.file, n->text);
    if (!pattern)
        return;
    if (!strpbrk(pattern, "*?[")) {
        load_file(ld, pattern, n->place, depth, NULL);
        return;
    }
    if (glob(pattern, GLOB_ERR, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char *path = pool_text(ld->pool, slice_str(found.gl_pathv[i]));

            if (path)
                load_file(ld, path, n->place, depth, NULL);
            ld->errors.no_memory |= !path;
        }
        globfree(&found);
    }
}

static void include_all(struct loader *ld, const struct node *n, int depth)
{
    if (n->kind != NODE_LIST) {
        include_one(ld, n, depth);
        return;
    }
    for (const struct node *i = n->first; i; i = i->next)
        include_one(ld, i, depth);
}

/* Takes the key out of the map: it is not a setting. */
static struct node *take_include(struct node *map)
{
    struct node *n = map->first, *before = NULL;

    for (; n && !slice_eq(n->key, SLICE_LIT("include")); n = n->next)
        before = n;
    if (!n)
        return NULL;
    if (before)
        before->next = n->next;
    else
        map->first = n->next;
    if (map->last == n)
        map->last = before;
    map->count--;
    return n;
}

/* ---- sources ---- */

static void load_text(struct loader *ld, const char *name, struct slice text, bool is_file,
                      int depth)
{
    struct node *tree = yaml_parse(&ld->trees, name, text, &ld->errors), *include;

    if (!tree)
        return;
    if (tree->kind != NODE_MAP) {
        error_at(&ld->errors, tree->place,
                 "a configuration is a map: 'section:' and below it "
                 "'setting: value', indented");
        return;
    }
    if (is_file && depth == 0 && tree->is_null) {
        error_at(&ld->errors, (struct place){.file = name},
                 "there is no setting in this file: was it cut while it was saved? "
                 "One that is to leave all at its default says so: {}");
        return;
    }
    include = take_include(tree);
    if (include && !is_file)
        error_at(&ld->errors, include->key_place, "key 'include': only a file can include others");
    else if (include)
        include_all(ld, include, depth + 1);
    apply_tree(ld, tree);
}

/* `err`, where not NULL, gets what a read failed with. */
static void load_file(struct loader *ld, const char *path, struct place from, int depth, int *err)
{
    struct slice text = {0};
    int r;

    if (depth > INCLUDE_DEPTH_MAX || ld->files++ >= FILES_MAX) {
        error_at(&ld->errors, from,
                 "key 'include': '%s': files include each other too deep, or "
                 "there are too many",
                 path);
        return;
    }
    r = read_file(&ld->trees, path, &text);
    if (r == 0)
        load_text(ld, path, text, true, depth);
    else if (from.file)
        error_at(&ld->errors, from, "key 'include': '%s': %s", path, err_str(r));
    else
        error_at(&ld->errors, (struct place){.file = path}, "%s", err_str(r));
    if (err && r < 0)
        *err = r;
}

static void free_snapshot(struct config *c)
{
    struct config_private *p = c->private;

    map_done(&p->routes);
    map_done(&p->destinations);
    map_done(&p->names);
    map_done(&p->lanes);
    map_done(&p->relay_domains);
    pool_done(&p->pool);
    free(c);
}

static struct config *new_snapshot(void)
{
    struct whole {
        struct config config;
        struct config_private private;
    } *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->config.private = &w->private;
    map_init(&w->private.routes, 0); /* the operator picks the keys: no seed is needed */
    map_init(&w->private.destinations, 0);
    map_init(&w->private.names, 0);
    map_init(&w->private.lanes, 0);
    map_init(&w->private.relay_domains, 0);
    atomic_init(&w->private.refs, 1);
    return &w->config;
}

static bool loader_init(struct loader *ld, size_t override_count)
{
    struct config_private *p = ld->config->private;

    ld->pool = &p->pool;
    p->origins = pool_alloc(ld->pool, settings_main.count * sizeof(*p->origins));
    ld->lists = pool_alloc(&ld->trees, settings_main.count * sizeof(struct node *));
    ld->overrides = pool_alloc(&ld->trees, (override_count + 1) * sizeof(struct node *));
    return p->origins && ld->lists && ld->overrides;
}

/* `file` or `text` (called `file`), or neither. */
static int load(const char *file, const struct slice *text, const char *const *overrides,
                size_t override_count, struct config **ret, struct buf *why)
{
    struct loader ld = {.config = new_snapshot(), .errors = {.why = why}};
    const char *name = NULL;
    int err = 0;

    if (!ld.config)
        return -ENOMEM;
    if (!loader_init(&ld, override_count) ||
        (file && !(name = pool_text(ld.pool, slice_str(file)))))
        ld.errors.no_memory = true;
    if (!ld.errors.no_memory) {
        apply_defaults(&ld);
        if (text)
            load_text(&ld, name, *text, false, 0);
        else if (name)
            load_file(&ld, name, (struct place){0}, 0, &err);
        for (size_t i = 0; i < override_count; i++)
            apply_override(&ld, overrides[i]);
        apply_end(&ld);
    }
    if (!ld.errors.no_memory && ld.errors.count == 0)
        check_all(&ld);
    errors_end(&ld.errors);
    pool_done(&ld.trees);
    if (err == 0 && ld.errors.count)
        err = -EINVAL;
    if (ld.errors.no_memory)
        err = -ENOMEM;
    if (err < 0) {
        free_snapshot(ld.config);
        return err;
    }
    *ret = ld.config;
    return 0;
}

int config_load(const char *file, const char *const *overrides, size_t override_count,
                struct config **ret, struct buf *why)
{
    return load(file, NULL, overrides, override_count, ret, why);
}

int config_load_text(const char *name, struct slice text, const char *const *overrides,
                     size_t override_count, struct config **ret, struct buf *why)
{
    return load(name, &text, overrides, override_count, ret, why);
}

const struct config *config_ref(const struct config *c)
{
    atomic_fetch_add_explicit(&c->private->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(const struct config **c)
{
    struct config *dead;

    if (*c && atomic_fetch_sub_explicit(&(*c)->private->refs, 1, memory_order_acq_rel) == 1) {
        memcpy(&dead, c, sizeof(dead)); /* const for its readers, of which there is none now */
        free_snapshot(dead);
    }
    *c = NULL;
}
