/*
 * spool/dirs.c - the directories of a spool: which they are, and how none is ever forgotten.
 *
 * The spool's own directory has a list of the others, and each of them a file that says whose it
 * is: where a disk is not mounted, an empty folder is in its place, and must not be taken for it.
 * A directory is on the list before the first segment is made there, and until the last one's
 * unlinking is durable. The list lies in a file that is allocated at the first opening, so that a
 * disk without a free byte can still be told of another; it is there twice, and one copy is
 * durable before the other is written.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"
#include "spool/spool_int.h"

#define LIST_NAME "directories"
#define IDENTITY_NAME "identity"
#define IDENTITY_NEW_NAME "identity-new" /* until it is durable */
#define LOCK_NAME "lock"
#define IDS_SKIPPED 1000 /* where nobody knows which were given */

/* ---- what is in a directory ---- */

enum owner { OWNER_NONE, OWNER_US, OWNER_OTHER, OWNER_UNREADABLE };

/* What was found where somebody says a directory of the spool is. */
struct found {
    enum owner owner;
    uint32_t id;    /* OWNER_US */
    bool has_files; /* of a spool */
};

static int look_at_name(void *ctx, const char *name)
{
    struct found *f = ctx;

    f->has_files |= strncmp(name, "seg-", 4) == 0 || strncmp(name, "checkpoint-", 11) == 0;
    return 0;
}

static int read_identity(const struct spool *sp, struct fs *fs, struct found *ret)
{
    static const uint8_t zeros[SECTOR_BYTES];
    uint8_t sector[SECTOR_BYTES] = {0};
    struct fs_file *f = NULL;
    struct identity id;
    ptrdiff_t n;
    int r = fs_open(fs, IDENTITY_NAME, 0, &f);

    ret->owner = OWNER_NONE;
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    n = fs_pread(f, sector, sizeof(sector), 0, false);
    fs_close(&f);
    if (n < 0)
        return (int)n;
    if (identity_decode(sector, &id)) {
        ret->owner = id.spool_id == sp->spool_id ? OWNER_US : OWNER_OTHER;
        ret->id = id.dir_id;
    } else if (memcmp(sector, zeros, sizeof(zeros)) != 0) {
        ret->owner = OWNER_UNREADABLE;
    }
    return 0;
}

/* Opens `path` and looks whose it is; it is not locked yet, and nothing is written. */
static int dir_open(struct spool *sp, const char *path, struct dir *ret, struct found *found,
                    struct buf *why)
{
    size_t len = strlen(path);
    int r;

    *ret = (struct dir){0};
    *found = (struct found){0};
    if (!sp->config.open_directory || len > SPOOL_PATH_MAX) {
        (void)buf_addf(why, "The directory %.64s cannot be opened: its path is too long.", path);
        return -ENAMETOOLONG;
    }
    memcpy(ret->path, path, len + 1);
    r = sp->config.open_directory(sp->config.open_ctx, path, &ret->fs, why);
    if (r < 0)
        return r;
    r = read_identity(sp, ret->fs, found);
    if (r == 0)
        r = fs_list(ret->fs, look_at_name, found);
    if (r < 0) {
        (void)buf_addf(why, "The directory %s cannot be read: %s.", path, err_str(r));
        fs_free(&ret->fs);
    }
    return r;
}

static void dir_close(struct dir *d)
{
    fs_close(&d->lock_file);
    fs_free(&d->fs);
    *d = (struct dir){0};
}

static int dir_lock(struct dir *d, struct buf *why)
{
    int r = fs_lock(d->fs, LOCK_NAME, &d->lock_file);

    if (r == -ERR_LOCKED)
        (void)buf_addf(why, "The directory %s is in use already, by this spool or another.",
                       d->path);
    else if (r < 0)
        (void)buf_addf(why, "The directory %s cannot be locked: %s.", d->path, err_str(r));
    return r;
}

PRINTF_LIKE(3, 4)
static int refuse(struct buf *why, int err, const char *fmt, ...)
{
    char text[SPOOL_PATH_MAX + 512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)buf_add_str(why, text);
    return err;
}

/* Whether a directory that is not on the list may be added: it is ours or nobody's. */
static int judge_unlisted(const char *path, const struct found *f, struct buf *why)
{
    if (f->owner == OWNER_OTHER)
        return refuse(why, -EEXIST, "The directory %s belongs to another spool.", path);
    if (f->owner != OWNER_US && f->has_files)
        return refuse(why, -EEXIST, "The directory %s has the files of another spool.", path);
    return 0;
}

