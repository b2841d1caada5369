/*
 * logscan/attempt_kit.c - what reports about attempts share.
 */
#include "logscan/attempt_kit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "logscan/report_kit.h"

#define LIST_TEXT_MAX KIB(8)
#define LIST_VALUE_MAX 256
#define LIST_FIRST 4
#define OTHERS_FIRST 256
#define SPREAD_FIRST 8u

int log_attempts_take(struct lives *l, const struct log_report_options *o, const struct log_scan *s)
{
    size_t from = 0;
    int r = 0;

    if (o->since_ms == INT64_MIN && o->until_ms == INT64_MAX)
        return lives_facts(l, s->facts, s->fact_count);
    /* Runs of facts that are in the time asked for. */
    for (size_t i = 0; r == 0 && i <= s->fact_count; i++) {
        if (i < s->fact_count && log_report_is_in(o, &s->facts[i]))
            continue;
        if (i > from)
            r = lives_facts(l, &s->facts[from], i - from);
        from = i + 1;
    }
    return r;
}

/* ---- counts ---- */

static bool is_plain(const struct log_reply *r)
{
    return r->code == 452 && r->enhanced.klass == 4 && r->enhanced.subject == 3 &&
           r->enhanced.detail == 1;
}

void log_tried_add(struct log_tried *t, const struct log_attempt *a)
{
    const struct log_fact *f = a->fact;
    bool is_delivered = f->outcome == OUTCOME_DELIVERED;

    log_seen_add(&t->seen, f->at_ms);
    t->delivered += is_delivered;
    t->deferred += f->outcome == OUTCOME_DEFERRED;
    t->failed += f->outcome == OUTCOME_FAILED;
    t->plain += !is_delivered && is_plain(&f->reply);
    if (a->number == 1) {
        t->first++;
        t->first_delivered += is_delivered;
    } else if (a->number > 1) {
        t->retries++;
        t->retries_delivered += is_delivered;
    }
}

struct sheet_cell *log_share_cell(struct sheet_cell *c, uint64_t part, uint64_t whole)
{
    if (whole > 0)
        sheet_number(c, (double)part / (double)whole);
    return c + 1;
}

struct sheet_cell *log_rate_cell(struct sheet_cell *c, uint64_t part, uint64_t whole)
{
    if (whole > 0)
        sheet_number(c, 1e4 * (double)part / (double)whole);
    return c + 1;
}

struct sheet_cell *log_tried_cells(struct sheet_cell *c, const struct log_tried *t)
{
    sheet_count(c++, t->seen.count);
    sheet_count(c++, t->delivered);
    sheet_count(c++, t->deferred);
    sheet_count(c++, t->failed);
    sheet_count(c++, t->plain);
    return log_rate_cell(c, t->plain, t->seen.count);
}

/* ---- classes ---- */

void log_classes_init(struct log_classes *c, const struct log_report_options *o)
{
    *c = (struct log_classes){.replies = o->knowledge->replies, .seed = o->seed};
}

enum reply_class log_class_of(struct log_classes *c, const struct log_fact *f,
                              struct slice provider)
{
    const struct log_reply *r = &f->reply;
    struct log_class_slot *slot;
    uint64_t key;

    if (r->code < 400)
        return REPLY_NONE;
    key = log_hash(r->text, c->seed ^ log_reply_codes(r) ^ (uint64_t)f->phase << 36) ^
          log_hash(provider, ~c->seed);
    key |= key == 0;
    slot = &c->slots[key % LOG_CLASSES_CACHED];
    if (slot->key != key) {
        const struct reply_facts facts = {.code = r->code,
                                          .enhanced = r->enhanced,
                                          .phase = (enum smtp_phase)f->phase,
                                          .text = r->text,
                                          .provider = provider};

        slot->klass = replies_classify(c->replies, &facts);
        slot->key = key;
    }
    return slot->klass;
}

/* ---- lists ---- */

void log_list_texts_init(struct log_table *texts, uint64_t seed)
{
    log_table_init(texts, sizeof(uint32_t), seed);
}

