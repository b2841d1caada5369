/* spool/format.c - structs to bytes and back; docs/spool-format.md has the tables. */
#include "spool/format_int.h"

#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define ENTRY_MAGIC 0x4350u

static const uint8_t segment_magic[8] = "PENSPOOL";
static const uint8_t checkpoint_magic[8] = "PENCHECK";
static const uint8_t identity_magic[8] = "PENIDENT";
static const uint8_t dir_list_magic[8] = "PENPLACE";

/* Each file of ours begins with a magic and a version; the checksum over what comes before it is at
 * `crc_at`. */
static void put_head(uint8_t *to, const uint8_t magic[static 8])
{
    memset(to, 0, SECTOR_BYTES);
    memcpy(to, magic, 8);
    put_u32(to + 8, FORMAT_VERSION);
}

static bool crc_is_sound(const uint8_t *from, size_t crc_at)
{
    return get_u32(from + crc_at) == crc32c(0, slice_make(from, crc_at));
}

static bool head_is_sound(const uint8_t *from, const uint8_t magic[static 8], size_t crc_at)
{
    return memcmp(from, magic, 8) == 0 && get_u32(from + 8) == FORMAT_VERSION &&
           crc_is_sound(from, crc_at);
}

uint32_t format_seed(uint64_t spool_id)
{
    uint8_t bytes[8];

    put_u64(bytes, spool_id);
    return crc32c(0, slice_make(bytes, sizeof(bytes)));
}

void record_encode(const struct record *r, uint32_t seed, uint8_t to[static RECORD_HEADER_BYTES])
{
    to[0] = RECORD_MAGIC_0;
    to[1] = RECORD_MAGIC_1;
    to[2] = r->type;
    to[3] = 0;
    put_u32(to + 4, r->len);
    put_u64(to + 8, r->id);
    put_u32(to + 16, r->seq);
    put_u32(to + 20, r->aux);
    put_u32(to + 24, r->crc);
    put_u32(to + 28, crc32c(seed, slice_make(to, 28)));
}

/* Whether id, length and aux can be those of such a record. No message has the id 0: the index
 * counts on it. */
static bool record_is_bounded(const struct record *r)
{
    switch (r->type) {
    case RECORD_EXTENT:
        return r->id != 0 && r->len > 0 && r->len <= SPOOL_EXTENT_MAX;
    case RECORD_MESSAGE:
        return r->id != 0 && r->len <= RECORD_LEN_MAX && r->aux <= EXTENTS_MAX;
    case RECORD_MARK:
        return r->id != 0 && r->len > 0 && r->len <= RECORD_LEN_MAX;
    case RECORD_REMOVE:
        return r->id != 0 && r->len == 0;
    case RECORD_SYNC:
    case RECORD_FLOOR:
        return r->len == 0;
    default:
        return false;
    }
}

bool record_decode(const uint8_t from[static RECORD_HEADER_BYTES], uint32_t seed,
                   struct record *ret)
{
    struct record r;

    if (!record_has_magic(from) || from[3] != 0)
        return false;
    r = (struct record){
        .type = from[2],
        .len = get_u32(from + 4),
        .id = get_u64(from + 8),
        .seq = get_u32(from + 16),
        .aux = get_u32(from + 20),
        .crc = get_u32(from + 24),
    };
    if (get_u32(from + 28) != crc32c(seed, slice_make(from, 28)) || !record_is_bounded(&r))
        return false;
    *ret = r;
    return true;
}

void segment_header_encode(const struct segment_header *h, uint8_t to[static SECTOR_BYTES])
{
    put_head(to, segment_magic);
    put_u32(to + 12, h->seq);
    put_u64(to + 16, h->spool_id);
    put_u64(to + 24, h->size);
    put_u64(to + 32, h->id_floor);
    put_u64(to + 40, h->generation);
    put_u32(to + 48, h->prev_seq);
    put_u64(to + 56, h->prev_end);
    put_u32(to + 64, crc32c(0, slice_make(to, 64)));
}

bool segment_header_decode(const uint8_t from[static SECTOR_BYTES], struct segment_header *ret)
{
    if (!head_is_sound(from, segment_magic, 64))
        return false;
    *ret = (struct segment_header){
        .seq = get_u32(from + 12),
        .spool_id = get_u64(from + 16),
        .size = get_u64(from + 24),
        .id_floor = get_u64(from + 32),
        .generation = get_u64(from + 40),
        .prev_seq = get_u32(from + 48),
        .prev_end = get_u64(from + 56),
    };
    return ret->seq > 0;
}

