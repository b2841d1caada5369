/*
 * ledger/attempt.c - an attempt in one piece of memory, to be handed from thread to thread.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "ledger/ledger.h"

static const size_t text_fields[] = {
    offsetof(struct attempt, text),      offsetof(struct attempt, domain),
    offsetof(struct attempt, host),      offsetof(struct attempt, peer),
    offsetof(struct attempt, local),     offsetof(struct attempt, provider),
    offsetof(struct attempt, source),    offsetof(struct attempt, sender),
    offsetof(struct attempt, recipient), offsetof(struct attempt, message_id),
};

static struct slice *field_of(struct attempt *a, size_t i)
{
    return (struct slice *)(void *)((char *)a + text_fields[i]);
}

struct ledger_attempt *ledger_attempt_new(const struct attempt *a)
{
    struct attempt from = *a;
    struct ledger_attempt *l;
    size_t bytes = 0;
    char *at;

    from.text = slice_sub(from.text, 0, ATTEMPT_TEXT_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++)
        bytes += field_of(&from, i)->len;
    l = malloc(sizeof(*l) + bytes);
    if (!l)
        return NULL;
    l->parcel = (struct parcel){0};
    l->owner = NULL;
    l->lane = UINT32_MAX;
    l->attempt = from;
    at = l->texts;
    for (size_t i = 0; i < ARRAY_SIZE(text_fields); i++) {
        struct slice *text = field_of(&l->attempt, i);

        if (text->len)
            memcpy(at, text->ptr, text->len);
        text->ptr = (const uint8_t *)at;
        at += text->len;
    }
    return l;
}

void ledger_attempt_free(struct ledger_attempt **a)
{
    free(*a);
    *a = NULL;
}
