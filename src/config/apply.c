/*
 * config/apply.c - from trees to the fields of a snapshot, by the table.
 *
 * Later files win over earlier ones and the command line over all, so everything is simply applied
 * in that order. Only lists of maps wait: their elements may inherit values, so they are made when
 * all else is known.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "config/alias.h"
#include "config/config_int.h"
#include "config/nearest.h"

#define SHOWN_VALUE_MAX 100 /* bytes of a wrong value that an error repeats */

const char config_default_file[] = "default";
const char config_command_line[] = "command line";

/* One struct being filled: the snapshot, or an element of a list. */
struct target {
    struct loader *ld;
    const struct settings *table;
    void *base;
    const char *label; /* "" or "listeners[0]." */
};

static struct place *place_of(const struct target *t, const struct setting *s)
{
    size_t i = (size_t)(s - t->table->list);
    const struct config_private *p = t->ld->config->private;

    if (t->table == &settings_main)
        return &p->origins[i].place;
    for (size_t m = 0; m < settings_main.count; m++) {
        const struct setting *list = &settings_main.list[m];
        const void *elements;
        size_t element;

        if (list->sub != t->table)
            continue;
        memcpy(&elements, (const char *)t->ld->config + list->offset, sizeof(elements));
        element = (size_t)((const char *)t->base - (const char *)elements) / t->table->element_size;
        return &p->origins[m].elements[element * t->table->count + i];
    }
    ASSERT(false);
    return NULL;
}

/* ---- errors ---- */

static void bad_value(const struct target *t, const struct setting *s, struct place at,
                      struct slice value, struct buf *detail)
{
    struct buf allowed = BUF_INIT(1024);

    value_allowed(s, &allowed);
    if (buf_len(detail))
        (void)buf_addf(&allowed, " (%s)", buf_cstr(detail));
    error_at(&t->ld->errors, at, "key '%s%s': value '%.*s%s': allowed: %s", t->label, s->name,
             SLICE_FMT(slice_sub(value, 0, SHOWN_VALUE_MAX)),
             value.len > SHOWN_VALUE_MAX ? "..." : "", buf_cstr(&allowed));
    buf_done(&allowed);
}

static struct slice leaf_of(struct slice name)
{
    return slice_from(name, (size_t)(slice_rfind(name, '.') + 1));
}

/* How far `candidate` is from what was written: as a whole, or its last part in another section. */
static size_t distance(struct slice written, struct slice candidate)
{
    size_t whole = nearest_distance(written, candidate);
    size_t last = 1 + nearest_distance(leaf_of(written), leaf_of(candidate));

    return MIN_OF(whole, last);
}

static void unknown_key(const struct target *t, struct place at, struct slice name)
{
    struct slice best = {0};
    size_t best_distance = MIN_OF((size_t)3, MAX_OF((size_t)1, leaf_of(name).len / 3)) + 1;

    for (size_t i = 0; i < t->table->count; i++) {
        struct slice candidate = slice_str(t->table->list[i].name);

        /* The setting, then the sections it lies in. */
        while (candidate.len) {
            size_t d = distance(name, candidate);

            if (d < best_distance) {
                best_distance = d;
                best = candidate;
            }
            candidate.len = (size_t)MAX_OF((ptrdiff_t)0, slice_rfind(candidate, '.'));
        }
    }
    name = slice_sub(name, 0, SHOWN_VALUE_MAX);
    if (best.len)
        error_at(&t->ld->errors, at, "key '%s%.*s' is not known; nearest key '%s%.*s'", t->label,
                 SLICE_FMT(name), t->label, SLICE_FMT(best));
    else
        error_at(&t->ld->errors, at, "key '%s%.*s' is not known; 'penstock config doc' lists all",
                 t->label, SLICE_FMT(name));
}

/* ---- values ---- */

static void apply_item(const struct target *t, const struct setting *s, struct place at,
                       struct slice text)
{
    struct buf detail = BUF_INIT(1024);
    int r = value_parse(s, text, t->base, t->ld->pool, &detail);

    if (r == -ENOMEM)
        t->ld->errors.no_memory = true;
    else if (r < 0)
        bad_value(t, s, at, text, &detail);
    buf_done(&detail);
}

