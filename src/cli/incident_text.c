/*
 * cli/incident_text.c - one walk over an incident, written in two ways.
 */
#include "cli/incident_text.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "cli/wrap.h"

#define LABEL_WIDTH 14

struct writer {
    struct buf *to;
    bool markdown;
};

/* ---- the two ways ---- */

/* What would be markup in Markdown is escaped. */
static void add_text(const struct writer *w, struct slice text)
{
    struct buf clean = BUF_INIT(text.len * 4 + 64);

    (void)format_harmless(&clean, text);
    for (size_t i = 0; i < buf_len(&clean); i++) {
        uint8_t c = buf_slice(&clean).ptr[i];

        if (w->markdown && strchr("\\`*_{}[]<>#|~&", c))
            (void)buf_push(w->to, '\\');
        (void)buf_push(w->to, c);
    }
    buf_done(&clean);
}

static void title(const struct writer *w, const char *text)
{
    (void)buf_add_str(w->to, w->markdown ? "# " : "");
    add_text(w, slice_str(text));
    (void)buf_add_str(w->to, w->markdown ? "\n\n" : "\n");
}

static void heading(const struct writer *w, const char *text)
{
    (void)buf_addf(w->to, w->markdown ? "\n## %s\n\n" : "\n%s\n", text);
}

static void field(const struct writer *w, const char *label, const char *text)
{
    if (!w->markdown) {
        wrap_add(w->to, label, LABEL_WIDTH, slice_str(text));
        return;
    }
    (void)buf_addf(w->to, "- %s: ", label);
    add_text(w, slice_str(text));
    (void)buf_push(w->to, '\n');
}

static void item(const struct writer *w, const char *text)
{
    if (!w->markdown) {
        wrap_add(w->to, "  -", 4, slice_str(text));
        return;
    }
    (void)buf_add_str(w->to, "- ");
    add_text(w, slice_str(text));
    (void)buf_push(w->to, '\n');
}

/* ---- figures ---- */

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

/* "98.70 % (987 of 1000)", or that there were none. */
static void field_share(const struct writer *w, const char *label, uint64_t part, uint64_t whole,
                        const char *of)
{
    char text[160];

    if (whole)
        (void)snprintf(text, sizeof(text), "%.2f %% (%llu of %llu %s)", share(part, whole) * 100,
                       (unsigned long long)part, (unsigned long long)whole, of);
    else
        (void)snprintf(text, sizeof(text), "no %s", of);
    field(w, label, text);
}

static void field_time(const struct writer *w, const char *label, int64_t at_ms)
{
    char time[FORMAT_TEXT_MAX], text[FORMAT_TEXT_MAX + 8];

    format_time(at_ms, time);
    (void)snprintf(text, sizeof(text), "%s UTC", time);
    field(w, label, at_ms ? text : "never");
}

static void write_state(const struct writer *w, const struct incident *i, int64_t now_ms)
{
    char since[FORMAT_TEXT_MAX], until[FORMAT_TEXT_MAX], age[FORMAT_TEXT_MAX];
    char text[3 * FORMAT_TEXT_MAX + 80];

    format_time(i->opened_ms, since);
    format_time(i->closed_ms, until);
    format_age((i->closed_ms ? i->closed_ms : now_ms) - i->opened_ms, age);
    if (i->closed_ms)
        (void)snprintf(text, sizeof(text), "closed; from %s to %s UTC (%s)", since, until, age);
    else
        (void)snprintf(text, sizeof(text), "open since %s UTC (%s)", since, age);
    field(w, "state", text);
}

static void write_refusals(const struct writer *w, const struct incident *i)
{
    const struct window_counts *c = &i->counts;
    char text[200];

    (void)snprintf(text, sizeof(text), "%llu of %u attempts", (unsigned long long)i->refusals,
                   c->attempts);
    field(w, "refused", text);
    (void)snprintf(text, sizeof(text), "%.1f per 10,000 attempts (%u), at the worst %.1f",
                   share(c->capacity, c->attempts) * 1e4, c->capacity, i->peak_share * 1e4);
    field(w, "capacity", text);
    field_time(w, "first refusal", i->first_ms);
    field_time(w, "last refusal", i->last_ms);
}

static void write_delivery(const struct writer *w, const struct window_counts *c)
{
    uint64_t delivered = (uint64_t)c->delivered_first + c->delivered_later;
    uint64_t firsts = c->attempts > c->retries ? c->attempts - c->retries : 0;

    heading(w, "Delivery meanwhile");
    field_share(w, "first attempt", c->delivered_first, firsts, "first attempts");
    field_share(w, "retries", c->retries_delivered, c->retries, "retries");
    field_share(w, "in the end", delivered, delivered + c->failed,
                "that were delivered or failed for good");
}

static void write_verdict(const struct writer *w, const struct verdict *v)
{
    heading(w, "Who said no");
    field(w, "verdict", verdict_side_name(v->side));
    for (uint32_t n = 0; n < v->reason_count; n++)
        item(w, v->reasons[n]);
    if (v->missing[0])
        field(w, "missing", v->missing);
}

/* ---- lists ---- */

