#include "evidence/providers.h"

#include <errno.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "evidence/data_file.h"
#include "evidence/pattern.h"
#include "evidence/providers_int.h"
#include "evidence/share.h"

#define NAME_MAX_BYTES 63
#define TITLE_MAX 200
#define PATTERN_BYTES_MAX 255
#define PATTERNS_MAX 500 /* of one provider */

struct host_test {
    struct place place;
    struct slice host;
};

struct mx_pattern {
    const char *text;    /* as written, NUL-ended */
    struct slice suffix; /* behind the star, where the rest has no wildcard; else empty */
};

struct provider {
    struct place place;
    const char *name, *title, *group;
    struct mx_pattern *patterns;
    size_t pattern_count;
    struct host_test *tests;
    size_t test_count;
};

struct providers {
    struct pool pool;
    struct provider *list;
    size_t count;
    struct map groups; /* the first provider of each name that has a group */
};

/* ---- reading ---- */

static void read_name(struct data_file *f, const struct node *value, void *to)
{
    ((struct provider *)to)->name = data_name(f, value, "name", NAME_MAX_BYTES);
}

static void read_title(struct data_file *f, const struct node *value, void *to)
{
    ((struct provider *)to)->title = data_text(f, value, "title", TITLE_MAX);
}

static void read_group(struct data_file *f, const struct node *value, void *to)
{
    ((struct provider *)to)->group = data_name(f, value, "group", NAME_MAX_BYTES);
}

static void take_pattern(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct provider *p = to;
    void *list = p->patterns;
    struct mx_pattern pattern;
    size_t letters = 0, wild = 0;

    /* One that matches nearly everything would swallow all unknown hosts. */
    for (size_t i = 0; i < text.len; i++) {
        wild += text.ptr[i] == '*' || text.ptr[i] == '?';
        letters += text.ptr[i] != '*' && text.ptr[i] != '?' && text.ptr[i] != '.';
    }
    if (text.len > PATTERN_BYTES_MAX || letters < 2) {
        error_at(f->errors, place, "mx '%.*s': allowed: patterns of host names, as '*.example.org'",
                 SLICE_FMT(slice_sub(text, 0, NAME_MAX_BYTES)));
        return;
    }
    pattern.text = pool_text(f->pool, text);
    if (!pattern.text || !data_grow(f, &list, p->pattern_count, sizeof(pattern))) {
        f->errors->no_memory = true;
        return;
    }
    pattern.suffix = slice_make(NULL, 0);
    if (wild == 1 && text.ptr[0] == '*')
        pattern.suffix = slice_make(pattern.text + 1, text.len - 1);
    p->patterns = list;
    p->patterns[p->pattern_count++] = pattern;
}

static void read_mx(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "mx", true, PATTERNS_MAX, take_pattern, to);
}

static void take_host(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct provider *p = to;
    void *list = p->tests;
    struct host_test test = {.place = place, .host = pool_slice(f->pool, text)};

    if (!test.host.ptr || !data_grow(f, &list, p->test_count, sizeof(test))) {
        f->errors->no_memory = true;
        return;
    }
    p->tests = list;
    p->tests[p->test_count++] = test;
}

static void read_hosts(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "hosts", true, PATTERNS_MAX, take_host, to);
}

/* A name means one thing: a provider's or a group's, once in a file. An own file may have a name of
 * ours, to add patterns to it. */
static void check_names(struct data_file *f, const struct providers *all, const struct provider *p)
{
    if (!p->name)
        error_at(f->errors, p->place, "a provider needs a name");
    if (!p->pattern_count)
        error_at(f->errors, p->place, "a provider needs patterns: mx");
    for (size_t i = 0; p->name && i < all->count; i++) {
        const struct provider *other = &all->list[i];

        if (other->name && other->place.file == f->name && strcmp(other->name, p->name) == 0)
            error_at(f->errors, p->place, "provider '%s' is in line %u already", p->name,
                     other->place.line);
        if ((other->group && strcmp(other->group, p->name) == 0) ||
            (other->name && p->group && strcmp(other->name, p->group) == 0))
            error_at(f->errors, p->place, "'%s' is the name of a provider and of a group",
                     other->group && strcmp(other->group, p->name) == 0 ? p->name : p->group);
    }
}

