#include "simulate/wheel.h"

#include "base/assert.h"

void wheel_init(struct wheel *w, int64_t now_ms)
{
    for (size_t i = 0; i < WHEEL_MS; i++)
        list_init(&w->slots[i]);
    for (size_t i = 0; i < ARRAY_SIZE(w->bits); i++)
        w->bits[i] = 0;
    w->now_ms = now_ms;
    w->count = 0;
}

void wheel_add(struct wheel *w, struct list *node, int64_t at_ms)
{
    size_t slot = (size_t)at_ms % WHEEL_MS;

    ASSERT(at_ms >= w->now_ms && at_ms < w->now_ms + WHEEL_MS);
    list_add_tail(&w->slots[slot], node);
    w->bits[slot / 64] |= UINT64_C(1) << slot % 64;
    w->count++;
}

int64_t wheel_next(const struct wheel *w)
{
    size_t from = (size_t)w->now_ms % WHEEL_MS;
    uint64_t word = w->bits[from / 64] & UINT64_MAX << from % 64;

    if (w->count == 0)
        return INT64_MAX;
    /* The first word comes again at the end, for what lies before `from` in it. */
    for (size_t i = 0; i <= ARRAY_SIZE(w->bits); i++) {
        size_t at = (from / 64 + i) % ARRAY_SIZE(w->bits);

        if (i > 0)
            word = w->bits[at];
        if (word) {
            size_t slot = at * 64 + (size_t)__builtin_ctzll(word);

            return w->now_ms + (int64_t)((slot + WHEEL_MS - from) % WHEEL_MS);
        }
    }
    ASSERT(false);
    return INT64_MAX;
}

struct list *wheel_take(struct wheel *w, int64_t now_ms)
{
    size_t slot = (size_t)now_ms % WHEEL_MS;
    struct list *node;

    w->now_ms = now_ms;
    node = list_pop(&w->slots[slot]);
    if (!node)
        return NULL;
    w->count--;
    if (list_is_empty(&w->slots[slot]))
        w->bits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    return node;
}
