/*
 * evidence/knowledge.c - a counted pair of tables.
 */
#include "evidence/knowledge.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static void forget(struct knowledge *k)
{
    replies_free(&k->replies);
    providers_free(&k->providers);
    free(k->references);
}

static void take_over(struct knowledge *k, struct replies **replies, struct providers **providers)
{
    if (replies) {
        k->replies = *replies;
        *replies = NULL;
    }
    if (providers) {
        k->providers = *providers;
        *providers = NULL;
    }
}

int knowledge_new(const struct knowledge **ret, struct replies **replies,
                  struct providers **providers, struct buf *why)
{
    struct knowledge tables = {.replies = NULL};
    struct knowledge *k = calloc(1, sizeof(*k));
    int r = 0;

    take_over(&tables, replies, providers);
    if (!tables.replies)
        r = replies_new(&tables.replies, (struct slice){0}, "", why);
    if (r == 0 && !tables.providers)
        r = providers_new(&tables.providers, (struct slice){0}, "", why);
    tables.references = malloc(sizeof(*tables.references));
    if (r == 0 && (!k || !tables.references))
        r = -ENOMEM;
    if (r < 0) {
        forget(&tables);
        free(k);
        return r;
    }
    atomic_init(tables.references, 1);
    *k = tables;
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
    if (!k || atomic_fetch_sub_explicit(k->references, 1, memory_order_acq_rel) > 1)
        return;
    forget((struct knowledge *)(uintptr_t)k);
    free((void *)(uintptr_t)k);
}
