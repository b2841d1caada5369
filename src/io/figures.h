/*
 * io/figures.h - what the kernel knows of this process and its machine: memory, limits,
 * descriptors, stalls, disks.
 *
 * The files of /proc and of the control group are opened once and read again with pread(), so that
 * a sample needs no descriptor, and works when none is left. A sample allocates nothing. What the
 * kernel does not have is not known, and the figure says why.
 *
 * The parsers take text that may be cut anywhere: a number counts only when the byte after it is
 * there.
 *
 * Threads: one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"

#define FIGURES_NO_LIMIT UINT64_MAX

struct figure {
    bool is_known;
    uint64_t value;
    const char *why; /* not known: why, for people; as long as the struct figures */
};

enum figures_stall { FIGURES_CPU, FIGURES_MEMORY, FIGURES_IO, FIGURES_STALLS };

/* Bytes, but for descriptors (how many) and stalls (hundredths of a percent of the last 10 s). */
struct figures_sample {
    struct figure process;          /* RssAnon + RssShmem: what only ending frees */
    struct figure address_space;    /* VmSize */
    struct figure total, available; /* MemTotal, MemAvailable */
    /* The limits that the kernel keeps this process under: FIGURES_NO_LIMIT where it has none. Of
     * the control groups it is in, the one with the lowest limit. */
    struct figure address_space_max; /* RLIMIT_AS */
    struct figure group_max;         /* memory.max, where the kernel kills */
    struct figure group_high;        /* memory.high, where it slows */
    struct figure group_used;        /* in that group, without page cache that is not in use */
    struct figure descriptors, descriptors_max; /* RLIMIT_NOFILE */
    struct figure some[FIGURES_STALLS];         /* some task waited for it */
    struct figure full[FIGURES_STALLS];         /* all did */
    const char *group;                          /* the group's folder; "" where there is none */
    bool stalls_are_ours; /* of our own control group, and not of the whole machine */
};

struct figures; /* opaque */

/* `root` goes before every path: "" but in tests. 0 or -ENOMEM: what cannot be opened is not known
 * later. */
MUST_CHECK int figures_new(struct figures **ret, const char *root);
void figures_free(struct figures **f);
/* A process that is moved to another control group is followed. On a kernel before 6.2 a large
 * number of descriptors is up to five samples old. */
void figures_take(struct figures *f, struct figures_sample *ret);
/* `process` alone, which costs one file. */
struct figure figures_process_memory(struct figures *f);

/* The file system of `path`. `available` is what is left to us, without what is kept for root.
 * 0 or the error of statvfs(). */
struct figures_disk {
    uint64_t total, available, inodes, inodes_available; /* inodes 0: it counts none */
    uint64_t device; /* equal for two paths on one file system */
};
MUST_CHECK int figures_disk(const char *path, struct figures_disk *ret);

/* ---- parsers: 0, or -EINVAL and nothing set ---- */

/* The line "KEY 17" or "KEY   17 kB" (which counts KiB) of a text like /proc/meminfo; `key` with
 * its colon where it has one. */
MUST_CHECK int figures_parse_line(struct slice text, struct slice key, uint64_t *ret);
/* A file with one number, or "max", or a number as large as the kernel uses for it. */
MUST_CHECK int figures_parse_limit(struct slice text, uint64_t *ret);
/* The line that begins with `which`, "some" or "full": its avg10, in hundredths of a percent. */
MUST_CHECK int figures_parse_stall(struct slice text, struct slice which, uint64_t *ret);
/* /proc/self/cgroup: the path in the hierarchy that has `controller`, or in version 2's where it is
 * empty. */
MUST_CHECK int figures_parse_group(struct slice text, struct slice controller, struct slice *ret);
/* /proc/self/mountinfo: where the hierarchy of `controller` is mounted, and what part of it; empty:
 * version 2's. Paths with spaces and the like are not read. */
MUST_CHECK int figures_parse_mount(struct slice text, struct slice controller,
                                   struct slice *ret_part, struct slice *ret_point);
