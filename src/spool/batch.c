/*
 * spool/batch.c - what was appended and is not yet durable. The index shows the durable state
 * only; each operation of the batch carries what its entry becomes, and is applied after the
 * sync, or dropped.
 *
 * A commit's entry is in the index from the start, hidden, so that the writer finds it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define REDO_BYTES_MAX MIB(64)
#define OPS_MIN 256

int batch_room(struct spool *sp, size_t redo_bytes)
{
    if (sp->op_count == sp->op_room) {
        size_t room = sp->op_room ? sp->op_room * 2 : OPS_MIN;
        struct batch_op *ops = realloc(sp->ops, room * sizeof(*ops));

        if (!ops)
            return -ENOMEM;
        sp->ops = ops;
        sp->op_room = room;
    }
    if (redo_bytes == 0)
        return 0;
    if (!sp->redo.cap)
        buf_init(&sp->redo, REDO_BYTES_MAX);
    return buf_reserve(&sp->redo, redo_bytes + 13) < 0 ? -ENOMEM : 0;
}

void batch_add(struct spool *sp, enum batch_op_type type, uint32_t n, const struct entry *next)
{
    ASSERT(sp->op_count < sp->op_room);
    sp->ops[sp->op_count] = (struct batch_op){.type = (uint8_t)type, .n = n};
    if (next)
        sp->ops[sp->op_count].next = *next;
    sp->op_count++;
    *index_bits(&sp->index, n) |= BIT_IN_BATCH;
}

void batch_redo(struct spool *sp, enum batch_op_type type, uint64_t id, struct slice data)
{
    uint8_t head[13];

    head[0] = (uint8_t)type;
    put_u64(head + 1, id);
    put_u32(head + 9, (uint32_t)data.len);
    /* batch_room() made the room. */
    (void)buf_add(&sp->redo, slice_make(head, sizeof(head)));
    (void)buf_add(&sp->redo, data);
}

bool batch_view(const struct spool *sp, uint32_t n, struct entry *ret)
{
    const struct entry *e = index_at(&sp->index, n);

    if (e->flags & ENTRY_REMOVING)
        return false;
    *ret = *e;
    if (!(*index_bits(&sp->index, n) & BIT_IN_BATCH))
        return true;
    for (size_t i = sp->op_count; i-- > 0;)
        if (sp->ops[i].n == n) {
            *ret = sp->ops[i].next;
            return true;
        }
    return true;
}

/* ---- what a message needs of which segment ---- */

int hold_list_add(struct spool *sp, struct hold_list *list, uint32_t *ret)
{
    uint32_t at = MAX_OF(sp->hold_free, 1);

    while (at < sp->hold_room && sp->holds[at])
        at++;
    if (at >= sp->hold_room) {
        uint32_t room = sp->hold_room ? sp->hold_room * 2 : 64;
        struct hold_list **holds = realloc(sp->holds, room * sizeof(struct hold_list *));

        if (!holds)
            return -ENOMEM;
        memset(holds + sp->hold_room, 0, (room - sp->hold_room) * sizeof(struct hold_list *));
        sp->holds = holds;
        sp->hold_room = room;
    }
    sp->holds[at] = list;
    sp->hold_free = at + 1;
    *ret = at;
    return 0;
}

void hold_list_free(struct spool *sp, uint32_t number)
{
    free(sp->holds[number]);
    sp->holds[number] = NULL;
    sp->hold_free = MIN_OF(sp->hold_free, number);
}

/* Calls fn for each run of bytes the entry's extents take in one segment. */
static void extents_each(struct spool *sp, const struct entry *e,
                         void (*fn)(struct spool *sp, uint32_t slot, uint32_t bytes))
{
    if (e->flags & ENTRY_MORE) {
        const struct hold_list *list = sp->holds[e->ext_slot];

        for (uint32_t i = 0; i < list->count; i++)
            fn(sp, list->holds[i].slot, list->holds[i].bytes);
    } else if (e->ext_bytes > 0) {
        fn(sp, e->ext_slot, e->ext_bytes);
    }
}