/* Where the item is, or would be. */
static uint32_t list_place(const struct log_list *l, uint32_t text)
{
    uint32_t low = 0, high = l->used;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (l->items[middle].text < text)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int list_grow(struct log_list **list)
{
    uint32_t used = *list ? (*list)->used : 0, room = used ? used * 2 : LIST_FIRST;
    struct log_list *l = realloc(*list, sizeof(*l) + room * sizeof(l->items[0]));

    if (!l)
        return -ENOMEM;
    if (used == 0)
        *l = (struct log_list){0};
    l->room = room;
    *list = l;
    return 0;
}

int log_list_add(struct log_list **list, struct log_table *texts, struct slice value)
{
    struct log_list *l = *list;
    uint32_t *index, at = 0;

    if (value.len == 0)
        return 0;
    index = log_table_add(texts, value);
    if (!index)
        return -ENOMEM;
    if (*index == 0)
        *index = (uint32_t)log_table_count(texts);
    if (l)
        at = list_place(l, *index - 1);
    if (l && at < l->used && l->items[at].text == *index - 1) {
        l->items[at].count += l->items[at].count < UINT32_MAX;
        return 0;
    }
    if (l && l->used == LOG_LIST_KEPT) {
        l->others++;
        return 0;
    }
    if ((!l || l->used == l->room) && list_grow(list) < 0)
        return -ENOMEM;
    l = *list;
    memmove(&l->items[at + 1], &l->items[at], (l->used - at) * sizeof(l->items[0]));
    l->items[at] = (struct log_list_item){.text = *index - 1, .count = 1};
    l->used++;
    return 0;
}

/* The most frequent of those that are not shown yet; of several the one that came first. */
static const struct log_list_item *list_next(const struct log_list *l,
                                             const struct log_list_item *last)
{
    const struct log_list_item *best = NULL;

    for (uint32_t i = 0; i < l->used; i++) {
        const struct log_list_item *item = &l->items[i];
        bool is_shown = last && (item->count > last->count ||
                                 (item->count == last->count && item->text <= last->text));

        if (!is_shown && (!best || item->count > best->count))
            best = item;
    }
    return best;
}

int log_list_cell(struct log_sheet *to, struct sheet_cell *c, const struct log_list *l,
                  const struct log_table *texts)
{
    struct buf text = BUF_INIT(LIST_TEXT_MAX);
    const struct log_list_item *item = NULL;
    uint32_t shown = 0;
    int r = 0;

    if (!l)
        return 0;
    while (r == 0 && shown < LOG_LIST_SHOWN && (item = list_next(l, item)) != NULL) {
        struct slice value;

        (void)log_table_at(texts, item->text, &value);
        r = buf_addf(&text, "%s%.*s (%u)", shown++ ? ", " : "",
                     SLICE_FMT(slice_sub(value, 0, LIST_VALUE_MAX)), item->count);
    }
    if (r == 0 && (l->used > shown || l->others > 0))
        r = buf_addf(&text, " and %u%s more", l->used - shown, l->others ? " or" : "");
    if (r == 0)
        sheet_text(to, c, buf_slice(&text));
    buf_done(&text);
    return r;
}

void log_list_free(struct log_list **list)
{
    free(*list);
    *list = NULL;
}

/* ---- times ---- */

static int add_long(struct log_times *t, int64_t ms)
{
    if (t->other_count == t->other_room) {
        size_t room = t->other_room ? t->other_room * 2 : OTHERS_FIRST;
        int64_t *others = realloc(t->others, room * sizeof(*others));

        if (!others)
            return -ENOMEM;
        t->others = others;
        t->other_room = room;
    }
    t->others[t->other_count++] = ms;
    t->is_sorted = false;
    return 0;
}

int log_times_add(struct log_times *t, int64_t ms)
{
    int r = 0;

    ms = MAX_OF(ms, 0);
    if (!t->counts) {
        t->counts = calloc(LOG_TIMES_SHORT_MS, sizeof(*t->counts));
        if (!t->counts)
            return -ENOMEM;
    }
    if (ms < LOG_TIMES_SHORT_MS)
        t->counts[ms]++;
    else
        r = add_long(t, ms);
    if (r < 0)
        return r;
    t->min = t->count == 0 ? ms : MIN_OF(t->min, ms);
    t->max = MAX_OF(t->max, ms);
    t->sum += ms;
    t->count++;
    return 0;
}

static int compare_long(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;

    return *a < *b ? -1 : *a > *b;
}

static uint64_t rank_of(uint64_t count, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)count);

    return rank < 1 ? 1 : MIN_OF(rank, count);
}

