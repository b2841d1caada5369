/*
 * simulate/html.c - each plot has at most POINTS points a line: of the minutes that fall into one
 * the greatest is shown, so that no peak is lost.
 */
#include "simulate/html.h"

#include <errno.h>

#define WIDTH 860
#define HEIGHT 200
#define LEFT 80
#define BOTTOM 24
#define TOP 10
#define POINTS 430
#define MINUTE_MS 60000
#define AHEAD_TIMES 2 /* the plots end at so many times the traffic's duration */
#define LINES 4       /* of the grid */

/* Told apart by those who do not see all colours (Okabe and Ito), on white and on black. */
static const char *const colours[SIMULATE_POLICY_COUNT] = {"#0072b2", "#d55e00", "#cc79a7",
                                                           "#b8860b", "#009e73"};

struct plot {
    const char *title;
    uint64_t (*value)(const struct simulate_minute *m);
};

static uint64_t queue_of(const struct simulate_minute *m)
{
    return m->queue;
}
static uint64_t capacity_of(const struct simulate_minute *m)
{
    return m->capacity;
}
static uint64_t delivered_of(const struct simulate_minute *m)
{
    return m->delivered;
}

static const struct plot plots[] = {{"Messages queued", queue_of},
                                    {"Capacity replies a minute", capacity_of},
                                    {"Messages delivered a minute", delivered_of}};

struct page {
    const struct scenario *scenario;
    const struct simulate_result *results;
    size_t count, minutes; /* minutes: of the longest run that is shown */
    struct buf *to;
};

static void add_text(struct buf *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            (void)buf_add_str(to, "&lt;");
            break;
        case '>':
            (void)buf_add_str(to, "&gt;");
            break;
        case '&':
            (void)buf_add_str(to, "&amp;");
            break;
        case '"':
            (void)buf_add_str(to, "&quot;");
            break;
        default:
            (void)buf_push(to, (uint8_t)*text);
        }
    }
}

/* ---- plots ---- */

static double x_of(const struct page *p, size_t minute)
{
    return LEFT + (double)minute * WIDTH / (double)p->minutes;
}

/* 1, 2 or 5 times a power of ten, not below `v`. */
static uint64_t nice(uint64_t v)
{
    uint64_t power = 1;

    while (power * 10 <= v)
        power *= 10;
    if (power >= v)
        return MAX_OF(power, (uint64_t)LINES);
    return 2 * power >= v ? MAX_OF(2 * power, (uint64_t)LINES)
                          : MAX_OF((5 * power >= v ? 5 : 10) * power, (uint64_t)LINES);
}

static uint64_t greatest(const struct page *p, const struct plot *plot)
{
    uint64_t max = 1;

    for (size_t i = 0; i < p->count; i++)
        for (size_t m = 0; m < MIN_OF(p->results[i].minute_count, p->minutes); m++)
            max = MAX_OF(max, plot->value(&p->results[i].minutes[m]));
    return max;
}

/* Where providers have less capacity, the darker the less. */
static void add_trouble(const struct page *p)
{
    for (size_t at = 0; at < POINTS; at++) {
        size_t minute = at * p->minutes / POINTS;
        double least = 1;

        for (uint32_t i = 0; i < p->scenario->provider_count; i++) {
            double capacity = scenario_capacity(p->scenario, i, (uint64_t)minute * MINUTE_MS);

            least = MIN_OF(least, capacity);
        }
        if (least < 1)
            (void)buf_addf(p->to,
                           "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#888\" "
                           "opacity=\"%.2f\"/>",
                           LEFT + (double)at * WIDTH / POINTS, TOP, (double)WIDTH / POINTS, HEIGHT,
                           (1 - least) * 0.35);
    }
}

static void add_grid(const struct page *p, uint64_t top)
{
    size_t hours = p->minutes / 60, step = MAX_OF((size_t)1, hours / 12);

    for (uint64_t i = 0; i <= LINES; i++) {
        double y = TOP + HEIGHT - (double)i * HEIGHT / LINES;

        (void)buf_addf(p->to,
                       "<path d=\"M%d %.1fh%d\" class=\"grid\"/><text x=\"%d\" y=\"%.1f\" "
                       "text-anchor=\"end\">%llu</text>",
                       LEFT, y, WIDTH, LEFT - 6, y + 4, (unsigned long long)(top * i / LINES));
    }
    for (size_t h = 0; h <= hours; h += step)
        (void)buf_addf(p->to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%zu h</text>",
                       x_of(p, h * 60), TOP + HEIGHT + 16, h);
}

static void add_line(const struct page *p, const struct plot *plot, const struct simulate_result *r,
                     uint64_t top)
{
    size_t minutes = MIN_OF(r->minute_count, p->minutes);
    size_t each = MAX_OF((size_t)1, p->minutes / POINTS);

    (void)buf_addf(p->to, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" d=\"",
                   colours[r->policy]);
    for (size_t at = 0; at < minutes; at += each) {
        uint64_t max = 0;

        for (size_t m = at; m < MIN_OF(at + each, minutes); m++)
            max = MAX_OF(max, plot->value(&r->minutes[m]));
        (void)buf_addf(p->to, "%c%.1f %.1f", at ? 'L' : 'M', x_of(p, at),
                       TOP + HEIGHT - (double)max * HEIGHT / (double)top);
    }
    (void)buf_addf(p->to, "\"><title>%s</title></path>\n", simulate_policy_name(r->policy));
}