static void live_add(struct spool *sp, uint32_t slot, uint32_t bytes)
{
    sp->slots[slot]->live += bytes;
    sp->stat.live_bytes += bytes;
}

static void live_sub(struct spool *sp, uint32_t slot, uint32_t bytes)
{
    struct slot *s = sp->slots[slot];

    ASSERT(s->live >= bytes);
    s->live -= bytes;
    sp->stat.live_bytes -= bytes;
    sp->died_bytes += bytes;
    if (s->live == 0)
        atomic_store(&sp->recycle_due, true);
}

static void pending_sub(struct spool *sp, uint32_t slot, uint32_t bytes)
{
    struct slot *s = sp->slots[slot];

    ASSERT(s->pending >= bytes);
    s->pending -= bytes;
}

static uint64_t checkpoint_share(const struct entry *e)
{
    return (uint64_t)CHECKPOINT_ENTRY_BYTES + e->rec_bytes + e->mark_bytes;
}

void holds_take(struct spool *sp, const struct entry *e)
{
    live_add(sp, e->slot, e->rec_bytes);
    if (e->mark_bytes)
        live_add(sp, e->mark_slot, e->mark_bytes);
    extents_each(sp, e, live_add);
    atomic_fetch_add(&sp->envelope_bytes, checkpoint_share(e));
}

void holds_release(struct spool *sp, const struct entry *e)
{
    live_sub(sp, e->slot, e->rec_bytes);
    if (e->mark_bytes)
        live_sub(sp, e->mark_slot, e->mark_bytes);
    extents_each(sp, e, live_sub);
    atomic_fetch_sub(&sp->envelope_bytes, checkpoint_share(e));
}

bool entry_needs_slot(const struct spool *sp, const struct entry *e, uint32_t slot)
{
    if (e->slot == slot || (e->mark_bytes > 0 && e->mark_slot == slot))
        return true;
    if (e->flags & ENTRY_MORE) {
        const struct hold_list *list = sp->holds[e->ext_slot];

        for (uint32_t i = 0; i < list->count; i++)
            if (list->holds[i].slot == slot)
                return true;
        return false;
    }
    return e->ext_bytes > 0 && e->ext_slot == slot;
}

/* Adds to the last hold, or begins another, so that the list is as long as runs are many. */
static int hold_push(struct hold_list **list, uint32_t slot, uint32_t bytes)
{
    struct hold_list *l = *list;
    uint32_t count = l ? l->count : 0;

    if (l && l->holds[count - 1].slot == slot) {
        l->holds[count - 1].bytes += bytes;
        return 0;
    }
    if ((count & (count - 1)) == 0) {
        uint32_t room = count ? count * 2 : 1;

        l = realloc(l, sizeof(*l) + room * sizeof(l->holds[0]));
        if (!l)
            return -ENOMEM;
        *list = l;
    }
    l->holds[count] = (struct hold){.slot = slot, .bytes = bytes};
    l->count = count + 1;
    return 0;
}

int entry_set_extents(struct spool *sp, struct entry *e, struct slice extents,
                      int (*gone)(struct spool *sp, uint32_t seq, uint32_t *ret))
{
    struct hold_list *list = NULL;
    uint32_t first = SLOT_NONE, bytes = 0, slot;
    int r = 0;

    for (size_t i = 0; i + EXTENT_ENTRY_BYTES <= extents.len && r == 0; i += EXTENT_ENTRY_BYTES) {
        struct spool_extent x = extent_decode(extents.ptr + i);

        if (x.bytes == 0 || x.bytes > SPOOL_EXTENT_MAX || bytes > SEGMENT_BYTES_MAX)
            r = -ERR_DAMAGED;
        if (r < 0)
            break;
        slot = slot_of_seq(sp, x.segment);
        if (slot == SLOT_NONE)
            r = gone ? gone(sp, x.segment, &slot) : -ENOENT;
        if (r < 0)
            break;
        if (first == SLOT_NONE || (slot == first && !list)) {
            first = slot;
            bytes += record_bytes(x.bytes);
            continue;
        }
        if (!list)
            r = hold_push(&list, first, bytes);
        if (r == 0)
            r = hold_push(&list, slot, record_bytes(x.bytes));
    }
    e->flags &= (uint8_t)~ENTRY_MORE;
    e->ext_slot = first;
    e->ext_bytes = bytes;
    if (r == 0 && list) {
        r = hold_list_add(sp, list, &e->ext_slot);
        if (r == 0)
            e->flags |= ENTRY_MORE;
    }
    if (r != 0)
        free(list);
    return r;
}