/* "a, b, c", each item at its own column. */
static void apply_items(const struct target *t, const struct setting *s, const struct node *n)
{
    struct slice left = n->text;
    struct place at = n->place;

    if (slice_trim(left).len == 0)
        return;
    for (;;) {
        ptrdiff_t comma = slice_find(left, ',');
        struct slice item = comma < 0 ? left : slice_sub(left, 0, (size_t)comma);
        struct slice text = slice_trim(item);
        struct place item_at = at;

        if (text.len && at.line)
            item_at.column += (uint32_t)(text.ptr - item.ptr);
        apply_item(t, s, item_at, text);
        if (comma < 0)
            break;
        left = slice_from(left, (size_t)comma + 1);
        if (at.line)
            at.column += (uint32_t)comma + 1;
    }
}

static void apply_value(const struct target *t, const struct setting *s, const struct node *n)
{
    struct buf nothing = BUF_INIT(1);

    if (value_is_list(s)) {
        value_clear(s, t->base);
        if (n->kind == NODE_SCALAR && !n->is_null)
            apply_items(t, s, n);
        for (const struct node *i = n->first; n->kind == NODE_LIST && i; i = i->next) {
            if (i->kind == NODE_SCALAR)
                apply_item(t, s, i->place, i->text);
            else
                bad_value(t, s, i->place, SLICE_LIT("(a list or map)"), &nothing);
        }
        if (n->kind == NODE_MAP)
            bad_value(t, s, n->place, SLICE_LIT("(a map)"), &nothing);
    } else if (n->kind == NODE_SCALAR) {
        apply_item(t, s, n->place, n->is_null ? SLICE_LIT("") : n->text);
    } else {
        bad_value(t, s, n->place, SLICE_LIT("(a list or map)"), &nothing);
    }
}

/* ---- keys ---- */

static void take_list(const struct target *t, const struct setting *s, const struct node *n)
{
    struct loader *ld = t->ld;
    struct node **list = &ld->lists[s - settings_main.list];

    if (n->kind != NODE_LIST && !n->is_null) {
        error_at(&ld->errors, n->place, "key '%s': allowed: a list, each element begins with '- '",
                 s->name);
        return;
    }
    if (!*list)
        *list = pool_alloc(&ld->trees, sizeof(**list));
    if (!*list) {
        ld->errors.no_memory = true;
        return;
    }
    (*list)->kind = NODE_LIST;
    for (struct node *i = n->first, *next; i; i = next) {
        next = i->next;
        if (i->kind == NODE_MAP)
            node_add(*list, i);
        else
            error_at(&ld->errors, i->place, "key '%s': allowed: a map with the keys of its element",
                     s->name);
    }
}

static void apply_setting(const struct target *t, const struct setting *s, const struct node *n,
                          struct place key_place)
{
    struct place *at = place_of(t, s);

    if (at->file == key_place.file && at->line && key_place.line) {
        error_at(&t->ld->errors, key_place, "key '%s%s' is given twice, first in line %u", t->label,
                 s->name, at->line);
        return;
    }
    *at = key_place;
    if (s->type == VALUE_MAPS)
        take_list(t, s, n);
    else
        apply_value(t, s, n);
}

static bool is_section(const struct settings *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++) {
        struct slice full = slice_str(table->list[i].name);

        if (full.len > name.len && full.ptr[name.len] == '.' && slice_has_prefix(full, name))
            return true;
    }
    return false;
}

static void apply_map(const struct target *t, const struct node *map, struct slice section)
{
    for (const struct node *n = map->first; n; n = n->next) {
        struct buf full = BUF_INIT(KIB(64)), room = BUF_INIT(KIB(64));
        struct slice name = n->key;
        const struct setting *s;

        if (section.len) {
            (void)buf_addf(&full, "%.*s.%.*s", SLICE_FMT(section), SLICE_FMT(n->key));
            name = buf_slice(&full);
        }
        if (t->table == &settings_main)
            name = alias_resolve(name, &room);
        s = settings_find(t->table, name);
        if (s)
            apply_setting(t, s, n, n->key_place);
        else if (!is_section(t->table, name))
            unknown_key(t, n->key_place, name);
        else if (n->kind == NODE_MAP)
            apply_map(t, n, name);
        else if (!n->is_null)
            error_at(&t->ld->errors, n->place,
                     "key '%s%.*s' is a section: its settings go below it, indented", t->label,
                     SLICE_FMT(name));
        buf_done(&room);
        buf_done(&full);
    }
}