static void add_plot(const struct page *p, const struct plot *plot)
{
    uint64_t top = nice(greatest(p, plot));

    (void)buf_addf(p->to, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">",
                   plot->title, LEFT + WIDTH + 20, TOP + HEIGHT + BOTTOM, plot->title);
    add_trouble(p);
    add_grid(p, top);
    for (size_t i = p->count; i > 0; i--) /* the first on top */
        add_line(p, plot, &p->results[i - 1], top);
    (void)buf_add_str(p->to, "</svg>\n");
}

/* ---- the table ---- */

static double percent(uint64_t part, uint64_t of)
{
    return of ? (double)part * 100 / (double)of : 0;
}

static void add_seconds(struct buf *to, uint64_t ms)
{
    (void)buf_addf(to, "<td>%.1f</td>", (double)ms / 1000);
}

static void add_row(const struct page *p, const struct simulate_result *r)
{
    (void)buf_addf(p->to,
                   "<tr><th><span style=\"background:%s\"></span>%s</th><td>%llu</td><td>%llu</td>"
                   "<td>%.1f</td><td>%.3f</td><td>%.3f</td>",
                   colours[r->policy], simulate_policy_name(r->policy),
                   (unsigned long long)r->attempts, (unsigned long long)r->by_class[REPLY_CAPACITY],
                   percent(r->by_class[REPLY_CAPACITY], r->attempts) * 100,
                   percent(r->delivered_first, r->messages),
                   percent(r->messages_delivered, r->messages));
    add_seconds(p->to, times_percentile(&r->times, 0.5));
    add_seconds(p->to, times_percentile(&r->times, 0.9));
    add_seconds(p->to, times_percentile(&r->times, 0.99));
    (void)buf_addf(p->to, "<td>%llu</td>", (unsigned long long)r->queue_peak);
    if (r->drained)
        (void)buf_addf(p->to, "<td>%.1f</td></tr>\n", (double)r->drain_ms / MINUTE_MS);
    else
        (void)buf_add_str(p->to, "<td>never</td></tr>\n");
}

static void add_head(const struct page *p, uint64_t seed)
{
    (void)buf_add_str(p->to, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                             "<meta name=\"viewport\" content=\"width=device-width\">"
                             "<meta name=\"color-scheme\" content=\"light dark\"><title>");
    add_text(p->to, p->scenario->title);
    (void)buf_add_str(
        p->to,
        "</title><style>body{font:15px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 "
        "1em}table{border-collapse:collapse;width:100%}td{text-align:right}th{text-align:left}td,"
        "th{padding:2px 6px;border-bottom:1px solid #8886}th span{display:inline-block;width:.8em;"
        "height:.8em;margin-right:.4em}svg{width:100%}svg text{font-size:11px;fill:currentColor}"
        ".grid{stroke:#8884}h2{font-size:1em;margin:1.5em 0 0}</style></head><body>\n<h1>");
    add_text(p->to, p->scenario->title);
    (void)buf_addf(
        p->to,
        "</h1>\n<p>%llu messages, seed %llu. Simulated: the providers are models, and so "
        "are all policies but the playbook. Shaded: a provider has less capacity.</p>\n",
        (unsigned long long)p->results[0].messages, (unsigned long long)seed);
}

int simulate_html(const struct scenario *s, uint64_t seed, const struct simulate_result *results,
                  size_t count, struct buf *to)
{
    struct page p = {.scenario = s, .results = results, .count = count, .to = to};
    size_t most = (size_t)(AHEAD_TIMES * s->duration_ms / MINUTE_MS) + 1;

    for (size_t i = 0; i < count; i++)
        p.minutes = MAX_OF(p.minutes, MIN_OF(results[i].minute_count, most));
    add_head(&p, seed);
    (void)buf_add_str(to, "<table><tr><th>Policy</th><td>attempts</td><td>capacity replies</td>"
                          "<td>per 10,000</td><td>first, %</td><td>final, %</td><td>P50, s</td>"
                          "<td>P90, s</td><td>P99, s</td><td>peak queue</td>"
                          "<td>drained, min</td></tr>\n");
    for (size_t i = 0; i < count; i++)
        add_row(&p, &results[i]);
    (void)buf_add_str(to, "</table>\n");
    for (size_t i = 0; i < ARRAY_SIZE(plots); i++)
        add_plot(&p, &plots[i]);
    if (buf_failed(to) || buf_add_str(to, "</body></html>\n") < 0)
        return buf_len(to) + KIB(64) > SIMULATE_HTML_MAX ? -E2BIG : -ENOMEM;
    return 0;
}