/* The version is trusted only under a sound checksum, at either kind's place; a later version keeps
 * these two places. */
bool format_is_newer(const uint8_t from[static SECTOR_BYTES])
{
    if (get_u32(from + 8) <= FORMAT_VERSION)
        return false;
    return (memcmp(from, segment_magic, 8) == 0 && crc_is_sound(from, 64)) ||
           (memcmp(from, checkpoint_magic, 8) == 0 && crc_is_sound(from, 72));
}

void checkpoint_header_encode(const struct checkpoint_header *h, uint8_t to[static SECTOR_BYTES])
{
    put_head(to, checkpoint_magic);
    put_u32(to + 12, h->next_seq);
    put_u64(to + 16, h->spool_id);
    put_u64(to + 24, h->generation);
    put_u32(to + 32, h->replay_seq);
    put_u64(to + 40, h->replay_off);
    put_u64(to + 48, h->next_id);
    put_u64(to + 56, h->entry_count);
    put_u64(to + 64, h->entry_bytes);
    put_u32(to + 72, crc32c(0, slice_make(to, 72)));
}

bool checkpoint_header_decode(const uint8_t from[static SECTOR_BYTES],
                              struct checkpoint_header *ret)
{
    if (!head_is_sound(from, checkpoint_magic, 72))
        return false;
    *ret = (struct checkpoint_header){
        .next_seq = get_u32(from + 12),
        .spool_id = get_u64(from + 16),
        .generation = get_u64(from + 24),
        .replay_seq = get_u32(from + 32),
        .replay_off = get_u64(from + 40),
        .next_id = get_u64(from + 48),
        .entry_count = get_u64(from + 56),
        .entry_bytes = get_u64(from + 64),
    };
    return true;
}

uint32_t checkpoint_seed(uint64_t spool_id, uint64_t generation)
{
    uint8_t bytes[8];

    put_u64(bytes, generation);
    return crc32c(format_seed(spool_id), slice_make(bytes, sizeof(bytes)));
}

static uint32_t entry_crc(const uint8_t *head, struct slice extents, uint32_t seed)
{
    return crc32c(crc32c(seed, slice_make(head, 56)), extents);
}

void checkpoint_entry_encode(const struct checkpoint_entry *e, struct slice extents, uint32_t seed,
                             uint8_t to[static CHECKPOINT_ENTRY_BYTES])
{
    put_u16(to, ENTRY_MAGIC);
    put_u16(to + 2, e->stub);
    put_u32(to + 4, e->extent_count);
    put_u64(to + 8, e->id);
    put_u32(to + 16, e->seq);
    put_u32(to + 20, e->off);
    put_u32(to + 24, e->rec_bytes);
    put_u32(to + 28, e->mark_seq);
    put_u32(to + 32, e->mark_off);
    put_u32(to + 36, e->mark_bytes);
    put_u32(to + 40, e->mark_links);
    put_u32(to + 44, e->envelope_len);
    put_u32(to + 48, e->marks_len);
    put_u32(to + 52, e->crc);
    put_u32(to + 56, entry_crc(to, extents, seed));
    put_u32(to + 60, 0);
}

bool checkpoint_entry_peek(const uint8_t from[static CHECKPOINT_ENTRY_BYTES],
                           struct checkpoint_entry *ret)
{
    if (get_u16(from) != ENTRY_MAGIC)
        return false;
    *ret = (struct checkpoint_entry){
        .extent_count = get_u32(from + 4),
        .id = get_u64(from + 8),
        .seq = get_u32(from + 16),
        .off = get_u32(from + 20),
        .rec_bytes = get_u32(from + 24),
        .mark_seq = get_u32(from + 28),
        .mark_off = get_u32(from + 32),
        .mark_bytes = get_u32(from + 36),
        .mark_links = get_u32(from + 40),
        .envelope_len = get_u32(from + 44),
        .marks_len = get_u32(from + 48),
        .crc = get_u32(from + 52),
        .stub = get_u16(from + 2) == 1,
    };
    return ret->extent_count <= EXTENTS_MAX && ret->envelope_len <= SPOOL_ENVELOPE_MAX &&
           ret->marks_len <= SPOOL_ENVELOPE_MAX;
}

bool checkpoint_entry_check(const uint8_t from[static CHECKPOINT_ENTRY_BYTES], struct slice extents,
                            uint32_t seed)
{
    return get_u32(from + 56) == entry_crc(from, extents, seed);
}