/* ---- the list ---- */

enum copy { COPY_NONE, COPY_WHOLE, COPY_DAMAGED };

static enum copy read_copy(struct fs_file *f, uint64_t at, uint8_t *bytes, struct dir_list *ret)
{
    ptrdiff_t n;

    memset(bytes, 0, DIR_LIST_BYTES);
    n = fs_pread(f, bytes, DIR_LIST_BYTES, at, false);
    if (n < 0)
        return COPY_DAMAGED;
    if (dir_list_decode(bytes, ret))
        return COPY_WHOLE;
    for (size_t i = 0; i < DIR_LIST_BYTES; i++)
        if (bytes[i])
            return COPY_DAMAGED;
    return COPY_NONE;
}

/*
 * 1: the newest list that is whole; `*ret_equal`: both copies are. 0: there is none. A first copy
 * that cannot be read beside an unwritten second one was torn when it was first written, before
 * anything was done on the strength of it. -ERR_DAMAGED: neither can be read.
 */
static int list_load(struct spool *sp, struct dir_list *ret, bool *ret_equal)
{
    struct dir_list *other = calloc(1, sizeof(*other));
    uint8_t *bytes = malloc(DIR_LIST_BYTES);
    struct fs_file *f = NULL;
    enum copy first, second;
    bool second_is_newer;
    int r = other && bytes ? fs_open(sp->fs, LIST_NAME, 0, &f) : -ENOMEM;

    *ret_equal = false;
    if (r == 0) {
        first = read_copy(f, 0, bytes, ret);
        second = read_copy(f, DIR_LIST_BYTES, bytes, other);
        fs_close(&f);
        *ret_equal =
            first == second && (first == COPY_NONE || ret->generation == other->generation);
        second_is_newer =
            second == COPY_WHOLE && (first != COPY_WHOLE || other->generation > ret->generation);
        if (second_is_newer)
            *ret = *other;
        /*
         * What is read may be in the page cache only. Of equal copies the one that was written
         * first is durable; where they differ the writing of the newer one was never finished.
         */
        if (first != COPY_WHOLE || second != COPY_WHOLE)
            sp->list_safe = first != COPY_WHOLE;
        else
            sp->list_safe = *ret_equal ? ret->generation & 1 : !second_is_newer;
        r = first == COPY_WHOLE || second == COPY_WHOLE ? 1
            : second == COPY_DAMAGED                    ? -ERR_DAMAGED
                                                        : 0;
    } else if (r == -ENOENT) {
        *ret_equal = true;
        r = 0;
    }
    free(other);
    free(bytes);
    return r;
}

uint64_t dirs_spool_id(struct spool *sp)
{
    struct dir_list *l = calloc(1, sizeof(*l));
    bool equal;
    uint64_t id = l && list_load(sp, l, &equal) == 1 ? l->spool_id : 0;

    free(l);
    return id;
}

static int write_list(struct spool *sp, const uint8_t *copy)
{
    struct fs_file *f = NULL;
    bool is_there = true;
    int r = fs_open(sp->fs, LIST_NAME, FS_WRITE, &f);

    if (r == -ENOENT) {
        is_there = false;
        r = fs_open(sp->fs, LIST_NAME, FS_WRITE | FS_CREATE, &f);
    }
    /* One copy is good for certain: the other is written first. */
    for (int i = 0; i < 2 && r == 0; i++) {
        uint64_t at = sp->list_safe == 1 ? 0 : DIR_LIST_BYTES;

        r = checkpoint_write(sp, f, slice_make(copy, DIR_LIST_BYTES), at);
        if (r == 0)
            r = fs_sync(f);
        if (r == 0 && !is_there)
            r = fs_sync_dir(sp->fs);
        if (r == 0)
            sp->list_safe = 1 - sp->list_safe;
    }
    fs_close(&f);
    return r;
}

