/*
 * logscan/logparser_int.h - tokens of a statement, between logparser_lex.c and logparser.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "logscan/logparser.h"

enum token_kind {
    TOKEN_WORD,    /* a name, keyword or number */
    TOKEN_STRING,  /* '...', with its quotes */
    TOKEN_QUOTED,  /* "...", with its quotes */
    TOKEN_BRACKET, /* [...], with its brackets */
    TOKEN_SIGN,    /* ( ) , ; * = <> ... */
};
struct token {
    enum token_kind kind;
    struct slice text; /* of logparser.text */
};

struct logparser {
    char *text; /* the statement alone: without command line and options around it */
    size_t len;
    bool is_dialect;
    struct token *tokens;
    size_t token_count, token_room;
    size_t from, after_from; /* tokens before FROM; the first after the files */
    char **files;
    size_t file_count;
};

/* The end of what begins at `at` with a quote or '[': after its closing one; SIZE_MAX: there is none. */
size_t logparser_quoted_end(struct slice text, size_t at);
/* The end of blanks and comments from `at`. */
size_t logparser_blank_end(struct slice text, size_t at);
