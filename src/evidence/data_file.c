#include "evidence/data_file.h"

#include <string.h>

#include "config/nearest.h"

#define SHOWN_MAX 80 /* bytes of a wrong value that an error repeats */

static struct slice shown(struct slice s)
{
    return slice_sub(s, 0, SHOWN_MAX);
}

static void unknown_key(struct data_file *f, const struct node *n, const char *what,
                        const struct data_key *keys)
{
    const char *best = NULL;
    size_t best_distance = MIN_OF((size_t)3, MAX_OF((size_t)1, n->key.len / 3)) + 1;

    for (; keys->name; keys++) {
        size_t d = nearest_distance(n->key, slice_str(keys->name));

        if (d < best_distance) {
            best_distance = d;
            best = keys->name;
        }
    }
    if (best)
        error_at(f->errors, n->key_place, "key '%.*s' is not known in %s; nearest key '%s'",
                 SLICE_FMT(shown(n->key)), what, best);
    else
        error_at(f->errors, n->key_place, "key '%.*s' is not known in %s", SLICE_FMT(shown(n->key)),
                 what);
}

void data_read_map(struct data_file *f, const struct node *map, const char *what,
                   const struct data_key *keys, void *to)
{
    if (map->kind != NODE_MAP) {
        error_at(f->errors, map->place, "%s must be a map of keys and values", what);
        return;
    }
    for (const struct node *n = map->first; n; n = n->next) {
        const struct data_key *k = keys;

        while (k->name && !slice_eq(n->key, slice_str(k->name)))
            k++;
        if (k->name)
            k->read(f, n, to);
        else
            unknown_key(f, n, what, keys);
    }
}

bool data_is_list(struct data_file *f, const struct node *value, const char *what, size_t max)
{
    if (value->kind != NODE_LIST)
        error_at(f->errors, value->place, "%s must be a list", what);
    else if (value->count > max)
        error_at(f->errors, value->place, "%s: %zu entries, allowed: %zu", what, value->count, max);
    else
        return true;
    return false;
}

const char *data_text(struct data_file *f, const struct node *value, const char *what, size_t max)
{
    const char *text = NULL;

    if (value->kind != NODE_SCALAR || value->is_null || value->text.len == 0)
        error_at(f->errors, value->place, "%s must be a text", what);
    else if (value->text.len > max)
        error_at(f->errors, value->place, "%s: longer than %zu bytes", what, max);
    else if (!(text = pool_text(f->pool, value->text)))
        f->errors->no_memory = true;
    return text;
}

const char *data_name(struct data_file *f, const struct node *value, const char *what, size_t max)
{
    const char *text = data_text(f, value, what, max);

    for (const char *c = text; c && *c; c++)
        if (!byte_is_digit((uint8_t)*c) && !(*c >= 'a' && *c <= 'z') && *c != '-' && *c != '.') {
            error_at(f->errors, value->place,
                     "%s '%.*s': allowed: letters of lower case, digits, '-' and '.'", what,
                     SLICE_FMT(shown(value->text)));
            return NULL;
        }
    return text;
}

struct each {
    struct data_file *f;
    const char *what;
    size_t count, max;
    void (*item)(struct data_file *f, struct place place, struct slice text, void *to);
    void *to;
};

static void take_item(struct each *e, struct place place, struct slice text)
{
    text = slice_trim(text);
    if (text.len == 0)
        error_at(e->f->errors, place, "%s: an empty entry", e->what);
    else if (e->count++ == e->max)
        error_at(e->f->errors, place, "%s: too many entries, allowed: %zu", e->what, e->max);
    else if (e->count <= e->max)
        e->item(e->f, place, text, e->to);
}

static void take_scalar(struct each *e, const struct node *n, bool commas)
{
    struct slice left = n->text;
    ptrdiff_t comma;

    if (n->kind != NODE_SCALAR || n->is_null) {
        error_at(e->f->errors, n->place, "%s must be a text or a list of texts", e->what);
        return;
    }
    while (commas && (comma = slice_find(left, ',')) >= 0) {
        take_item(e, n->place, slice_sub(left, 0, (size_t)comma));
        left = slice_from(left, (size_t)comma + 1);
    }
    take_item(e, n->place, left);
}

void data_each(struct data_file *f, const struct node *value, const char *what, bool commas,
               size_t max,
               void (*item)(struct data_file *f, struct place place, struct slice text, void *to),
               void *to)
{
    struct each e = {.f = f, .what = what, .max = max, .item = item, .to = to};

    if (value->kind != NODE_LIST) {
        take_scalar(&e, value, commas);
        return;
    }
    for (const struct node *n = value->first; n; n = n->next)
        take_scalar(&e, n, commas);
}

bool data_grow(struct data_file *f, void **list, size_t count, size_t element_size)
{
    void *bigger;

    /* Full at every power of two; the smaller array stays in the pool until all is freed. */
    if (count & (count - 1) || count == 1)
        return true;
    bigger = pool_alloc(f->pool, MAX_OF((size_t)2, count * 2) * element_size);
    if (!bigger) {
        f->errors->no_memory = true;
        return false;
    }
    if (count)
        memcpy(bigger, *list, count * element_size);
    *list = bigger;
    return true;
}