/* Makes the directories as `dirs` has them the list; the new ones only `with_new`. */
static int list_save(struct spool *sp, const struct dir *dirs, bool with_new, struct buf *why)
{
    struct dir_list *l = calloc(1, sizeof(*l));
    uint8_t *copy = malloc(DIR_LIST_BYTES);
    int r = l && copy ? 0 : -ENOMEM;

    if (r == 0) {
        l->spool_id = sp->spool_id;
        /* Its last bit tells which copy is written first: the one that is not safe. */
        sp->dirs_generation += (sp->dirs_generation & 1) == sp->list_safe ? 1 : 2;
        l->generation = sp->dirs_generation;
        l->next_id = sp->next_dir_id;
        for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
            struct dir_list_entry *e = &l->entries[l->count];

            if (!dirs[i].fs || (dirs[i].is_new && !with_new))
                continue;
            e->id = dirs[i].id;
            e->draining = dirs[i].draining;
            memcpy(e->path, dirs[i].path, sizeof(e->path));
            l->count++;
        }
        dir_list_encode(l, copy);
        r = write_list(sp, copy);
    }
    if (r < 0)
        (void)buf_addf(why, "The list of the spool's directories cannot be written: %s.",
                       err_str(r));
    free(l);
    free(copy);
    return r;
}

/* The list's file, while there is room for it; when it is needed the disk may be full. */
static void list_allocate(struct spool *sp)
{
    struct fs_file *f = NULL;
    uint64_t size = 0;

    if (fs_open(sp->fs, LIST_NAME, FS_WRITE | FS_CREATE, &f) < 0)
        return;
    if (fs_size(f, &size) == 0 && size < 2 * DIR_LIST_BYTES &&
        fs_allocate(f, 2 * DIR_LIST_BYTES) == 0)
        ignore_result(fs_sync(f));
    fs_close(&f);
}

/* Says in the directory whose it is, also where it says so already: that need not be durable. */
static int write_identity(struct spool *sp, struct dir *d, struct buf *why)
{
    struct identity id = {.spool_id = sp->spool_id, .dir_id = d->id};
    uint8_t sector[SECTOR_BYTES];
    struct fs_file *f = NULL;
    int r = fs_open(d->fs, IDENTITY_NEW_NAME, FS_WRITE | FS_CREATE, &f);

    identity_encode(&id, sector);
    if (r == 0)
        r = fs_write(f, slice_make(sector, sizeof(sector)), 0);
    if (r == 0)
        r = fs_sync(f);
    fs_close(&f);
    if (r == 0)
        r = fs_rename(d->fs, IDENTITY_NEW_NAME, IDENTITY_NAME);
    if (r == 0)
        r = fs_sync_dir(d->fs);
    if (r < 0)
        (void)buf_addf(why, "The directory %s cannot be written to: %s.", d->path, err_str(r));
    return r;
}

/* Leaves the directory as it was found. */
static void erase_identity(struct dir *d)
{
    (void)fs_unlink(d->fs, IDENTITY_NAME);
    (void)fs_unlink(d->fs, IDENTITY_NEW_NAME);
    (void)fs_unlink(d->fs, LOCK_NAME);
    ignore_result(fs_sync_dir(d->fs));
}

/* ---- opening ---- */

static struct dir *free_place(struct dir *dirs)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        if (!dirs[i].fs)
            return &dirs[i];
    return NULL;
}

static struct dir_list_entry *entry_of_path(struct dir_list *l, const char *path)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (strcmp(l->entries[i].path, path) == 0)
            return &l->entries[i];
    return NULL;
}

static struct dir_list_entry *entry_of_id(struct dir_list *l, uint32_t id)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->entries[i].id == id)
            return &l->entries[i];
    return NULL;
}

static bool is_open(const struct dir *dirs, uint32_t id)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        if (dirs[i].fs && dirs[i].id == id)
            return true;
    return false;
}

static int enter(struct spool *sp, struct dir *d, struct buf *why)
{
    struct dir *place = free_place(sp->dirs);
    int r;

    if (!place)
        return refuse(why, -EINVAL, "A spool has at most %d directories.", SPOOL_DIRECTORIES_MAX);
    r = dir_lock(d, why);
    if (r < 0)
        return r;
    *place = *d;
    *d = (struct dir){0};
    return 0;
}

