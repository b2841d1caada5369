#include "io/timers_int.h"

#include "base/assert.h"

enum { IDLE = 0, WAITING, DUE };

void timers_init(struct timers *ts)
{
    ts->root = NULL;
    list_init(&ts->due);
}

bool timer_is_running(const struct loop_timer *t)
{
    return t->state != IDLE;
}

/* Both are roots, or NULL. The later one becomes the first child of the other. */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key_ms < a->key_ms) {
        struct loop_timer *swap = a;

        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Makes one heap of a row of siblings: pairs from left to right, then all from right to left. */
static struct loop_timer *meld_row(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL, *root = NULL;

    while (first) {
        struct loop_timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct loop_timer *next = pairs->next;

        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void take_out(struct timers *ts, struct loop_timer *t)
{
    struct loop_timer *children = meld_row(t->child);

    if (ts->root == t) {
        ts->root = children;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        ts->root = meld(ts->root, children);
    }
    t->child = t->next = t->prev = NULL;
}

static void put_in(struct timers *ts, struct loop_timer *t)
{
    ASSERT(!t->child && !t->next && !t->prev);
    t->key_ms = t->due_ms;
    ts->root = meld(ts->root, t);
}

void timers_start(struct timers *ts, struct loop_timer *t, uint64_t due_ms)
{
    t->due_ms = due_ms;
    if (t->state == WAITING && due_ms >= t->key_ms)
        return;
    timers_stop(ts, t);
    t->state = WAITING;
    put_in(ts, t);
}

void timers_stop(struct timers *ts, struct loop_timer *t)
{
    if (t->state == WAITING)
        take_out(ts, t);
    else if (t->state == DUE)
        list_del(&t->node);
    t->state = IDLE;
}

bool timers_first(const struct timers *ts, uint64_t *ret_ms)
{
    if (!ts->root)
        return false;
    *ret_ms = ts->root->key_ms;
    return true;
}

void timers_expire(struct timers *ts, uint64_t now_ms)
{
    struct loop_timer *t;

    while ((t = ts->root) && t->key_ms <= now_ms) {
        take_out(ts, t);
        if (t->due_ms > t->key_ms) {
            put_in(ts, t); /* it was moved later since; its turn comes in order */
        } else {
            t->state = DUE;
            list_add_tail(&ts->due, &t->node);
        }
    }
}

struct loop_timer *timers_take_due(struct timers *ts)
{
    struct list *node = list_pop(&ts->due);
    struct loop_timer *t;

    if (!node)
        return NULL;
    t = LIST_ENTRY(node, struct loop_timer, node);
    ASSERT(t->state == DUE);
    t->state = IDLE;
    return t;
}