static void list_item(const struct writer *w, const struct incident_item *item)
{
    char first[FORMAT_TEXT_MAX], last[FORMAT_TEXT_MAX];

    format_time(item->first_ms, first);
    format_time(item->last_ms, last);
    (void)buf_addf(w->to, w->markdown ? "| %llu | %llu | %s | %s | " : "%9llu %9llu  %s  %s  ",
                   (unsigned long long)incident_item_refusals(item),
                   (unsigned long long)item->attempts, first, last);
    add_text(w, slice_str(item->text));
    (void)buf_add_str(w->to, w->markdown ? " |\n" : "\n");
}

/* The most refused first. */
static void write_list(const struct writer *w, const char *name, const struct incident_list *l)
{
    uint32_t order[INCIDENT_LIST_MAX];

    if (l->used == 0 && l->others == 0)
        return;
    heading(w, name);
    (void)buf_add_str(w->to, w->markdown
                                 ? "| refused | attempts | first (UTC) | last (UTC) | what |\n"
                                   "| ---: | ---: | --- | --- | --- |\n"
                                 : "  REFUSED  ATTEMPTS  FIRST (UTC)          LAST (UTC)\n");
    for (uint32_t n = 0; n < l->used; n++) {
        uint64_t refusals = incident_item_refusals(&l->items[n]);
        uint32_t at = n;

        for (; at > 0 && incident_item_refusals(&l->items[order[at - 1]]) < refusals; at--)
            order[at] = order[at - 1];
        order[at] = n;
    }
    for (uint32_t n = 0; n < l->used; n++)
        list_item(w, &l->items[order[n]]);
    if (l->others)
        (void)buf_addf(w->to,
                       w->markdown ? "| %llu | | | | others |\n" : "%9llu            others\n",
                       (unsigned long long)l->others);
}

static void write_changes(const struct writer *w, const struct incident *i)
{
    if (i->change_count == 0)
        return;
    heading(w, "What was changed, when and why");
    for (uint32_t n = 0; n < i->change_count; n++) {
        char at[FORMAT_TEXT_MAX], text[INCIDENT_ITEM_MAX + FORMAT_TEXT_MAX + 8];

        format_time(i->changes[n].at_ms, at);
        (void)snprintf(text, sizeof(text), "%s UTC %s", at, i->changes[n].text);
        item(w, text);
    }
}

static void write_samples(const struct writer *w, const struct incident *i)
{
    if (i->sample_count == 0)
        return;
    heading(w, "Messages, some of those refused");
    for (uint32_t n = 0; n < i->sample_count; n++) {
        char id[ID_TEXT_MAX];

        (void)id_format(i->samples[n], id);
        (void)buf_addf(w->to, "%s%s", n ? ", " : "", id);
    }
    (void)buf_push(w->to, '\n');
}

static void write_all(const struct writer *w, const struct incident *i, int64_t now_ms)
{
    char text[INCIDENT_ITEM_MAX + 80];

    (void)snprintf(text, sizeof(text), "Incident %llu: %s", (unsigned long long)i->id, i->lane);
    title(w, text);
    field(w, "provider", i->provider);
    field(w, "kind", i->kind);
    write_state(w, i, now_ms);
    write_refusals(w, i);
    write_verdict(w, &i->verdict);
    write_delivery(w, &i->counts);
    write_list(w, "Reply texts", &i->texts);
    write_list(w, "Remote hosts", &i->hosts);
    write_list(w, "Sending addresses", &i->sources);
    write_list(w, "Recipient domains", &i->domains);
    write_changes(w, i);
    write_samples(w, i);
}

void incident_text_write(struct buf *to, const struct incident *i, int64_t now_ms)
{
    struct writer w = {.to = to};

    write_all(&w, i, now_ms);
}

void incident_text_markdown(struct buf *to, const struct incident *i, int64_t now_ms)
{
    struct writer w = {.to = to, .markdown = true};

    write_all(&w, i, now_ms);
}

/* ---- a row ---- */

const struct table_column incident_text_columns[INCIDENT_TEXT_COLUMNS] = {
    {"ID", 0, true},       {"LANE", 40, false}, {"SINCE (UTC)", 0, false}, {"LASTED", 0, true},
    {"VERDICT", 0, false}, {"KIND", 0, false},  {"REFUSED", 0, true},      {"OF", 0, true},
};

PRINTF_LIKE(2, 3) static int cell(struct table *t, const char *format, ...)
{
    struct buf text = BUF_INIT(KIB(2));
    va_list args;
    int r;

    va_start(args, format);
    r = buf_vaddf(&text, format, args);
    va_end(args);
    if (r == 0)
        r = table_add(t, buf_slice(&text));
    buf_done(&text);
    return r;
}

int incident_text_row(struct table *t, const struct incident *i, int64_t now_ms)
{
    char since[FORMAT_TEXT_MAX], age[FORMAT_TEXT_MAX];
    int r;

    format_time(i->opened_ms, since);
    format_age((i->closed_ms ? i->closed_ms : now_ms) - i->opened_ms, age);
    r = cell(t, "%llu", (unsigned long long)i->id);
    r = r < 0 ? r : cell(t, "%s", i->lane);
    r = r < 0 ? r : cell(t, "%s", since);
    r = r < 0 ? r : cell(t, "%s%s", age, i->closed_ms ? "" : "+");
    r = r < 0 ? r : cell(t, "%s", verdict_side_name(i->verdict.side));
    r = r < 0 ? r : cell(t, "%s", i->kind);
    r = r < 0 ? r : cell(t, "%llu", (unsigned long long)i->refusals);
    return r < 0 ? r : cell(t, "%u", i->counts.attempts);
}
