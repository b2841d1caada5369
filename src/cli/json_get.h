/*
 * cli/json_get.h - members of the server's answers, with a value where they are missing: an older
 * or newer server is no reason to crash.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* "" for what is missing or no text. */
static inline const char *get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* 0 for null and for what is missing. */
static inline int64_t get_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static inline uint64_t get_uint(const json_t *object, const char *key)
{
    int64_t n = get_int(object, key);

    return n < 0 ? 0 : (uint64_t)n;
}

/* Of a whole or a broken number. */
static inline double get_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static inline bool get_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static inline bool has_value(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value && !json_is_null(value);
}

/* The object in `array` whose text `key` is `value`; NULL. */
static inline const json_t *find_in(const json_t *array, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *each = json_array_get(array, i);

        if (strcmp(get_text(each, key), value) == 0)
            return each;
    }
    return NULL;
}
