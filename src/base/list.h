/*
 * base/list.h - intrusive doubly linked lists (the shape of the kernel's list_head).
 *
 * The node is a member of the caller's struct; LIST_ENTRY gets from it to the struct. A node is
 * in at most one list; list_del() leaves it pointing at itself, so deleting twice is harmless.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

struct list {
    struct list *next, *prev;
};

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_FOR(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* As LIST_FOR, but the current node may be removed. */
#define LIST_FOR_SAFE(it, tmp, head)                                                               \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_add_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}
static inline void list_add_tail(struct list *head, struct list *node)
{
    list_add_before(head, node);
}
static inline void list_add_head(struct list *head, struct list *node)
{
    list_add_before(head->next, node);
}
static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
/* The first node, taken out; NULL when the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;

    if (node == head)
        return NULL;
    list_del(node); /* NOLINT(clang-analyzer-unix.Malloc): a node freed is in no list any more */
    return node;
}