/* A directory that the configuration names. */
static int open_named(struct spool *sp, struct dir_list *l, const char *path, struct buf *why)
{
    struct found found;
    struct dir d;
    int r = dir_open(sp, path, &d, &found, why);

    if (r < 0)
        return r;
    if (found.owner != OWNER_US && entry_of_path(l, path))
        r = refuse(why, -ENODEV,
                   "The directory %s may hold mail of this spool, and what is there now is not "
                   "that directory%s. Is its disk mounted?",
                   path, found.owner == OWNER_NONE ? " (it has no file '" IDENTITY_NAME "')" : "");
    else if (found.owner == OWNER_US && is_open(sp->dirs, found.id))
        r = refuse(why, -EEXIST, "The directory %s is the copy of another that is named too.",
                   path);
    else
        r = judge_unlisted(path, &found, why);
    if (r == 0 && found.owner != OWNER_US && sp->config.read_only) {
        dir_close(&d); /* nothing is in it */
        return 0;
    }
    if (r == 0) {
        d.is_new = found.owner != OWNER_US || !entry_of_id(l, found.id);
        d.id = found.owner == OWNER_US ? found.id : 0;
        r = enter(sp, &d, why);
    }
    dir_close(&d);
    return r;
}

/* A directory that only the list knows. */
static int open_listed(struct spool *sp, const struct dir_list_entry *e, struct buf *why)
{
    struct buf reason = BUF_INIT(SPOOL_PATH_MAX + 512);
    struct found found;
    struct dir d;
    int r = dir_open(sp, e->path, &d, &found, &reason);

    if (r == 0 && (found.owner != OWNER_US || found.id != e->id))
        r = refuse(&reason, -ENODEV,
                   "What is there now is not that directory. Is its disk "
                   "mounted?");
    if (r == 0 && !e->draining && !found.has_files && !sp->config.read_only) {
        dir_close(&d); /* nothing is in it, and nobody wants it: the list forgets it */
    } else if (r == 0 && (e->draining || sp->config.read_only)) {
        d.id = e->id;
        d.draining = e->draining;
        r = enter(sp, &d, &reason);
    } else if (r == 0) {
        r = refuse(&reason, -ENODEV,
                   "Name it there again; taken out while the server runs, its mail is moved to "
                   "the others first.");
    }
    if (r < 0) {
        (void)buf_addf(why, "The directory %s may hold mail of this spool, and %s. %s", e->path,
                       e->draining ? "was not yet empty"
                                   : "spool.more_directories does not name it",
                       buf_cstr(&reason));
        r = -ENODEV;
    }
    buf_done(&reason);
    dir_close(&d);
    return r;
}

static int open_all(struct spool *sp, struct dir_list *l, struct buf *why)
{
    const struct spool_directories *want = &sp->config.directories;
    int r = 0;

    for (size_t i = 0; i < want->count && r == 0; i++)
        r = open_named(sp, l, want->paths[i], why);
    for (uint32_t i = 0; i < l->count && r == 0; i++)
        if (!is_open(sp->dirs, l->entries[i].id))
            r = open_listed(sp, &l->entries[i], why);
    return r;
}

/* Whether the list says anything else than what is open. */
static bool list_differs(const struct spool *sp, struct dir_list *l)
{
    uint32_t count = 0;

    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
        const struct dir *d = &sp->dirs[i];
        const struct dir_list_entry *e = d->fs ? entry_of_id(l, d->id) : NULL;

        if (d->fs && (!e || e->draining != d->draining || strcmp(e->path, d->path) != 0))
            return true;
        count += d->fs != NULL;
    }
    return count != l->count;
}

int dirs_recover(struct spool *sp, struct buf *why)
{
    struct dir_list *l = calloc(1, sizeof(*l));
    bool equal = false;
    int r = l ? list_load(sp, l, &equal) : -ENOMEM;

    if (r == -ERR_DAMAGED || (r == 1 && l->spool_id != sp->spool_id)) {
        sp->list_is_lost = true;
        r = 0;
        spool_damage(sp, LIST_NAME, 0, 0,
                     "the list of the spool's directories cannot be read; those that the "
                     "configuration names are used, and the list is written anew");
    }
    if (r == 0)
        *l = (struct dir_list){.next_id = 1};
    if (r >= 0) {
        sp->dirs_generation = l->generation;
        sp->next_dir_id = MAX_OF(l->next_id, 1) + (sp->list_is_lost ? IDS_SKIPPED : 0);
        r = open_all(sp, l, why);
    }
    if (r == 0) {
        for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
            sp->next_dir_id = MAX_OF(sp->next_dir_id, sp->dirs[i].id + 1);
        sp->dirs[0].draining = sp->config.directories.drain_own;
        if (sp->dirs[0].draining && !dirs_have_others(sp) && !sp->config.read_only)
            r = refuse(why, -EINVAL,
                       "The spool's own directory cannot be emptied: there is no "
                       "other one to make segments in.");
        /* A copy that was read from the page cache need not be on the disk yet. */
        sp->list_is_due = sp->list_is_lost || list_differs(sp, l) || !equal;
    }
    free(l);
    return r;
}

