/*
 * evidence/replies_read.c - rules from YAML (share/replies.yaml tells the form).
 */
#include <string.h>

#include "base/assert.h"
#include "evidence/data_file.h"
#include "evidence/replies_int.h"

struct reading { /* one rule */
    struct replies *replies;
    struct reply_rule *rule;
};

/* ---- values of a rule ---- */

static void read_name(struct data_file *f, const struct node *value, void *to)
{
    struct reading *r = to;
    const char *name = data_name(f, value, "name", REPLY_NAME_MAX);

    if (!name)
        return;
    for (size_t i = 0; i < r->replies->rule_count; i++)
        if (r->replies->rules[i].name && r->replies->rules[i].place.file == f->name &&
            strcmp(r->replies->rules[i].name, name) == 0)
            error_at(f->errors, value->place, "a rule '%s' is in line %u already", name,
                     r->replies->rules[i].place.line);
    r->rule->name = name;
}

static enum reply_class find_class(struct data_file *f, struct place place, struct slice name)
{
    enum reply_class c = reply_class_find(name);

    if (c == REPLY_CLASSES)
        error_at(f->errors, place, "class '%.*s' is not known; 'penstock replies list' has them",
                 SLICE_FMT(slice_sub(name, 0, REPLY_NAME_MAX)));
    return c;
}

static void read_class(struct data_file *f, const struct node *value, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    enum reply_class c = find_class(f, value->place, value->text);

    if (c != REPLY_CLASSES) {
        rule->klass = c;
        rule->has_class = true;
    }
}

static void add_code(struct reply_rule *rule, unsigned code)
{
    rule->codes[code / 64] |= UINT64_C(1) << code % 64;
}

static bool has_code(const struct reply_rule *rule, unsigned code)
{
    return !rule->has_codes || (rule->codes[code / 64] >> code % 64 & 1);
}

/* "452", "4xx", or "0": no reply at all. */
static void take_code(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    uint64_t code;

    rule->has_codes = true;
    if (slice_eq_case(text, SLICE_LIT("4xx")) || slice_eq_case(text, SLICE_LIT("5xx"))) {
        unsigned first = (text.ptr[0] - (unsigned)'0') * 100;

        for (unsigned i = first; i < first + 100; i++)
            add_code(rule, i);
    } else if (slice_to_u64(text, REPLY_CODES - 1, &code) == 0 && (code == 0 || code >= 400)) {
        add_code(rule, (unsigned)code);
    } else {
        error_at(f->errors, place, "code '%.*s': allowed: 400 to 599, 4xx, 5xx, 0 for no reply",
                 SLICE_FMT(slice_sub(text, 0, REPLY_NAME_MAX)));
    }
}

static void read_code(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "code", true, REPLY_ITEMS_MAX, take_code, to);
}

static bool parse_number(struct slice *left, char end, uint16_t *ret)
{
    ptrdiff_t at = end ? slice_find(*left, (uint8_t)end) : (ptrdiff_t)left->len;
    uint64_t n;

    if (at < 0 || slice_to_u64(slice_sub(*left, 0, (size_t)at), 999, &n) < 0)
        return false;
    *left = slice_from(*left, (size_t)at + (end ? 1 : 0));
    *ret = (uint16_t)n;
    return true;
}

static bool parse_enhanced(struct slice text, struct enhanced_range *ret)
{
    struct enhanced_range e = {.to = 999};

    if (slice_eq_case(text, SLICE_LIT("none"))) {
        *ret = (struct enhanced_range){.is_none = true};
        return true;
    }
    if (text.len < 5 || text.ptr[1] != '.' || !memchr("45Xx", text.ptr[0], 4))
        return false;
    e.klass = text.ptr[0] < 'A' ? (uint8_t)(text.ptr[0] - '0') : 0;
    text = slice_from(text, 2);
    if (!parse_number(&text, '.', &e.subject))
        return false;
    if (!slice_eq(text, SLICE_LIT("*"))) {
        if (slice_find(text, '-') >= 0) {
            if (!parse_number(&text, '-', &e.from) || !parse_number(&text, 0, &e.to))
                return false;
        } else {
            if (!parse_number(&text, 0, &e.from))
                return false;
            e.to = e.from;
        }
    }
    if (e.from > e.to)
        return false;
    *ret = e;
    return true;
}

