/*
 * io/fs_sim.h - a disk in memory that fails as disks fail, for tests only.
 *
 * What is written is volatile until it is synced. fs_sim_crash() is a power cut: each sector (512
 * bytes) of a write that was not synced is kept, lost or, when asked for, garbled, as a seeded
 * generator decides; of the directory changes not synced a prefix is kept. Any operation can be
 * made to fail, or to be the last before the power goes. A failed sync behaves as Linux does:
 * some of the data may be on disk, and the next sync returns 0 without writing the rest.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "io/fs.h"

#define FS_SIM_SECTOR 512u

/* Aborts when memory runs out: it is for tests. `capacity_bytes`: of the disk. */
struct fs *fs_sim_new(uint64_t seed, uint64_t capacity_bytes);
/* Another disk of the same machine: operations are counted together, and the power goes for both at
 * once. fs_sim_crash() is called for each. */
struct fs *fs_sim_new_beside(struct fs *other, uint64_t capacity_bytes);
/* The same disk and directory once more, to be freed as the other is: for a program that opens and
 * closes a directory that the test keeps. No file of either is left open when the last is freed. */
struct fs *fs_sim_ref(struct fs *fs);

/* Operations that change or sync something are counted from 1; see fs_sim_fail_at(). */
uint64_t fs_sim_operations(struct fs *fs);
/* The operation with this number, and the `count` - 1 after it, fail with `err` (-EIO, -ENOSPC);
 * a write may have been done in part. */
void fs_sim_fail_at(struct fs *fs, uint64_t operation, uint64_t count, int err);
/* From this operation on nothing works (-EIO), until fs_sim_crash(). */
void fs_sim_power_off_at(struct fs *fs, uint64_t operation);
bool fs_sim_is_off(struct fs *fs);
/* Bytes that somebody else takes on the same disk. */
void fs_sim_set_filler(struct fs *fs, uint64_t bytes);
/* Reading these bytes of a file gives -EIO; `bytes` 0: no more. */
void fs_sim_bad_range(struct fs *fs, const char *name, uint64_t offset, uint64_t bytes);

/* The power cut. All files are to be closed first (their owner died with it). */
void fs_sim_crash(struct fs *fs, bool garble);
/* The process died and the disk goes on: what was written is there, synced or not. */
void fs_sim_kill(struct fs *fs);

/* Direct access to a file's present bytes, to damage them. NULL: no such file. */
uint8_t *fs_sim_bytes(struct fs *fs, const char *name, uint64_t *ret_size);