/*
 * Makes the new ones of `dirs` say whose they are. That an id was given is on record in the list,
 * which is `listed` otherwise, before it is written anywhere: no id is ever given twice, whatever
 * fails, so that one directory is never taken for another.
 */
static int give_identities(struct spool *sp, struct dir *dirs, const struct dir *listed,
                           struct buf *why)
{
    uint32_t before = sp->next_dir_id;
    int r = 0;

    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (dirs[i].fs && dirs[i].id == 0)
            dirs[i].id = sp->next_dir_id++;
        sp->next_dir_id = MAX_OF(sp->next_dir_id, dirs[i].id + 1);
    }
    if (sp->next_dir_id != before)
        r = list_save(sp, listed, /* with_new= */ false, why);
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX && r == 0; i++)
        if (dirs[i].fs && dirs[i].is_new)
            r = write_identity(sp, &dirs[i], why);
    return r;
}

int dirs_settle(struct spool *sp, struct buf *why)
{
    int r;

    list_allocate(sp);
    r = give_identities(sp, sp->dirs, sp->dirs, why);
    if (r == 0 && sp->list_is_due)
        r = list_save(sp, sp->dirs, /* with_new= */ true, why);
    if (r < 0)
        return r;
    sp->list_is_due = false;
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (sp->dirs[i].is_new)
            dir_report(sp, i, SPOOL_DIRECTORY_ADDED);
        sp->dirs[i].is_new = false;
    }
    return 0;
}

int dirs_sync(struct spool *sp)
{
    int r = 0;

    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX && r == 0; i++)
        if (sp->dirs[i].fs)
            r = fs_sync_dir(sp->dirs[i].fs);
    return r;
}

void dirs_close(struct spool *sp)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        dir_close(&sp->dirs[i]);
}

/* ---- while it runs ---- */

bool dirs_any_draining(const struct spool *sp)
{
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++)
        if (sp->dirs[i].fs && sp->dirs[i].draining)
            return true;
    return false;
}

bool dirs_have_others(const struct spool *sp)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        if (sp->dirs[i].fs && !sp->dirs[i].draining)
            return true;
    return false;
}

uint64_t dirs_free_bytes(struct spool *sp)
{
    uint64_t bytes = 0, seen[SPOOL_DIRECTORIES_MAX] = {0};
    size_t count = 0;

    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        struct fs_space space;
        size_t at = 0;

        if (!sp->dirs[i].fs || sp->dirs[i].draining || fs_space(sp->dirs[i].fs, &space) < 0)
            continue;
        while (at < count && seen[at] != space.device)
            at++;
        if (at == count) {
            seen[count++] = space.device;
            bytes += space.free_bytes;
        }
    }
    return bytes;
}

void dir_suspect(struct spool *sp, uint32_t dir, bool suspect)
{
    if (sp->dirs[dir].suspect == suspect)
        return;
    lock_take(&sp->dirs_lock);
    sp->dirs[dir].suspect = suspect;
    lock_release(&sp->dirs_lock);
}

void dir_report(struct spool *sp, uint32_t dir, enum spool_directory_change change)
{
    uint64_t bytes = 0;

    if (!sp->report.directory)
        return;
    for (uint32_t n = 0; n < sp->slot_count; n++)
        if (sp->slots[n]->file && sp->slots[n]->dir == dir)
            bytes += sp->slots[n]->size;
    sp->report.directory(sp->report.ctx, sp->dirs[dir].path, change, bytes);
}

/* A segment's file that no slot has: its unlinking failed once. */
struct stray {
    const struct spool *sp;
    struct fs *fs;
    char name[FILE_NAME_MAX];
};