static void take_enhanced(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    struct enhanced_range e = {0};
    void *list = rule->enhanced;

    if (!parse_enhanced(text, &e)) {
        error_at(f->errors, place,
                 "enhanced '%.*s': allowed: 4.3.1, X.3.1, 4.7.*, 4.7.500-699, none",
                 SLICE_FMT(slice_sub(text, 0, REPLY_NAME_MAX)));
        return;
    }
    if (!data_grow(f, &list, rule->enhanced_count, sizeof(e)))
        return;
    rule->enhanced = list;
    rule->enhanced[rule->enhanced_count++] = e;
}

static void read_enhanced(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "enhanced", true, REPLY_ITEMS_MAX, take_enhanced, to);
}

static enum smtp_phase find_phase(struct data_file *f, struct place place, struct slice name)
{
    enum smtp_phase phase = reply_phase_find(name);

    if (phase > SMTP_PHASE_CLOSED) {
        struct buf all = BUF_INIT(1024);

        for (enum smtp_phase p = SMTP_PHASE_CONNECT; p <= SMTP_PHASE_CLOSED; p++)
            (void)buf_addf(&all, "%s%s", p ? ", " : "", smtp_phase_name(p));
        error_at(f->errors, place, "phase '%.*s': allowed: %s",
                 SLICE_FMT(slice_sub(name, 0, REPLY_NAME_MAX)), buf_cstr(&all));
        buf_done(&all);
    }
    return phase;
}

static void take_phase(struct data_file *f, struct place place, struct slice text, void *to)
{
    enum smtp_phase phase = find_phase(f, place, text);

    if (phase <= SMTP_PHASE_CLOSED)
        ((struct reading *)to)->rule->phases |= 1u << phase;
}

static void read_phase(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "phase", true, REPLY_ITEMS_MAX, take_phase, to);
}

static void take_provider(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    void *list = rule->providers;

    (void)place;
    text = pool_slice(f->pool, text);
    if (!text.ptr || !data_grow(f, &list, rule->provider_count, sizeof(text))) {
        f->errors->no_memory = true;
        return;
    }
    rule->providers = list;
    rule->providers[rule->provider_count++] = text;
}

static void read_provider(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "provider", true, REPLY_ITEMS_MAX, take_provider, to);
}

static void add_pattern(struct data_file *f, struct place place, struct slice text,
                        struct slice **list, size_t *count)
{
    char *lower = pool_text(f->pool, text);
    void *grown = *list;

    if (!lower) {
        f->errors->no_memory = true;
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        lower[i] = (char)byte_lower((uint8_t)lower[i]);
    if (!pattern_is_good(text)) {
        error_at(f->errors, place,
                 "pattern '%.*s': allowed: up to %d bytes, of which two or more without a '*' "
                 "between them",
                 SLICE_FMT(slice_sub(text, 0, REPLY_NAME_MAX)), PATTERN_MAX);
        return;
    }
    if (!data_grow(f, &grown, *count, sizeof(text)))
        return;
    *list = grown;
    (*list)[(*count)++] = slice_make(lower, text.len);
}

static void take_text(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;

    add_pattern(f, place, text, &rule->texts, &rule->text_count);
}

static void read_text(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "text", false, REPLY_PATTERNS_MAX, take_text, to);
}

static void take_not_text(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;

    add_pattern(f, place, text, &rule->not_texts, &rule->not_text_count);
}

static void read_not_text(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "not_text", false, REPLY_PATTERNS_MAX, take_not_text, to);
}

static void read_meaning(struct data_file *f, const struct node *value, void *to)
{
    ((struct reading *)to)->rule->meaning = data_text(f, value, "meaning", REPLY_TEXT_MAX);
}

static void read_advice(struct data_file *f, const struct node *value, void *to)
{
    ((struct reading *)to)->rule->advice = data_text(f, value, "advice", REPLY_TEXT_MAX);
}

static void read_warning(struct data_file *f, const struct node *value, void *to)
{
    ((struct reading *)to)->rule->warning = data_text(f, value, "warning", REPLY_TEXT_MAX);
}

/* ---- vectors ---- */

/* "rcpt @google: 452 4.2.2 full": phases and providers before the first colon, if it does not begin
 * with the reply's code. */
static bool parse_vector(struct data_file *f, struct place place, struct slice text,
                         struct vector *v)
{
    ptrdiff_t colon = slice_find(text, ':');
    struct slice words;
    struct reply_facts facts;

