/* cli/format.c - what people read and type. */
#include "cli/format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/utf8.h"

#define AGE_S_MAX (UINT64_C(100) * 366 * 86400)
#define TABLE_PAGE_MAX MIB(64)

static const struct unit {
    uint8_t letter;
    uint32_t seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

static uint32_t unit_seconds(uint8_t letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (units[i].letter == letter)
            return units[i].seconds;
    return 0;
}

int format_parse_age(struct slice text, uint64_t *ret_s)
{
    uint64_t sum = 0;

    if (text.len == 0)
        return -EINVAL;
    while (text.len > 0) {
        size_t digits = 0;
        uint64_t n;
        int r;

        while (digits < text.len && byte_is_digit(text.ptr[digits]))
            digits++;
        r = slice_to_u64(slice_sub(text, 0, digits), AGE_S_MAX, &n);
        if (r < 0)
            return r;
        if (digits < text.len) {
            uint32_t seconds = unit_seconds(text.ptr[digits]);

            if (seconds == 0)
                return -EINVAL;
            n *= seconds; /* at most 100 years times a day: no overflow */
            digits++;
        }
        sum += n;
        if (sum > AGE_S_MAX)
            return -ERANGE;
        text = slice_from(text, digits);
    }
    *ret_s = sum;
    return 0;
}

void format_age(int64_t ms, char ret[static FORMAT_TEXT_MAX])
{
    uint64_t s = ms > 0 ? (uint64_t)ms / 1000 : 0;
    size_t i = 0;

    while (s < units[i].seconds && i + 1 < ARRAY_SIZE(units))
        i++;
    /* NOLINTBEGIN(clang-analyzer-core.DivideZero): no unit has zero seconds */
    if (i + 1 < ARRAY_SIZE(units) && s % units[i].seconds / units[i + 1].seconds > 0 && i < 2)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%" PRIu64 "%c%" PRIu64 "%c", s / units[i].seconds,
                       units[i].letter, s % units[i].seconds / units[i + 1].seconds,
                       units[i + 1].letter);
    else
        (void)snprintf(ret, FORMAT_TEXT_MAX, "%" PRIu64 "%c", s / units[i].seconds,
                       units[i].letter);
    /* NOLINTEND(clang-analyzer-core.DivideZero) */
}

void format_time(int64_t wall_ms, char ret[static FORMAT_TEXT_MAX])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&s, &tm) || strftime(ret, FORMAT_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        (void)snprintf(ret, FORMAT_TEXT_MAX, "?");
}

int format_harmless(struct buf *to, struct slice text)
{
    while (text.len) {
        size_t len = utf8_len(text);
        struct slice c = slice_sub(text, 0, MAX_OF(len, 1U));
        /* U+0080 to U+009F are controls as well, and some terminals obey them. */
        bool is_c1 = len == 2 && c.ptr[0] == 0xc2 && c.ptr[1] < 0xa0;

        if (c.ptr[0] == '\n' || c.ptr[0] == '\r' || c.ptr[0] == '\t')
            c = SLICE_LIT(" ");
        else if (len == 0 || c.ptr[0] < 0x20 || c.ptr[0] == 0x7f || is_c1 || utf8_is_misleading(c))
            c = SLICE_LIT("?");
        (void)buf_add(to, c);
        text = slice_from(text, MAX_OF(len, 1U));
    }
    return buf_failed(to) ? -ENOMEM : 0;
}

/* ---- table ---- */

void table_init(struct table *t, const struct table_column *columns, size_t column_count,
                size_t line_max, FILE *to)
{
    ASSERT(column_count > 0 && column_count <= TABLE_COLUMNS_MAX);
    *t = (struct table){
        .columns = columns, .column_count = column_count, .line_max = line_max, .to = to};
    buf_init(&t->cells, TABLE_PAGE_MAX);
    for (size_t i = 0; i < column_count; i++)
        t->widths[i] = strlen(columns[i].title);
}

void table_done(struct table *t)
{
    buf_done(&t->cells);
}

int table_add(struct table *t, struct slice cell)
{
    int r;

    (void)format_harmless(&t->cells, cell);
    r = buf_push(&t->cells, 0);
    t->cell_count += r == 0;
    return r;
}

/* Characters, taking each for one column wide. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((uint8_t)*text & 0xc0) != 0x80;
    return width;
}

/* The bytes that the first `width` characters take. */
static size_t text_cut(const char *text, size_t width)
{
    size_t i = 0;

    while (text[i] && (width > 0 || ((uint8_t)text[i] & 0xc0) == 0x80))
        width -= ((uint8_t)text[i++] & 0xc0) != 0x80;
    return i;
}

/* Prints at most `max` columns of `text` (0: all) and returns how many. */
static size_t print_cut(FILE *to, const char *text, size_t max)
{
    size_t width = text_width(text);

    if (max == 0 || width <= max) {
        fputs(text, to);
        return width;
    }
    fwrite(text, 1, text_cut(text, max - 1), to);
    fputc('~', to);
    return max;
}

static size_t column_max(const struct table *t, size_t column)
{
    return t->line_max > 0 ? t->columns[column].width_max : 0;
}

static void print_row(const struct table *t, const char *const *cells)
{
    size_t at = 0;

    for (size_t i = 0; i < t->column_count; i++) {
        size_t max = column_max(t, i), width = text_width(cells[i]);
        size_t shown = max > 0 && width > max ? max : width;
        size_t pad = t->widths[i] > shown ? t->widths[i] - shown : 0;

        if (i > 0)
            at += fputs("  ", t->to) == EOF ? 0 : 2;
        if (t->columns[i].is_right)
            fprintf(t->to, "%*s", (int)pad, "");
        if (i + 1 == t->column_count) {
            if (t->line_max > at)
                max = t->line_max - at;
            (void)print_cut(t->to, cells[i], max);
            break;
        }
        (void)print_cut(t->to, cells[i], max);
        if (!t->columns[i].is_right)
            fprintf(t->to, "%*s", (int)pad, "");
        at += shown + pad;
    }
    fputc('\n', t->to);
}

static void print_titles(struct table *t)
{
    const char *titles[TABLE_COLUMNS_MAX] = {NULL};

    if (t->has_title)
        return;
    t->has_title = true;
    for (size_t i = 0; i < t->column_count; i++)
        titles[i] = t->columns[i].title;
    print_row(t, titles);
}

static void widen(struct table *t)
{
    const char *cell = buf_cstr(&t->cells);

    for (size_t i = 0; i < t->cell_count; i++, cell += strlen(cell) + 1) {
        size_t column = i % t->column_count, width = text_width(cell);

        if (column_max(t, column) > 0)
            width = MIN_OF(width, column_max(t, column));
        t->widths[column] = MAX_OF(t->widths[column], width);
    }
}

void table_flush(struct table *t)
{
    const char *cell = buf_cstr(&t->cells);
    const char *row[TABLE_COLUMNS_MAX];

    if (t->cell_count < t->column_count)
        return;
    widen(t);
    print_titles(t);
    for (size_t i = 0; i < t->cell_count; i++, cell += strlen(cell) + 1) {
        row[i % t->column_count] = cell;
        if (i % t->column_count == t->column_count - 1)
            print_row(t, row);
    }
    buf_clear(&t->cells);
    t->cell_count = 0;
}

size_t format_terminal_width(FILE *f)
{
    struct winsize size = {0};

    if (!isatty(fileno(f)))
        return 0;
    if (ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col < 40)
        return 80;
    return size.ws_col;
}
