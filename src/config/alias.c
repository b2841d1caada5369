/* config/alias.c - two tables: words for resources, and words for what is set of one. */
#include "config/alias.h"

#include <stdbool.h>

#include "base/base.h"

struct alias {
    const char *word, *name;
};

/* The names that Exchange prints for its resources; those of ours that it has not are told by the
 * same names in `penstock pressure --exchange-xml`. */
static const struct alias resources[] = {
    {"DatabaseUsedSpace", "spool_disk"},
    {"UsedInodes", "spool_inodes"},
    {"UsedDiskSpace", "log_disk"},
    {"UsedVersionBuckets", "uncommitted"},
    {"PrivateBytes", "memory"},
    {"SystemMemory", "system_memory"},
    {"QueueLength", "queue"},
    {"Descriptors", "descriptors"},
    {"ProcessorStall", "cpu_stall"},
    {"MemoryStall", "memory_stall"},
    {"DiskStall", "io_stall"},
};

static const struct alias parts[] = {
    {"LowToMedium", "low_to_medium"},
    {"MediumToHigh", "medium_to_high"},
    {"HighToMedium", "high_to_medium"},
    {"MediumToLow", "medium_to_low"},
};

/* Keys of its own file that are one word. */
static const struct alias whole[] = {
    {"EnableResourceMonitoring", "enabled"},
    {"ResourceThrottlingEnabled", "enabled"},
    {"ResourceMeteringInterval", "interval"},
    {"ResourceMonitoringInterval", "interval"},
    {"PrivateBytesHistoryDepth", "memory.history"},
    {"SubmissionQueueHistoryDepth", "queue.history"},
    {"VersionBucketsHistoryDepth", "uncommitted.history"},
    {"SmtpStartThrottlingDelayInterval", "tarpit.start"},
    {"SmtpStepThrottlingDelayInterval", "tarpit.step"},
    {"SmtpMaxThrottlingDelayInterval", "tarpit.max"},
};

static struct slice look_up(const struct alias *table, size_t count, struct slice word)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_case(slice_str(table[i].word), word))
            return slice_str(table[i].name);
    return word;
}

/* The length of the resource's word with its brackets, in which there may be dots. */
static size_t resource_len(struct slice rest)
{
    ptrdiff_t dot = slice_find(rest, '.'), open = slice_find(rest, '['),
              close = slice_find(rest, ']');

    if (open >= 0 && close > open && (dot < 0 || open < dot)) {
        dot = slice_find(slice_from(rest, (size_t)close), '.');
        return dot < 0 ? rest.len : (size_t)(close + dot);
    }
    return dot < 0 ? rest.len : (size_t)dot;
}

struct slice alias_resolve(struct slice name, struct buf *room)
{
    const struct slice section = SLICE_LIT("pressure.");
    struct slice rest = slice_from(name, section.len), resource, word, part;
    size_t len = resource_len(rest);
    ptrdiff_t open;

    if (!slice_has_prefix(name, section))
        return name;
    resource = slice_sub(rest, 0, len);
    open = slice_find(resource, '[');
    word = open < 0 ? resource : slice_sub(resource, 0, (size_t)open);
    part = slice_from(rest, len); /* with its dot */
    word = part.len ? word : look_up(whole, ARRAY_SIZE(whole), word);
    word = look_up(resources, ARRAY_SIZE(resources), word);
    if (open >= 0 && (word.ptr == resource.ptr || resource.ptr[resource.len - 1] != ']'))
        return name; /* brackets that do not end, or not behind a name of Exchange's */
    buf_clear(room);
    (void)buf_add(room, section);
    (void)buf_add(room, word);
    if (part.len) {
        (void)buf_push(room, '.');
        (void)buf_add(room, look_up(parts, ARRAY_SIZE(parts), slice_from(part, 1)));
    }
    return buf_failed(room) ? name : buf_slice(room);
}