void extent_encode(const struct spool_extent *e, uint8_t to[static EXTENT_ENTRY_BYTES])
{
    put_u32(to, e->segment);
    put_u32(to + 4, e->offset);
    put_u32(to + 8, e->bytes);
}

struct spool_extent extent_decode(const uint8_t from[static EXTENT_ENTRY_BYTES])
{
    return (struct spool_extent){
        .segment = get_u32(from),
        .offset = get_u32(from + 4),
        .bytes = get_u32(from + 8),
    };
}

bool message_split(struct slice payload, uint32_t extent_count, struct message_parts *ret)
{
    struct cursor c = cursor_make(payload);
    struct slice extents = cursor_take(&c, (size_t)extent_count * EXTENT_ENTRY_BYTES);
    struct slice envelope = cursor_take(&c, cursor_u32(&c));

    if (!cursor_ok(&c) || !marks_are_sound(c.left))
        return false;
    *ret = (struct message_parts){.extents = extents, .envelope = envelope, .marks = c.left};
    return true;
}

bool marks_are_sound(struct slice marks)
{
    struct cursor c = cursor_make(marks);

    while (cursor_ok(&c) && !cursor_at_end(&c))
        (void)cursor_take(&c, cursor_u32(&c));
    return cursor_ok(&c);
}

void identity_encode(const struct identity *i, uint8_t to[static SECTOR_BYTES])
{
    put_head(to, identity_magic);
    put_u32(to + 12, i->dir_id);
    put_u64(to + 16, i->spool_id);
    put_u32(to + 24, crc32c(0, slice_make(to, 24)));
}

bool identity_decode(const uint8_t from[static SECTOR_BYTES], struct identity *ret)
{
    if (!head_is_sound(from, identity_magic, 24))
        return false;
    *ret = (struct identity){.dir_id = get_u32(from + 12), .spool_id = get_u64(from + 16)};
    return ret->dir_id > 0;
}

/* The checksum, at the end of the head, is over the entries too. */
static uint32_t dir_list_crc(const uint8_t *list, uint32_t count)
{
    uint32_t crc = crc32c(0, slice_make(list, 40));

    return crc32c(crc, slice_make(list + SECTOR_BYTES, (size_t)count * DIR_LIST_ENTRY_BYTES));
}

_Static_assert(SECTOR_BYTES + DIR_LIST_MAX * DIR_LIST_ENTRY_BYTES <= DIR_LIST_BYTES, "one copy");
_Static_assert(12 + SPOOL_PATH_MAX <= DIR_LIST_ENTRY_BYTES, "one entry");

void dir_list_encode(const struct dir_list *l, uint8_t to[static DIR_LIST_BYTES])
{
    memset(to, 0, DIR_LIST_BYTES);
    memcpy(to, dir_list_magic, 8);
    put_u32(to + 8, FORMAT_VERSION);
    put_u32(to + 12, l->count);
    put_u64(to + 16, l->spool_id);
    put_u64(to + 24, l->generation);
    put_u32(to + 32, l->next_id);
    for (uint32_t i = 0; i < l->count; i++) {
        uint8_t *e = to + SECTOR_BYTES + (size_t)i * DIR_LIST_ENTRY_BYTES;
        size_t len = strlen(l->entries[i].path);

        put_u32(e, l->entries[i].id);
        put_u32(e + 4, l->entries[i].draining);
        put_u32(e + 8, (uint32_t)len);
        memcpy(e + 12, l->entries[i].path, len);
    }
    put_u32(to + 40, dir_list_crc(to, l->count));
}

bool dir_list_decode(const uint8_t from[static DIR_LIST_BYTES], struct dir_list *ret)
{
    uint32_t count = get_u32(from + 12);

    if (memcmp(from, dir_list_magic, 8) != 0 || get_u32(from + 8) != FORMAT_VERSION ||
        count > DIR_LIST_MAX || get_u32(from + 40) != dir_list_crc(from, count))
        return false;
    ret->count = count;
    ret->spool_id = get_u64(from + 16);
    ret->generation = get_u64(from + 24);
    ret->next_id = get_u32(from + 32);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *e = from + SECTOR_BYTES + (size_t)i * DIR_LIST_ENTRY_BYTES;
        uint32_t len = get_u32(e + 8);

        if (len > SPOOL_PATH_MAX)
            return false;
        ret->entries[i].id = get_u32(e);
        ret->entries[i].draining = get_u32(e + 4) != 0;
        memcpy(ret->entries[i].path, e + 12, len);
        ret->entries[i].path[len] = '\0';
    }
    return true;
}
