/*
 * fuzz/logscan_json_line_fuzz.c - any bytes as a line of JSON: what a real parser takes is taken, with the same
 * members.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "logscan/json_line.h"

enum { A, OBJECT, INNER, MEMBERS };
static const struct json_line_member members[] = {
    {JSON_LINE_TOP, "a"}, {JSON_LINE_TOP, "o"}, {OBJECT, "a"}};

static void check_string(const struct json_line_value *v, const json_t *want)
{
    struct arena a = {0};

    if (v->kind == JSON_LINE_NONE) /* there is none, or its name has escapes */
        return;
    if (json_is_string(want)) {
        struct slice text = json_line_text(v, '\n', &a);

        ASSERT(v->kind == JSON_LINE_STRING);
        ASSERT(slice_eq(text, slice_make(json_string_value(want), json_string_length(want))));
    } else if (json_is_array(want)) {
        struct json_line_value one;
        size_t at = 0, count = 0;

        while (json_line_next(v, &at, &one))
            count++;
        ASSERT(v->kind == JSON_LINE_ARRAY && count == json_array_size(want));
    }
    arena_done(&a);
}

/* Too deep for us; and jansson takes a NUL for the end of a word. */
static bool may_differ(const uint8_t *data, size_t size)
{
    size_t brackets = 0, nuls = 0;

    for (size_t i = 0; i < size; i++) {
        brackets += data[i] == '[' || data[i] == '{';
        nuls += data[i] == '\0';
    }
    return brackets > JSON_LINE_DEPTH_MAX || nuls > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct json_line_value values[MEMBERS];
    int r = json_line_read(slice_make(data, size), members, MEMBERS, values);

    if (r == 0)
        for (size_t i = 0; i < MEMBERS; i++)
            ASSERT(values[i].text.len <= size);
    ASSERT(r == 0 || !json_is_object(root) || may_differ(data, size));
    if (json_is_object(root) && r == 0 && !may_differ(data, size)) {
        check_string(&values[A], json_object_get(root, "a"));
        if (json_is_object(json_object_get(root, "o")))
            check_string(&values[INNER], json_object_get(json_object_get(root, "o"), "a"));
    }
    json_decref(root);
    return 0;
}
