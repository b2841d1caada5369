/*
 * spool/drain.c - emptying a directory while the server runs.
 *
 * What a segment holds is moved by compaction, message by message, as in any other segment, and
 * what is dead waits for a checkpoint, as always. So a directory becomes empty by nothing but
 * what is proven; all that is here is which segment comes next, and that no promise is broken:
 * neither the room that intake was promised nor the drain reserve may go with a free segment. In
 * the last resort, where the other directories are full, a free segment of a directory that is to
 * go is still written to: mail is worth more than haste.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "spool/spool_int.h"

#define DROPPED_PER_STEP 16 /* files; unlinking takes its time */
#define WHOLE_PERCENT 101u  /* however full a segment is */

static bool is_in(const struct spool *sp, uint32_t slot, uint32_t dir)
{
    const struct slot *s = sp->slots[slot];

    return s->state != SLOT_UNUSED && s->file && s->dir == dir;
}

static bool head_is_in_draining(const struct spool *sp)
{
    return sp->head != SLOT_NONE && sp->dirs[sp->slots[sp->head]->dir].draining;
}

static uint32_t next_victim(struct spool *sp)
{
    return compact_pick(sp, WHOLE_PERCENT, /* recent= */ true, /* draining= */ true);
}

bool drain_wants_checkpoint(struct spool *sp)
{
    if (!dirs_any_draining(sp) || head_is_in_draining(sp) || sp->victim != SLOT_NONE)
        return false;
    for (uint32_t i = sp->order_count; i-- > 0;) {
        const struct slot *s = sp->slots[sp->order[i]];

        if (s->seq < sp->checkpoint.replay_seq)
            return false;
        if (s->state == SLOT_SEALED && s->file && s->live == 0 && s->pending == 0 &&
            sp->dirs[s->dir].draining) /* one for all, when nothing is left to be moved */
            return next_victim(sp) == SLOT_NONE;
    }
    return false;
}

/* The promises that stand on bytes that are to go move to another directory, which may take more
 * than one segment there. False: there is no room. */
static bool withdraw(struct spool *sp, uint64_t bytes)
{
    for (int i = 0; i < 2; i++) {
        if (segment_room_withdraw(sp, bytes, sp->keep))
            return true;
        if (segment_grow(sp) < 0)
            return false;
    }
    return segment_room_withdraw(sp, bytes, sp->keep);
}

/* Goes on elsewhere. -ENOSPC: there is no room. */
static int leave_head(struct spool *sp)
{
    int r;

    if (segment_pick(sp, 0) == SLOT_NONE && segment_grow(sp) < 0)
        return -ENOSPC;
    r = segment_sync(sp);
    if (r < 0 || !head_is_in_draining(sp))
        return r;
    if (!withdraw(sp, sp->head_room))
        return -ENOSPC;
    sp->head_room = 0;
    segment_seal(sp, sp->pos);
    /* The header of the next one tells where the last ends, which may be recycled only then. */
    return segment_ensure(sp, RECORD_HEADER_BYTES);
}

/* A file that no life of ours is in: it stays where it is, and is not held open. */
static void let_go(struct spool *sp, struct slot *s)
{
    struct fs_file *file;
    uint64_t size = s->size;

    lock_take(&sp->lock);
    file = s->file;
    *s = (struct slot){.state = SLOT_UNUSED};
    lock_release(&sp->lock);
    fs_close(&file);
    atomic_fetch_sub(&sp->segment_total, size);
}

/* Unlinks what is free in the directory. 1: there is more. 0: all was. -ENOSPC: it is needed. */
static int drop_free(struct spool *sp, uint32_t dir)
{
    int left = DROPPED_PER_STEP;

    for (uint32_t n = 0; n < sp->slot_count; n++) {
        struct slot *s = sp->slots[n];

        if (!is_in(sp, n, dir) || (s->state != SLOT_FREE && s->state != SLOT_BAD))
            continue;
        if (left-- == 0)
            return 1;
        if (s->state == SLOT_FREE && !withdraw(sp, s->size - SEGMENT_HEADER_BYTES))
            return -ENOSPC;
        if (s->state == SLOT_FREE || s->bad)
            segment_drop(sp, s);
        else
            let_go(sp, s);
    }
    return 0;
}

static bool is_empty(const struct spool *sp, uint32_t dir)
{
    for (uint32_t n = 0; n < sp->slot_count; n++)
        if (is_in(sp, n, dir))
            return false;
    return true;
}

/* What is moved must fit in the other directories, without what was promised and the reserve. */
static bool move_fits(struct spool *sp, uint32_t victim)
{
    uint64_t need = sp->slots[victim]->live * 5 / 4 + sp->keep + spool_promised(sp);
    uint64_t room = atomic_load(&sp->room);

    return room >= need || room + segment_can_grow(sp) >= need;
}

static void set_waits(struct spool *sp, uint32_t dir, bool waits)
{
    if (sp->dirs[dir].waits == waits)
        return;
    lock_take(&sp->dirs_lock);
    sp->dirs[dir].waits = waits;
    lock_release(&sp->dirs_lock);
}

/* Drops what is free in it, and then itself. As drain_step(), and -ENOSPC. */
static int tidy(struct spool *sp, uint32_t dir)
{
    int r = drop_free(sp, dir);

    if (r != 0 || !is_empty(sp, dir))
        return r;
    if (dir > 0)
        return dir_release(sp, dir);
    if (!sp->dirs[0].is_told)
        dir_report(sp, 0, SPOOL_DIRECTORY_EMPTY);
    sp->dirs[0].is_told = true;
    return 0;
}

/* What is not a matter of moving. `waits`: a bit for each directory that found no room. */
static int tidy_all(struct spool *sp, unsigned *waits)
{
    int more = 0, r;

    if (head_is_in_draining(sp)) {
        uint32_t dir = sp->slots[sp->head]->dir;

        r = leave_head(sp);
        if (r < 0 && r != -ENOSPC)
            return r;
        *waits |= r < 0 ? 1u << dir : 0;
    }
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (!sp->dirs[i].fs || !sp->dirs[i].draining)
            continue;
        r = tidy(sp, i);
        if (r < 0 && r != -ENOSPC)
            return r;
        *waits |= r < 0 ? 1u << i : 0;
        more |= r == 1;
    }
    return more;
}

/* Looks for the next segment to be moved. 1: there is something to do at once. */
static int look(struct spool *sp)
{
    unsigned waits = 0;
    int more = tidy_all(sp, &waits);
    uint32_t victim = more < 0 ? SLOT_NONE : next_victim(sp);

    if (victim != SLOT_NONE && move_fits(sp, victim)) {
        compact_begin(sp, victim);
        more = 1;
    } else if (victim != SLOT_NONE) {
        waits |= 1u << sp->slots[victim]->dir;
    }
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++)
        if (sp->dirs[i].fs)
            set_waits(sp, i, waits & (1u << i));
    return more;
}

int drain_step(struct spool *sp, uint64_t budget)
{
    int r;

    if (!dirs_any_draining(sp))
        return 0;
    if (sp->victim == SLOT_NONE)
        return look(sp);
    r = compact_step(sp, budget);
    return r < 0 ? r : 1;
}
