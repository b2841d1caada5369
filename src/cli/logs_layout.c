/*
 * cli/logs_layout.c - measures the cells of a table, then takes away until it fits.
 */
#include "cli/logs_layout.h"

#include <stdint.h>
#include <string.h>

#include "cli/logs_out.h"

/* Characters, each taken for one column wide. */
static size_t width_of(struct slice text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += (text.ptr[i] & 0xc0) != 0x80;
    return n;
}

static size_t cell_width(enum sheet_kind kind, const struct sheet_cell *c)
{
    char text[LOGS_CELL_MAX];

    if (c->is_empty)
        return 1;
    if (kind == SHEET_TEXT)
        return width_of(c->value.text);
    if (kind == SHEET_SPARK)
        return logs_spark_count(c->value.text);
    logs_cell_text(kind, c, text);
    return strlen(text);
}

/* ---- what each column would like, and what it needs ---- */

struct wish {
    enum sheet_kind kind;
    size_t title, natural, least, width; /* `width`: as of now */
};

static void measure(const struct log_sheet *s, size_t column, struct wish *w)
{
    enum sheet_kind kind = s->columns[column].kind;

    *w = (struct wish){.kind = kind, .title = width_of(slice_str(s->columns[column].title))};
    w->natural = w->title;
    for (size_t row = 0; row < s->row_count; row++)
        w->natural =
            MAX_OF(w->natural, cell_width(kind, &s->cells[row * s->column_count + column]));
    w->least = w->width = w->natural;
    if (kind == SHEET_TEXT) {
        w->width = MIN_OF(w->natural, (size_t)LOGS_TEXT_GOOD);
        w->least = MIN_OF(w->natural, (size_t)LOGS_TEXT_LEAST);
    } else if (kind == SHEET_SPARK) {
        w->width = MAX_OF(w->title, MIN_OF(w->natural, (size_t)LOGS_SPARK_GOOD));
        w->least = MAX_OF(w->title, MIN_OF(w->natural, (size_t)LOGS_SPARK_LEAST));
    }
}

static size_t total_of(const struct wish *wishes, const struct logs_layout *l)
{
    size_t total = 0;

    for (size_t i = 0; i < l->count; i++)
        total += wishes[l->columns[i].at].width + (i > 0 ? LOGS_COLUMN_GAP : 0);
    return total;
}

/* ---- less ---- */

static void leave_out(struct logs_layout *l, size_t i)
{
    l->is_left_out[l->columns[i].at] = true;
    memmove(&l->columns[i], &l->columns[i + 1], (l->count - i - 1) * sizeof(l->columns[0]));
    l->count--;
}

/* The column that matters least; false: none may be left out. */
static bool leave_out_spare(struct logs_layout *l, const struct log_sheet *s)
{
    size_t found = 0;
    unsigned most = 0;

    for (size_t i = 0; i < l->count; i++) {
        unsigned spare = s->columns[l->columns[i].at].spare;

        if (spare > 0 && spare >= most) {
            most = spare;
            found = i;
        }
    }
    if (most > 0)
        leave_out(l, found);
    return most > 0;
}

/* Takes what is too much from the columns of a kind, from the widest first. */
static void narrow(struct wish *wishes, const struct logs_layout *l, enum sheet_kind kind,
                   size_t width)
{
    for (size_t total = total_of(wishes, l); total > width; total--) {
        struct wish *widest = NULL;

        for (size_t i = 0; i < l->count; i++) {
            struct wish *w = &wishes[l->columns[i].at];

            if (w->kind == kind && w->width > w->least && (!widest || w->width > widest->width))
                widest = w;
        }
        if (!widest)
            return;
        widest->width--;
    }
}

/* ---- more ---- */

/* Gives what is left to the columns of a kind, the first ones first. */
static void widen(struct wish *wishes, const struct logs_layout *l, enum sheet_kind kind,
                  size_t width)
{
    size_t total = total_of(wishes, l);

    for (size_t i = 0; i < l->count && total < width; i++) {
        struct wish *w = &wishes[l->columns[i].at];
        size_t most = kind == SHEET_SPARK ? LOGS_SPARK_MOST
                      : i + 1 == l->count ? SIZE_MAX
                                          : LOGS_TEXT_MOST;
        size_t wanted = MIN_OF(w->natural, most);

        if (w->kind != kind || wanted <= w->width)
            continue;
        wanted = MIN_OF(wanted - w->width, width - total);
        w->width += wanted;
        total += wanted;
    }
}

void logs_layout_make(struct logs_layout *ret, const struct log_sheet *s, size_t width)
{
    struct wish wishes[SHEET_COLUMNS_MAX];

    *ret = (struct logs_layout){0};
    for (size_t i = 0; i < s->column_count; i++)
        if (s->columns[i].title)
            ret->columns[ret->count++] = (struct logs_layout_column){.at = i, .width = SIZE_MAX};
    if (width == 0)
        return;
    for (size_t i = 0; i < ret->count; i++)
        measure(s, ret->columns[i].at, &wishes[ret->columns[i].at]);
    while (total_of(wishes, ret) > width && leave_out_spare(ret, s))
        ;
    narrow(wishes, ret, SHEET_SPARK, width);
    narrow(wishes, ret, SHEET_TEXT, width);
    while (total_of(wishes, ret) > width && ret->count > 1)
        leave_out(ret, ret->count - 1);
    widen(wishes, ret, SHEET_SPARK, width);
    widen(wishes, ret, SHEET_TEXT, width);
    for (size_t i = 0; i < ret->count; i++)
        ret->columns[i].width = wishes[ret->columns[i].at].width;
}