int64_t log_times_percentile(struct log_times *t, double share)
{
    uint64_t rank = rank_of(t->count, share), sum = 0;

    if (t->count == 0)
        return 0;
    for (int64_t ms = 0; ms < LOG_TIMES_SHORT_MS; ms++) {
        sum += t->counts[ms];
        if (sum >= rank)
            return ms;
    }
    if (!t->is_sorted)
        qsort(t->others, t->other_count, sizeof(*t->others), compare_long);
    t->is_sorted = true;
    return t->others[rank - sum - 1];
}

void log_times_done(struct log_times *t)
{
    free(t->counts);
    free(t->others);
    *t = (struct log_times){0};
}

/* ---- how times are spread ---- */

#define STEPS_LOG2 5
#define STEPS (1u << STEPS_LOG2) /* intervals to a doubling */

_Static_assert(LOG_SPREAD_EXACT == (32 - STEPS_LOG2 + 1) * STEPS, "as many times as intervals");

static uint32_t interval_of(uint32_t ms)
{
    uint32_t shift;

    if (ms < STEPS)
        return ms;
    shift = 31 - (uint32_t)__builtin_clz(ms) - STEPS_LOG2;
    return (shift << STEPS_LOG2) + (ms >> shift);
}

/* What stands for the times of an interval: logs have whole seconds as a rule. */
static int64_t middle_of(uint32_t interval)
{
    uint32_t shift = interval < STEPS ? 0 : (interval >> STEPS_LOG2) - 1;
    int64_t least = (int64_t)(interval - (shift << STEPS_LOG2)) << shift;
    int64_t middle = least + (INT64_C(1) << shift) / 2, second = (middle + 500) / 1000 * 1000;

    return second >= least && second < least + (INT64_C(1) << shift) ? second : middle;
}

static int spread_grow(struct log_spread *s)
{
    uint32_t room = MIN_OF(s->room ? s->room * 2 : SPREAD_FIRST, (uint32_t)LOG_SPREAD_EXACT);
    uint32_t *values = realloc(s->values, room * sizeof(*values));

    if (!values)
        return -ENOMEM;
    s->values = values;
    s->room = room;
    return 0;
}

/* Times become counts of intervals. */
static void spread_fold(struct log_spread *s)
{
    uint32_t counts[LOG_SPREAD_EXACT] = {0};

    for (size_t i = 0; i < LOG_SPREAD_EXACT; i++)
        counts[interval_of(s->values[i])]++;
    memcpy(s->values, counts, sizeof(counts));
}

int log_spread_add(struct log_spread *s, int64_t ms, uint64_t times)
{
    uint32_t value = (uint32_t)MIN_OF(MAX_OF(ms, 0), (int64_t)UINT32_MAX), *count;

    s->max = MAX_OF(s->max, ms);
    for (; times > 0 && s->count < LOG_SPREAD_EXACT; times--) {
        if (s->count == s->room && spread_grow(s) < 0)
            return -ENOMEM;
        s->values[s->count++] = value;
    }
    if (times == 0)
        return 0;
    if (s->count == LOG_SPREAD_EXACT)
        spread_fold(s);
    count = &s->values[interval_of(value)];
    *count += (uint32_t)MIN_OF(times, (uint64_t)(UINT32_MAX - *count));
    s->count += times;
    return 0;
}

static int compare_short(const void *x, const void *y)
{
    const uint32_t *a = x, *b = y;

    return *a < *b ? -1 : *a > *b;
}

struct sheet_cell *log_spread_cell(struct sheet_cell *c, struct log_spread *s, double share)
{
    uint64_t rank = rank_of(s->count, share), sum = 0;
    uint32_t interval = 0;

    if (s->count == 0)
        return c + 1;
    if (s->count <= LOG_SPREAD_EXACT) {
        qsort(s->values, s->count, sizeof(*s->values), compare_short);
        sheet_ms(c, s->values[rank - 1]);
        return c + 1;
    }
    for (; interval < LOG_SPREAD_EXACT - 1; interval++) {
        sum += s->values[interval];
        if (sum >= rank)
            break;
    }
    sheet_ms(c, MIN_OF(middle_of(interval), s->max));
    return c + 1;
}

struct sheet_cell *log_spread_cells(struct sheet_cell *c, struct log_spread *s)
{
    sheet_count(c++, s->count);
    c = log_spread_cell(c, s, .5);
    c = log_spread_cell(c, s, .9);
    c = log_spread_cell(c, s, .99);
    if (s->count > 0)
        sheet_ms(c, s->max);
    return c + 1;
}

void log_spread_done(struct log_spread *s)
{
    free(s->values);
    *s = (struct log_spread){0};
}