    *v = (struct vector){.place = place};
    if (text.len && !byte_is_digit(text.ptr[0]) && colon >= 0) {
        words = slice_trim(slice_sub(text, 0, (size_t)colon));
        text = slice_trim(slice_from(text, (size_t)colon + 1));
        if (slice_rfind(words, '@') >= 0) {
            v->provider = slice_from(words, (size_t)slice_rfind(words, '@') + 1);
            words = slice_trim(slice_sub(words, 0, (size_t)slice_rfind(words, '@')));
        }
        if (words.len) {
            v->phase = find_phase(f, place, words);
            v->has_phase = true;
            if (v->phase > SMTP_PHASE_CLOSED)
                return false;
        }
    }
    if (text.len > REPLY_VECTOR_MAX || !reply_facts_parse(text, &facts)) {
        error_at(f->errors, place,
                 "a vector is a reply: '452 4.3.1 text', 'rcpt @google: 452 ...'");
        return false;
    }
    v->line = pool_slice(f->pool, text);
    v->provider = pool_slice(f->pool, v->provider);
    if (!v->line.ptr || !v->provider.ptr) {
        f->errors->no_memory = true;
        return false;
    }
    return true;
}

static void add_vector(struct data_file *f, struct vector **list, size_t *count,
                       const struct vector *v)
{
    void *grown = *list;

    if (!data_grow(f, &grown, *count, sizeof(*v)))
        return;
    *list = grown;
    (*list)[(*count)++] = *v;
}

static void take_match(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    struct vector v;

    if (parse_vector(f, place, text, &v))
        add_vector(f, &rule->vectors, &rule->vector_count, &v);
}

static void read_matches(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "matches", false, REPLY_VECTORS_MAX, take_match, to);
}

static void take_never(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct reply_rule *rule = ((struct reading *)to)->rule;
    struct vector v;

    if (parse_vector(f, place, text, &v)) {
        v.is_never = true;
        add_vector(f, &rule->vectors, &rule->vector_count, &v);
    }
}

static void read_never(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "never", false, REPLY_VECTORS_MAX, take_never, to);
}

/* Of no rule: "452 4.2.2 full => mailbox-full". */
static void take_vector(struct data_file *f, struct place place, struct slice text, void *to)
{
    struct replies *r = to;
    ptrdiff_t arrow = slice_find_slice(text, SLICE_LIT("=>"));
    struct vector v;

    if (arrow < 0) {
        error_at(f->errors, place, "a vector here is 'REPLY => CLASS'");
        return;
    }
    if (!parse_vector(f, place, slice_trim(slice_sub(text, 0, (size_t)arrow)), &v))
        return;
    v.wanted = find_class(f, place, slice_trim(slice_from(text, (size_t)arrow + 2)));
    if (v.wanted != REPLY_CLASSES)
        add_vector(f, &r->vectors, &r->vector_count, &v);
}

/* ---- the file ---- */

static const struct data_key rule_keys[] = {
    {"name", read_name},       {"class", read_class},
    {"code", read_code},       {"enhanced", read_enhanced},
    {"phase", read_phase},     {"provider", read_provider},
    {"text", read_text},       {"not_text", read_not_text},
    {"meaning", read_meaning}, {"advice", read_advice},
    {"warning", read_warning}, {"matches", read_matches},
    {"never", read_never},     {NULL, NULL},
};

static void finish_rule(struct data_file *f, struct reply_rule *rule)
{
    if (!rule->name)
        error_at(f->errors, rule->place, "a rule needs a name");
    if (!rule->has_class)
        error_at(f->errors, rule->place, "a rule needs a class");
    if (!rule->has_codes && !rule->enhanced_count && !rule->text_count && !rule->phases &&
        !rule->provider_count)
        error_at(f->errors, rule->place,
                 "a rule needs something to match: code, enhanced, phase, provider or text");
    for (size_t i = 0; i < rule->vector_count; i++) {
        struct vector *v = &rule->vectors[i];

        v->wanted = rule->klass;
        /* What a rule asks for may be left out of its vectors. */
        if (!v->has_phase && rule->phases) {
            while (!(rule->phases >> v->phase & 1))
                v->phase++;
            v->has_phase = true;
        }
        if (!v->provider.len && rule->provider_count && slice_find(rule->providers[0], '*') < 0)
            v->provider = rule->providers[0];
    }
}