void apply_tree(struct loader *ld, const struct node *tree)
{
    struct target t = {ld, &settings_main, ld->config, ""};

    apply_map(&t, tree, SLICE_LIT(""));
}

/* ---- defaults ---- */

static void set_default(const struct target *t, const struct setting *s)
{
    struct node n = {.kind = NODE_SCALAR, .text = slice_str(s->def)};
    size_t errors = t->ld->errors.count;

    value_clear(s, t->base);
    if (!s->def)
        return;
    apply_value(t, s, &n);
    ASSERT(t->ld->errors.count == errors); /* a default that is not allowed is a wrong table */
}

void apply_defaults(struct loader *ld)
{
    struct target t = {ld, &settings_main, ld->config, ""};

    for (size_t i = 0; i < settings_main.count; i++)
        if (settings_main.list[i].type != VALUE_MAPS)
            set_default(&t, &settings_main.list[i]);
}

/* ---- the command line ---- */

/* "listeners[2].name": the list's setting, 2 and "name". */
static const struct setting *split_element(struct slice name, uint64_t *ret_index,
                                           struct slice *ret_rest)
{
    ptrdiff_t open = slice_find(name, '['), close = slice_find(name, ']');
    const struct setting *s;

    if (open < 0 || close < open || (size_t)close + 1 >= name.len || name.ptr[close + 1] != '.')
        return NULL;
    s = settings_find(&settings_main, slice_sub(name, 0, (size_t)open));
    if (!s || s->type != VALUE_MAPS ||
        slice_to_u64(slice_sub(name, (size_t)open + 1, (size_t)(close - open) - 1), UINT32_MAX,
                     ret_index) < 0)
        return NULL;
    *ret_rest = slice_from(name, (size_t)close + 2);
    return s;
}

/* A value on the command line: as YAML where it is a list in brackets, else as it stands. */
static struct node *override_value(struct loader *ld, const struct setting *s, struct slice value)
{
    bool is_list = s && (value_is_list(s) || s->type == VALUE_MAPS);
    struct node *n;

    if (is_list && value.len && value.ptr[0] == '[' && value.ptr[value.len - 1] == ']')
        return yaml_parse(&ld->trees, config_command_line, value, &ld->errors);
    n = pool_alloc(&ld->trees, sizeof(*n));
    if (!n) {
        ld->errors.no_memory = true;
        return NULL;
    }
    n->kind = NODE_SCALAR;
    n->place = (struct place){.file = config_command_line};
    n->text = value;
    n->is_null = value.len == 0;
    return n;
}

static bool is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* The setting that `name` is, or that it is of an element; NULL. */
static const struct setting *find_named(struct slice name)
{
    const struct setting *s = settings_find(&settings_main, name);
    struct slice rest;
    uint64_t index;

    if (!s && (s = split_element(name, &index, &rest)))
        s = settings_find(s->sub, rest);
    return s;
}

/* Applies it now, or keeps it for the element of a list that is not made yet. */
static void apply_named(struct loader *ld, struct slice name, struct node *n)
{
    struct target t = {ld, &settings_main, ld->config, ""};
    const struct setting *s = settings_find(&settings_main, name);
    struct place at = {.file = config_command_line};
    struct slice rest;
    uint64_t index;

    if (s && s->type == VALUE_MAPS)
        ld->lists[s - settings_main.list] = NULL; /* it replaces what the files say */
    n->key = name;
    n->key_place = at;
    if (s)
        apply_setting(&t, s, n, at);
    else if (split_element(name, &index, &rest))
        ld->overrides[ld->override_count++] = n;
    else
        unknown_key(&t, at, name);
}

void apply_override(struct loader *ld, const char *text)
{
    struct slice all = slice_str(text), name;
    struct place at = {.file = config_command_line};
    struct buf room = BUF_INIT(KIB(64));
    ptrdiff_t equals = slice_find(all, '=');
    struct node *n;

    if (equals <= 0 || !is_clean(all)) {
        error_at(&ld->errors, at, "a setting is given as name=value");
        return;
    }
    name = alias_resolve(slice_trim(slice_sub(all, 0, (size_t)equals)), &room);
    n = override_value(ld, find_named(name), slice_trim(slice_from(all, (size_t)equals + 1)));
    if (n)
        apply_named(ld, name, n);
    buf_done(&room);
}

/* ---- lists of maps ---- */

