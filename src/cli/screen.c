#include "cli/screen.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool screen_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strcasestr(value, "UTF-8") || strcasestr(value, "utf8");
    }
    return false;
}

void screen_line(const struct screen *s, const char *colour, const char *line, size_t len, FILE *to)
{
    size_t columns = 0, bytes = 0;

    if (!s->is_colour)
        colour = "";
    while (bytes < len &&
           (s->width == 0 || columns < s->width || ((uint8_t)line[bytes] & 0xc0) == 0x80))
        columns += ((uint8_t)line[bytes++] & 0xc0) != 0x80;
    while (bytes > 0 && line[bytes - 1] == ' ')
        bytes--;
    fprintf(to, "%s%.*s%s\n", colour, (int)bytes, line, *colour ? "\033[0m" : "");
}

void screen_heading(const struct screen *s, const char *text, FILE *to)
{
    fputc('\n', to);
    fprintf(to, s->is_colour ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

void screen_wrapped(const char *text, size_t width, FILE *to)
{
    size_t column = 0;

    while (*text) {
        size_t len = strcspn(text, " \n");

        if (width > 0 && column > 0 && column + 1 + len > width) {
            fputs("\n ", to);
            column = 1;
        }
        column += len + (column > 0);
        fprintf(to, "%s%.*s", column > len ? " " : "", (int)len, text);
        text += len;
        if (*text == '\n') {
            fputc('\n', to);
            column = 0;
        }
        text += *text != '\0';
    }
}

bool sheet_begin(struct sheet *s, const struct table_column *columns, size_t count)
{
    s->text = NULL;
    s->to = open_memstream(&s->text, &s->len);
    if (!s->to)
        return false;
    table_init(&s->table, columns, count, 0, s->to);
    return true;
}

void sheet_cell(struct sheet *s, const char *text)
{
    ignore_result(table_add(&s->table, slice_str(text)));
}

/* The first line of the text is the titles. */
static void print_rows(const struct screen *screen, const char *text, const char *const *colours,
                       size_t count, FILE *to)
{
    for (size_t i = 0; *text; i++) {
        size_t len = strcspn(text, "\n");

        screen_line(screen, i > 0 && i <= count ? colours[i - 1] : "", text, len, to);
        text += len + (text[len] == '\n');
    }
}

void sheet_end(struct sheet *s, const struct screen *screen, const char *const *colours,
               size_t count, FILE *to)
{
    table_flush(&s->table);
    table_done(&s->table);
    if (fclose(s->to) == 0 && s->text)
        print_rows(screen, s->text, colours, count, to);
    free(s->text);
}