/* In a directory of ours what does not say otherwise is ours; it need not have a whole header. */
static bool stray_is_ours(const struct stray *s, const char *name)
{
    uint8_t sector[SECTOR_BYTES] = {0};
    struct segment_header h;
    struct fs_file *f = NULL;
    ptrdiff_t n;

    if (fs_open(s->fs, name, 0, &f) < 0)
        return false;
    n = fs_pread(f, sector, sizeof(sector), 0, false);
    fs_close(&f);
    if (n < 0)
        return false;
    return !segment_header_decode(sector, &h) || h.spool_id == s->sp->spool_id;
}

static int take_stray(void *ctx, const char *name)
{
    struct stray *s = ctx;

    if (strncmp(name, "seg-", 4) != 0 || strlen(name) >= sizeof(s->name) || !stray_is_ours(s, name))
        return 0;
    memcpy(s->name, name, strlen(name) + 1);
    return 1;
}

/* What is left of segments must not be found there when the directory is named again. */
static int unlink_strays(struct spool *sp, struct fs *fs)
{
    struct stray s = {.sp = sp, .fs = fs};
    int r;

    while ((r = fs_list(fs, take_stray, &s)) == 1) {
        r = fs_unlink(fs, s.name);
        if (r < 0)
            break;
    }
    return r;
}

int dir_release(struct spool *sp, uint32_t dir)
{
    struct buf why = BUF_INIT(SPOOL_PATH_MAX + 512);
    struct dir gone = sp->dirs[dir], *next = malloc(sizeof(sp->dirs));
    int r;

    if (!next)
        return -ENOMEM;
    memcpy(next, sp->dirs, sizeof(sp->dirs));
    next[dir] = (struct dir){0};
    /* The segments' names are gone for good before the list forgets where they were. */
    r = unlink_strays(sp, gone.fs);
    if (r == 0)
        r = fs_sync_dir(gone.fs);
    if (r == 0)
        r = list_save(sp, next, /* with_new= */ false, &why);
    free(next);
    buf_done(&why);
    if (r < 0)
        return r;
    dir_report(sp, dir, SPOOL_DIRECTORY_EMPTY);
    lock_take(&sp->grow_lock);
    lock_take(&sp->dirs_lock);
    sp->dirs[dir] = (struct dir){0};
    lock_release(&sp->dirs_lock);
    lock_release(&sp->grow_lock);
    erase_identity(&gone);
    dir_close(&gone);
    return 0;
}

/* ---- a change of the directories ---- */

static bool is_wanted(const struct spool_directories *want, const char *path)
{
    for (size_t i = 0; i < want->count; i++)
        if (strcmp(want->paths[i], path) == 0)
            return true;
    return false;
}

static uint32_t dir_of_path(const struct dir *dirs, const char *path)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        if (dirs[i].fs && strcmp(dirs[i].path, path) == 0)
            return i;
    return 0;
}

/* Opens a new one into `next`; nothing is written in it but its lock. */
static int change_open(struct spool *sp, struct dir *next, const char *path, struct buf *why)
{
    struct dir *place = free_place(next), d;
    struct found found;
    int r = dir_open(sp, path, &d, &found, why);

    if (r < 0)
        return r;
    r = judge_unlisted(path, &found, why);
    if (r == 0 && found.owner == OWNER_US && is_open(next, found.id))
        r = refuse(why, -EEXIST, "The directory %s is the copy of another that is in use.", path);
    if (r == 0 && found.has_files) /* of a list that was removed */
        r = refuse(why, -EEXIST,
                   "The directory %s has segments of this spool already: they are "
                   "found with a restart.",
                   path);
    if (r == 0 && !place)
        r = refuse(why, -EINVAL, "A spool has at most %d directories.", SPOOL_DIRECTORIES_MAX);
    if (r == 0)
        r = dir_lock(&d, why);
    if (r < 0) {
        dir_close(&d);
        return r;
    }
    ASSERT(place);
    d.is_new = true;
    d.was_ours = found.owner == OWNER_US;
    d.id = d.was_ours ? found.id : 0;
    *place = d;
    return 0;
}

/* `next`: the table as it is to be; the new ones say whose they are when this returns 0. */
static int change_prepare(struct spool *sp, struct dir *next, const struct spool_directories *want,
                          struct buf *why)
{
    bool takes = !want->drain_own;
    int r = 0;

