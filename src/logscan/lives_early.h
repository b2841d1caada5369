/*
 * logscan/lives_early.h - private to lives.c: attempts that a log has a little before their message's
 * arrival. They wait, the text copied, until it comes or LIVES_EARLY_MAX more have come.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "logscan/fact.h"

#define LIVES_EARLY_MAX 256

struct lives_early_fact { /* once taken the caller's; its text is freed by lives_early_done() */
    struct log_fact fact;
    uint8_t *text; /* what its slices point into; NULL: an empty place */
};

struct lives_early { /* fields are private, but for `count`; all zero is an empty one */
    size_t count;
    size_t next;                    /* place of the next one, which has the oldest */
    struct lives_early_fact *facts; /* LIVES_EARLY_MAX, from the first on */
    uint64_t keys[LIVES_EARLY_MAX];
};

/* There is no room: the oldest has to go first. */
bool lives_early_is_full(const struct lives_early *e);
/* Copies a fact of the message `key`. 0, -ENOMEM. */
MUST_CHECK int lives_early_keep(struct lives_early *e, uint64_t key, const struct log_fact *f);
/* Takes out the oldest. False: none is there. */
bool lives_early_take(struct lives_early *e, struct lives_early_fact *ret);
/* Takes out the oldest of the message `key` that is of before `before_ms`. False: none is there. */
bool lives_early_take_of(struct lives_early *e, uint64_t key, int64_t before_ms,
                         struct lives_early_fact *ret);
void lives_early_done(struct lives_early_fact *f);
void lives_early_free(struct lives_early *e);