/* ---- the end of a batch ---- */

static void apply_change(struct spool *sp, struct entry *e, const struct batch_op *op)
{
    uint8_t keep = e->flags & (ENTRY_REMOVING | ENTRY_DAMAGED);
    uint32_t old_list = e->flags & ENTRY_MORE ? e->ext_slot : 0;

    holds_release(sp, e);
    if (op->type != OP_MOVE) /* a move holds its new place from the start */
        holds_take(sp, &op->next);
    *e = op->next;
    e->flags = (uint8_t)((e->flags & ENTRY_MORE) | keep);
    if (old_list && !((e->flags & ENTRY_MORE) && e->ext_slot == old_list))
        hold_list_free(sp, old_list);
}

static void apply_one(struct spool *sp, const struct batch_op *op)
{
    struct entry *e = index_at(&sp->index, op->n);

    *index_bits(&sp->index, op->n) = 0;
    switch (op->type) {
    case OP_COMMIT:
        e->flags &= (uint8_t)~ENTRY_PENDING;
        extents_each(sp, e, pending_sub);
        holds_take(sp, e);
        sp->stat.messages++;
        sp->stat.commits++;
        break;
    case OP_REMOVE:
        entry_forget(sp, op->n);
        sp->stat.removes++;
        break;
    default:
        apply_change(sp, e, op);
        sp->stat.marks += op->type == OP_MARK;
        break;
    }
}

void entry_forget(struct spool *sp, uint32_t n)
{
    struct entry *e = index_at(&sp->index, n);

    holds_release(sp, e);
    if (e->flags & ENTRY_MORE)
        hold_list_free(sp, e->ext_slot);
    index_del(&sp->index, n);
    sp->stat.messages--;
}

void batch_apply(struct spool *sp)
{
    lock_take(&sp->lock);
    for (size_t i = 0; i < sp->op_count; i++)
        apply_one(sp, &sp->ops[i]);
    lock_release(&sp->lock);
    sp->op_count = 0;
}

/* The commit will never be: its extents wait for spool_abort(), as those of any message without
 * a commit do. */
static void drop_one(struct spool *sp, const struct batch_op *op)
{
    struct entry *e = index_at(&sp->index, op->n);

    *index_bits(&sp->index, op->n) &= (uint8_t)~BIT_IN_BATCH;
    if (op->type == OP_COMMIT) {
        if (e->flags & ENTRY_MORE)
            hold_list_free(sp, e->ext_slot);
        index_del(&sp->index, op->n);
        return;
    }
    if (op->type == OP_REMOVE)
        e->flags &= (uint8_t)~ENTRY_REMOVING;
    if (op->type == OP_MOVE) {
        holds_release(sp, &op->next);
        if (op->next.flags & ENTRY_MORE)
            hold_list_free(sp, op->next.ext_slot);
    }
}

void batch_drop(struct spool *sp)
{
    lock_take(&sp->lock);
    /* The last first: a removal's entry must be there when its commit goes. */
    for (size_t i = sp->op_count; i-- > 0;)
        drop_one(sp, &sp->ops[i]);
    lock_release(&sp->lock);
    sp->op_count = 0;
}