static void read_providers(struct data_file *f, const struct node *value, void *to)
{
    static const struct data_key keys[] = {{"name", read_name},   {"title", read_title},
                                           {"group", read_group}, {"mx", read_mx},
                                           {"hosts", read_hosts}, {NULL, NULL}};
    struct providers *all = to;

    if (!data_is_list(f, value, "providers", PROVIDERS_MAX))
        return;
    for (const struct node *n = value->first; n; n = n->next) {
        void *list = all->list;
        struct provider p = {.place = n->place};

        data_read_map(f, n, "a provider", keys, &p);
        check_names(f, all, &p);
        if (!data_grow(f, &list, all->count, sizeof(p)))
            return;
        all->list = list;
        all->list[all->count++] = p;
    }
}

static void read_file(struct providers *all, const char *name, struct slice yaml, struct errors *e)
{
    static const struct data_key keys[] = {{"providers", read_providers}, {NULL, NULL}};
    struct data_file f = {
        .pool = &all->pool, .errors = e, .name = pool_text(&all->pool, slice_str(name))};
    struct node *root = f.name ? yaml_parse(&all->pool, f.name, yaml, e) : NULL;

    if (!f.name)
        e->no_memory = true;
    if (root)
        data_read_map(&f, root, "a file of providers", keys, all);
}

static void index_groups(struct providers *p, struct errors *e)
{
    for (size_t i = 0; i < p->count; i++) {
        struct provider *of = &p->list[i];

        if (of->group && !map_get(&p->groups, slice_str(of->name)) &&
            map_put(&p->groups, slice_str(of->name), of) < 0)
            e->no_memory = true;
    }
}

static int make(struct providers **ret, struct slice own, const char *own_name, bool with_shipped,
                struct buf *why)
{
    struct providers *p = calloc(1, sizeof(*p));
    struct errors e = {.why = why};

    if (!p)
        return -ENOMEM;
    map_init(&p->groups, 1);
    if (own.len)
        read_file(p, own_name, own, &e);
    if (with_shipped)
        read_file(p, "share/providers.yaml", share_providers, &e);
    if (e.count == 0 && !e.no_memory)
        index_groups(p, &e);
    if (e.count == 0 && !e.no_memory) {
        *ret = p;
        return 0;
    }
    errors_end(&e);
    providers_free(&p);
    return e.no_memory ? -ENOMEM : -EINVAL;
}

int providers_new(struct providers **ret, struct slice own, const char *own_name, struct buf *why)
{
    return make(ret, own, own_name, true, why);
}

int providers_new_alone(struct providers **ret, struct slice own, const char *own_name,
                        struct buf *why)
{
    return make(ret, own, own_name, false, why);
}

void providers_free(struct providers **p)
{
    if (*p) {
        map_done(&(*p)->groups);
        pool_done(&(*p)->pool);
    }
    free(*p);
    *p = NULL;
}

/* ---- asking ---- */