    for (size_t i = 0; i < want->count && r == 0; i++)
        if (!dir_of_path(next, want->paths[i]))
            r = change_open(sp, next, want->paths[i], why);
    if (r < 0)
        return r;
    next[0].draining = want->drain_own;
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (!next[i].fs)
            continue;
        next[i].draining = !is_wanted(want, next[i].path);
        takes |= !next[i].draining;
    }
    if (!takes)
        return refuse(why, -EINVAL,
                      "The spool's own directory cannot be emptied: there is no "
                      "other one to make segments in.");
    return give_identities(sp, next, sp->dirs, why);
}

/* `listed`: the list may have been written, and what it names must be what it says. So must what an
 * earlier list that failed may name: an identity that was there before stays. */
static void change_undo(struct dir *next, bool listed)
{
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (!next[i].fs || !next[i].is_new)
            continue;
        if (!listed && !next[i].was_ours)
            erase_identity(&next[i]);
        dir_close(&next[i]);
    }
}

static void change_apply(struct spool *sp, struct dir *next)
{
    bool was_draining[SPOOL_DIRECTORIES_MAX], is_new[SPOOL_DIRECTORIES_MAX];

    lock_take(&sp->grow_lock);
    lock_take(&sp->dirs_lock);
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        was_draining[i] = sp->dirs[i].draining;
        is_new[i] = next[i].is_new;
        next[i].is_new = next[i].waits = false;
        next[i].is_told &= next[i].draining;
        sp->dirs[i] = next[i];
    }
    lock_release(&sp->dirs_lock);
    lock_release(&sp->grow_lock);
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        if (!next[i].fs)
            continue;
        if (is_new[i] || (was_draining[i] && !next[i].draining))
            dir_report(sp, i, SPOOL_DIRECTORY_ADDED);
        else if (next[i].draining && !was_draining[i])
            dir_report(sp, i, SPOOL_DIRECTORY_DRAINING);
    }
}

static bool change_is_none(const struct spool *sp, const struct spool_directories *want)
{
    if (want->drain_own != sp->dirs[0].draining)
        return false;
    for (size_t i = 0; i < want->count; i++)
        if (!dir_of_path(sp->dirs, want->paths[i]))
            return false;
    for (uint32_t i = 1; i < SPOOL_DIRECTORIES_MAX; i++)
        if (sp->dirs[i].fs && is_wanted(want, sp->dirs[i].path) == sp->dirs[i].draining)
            return false;
    return true;
}

int spool_set_directories(struct spool *sp, const struct spool_directories *want, struct buf *why)
{
    struct dir *next;
    int r;

    if (sp->config.read_only)
        return -EROFS;
    if (change_is_none(sp, want))
        return 0;
    next = malloc(sizeof(sp->dirs));
    if (!next)
        return -ENOMEM;
    memcpy(next, sp->dirs, sizeof(sp->dirs));
    r = change_prepare(sp, next, want, why);
    if (r < 0) {
        change_undo(next, /* listed= */ false);
    } else {
        r = list_save(sp, next, /* with_new= */ true, why);
        if (r < 0)
            change_undo(next, /* listed= */ true);
        else
            change_apply(sp, next);
    }
    free(next);
    return r;
}

/* ---- for people ---- */

size_t spool_get_directories(struct spool *sp,
                             struct spool_directory_stat ret[static SPOOL_DIRECTORIES_MAX])
{
    size_t place[SPOOL_DIRECTORIES_MAX] = {0}, count = 0;

    lock_take(&sp->dirs_lock);
    for (uint32_t i = 0; i < SPOOL_DIRECTORIES_MAX; i++) {
        const struct dir *d = &sp->dirs[i];
        struct spool_directory_stat *s = &ret[count];
        struct fs_space space = {0};

        if (!d->fs)
            continue;
        *s = (struct spool_directory_stat){.draining = d->draining, .waits = d->waits};
        memcpy(s->path, d->path, sizeof(s->path));
        if (fs_space(d->fs, &space) == 0) {
            s->free_bytes = space.free_bytes;
            s->total_bytes = space.total_bytes;
        }
        place[i] = count++;
    }
    lock_take(&sp->lock);
    for (uint32_t n = 0; n < sp->slot_count; n++) {
        const struct slot *slot = sp->slots[n];
        struct spool_directory_stat *s = &ret[place[slot->dir]];

        if (!slot->file)
            continue;
        s->segments++;
        s->file_bytes += slot->size;
        s->live_bytes += slot->live;
    }
    lock_release(&sp->lock);
    lock_release(&sp->dirs_lock);
    return count;
}
