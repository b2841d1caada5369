/* control/metrics_out.c - see metrics_out.h. */
#include "control/metrics_out.h"

#include <inttypes.h>
#include <math.h>

#include "base/slice.h"
#include "base/utf8.h"

void metrics_out_init(struct metrics_out *m, struct buf *to)
{
    *m = (struct metrics_out){.to = to};
}

static void family(struct metrics_out *m, const char *name, const char *type, const char *help)
{
    *m = (struct metrics_out){.to = m->to, .name = name, .type = type, .help = help};
}

void metrics_counter(struct metrics_out *m, const char *name, const char *help)
{
    family(m, name, "counter", help);
}

void metrics_gauge(struct metrics_out *m, const char *name, const char *help)
{
    family(m, name, "gauge", help);
}

static void add_value(struct buf *to, struct slice text)
{
    while (text.len > 0) {
        size_t len = utf8_len(text);

        if (len == 0)
            (void)buf_add(to, SLICE_LIT("\xef\xbf\xbd")); /* U+FFFD */
        else if (text.ptr[0] == '\n')
            (void)buf_add(to, SLICE_LIT("\\n"));
        else if (text.ptr[0] == '"' || text.ptr[0] == '\\')
            (void)buf_addf(to, "\\%c", text.ptr[0]);
        else
            (void)buf_add(to, slice_sub(text, 0, len));
        text = slice_from(text, len > 0 ? len : 1);
    }
}

/* All of a sample but its number. */
static void begin_sample(struct metrics_out *m, const struct metrics_label *labels)
{
    if (!m->is_begun) {
        (void)buf_addf(m->to, "# HELP penstock_%s %s\n", m->name, m->help);
        (void)buf_addf(m->to, "# TYPE penstock_%s %s\n", m->name, m->type);
        m->is_begun = true;
    }
    (void)buf_addf(m->to, "penstock_%s", m->name);
    for (size_t i = 0; labels && labels[i].name; i++) {
        (void)buf_addf(m->to, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
        add_value(m->to, slice_str(labels[i].value));
        (void)buf_push(m->to, '"');
    }
    (void)buf_add_str(m->to, labels && labels[0].name ? "} " : " ");
}

void metrics_uint(struct metrics_out *m, const struct metrics_label *labels, uint64_t n)
{
    begin_sample(m, labels);
    (void)buf_addf(m->to, "%" PRIu64 "\n", n);
}

void metrics_ms(struct metrics_out *m, const struct metrics_label *labels, uint64_t ms)
{
    begin_sample(m, labels);
    (void)buf_addf(m->to, "%" PRIu64 ".%03u\n", ms / 1000, (unsigned)(ms % 1000));
}

void metrics_us(struct metrics_out *m, const struct metrics_label *labels, uint64_t us)
{
    begin_sample(m, labels);
    (void)buf_addf(m->to, "%" PRIu64 ".%06u\n", us / 1000000, (unsigned)(us % 1000000));
}

void metrics_until(struct metrics_out *m, const struct metrics_label *labels, int64_t s)
{
    begin_sample(m, labels);
    if (s == INT64_MAX)
        (void)buf_add_str(m->to, "+Inf\n");
    else
        (void)buf_addf(m->to, "%" PRId64 "\n", s);
}

void metrics_real(struct metrics_out *m, const struct metrics_label *labels, double n)
{
    begin_sample(m, labels);
    if (isfinite(n))
        (void)buf_addf(m->to, "%.6g\n", n);
    else
        (void)buf_add_str(m->to, isnan(n) ? "NaN\n" : n > 0 ? "+Inf\n" : "-Inf\n");
}
