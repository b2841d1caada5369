/*
 * cli/address_list.c - one token at a time; `text` gathers the address that is being read.
 *
 *     OUTSIDE --'<'--> INSIDE --'>'--> AFTER --','--> OUTSIDE
 *        `--','--> OUTSIDE, and what was gathered is an address
 *
 * Outside the brackets it is not known before the end whether words are a display name or an
 * address: two words side by side can only be a name, which needs brackets after it.
 */
#include "cli/address_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum place { OUTSIDE, INSIDE, AFTER };

struct reading {
    struct slice left;
    enum place place;
    bool in_group;
    bool last_is_word, has_two_words; /* since the address began */
    size_t len;
    uint8_t text[ADDRESS_LIST_ADDRESS_MAX];
    int (*fn)(void *ctx, struct slice address);
    void *ctx;
    const char *why;
};

static int wrong(struct reading *r, const char *why)
{
    r->why = why;
    return -EINVAL;
}

static void begin_address(struct reading *r)
{
    r->place = OUTSIDE;
    r->len = 0;
    r->last_is_word = r->has_two_words = false;
}

static int gather(struct reading *r, struct slice token)
{
    if (token.len > sizeof(r->text) - r->len)
        return wrong(r, "an address is too long");
    memcpy(r->text + r->len, token.ptr, token.len);
    r->len += token.len;
    return 0;
}

/* An atom, a quoted string or a domain literal. */
static int take_word(struct reading *r, struct slice token)
{
    if (r->place == AFTER)
        return wrong(r, "a comma is missing between two addresses");
    r->has_two_words |= r->last_is_word;
    r->last_is_word = true;
    if (r->place == OUTSIDE && r->has_two_words)
        return 0; /* a display name: its words need not be kept */
    return gather(r, token);
}

/* The end of one element of the list. */
static int end_address(struct reading *r)
{
    struct slice address = slice_make(r->text, r->len);
    bool has_two_words = r->has_two_words, was_in_brackets = r->place == AFTER;

    begin_address(r);
    if (address.len == 0) /* between two commas, or an empty group */
        return was_in_brackets ? wrong(r, "the brackets are empty") : 0;
    if (has_two_words)
        return wrong(r, was_in_brackets ? "there is a blank in an address"
                                        : "a name stands without an address in brackets");
    return r->fn(r->ctx, address);
}

/* The length of the quoted string, comment or domain literal at the start of `s`, its end
 * included; 0: it does not end. */
static size_t enclosed_len(struct slice s)
{
    uint8_t open = s.ptr[0], close = open == '(' ? ')' : open == '[' ? ']' : '"';
    size_t depth = 0;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];

        if (c == '\\')
            i++;
        else if (c == '(' && open == '(')
            depth++;
        else if (c == close && i > 0 && (open != '(' || --depth == 0))
            return i + 1;
    }
    return 0;
}

/* A quoted string may be folded: the line end is no part of it. */
static int take_quoted(struct reading *r, struct slice token)
{
    uint8_t text[ADDRESS_LIST_ADDRESS_MAX];
    size_t len = 0;

    if (token.len > sizeof(text)) /* a name, so long; of an address it would be too long */
        return take_word(r, SLICE_LIT("\"\""));
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] != '\r' && token.ptr[i] != '\n')
            text[len++] = token.ptr[i];
    return take_word(r, slice_make(text, len));
}

static int take_enclosed(struct reading *r)
{
    size_t len = enclosed_len(r->left);
    struct slice token = slice_sub(r->left, 0, len);

    if (len == 0)
        return wrong(r, r->left.ptr[0] == '('   ? "a comment does not end"
                        : r->left.ptr[0] == '[' ? "a domain literal does not end"
                                                : "a quoted text does not end");
    r->left = slice_from(r->left, len);
    if (token.ptr[0] == '(')
        return 0;
    return take_quoted(r, token);
}

static int take_colon(struct reading *r)
{
    if (r->place == INSIDE && r->len > 0 && r->text[0] == '@') {
        begin_address(r); /* a source route (section 4.4): dropped */
        r->place = INSIDE;
        return 0;
    }
    if (r->place != OUTSIDE || r->in_group)
        return wrong(r, "a colon is out of place");
    r->in_group = true; /* what came before is the group's name */
    begin_address(r);
    return 0;
}

static int take_special(struct reading *r, uint8_t c)
{
    switch (c) {
    case '<':
        if (r->place != OUTSIDE)
            return wrong(r, "a bracket is out of place");
        begin_address(r); /* what came before is the display name */
        r->place = INSIDE;
        return 0;
    case '>':
        if (r->place != INSIDE)
            return wrong(r, "a bracket is out of place");
        r->place = AFTER;
        return 0;
    case ',':
        if (r->place != INSIDE)
            return end_address(r);
        /* Between the hosts of a source route: as good as its beginning. */
        return r->len > 0 && r->text[0] == '@' ? 0 : wrong(r, "a bracket does not end");
    case ';':
        if (r->place == INSIDE)
            return wrong(r, "a bracket does not end");
        r->in_group = false; /* outside of a group it is a comma of Outlook's */
        return end_address(r);
    case ':':
        return take_colon(r);
    default: /* '@' and '.' */
        if (r->place == AFTER)
            return wrong(r, "a comma is missing between two addresses");
        r->last_is_word = false;
        return r->place == OUTSIDE && r->has_two_words ? 0 : gather(r, slice_make(&c, 1));
    }
}

static bool is_atom_byte(uint8_t c)
{
    return c > ' ' && c != 0x7f && !memchr("<>,;:@.()[]\"", c, 12);
}

static int take(struct reading *r)
{
    uint8_t c = r->left.ptr[0];
    struct slice token;
    size_t len = 0;

    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        r->left = slice_from(r->left, 1);
        return 0;
    }
    if (c == '"' || c == '(' || c == '[')
        return take_enclosed(r);
    while (len < r->left.len && is_atom_byte(r->left.ptr[len]))
        len++;
    if (len == 0) {
        r->left = slice_from(r->left, 1);
        if (!memchr("<>,;:@.", c, 7))
            return wrong(r, "a character has no place in an address");
        return take_special(r, c);
    }
    token = slice_sub(r->left, 0, len);
    r->left = slice_from(r->left, len);
    return take_word(r, token);
}

int address_list_each(struct slice value, int (*fn)(void *ctx, struct slice address), void *ctx,
                      const char **ret_why)
{
    struct reading r = {.left = value, .fn = fn, .ctx = ctx};
    int err = 0;

    begin_address(&r);
    while (err == 0 && r.left.len > 0)
        err = take(&r);
    if (err == 0 && r.place == INSIDE)
        err = wrong(&r, "a bracket does not end");
    if (err == 0)
        err = end_address(&r);
    if (r.why)
        *ret_why = r.why;
    return err;
}
