/*
 * logscan/lives_early.c - places in a ring; one that was taken out in the middle stays empty until its
 * turn comes. The keys lie side by side, for they are looked through at each arrival.
 */
#include "logscan/lives_early.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_texts(struct lives_early_fact *to)
{
    struct log_fact *f = &to->fact;
    struct slice *texts[] = {&f->reply.text, &f->message, &f->next,   &f->sender,   &f->recipient,
                             &f->host,       &f->address, &f->source, &f->connector};
    size_t len = 1, used = 0; /* an empty text is a pointer too */

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        len += texts[i]->len;
    to->text = malloc(len);
    if (!to->text)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i]->len > 0)
            memcpy(to->text + used, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = to->text + used;
        used += texts[i]->len;
    }
    return 0;
}

bool lives_early_is_full(const struct lives_early *e)
{
    return e->facts && e->facts[e->next].text;
}

int lives_early_keep(struct lives_early *e, uint64_t key, const struct log_fact *f)
{
    struct lives_early_fact *to;

    if (!e->facts)
        e->facts = calloc(LIVES_EARLY_MAX, sizeof(*e->facts));
    if (!e->facts)
        return -ENOMEM;
    to = &e->facts[e->next];
    to->fact = *f;
    if (copy_texts(to) < 0)
        return -ENOMEM;
    e->keys[e->next] = key;
    e->next = (e->next + 1) % LIVES_EARLY_MAX;
    e->count++;
    return 0;
}

static void take_out(struct lives_early *e, size_t at, struct lives_early_fact *ret)
{
    *ret = e->facts[at];
    e->facts[at].text = NULL;
    e->count--;
}

bool lives_early_take(struct lives_early *e, struct lives_early_fact *ret)
{
    for (size_t i = 0; e->count > 0 && i < LIVES_EARLY_MAX; i++) {
        size_t at = (e->next + i) % LIVES_EARLY_MAX;

        if (e->facts[at].text) {
            take_out(e, at, ret);
            return true;
        }
    }
    return false;
}

bool lives_early_take_of(struct lives_early *e, uint64_t key, int64_t before_ms,
                         struct lives_early_fact *ret)
{
    for (size_t i = 0; e->count > 0 && i < LIVES_EARLY_MAX; i++) {
        size_t at = (e->next + i) % LIVES_EARLY_MAX;

        if (e->keys[at] == key && e->facts[at].text && e->facts[at].fact.at_ms < before_ms) {
            take_out(e, at, ret);
            return true;
        }
    }
    return false;
}

void lives_early_done(struct lives_early_fact *f)
{
    free(f->text);
    f->text = NULL;
}

void lives_early_free(struct lives_early *e)
{
    struct lives_early_fact f;

    while (lives_early_take(e, &f))
        lives_early_done(&f);
    free(e->facts);
    *e = (struct lives_early){0};
}
