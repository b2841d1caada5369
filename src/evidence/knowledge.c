/*
 * evidence/knowledge.c - a counted pair of tables.
 */
#include "evidence/knowledge.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static void knowledge_free(struct knowledge *k)
{
    replies_free(&k->replies);
    providers_free(&k->providers);
    free(k->references);
    free(k);
}

int knowledge_new(const struct knowledge **ret, const struct knowledge_source *replies,
                  const struct knowledge_source *providers, struct buf *why)
{
    const struct knowledge_source none = {.name = ""};
    struct knowledge *k = calloc(1, sizeof(*k));
    int r;

    replies = replies ? replies : &none;
    providers = providers ? providers : &none;

    if (k)
        k->references = malloc(sizeof(*k->references));
    if (!k || !k->references) {
        free(k);
        return -ENOMEM;
    }
    atomic_init(k->references, 1);
    r = replies_new(&k->replies, replies->text, replies->name, why);
    if (r == 0)
        r = providers_new(&k->providers, providers->text, providers->name, why);
    if (r < 0) {
        knowledge_free(k);
        return r;
    }
    *ret = k;
    return 0;
}

const struct knowledge *knowledge_ref(const struct knowledge *k)
{
    if (k)
        atomic_fetch_add_explicit(k->references, 1, memory_order_relaxed);
    return k;
}

void knowledge_unref(const struct knowledge **kp)
{
    const struct knowledge *k = *kp;

    *kp = NULL;
    if (k && atomic_fetch_sub_explicit(k->references, 1, memory_order_acq_rel) == 1)
        knowledge_free((struct knowledge *)(uintptr_t)k);
}