static void read_rules(struct data_file *f, const struct node *value, void *to)
{
    struct replies *r = to;

    if (!data_is_list(f, value, "rules", REPLY_RULES_MAX))
        return;
    for (const struct node *n = value->first; n; n = n->next) {
        void *list = r->rules;
        struct reading reading = {.replies = r};

        if (!data_grow(f, &list, r->rule_count, sizeof(*r->rules)))
            return;
        r->rules = list;
        reading.rule = &r->rules[r->rule_count];
        *reading.rule = (struct reply_rule){.place = n->place};
        data_read_map(f, n, "a rule", rule_keys, &reading);
        finish_rule(f, reading.rule);
        r->rule_count++;
        r->pattern_count += reading.rule->text_count + reading.rule->not_text_count;
        if (r->pattern_count > PATTERN_SET_MAX) {
            error_at(f->errors, n->place, "more than %d patterns in all rules", PATTERN_SET_MAX);
            return;
        }
    }
}

static void read_vectors(struct data_file *f, const struct node *value, void *to)
{
    data_each(f, value, "vectors", false, REPLY_VECTORS_MAX, take_vector, to);
}

static void read_class_meaning(struct data_file *f, const struct node *value, void *to)
{
    ((struct reply_class_text *)to)->meaning = data_text(f, value, "meaning", REPLY_TEXT_MAX);
}

static void read_class_advice(struct data_file *f, const struct node *value, void *to)
{
    ((struct reply_class_text *)to)->advice = data_text(f, value, "advice", REPLY_TEXT_MAX);
}

static void read_class_warning(struct data_file *f, const struct node *value, void *to)
{
    ((struct reply_class_text *)to)->warning = data_text(f, value, "warning", REPLY_TEXT_MAX);
}

static void read_classes(struct data_file *f, const struct node *value, void *to)
{
    static const struct data_key keys[] = {{"meaning", read_class_meaning},
                                           {"advice", read_class_advice},
                                           {"warning", read_class_warning},
                                           {NULL, NULL}};
    struct replies *r = to;

    if (value->kind != NODE_MAP) {
        error_at(f->errors, value->place, "classes must be a map of classes to their texts");
        return;
    }
    for (const struct node *n = value->first; n; n = n->next) {
        enum reply_class c = find_class(f, n->key_place, n->key);

        /* The operator's words come first and stay. */
        if (c != REPLY_CLASSES && !r->classes[c].meaning)
            data_read_map(f, n, "a class", keys, &r->classes[c]);
    }
}

void replies_read(struct replies *r, const char *name, struct slice yaml, struct errors *e)
{
    static const struct data_key keys[] = {
        {"rules", read_rules}, {"vectors", read_vectors}, {"classes", read_classes}, {NULL, NULL}};
    struct data_file f = {
        .pool = &r->pool, .errors = e, .name = pool_text(&r->pool, slice_str(name))};
    struct node *root = f.name ? yaml_parse(&r->pool, f.name, yaml, e) : NULL;

    if (!f.name)
        e->no_memory = true;
    if (root)
        data_read_map(&f, root, "a file of rules", keys, r);
}

/* ---- buckets: which rules a code has to ask ---- */

static bool make_buckets(struct replies *r)
{
    ASSERT(r->rule_count <= 2 * REPLY_RULES_MAX);
    for (unsigned code = 0; code < REPLY_CODES; code++) {
        const uint16_t *before = code ? r->buckets[code - 1].rules : NULL;
        size_t before_count = code ? r->buckets[code - 1].count : 0, count = 0;
        uint16_t list[2 * REPLY_RULES_MAX];

        if (code && code < 400)
            continue;
        for (size_t i = 0; i < r->rule_count; i++)
            if (has_code(&r->rules[i], code))
                list[count++] = (uint16_t)i;
        if (!before || before_count != count || memcmp(before, list, count * sizeof(*list)) != 0) {
            uint16_t *copy = pool_alloc(&r->pool, MAX_OF(count, (size_t)1) * sizeof(*list));

            if (!copy)
                return false;
            memcpy(copy, list, count * sizeof(*list));
            before = copy;
        }
        r->buckets[code].rules = before;
        r->buckets[code].count = count;
    }
    return true;
}

static void copy_slices(struct slice *all, size_t *at, const struct slice *from, size_t count)
{
    if (count)
        memcpy(all + *at, from, count * sizeof(*from));
    *at += count;
}

bool replies_finish(struct replies *r)
{
    struct slice *all = pool_alloc(&r->pool, (r->pattern_count + 1) * sizeof(*all));
    size_t at = 0;

    for (size_t i = 0; all && i < r->rule_count; i++) {
        struct reply_rule *rule = &r->rules[i];

        rule->text_first = at;
        copy_slices(all, &at, rule->texts, rule->text_count);
        copy_slices(all, &at, rule->not_texts, rule->not_text_count);
    }
    return all && pattern_set_init(&r->patterns, &r->pool, all, at) && make_buckets(r);
}