static void inherit(const struct target *t)
{
    for (size_t i = 0; i < t->table->count; i++) {
        const struct setting *s = &t->table->list[i];
        const struct setting *from;

        if (!s->inherits || place_of(t, s)->file)
            continue;
        from = settings_find(&settings_main, slice_str(s->inherits));
        ASSERT(from);
        value_copy(s, t->base, from, t->ld->config);
    }
}

static void require(const struct target *t, struct place at)
{
    for (size_t i = 0; i < t->table->count; i++) {
        const struct setting *s = &t->table->list[i];

        if (s->required && !place_of(t, s)->file)
            error_at(&t->ld->errors, at, "key '%s%s' is missing", t->label, s->name);
    }
}

static void apply_element_overrides(const struct target *t, const struct setting *list,
                                    size_t element)
{
    for (size_t i = 0; i < t->ld->override_count; i++) {
        const struct node *n = t->ld->overrides[i];
        const struct setting *s;
        struct slice rest;
        uint64_t index;

        if (split_element(n->key, &index, &rest) != list || index != element)
            continue;
        s = settings_find(t->table, rest);
        if (s)
            apply_setting(t, s, n, n->key_place);
        else
            unknown_key(t, n->key_place, rest);
    }
}

static void make_element(struct loader *ld, const struct setting *list, const struct node *n,
                         void *base, size_t element)
{
    struct buf label = BUF_INIT(256);
    struct target t = {ld, list->sub, base, NULL};

    (void)buf_addf(&label, "%s[%zu].", list->name, element);
    t.label = buf_cstr(&label);
    for (size_t i = 0; i < t.table->count; i++)
        set_default(&t, &t.table->list[i]);
    apply_map(&t, n, SLICE_LIT(""));
    apply_element_overrides(&t, list, element);
    inherit(&t);
    require(&t, n->place);
    buf_done(&label);
}

static struct node *default_list(struct loader *ld, const struct setting *s)
{
    struct node *n = yaml_parse(&ld->trees, config_default_file, slice_str(s->def), &ld->errors);

    ASSERT(n || ld->errors.no_memory);
    return n;
}

static void make_list(struct loader *ld, const struct setting *s)
{
    size_t at = (size_t)(s - settings_main.list), element = 0;
    struct node *list = ld->lists[at] ? ld->lists[at] : default_list(ld, s);
    struct origin *origin = &ld->config->private->origins[at];
    char *base;

    if (!list)
        return;
    base = pool_alloc(ld->pool, (list->count + 1) * s->sub->element_size);
    origin->elements =
        pool_alloc(ld->pool, (list->count + 1) * s->sub->count * sizeof(*origin->elements));
    if (!base || !origin->elements) {
        ld->errors.no_memory = true;
        return;
    }
    memcpy((char *)ld->config + s->offset, &base, sizeof(base));
    memcpy((char *)ld->config + s->count_offset, &list->count, sizeof(list->count));
    for (const struct node *n = list->first; n; n = n->next, element++)
        make_element(ld, s, n, base + element * s->sub->element_size, element);
    for (size_t i = 0; i < ld->override_count; i++) {
        struct slice rest;
        uint64_t index;

        if (split_element(ld->overrides[i]->key, &index, &rest) == s && index >= list->count)
            error_at(&ld->errors, ld->overrides[i]->key_place, "there is no %s[%llu]", s->name,
                     (unsigned long long)index);
    }
}

/* What the machine says where the configuration does not. */
static void ask_machine(struct loader *ld)
{
    struct config_server *server = &ld->config->server;
    char name[256] = "";
    long cores;

    if (!server->hostname) {
        if (gethostname(name, sizeof(name) - 1) < 0 || !name[0])
            memcpy(name, "localhost", sizeof("localhost"));
        server->hostname = pool_text(ld->pool, slice_str(name));
        ld->errors.no_memory |= !server->hostname;
    }
    if (server->loops == 0) {
        cores = sysconf(_SC_NPROCESSORS_ONLN);
        server->loops = cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
    }
}

void apply_end(struct loader *ld)
{
    struct target t = {ld, &settings_main, ld->config, ""};

    ask_machine(ld);
    inherit(&t);
    for (size_t i = 0; i < settings_main.count; i++)
        if (settings_main.list[i].type == VALUE_MAPS)
            make_list(ld, &settings_main.list[i]);
}