static struct slice without_last_dot(struct slice host)
{
    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

bool provider_pattern_matches(struct slice pattern, struct slice host)
{
    return glob_matches(pattern, without_last_dot(host));
}

/* Nearly all patterns are a star and a suffix. */
static bool mx_matches(const struct mx_pattern *p, struct slice host)
{
    if (p->suffix.len)
        return slice_has_suffix_case(host, p->suffix);
    return glob_matches(slice_str(p->text), host);
}

/* An address has no registered domain: "192.0.2.1", "[2001:db8::1]". */
static bool is_address(struct slice host)
{
    ptrdiff_t dot = slice_rfind(host, '.');
    uint64_t ignored;

    return slice_find(host, ':') >= 0 || slice_find(host, '[') >= 0 ||
           slice_to_u64(slice_from(host, (size_t)(dot + 1)), UINT64_MAX, &ignored) != -EINVAL;
}

static const char *registered_name(struct slice host, char name_buf[PROVIDER_NAME_MAX])
{
    const char *registered = NULL;

    host = slice_sub(host, 0, PROVIDER_NAME_MAX - 2);
    for (size_t i = 0; i < host.len; i++)
        name_buf[i] = host.ptr[i] ? (char)byte_lower(host.ptr[i]) : '?';
    name_buf[host.len] = '\0';
    if (is_address(host))
        return name_buf;
    /* Words are the table's: an MX record "10 microsoft-365." puts nobody into that lane. */
    if (slice_find(host, '.') < 0)
        memcpy(name_buf + host.len, ".", sizeof("."));
    else
        registered = psl_registrable_domain(psl_builtin(), name_buf);
    return registered ? registered : name_buf;
}

void providers_of(const struct providers *p, const struct slice *hosts, size_t count,
                  char name_buf[PROVIDER_NAME_MAX], struct provider_info *ret)
{
    struct slice host;

    ASSERT(count > 0);
    host = without_last_dot(hosts[0]);
    for (size_t i = 0; i < p->count; i++)
        for (size_t m = 0; m < p->list[i].pattern_count; m++)
            if (mx_matches(&p->list[i].patterns[m], host)) {
                *ret = (struct provider_info){.name = p->list[i].name,
                                              .group = p->list[i].group,
                                              .title = p->list[i].title,
                                              .pattern = p->list[i].patterns[m].text};
                return;
            }
    *ret = (struct provider_info){.name = host.len ? registered_name(host, name_buf)
                                                   : PROVIDER_UNKNOWN};
}

static bool is_named(const char *name, struct slice s)
{
    return name && slice_eq(slice_str(name), s);
}

bool providers_is_host_of(const struct providers *p, struct slice host, struct slice provider)
{
    char name_buf[PROVIDER_NAME_MAX];
    struct provider_info info;

    providers_of(p, &host, 1, name_buf, &info);
    return slice_eq_case(slice_str(info.name), provider);
}

bool providers_knows(const struct providers *p, struct slice name)
{
    for (size_t i = 0; i < p->count; i++)
        if (is_named(p->list[i].name, name) || is_named(p->list[i].group, name))
            return true;
    return false;
}

bool providers_is_in(const struct providers *p, struct slice provider, struct slice name)
{
    if (slice_eq(provider, name))
        return true;
    for (size_t i = 0; i < p->count; i++)
        if (is_named(p->list[i].name, provider) && is_named(p->list[i].group, name))
            return true;
    return false;
}

struct slice providers_group(const struct providers *p, struct slice provider)
{
    const struct provider *of = map_get(&p->groups, provider);

    return of ? slice_str(of->group) : (struct slice){0};
}

void providers_each(const struct providers *p,
                    void (*fn)(void *ctx, const struct provider_info *info), void *ctx)
{
    for (size_t i = 0; i < p->count; i++) {
        struct provider_info info = {.name = p->list[i].name,
                                     .group = p->list[i].group,
                                     .title = p->list[i].title,
                                     .pattern = p->list[i].patterns[0].text};

        fn(ctx, &info);
    }
}

void providers_each_vector(const struct providers *p,
                           void (*fn)(void *ctx, const struct provider_vector *v), void *ctx)
{
    char name_buf[PROVIDER_NAME_MAX];

    for (size_t i = 0; i < p->count; i++)
        for (size_t t = 0; t < p->list[i].test_count; t++) {
            const struct host_test *test = &p->list[i].tests[t];
            struct provider_vector v = {.file = test->place.file,
                                        .line = test->place.line,
                                        .column = test->place.column,
                                        .host = test->host,
                                        .wanted = p->list[i].name};
            struct provider_info info;

            providers_of(p, &test->host, 1, name_buf, &info);
            v.got = info.name;
            fn(ctx, &v);
        }
}
