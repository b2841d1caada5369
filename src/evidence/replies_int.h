/*
 * evidence/replies_int.h - private: the rules in memory, and what reads them from YAML.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/slice.h"
#include "config/pool.h"
#include "config/yaml.h"
#include "evidence/pattern.h"
#include "evidence/replies.h"

#define REPLY_CODES 600 /* 0, and 200 to 599 */
#define REPLY_RULES_MAX 2000
#define REPLY_ITEMS_MAX 64 /* codes, status codes, phases, providers of one rule */
#define REPLY_PATTERNS_MAX 300
#define REPLY_VECTORS_MAX 500 /* of one rule */
#define REPLY_NAME_MAX 63
#define REPLY_TEXT_MAX 2000   /* of a meaning, an advice, a warning */
#define REPLY_VECTOR_MAX 1000 /* bytes of a line */

/* "4.3.1", "X.3.1", "4.7.*", "4.7.500-699" or "none". */
struct enhanced_range {
    uint8_t klass; /* 0: any */
    uint16_t subject, from, to;
    bool is_none;
};

struct vector {
    struct place place;
    struct slice line;     /* the reply, without what stands before it */
    enum smtp_phase phase; /* .has_phase */
    struct slice provider; /* empty: none */
    enum reply_class wanted;
    bool has_phase, is_never;
};

struct reply_rule {
    struct place place;
    const char *name; /* NULL: not given, an error */
    const char *meaning, *advice, *warning;
    enum reply_class klass;
    bool has_class, has_codes;
    uint64_t codes[(REPLY_CODES + 63) / 64]; /* bits; of no meaning without has_codes */
    uint32_t phases;                         /* bits; 0: any */
    struct enhanced_range *enhanced;
    size_t enhanced_count;
    struct slice *providers;
    size_t provider_count;
    struct slice *texts, *not_texts; /* patterns; in the set they are from text_first on */
    size_t text_count, not_text_count, text_first;
    struct vector *vectors;
    size_t vector_count;
};

struct reply_class_text {
    const char *meaning, *advice, *warning;
};

struct replies {
    struct pool pool;
    struct reply_rule *rules;
    size_t rule_count;
    struct vector *vectors; /* of no rule */
    size_t vector_count;
    struct reply_class_text classes[REPLY_CLASSES];
    struct pattern_set patterns;
    size_t pattern_count; /* of all rules */
    struct {
        const uint16_t *rules;
        size_t count;
    } buckets[REPLY_CODES];
};

/* Appends what is in `yaml`. What is wrong is in `e` (or e->no_memory). */
void replies_read(struct replies *r, const char *name, struct slice yaml, struct errors *e);

/* After the last file: the set of patterns, and which rules a code has to ask. False: no memory. */
MUST_CHECK bool replies_finish(struct replies *r);

/* The class of a reply that no rule knows: by what is in RFC 3463 and RFC 5321. */
enum reply_class reply_class_by_codes(const struct reply_facts *f);

/* SMTP_PHASE_CLOSED + 1: there is none of that name. */
enum smtp_phase reply_phase_find(struct slice name);
