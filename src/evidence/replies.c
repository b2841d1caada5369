/*
 * evidence/replies.c - asks the rules of a reply's code one by one; the first that matches wins.
 *
 * What is cheap to ask is asked first. The text is searched once, for the patterns of all rules,
 * when the first rule wants it: in lower case, as one line without codes, for hosts break lines in
 * the middle of a sentence and logs join them as they like.
 */
#include "evidence/replies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "evidence/replies_int.h"
#include "evidence/share.h"

int replies_new(struct replies **ret, struct slice own, const char *own_name, struct buf *why)
{
    struct replies *r = calloc(1, sizeof(*r));
    struct errors e = {.why = why};

    if (!r)
        return -ENOMEM;
    if (own.len)
        replies_read(r, own_name, own, &e);
    replies_read(r, "share/replies.yaml", share_replies, &e);
    if (e.count == 0 && !e.no_memory && !replies_finish(r))
        e.no_memory = true;
    if (e.count == 0 && !e.no_memory) {
        *ret = r;
        return 0;
    }
    errors_end(&e);
    replies_free(&r);
    return e.no_memory ? -ENOMEM : -EINVAL;
}

void replies_free(struct replies **r)
{
    if (*r)
        pool_done(&(*r)->pool);
    free(*r);
    *r = NULL;
}

/* ---- the text ---- */

/* What may stand before a line's text: "452 ", "452-", "452-4.3.1 ", "4.3.1 ". Its length. */
static size_t codes_length(struct slice text, unsigned code, struct smtp_enhanced *ret)
{
    size_t used = 0, at = 0;

    if (text.len >= 3 && byte_is_digit(text.ptr[0]) && byte_is_digit(text.ptr[1]) &&
        byte_is_digit(text.ptr[2]) &&
        (unsigned)(text.ptr[0] - '0') * 100 + (unsigned)(text.ptr[1] - '0') * 10 + text.ptr[2] -
                '0' ==
            code &&
        (text.len == 3 || text.ptr[3] == ' ' || text.ptr[3] == '-'))
        at = text.len == 3 ? 3 : 4;
    if (smtp_enhanced_parse(slice_from(text, at), ret, &used))
        at += used;
    return at;
}

/* A line break in the text: '\n', the two characters "\n" of Exim's log, or the "452-" of a next
 * line that a log joined with a blank. */
static size_t break_length(struct slice left, unsigned code)
{
    struct smtp_enhanced ignored = SMTP_NO_ENHANCED;

    if (left.ptr[0] == '\n')
        return 1;
    if (left.len > 1 && left.ptr[0] == '\\' && left.ptr[1] == 'n')
        return 2;
    if (left.len > 5 && left.ptr[0] == ' ' && code && left.ptr[1] == code / 100 + '0' &&
        (left.ptr[4] == '-' || left.ptr[4] == ' ') &&
        codes_length(slice_from(left, 1), code, &ignored) > 4)
        return 1;
    return 0;
}

static void prepare(const struct reply_facts *f, struct look *l)
{
    struct smtp_enhanced ignored = SMTP_NO_ENHANCED;
    size_t at = codes_length(f->text, f->code, &ignored), n;

    l->len = 0;
    while (at < f->text.len && l->len < LOOK_MAX) {
        uint8_t c = f->text.ptr[at];

        if (c > ' ' && c != '\\') { /* nearly all */
            look_push(l, c);
            at++;
            continue;
        }
        n = break_length(slice_from(f->text, at), f->code);
        if (n == 0 && c == '\\')
            look_push(l, c);
        else if (l->len && l->text[l->len - 1] != ' ')
            look_push(l, ' ');
        at += n ? n : 1;
        if (n)
            at += codes_length(slice_from(f->text, at), f->code, &ignored);
    }
}

/* The status a reply has in its text where the protocol's place for it is empty: "(#5.1.1)". */
static struct smtp_enhanced find_enhanced(const struct reply_facts *f)
{
    struct smtp_enhanced e = SMTP_NO_ENHANCED;
    struct slice left = slice_sub(f->text, 0, LOOK_MAX);
    ptrdiff_t at;
    size_t used;

    (void)codes_length(left, f->code, &e);
    while (!e.klass && (at = slice_find(left, '#')) >= 0) {
        struct slice status;

        left = slice_from(left, (size_t)at + 1);
        status = slice_make(left.ptr, 0);
        while (status.len < left.len &&
               (byte_is_digit(left.ptr[status.len]) || (status.len && left.ptr[status.len] == '.')))
            status.len++;
        if (!smtp_enhanced_parse(status, &e, &used))
            e = SMTP_NO_ENHANCED;
    }
    return e.klass * 100 <= f->code && f->code < e.klass * 100 + 100 ? e : SMTP_NO_ENHANCED;
}

/* ---- matching ---- */

struct question {
    struct reply_facts facts; /* with the status found */
    struct look look;
    struct pattern_found found;
    bool is_ready;
};

static void question_init(struct question *q, const struct reply_facts *f)
{
    q->facts = *f;
    q->is_ready = false;
    if (f->code >= 400 && !f->enhanced.klass)
        q->facts.enhanced = find_enhanced(f);
}

static bool enhanced_fits(const struct reply_rule *rule, const struct smtp_enhanced *e)
{
    for (size_t i = 0; i < rule->enhanced_count; i++) {
        const struct enhanced_range *r = &rule->enhanced[i];

        if (r->is_none ? !e->klass
                       : e->klass && (!r->klass || r->klass == e->klass) &&
                             r->subject == e->subject && e->detail >= r->from && e->detail <= r->to)
            return true;
    }
    return rule->enhanced_count == 0;
}

