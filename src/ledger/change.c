/*
 * ledger/change.c - a change of the suppression list, gathered by whoever makes it.
 */
#include <errno.h>
#include <stdlib.h>

#include "ledger/ledger.h"

struct ledger_change *ledger_change_new(void)
{
    struct ledger_change *c = calloc(1, sizeof(*c));

    if (c)
        list_init(&c->node);
    return c;
}

void ledger_change_free(struct ledger_change **cp)
{
    struct ledger_change *c = *cp;

    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        suppression_unref(&c->items[i].s);
    free(c->items);
    free(c);
    *cp = NULL;
}

int ledger_change_add(struct ledger_change *c, struct suppression *s, bool is_removal)
{
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 4;
        struct ledger_change_item *more = realloc(c->items, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        c->items = more;
        c->room = room;
    }
    c->items[c->count++] = (struct ledger_change_item){suppression_ref(s), is_removal};
    return 0;
}