static bool provider_fits(const struct reply_rule *rule, struct slice provider)
{
    for (size_t i = 0; i < rule->provider_count; i++)
        if (provider.len && glob_matches(rule->providers[i], provider))
            return true;
    return rule->provider_count == 0;
}

static bool text_fits(const struct replies *r, const struct reply_rule *rule, struct question *q)
{
    if (!rule->text_count && !rule->not_text_count)
        return true;
    if (!q->is_ready) {
        prepare(&q->facts, &q->look);
        pattern_set_find(&r->patterns, &q->look, &q->found);
        q->is_ready = true;
    }
    return (!rule->text_count ||
            pattern_found_any(&q->found, rule->text_first, rule->text_count)) &&
           !pattern_found_any(&q->found, rule->text_first + rule->text_count, rule->not_text_count);
}

static const struct reply_rule *find_rule(const struct replies *r, struct question *q)
{
    unsigned code = q->facts.code;

    if (code >= REPLY_CODES || (code && code < 400))
        return NULL;
    for (size_t i = 0; i < r->buckets[code].count; i++) {
        const struct reply_rule *rule = &r->rules[r->buckets[code].rules[i]];

        if ((!rule->phases || (rule->phases >> q->facts.phase & 1)) &&
            enhanced_fits(rule, &q->facts.enhanced) && provider_fits(rule, q->facts.provider) &&
            text_fits(r, rule, q))
            return rule;
    }
    return NULL;
}

enum reply_class replies_classify(const struct replies *r, const struct reply_facts *f)
{
    struct question q;
    const struct reply_rule *rule;

    question_init(&q, f);
    rule = find_rule(r, &q);
    return rule ? rule->klass : reply_class_by_codes(&q.facts);
}

static const char *first_of(const char *a, const char *b)
{
    return a ? a : b ? b : "";
}

void replies_explain(const struct replies *r, const struct reply_facts *f,
                     struct reply_verdict *ret)
{
    static const struct reply_rule none = {.name = ""};
    struct question q;
    const struct reply_rule *rule;
    const struct reply_class_text *texts;

    question_init(&q, f);
    rule = find_rule(r, &q);
    ret->klass = rule ? rule->klass : reply_class_by_codes(&q.facts);
    if (!rule)
        rule = &none;
    texts = &r->classes[ret->klass];
    ret->rule = rule->name;
    ret->meaning = first_of(rule->meaning, texts->meaning);
    ret->advice = first_of(rule->advice, texts->advice);
    ret->warning = first_of(rule->warning, texts->warning);
}

/* ---- lines ---- */

static enum smtp_phase usual_phase(unsigned code)
{
    switch (code) {
    case 450:
    case 550:
    case 551:
    case 553:
        return SMTP_PHASE_RCPT;
    case 454:
        return SMTP_PHASE_STARTTLS;
    case 552:
    case 554:
        return SMTP_PHASE_END;
    default:
        return SMTP_PHASE_MAIL;
    }
}

bool reply_facts_parse(struct slice line, struct reply_facts *ret)
{
    size_t used = 0;
    uint64_t code;
    struct smtp_enhanced e = SMTP_NO_ENHANCED;

    line = slice_trim(line);
    if (slice_to_u64(slice_sub(line, 0, 3), 599, &code) < 0 || code < 200 ||
        (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
        return false;
    line = slice_from(line, 4);
    if (smtp_enhanced_parse(line, &e, &used) && e.klass != code / 100)
        e = SMTP_NO_ENHANCED;
    *ret = (struct reply_facts){
        .code = (uint16_t)code, .enhanced = e, .phase = usual_phase((unsigned)code), .text = line};
    return true;
}

/* ---- vectors ---- */

static void tell_vector(const struct replies *r, const struct vector *v, const char *rule,
                        void (*fn)(void *ctx, const struct reply_vector *v), void *ctx)
{
    struct reply_facts facts;
    struct reply_verdict verdict;
    struct reply_vector view;
    bool is_line = reply_facts_parse(v->line, &facts);

    ASSERT(is_line); /* looked at when it was read */
    facts.provider = v->provider;
    if (v->has_phase)
        facts.phase = v->phase;
    replies_explain(r, &facts, &verdict);
    view = (struct reply_vector){.file = v->place.file,
                                 .line = v->place.line,
                                 .column = v->place.column,
                                 .rule = rule,
                                 .reply = v->line,
                                 .phase = facts.phase,
                                 .provider = v->provider,
                                 .is_never = v->is_never,
                                 .wanted = v->wanted,
                                 .got = verdict.klass,
                                 .got_rule = verdict.rule};
    if (v->is_never)
        view.passed = view.got != view.wanted;
    else
        view.passed = view.got == view.wanted && (!*rule || strcmp(rule, view.got_rule) == 0);
    fn(ctx, &view);
}

void replies_each_vector(const struct replies *r,
                         void (*fn)(void *ctx, const struct reply_vector *v), void *ctx)
{
    for (size_t i = 0; i < r->rule_count; i++)
        for (size_t v = 0; v < r->rules[i].vector_count; v++)
            tell_vector(r, &r->rules[i].vectors[v], r->rules[i].name, fn, ctx);
    for (size_t v = 0; v < r->vector_count; v++)
        tell_vector(r, &r->vectors[v], "", fn, ctx);
}

void replies_each_rule(const struct replies *r,
                       void (*fn)(void *ctx, const struct reply_rule_view *rule), void *ctx)
{
    for (size_t i = 0; i < r->rule_count; i++) {
        const struct reply_rule *rule = &r->rules[i];
        struct reply_rule_view view = {.file = rule->place.file,
                                       .line = rule->place.line,
                                       .name = rule->name,
                                       .klass = rule->klass};

        fn(ctx, &view);
    }
}
