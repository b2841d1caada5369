/*
 * config/value.c - each kind of value: read, written back, described.
 *
 * The reading and the writing are inverse to each other: what value_format() gives, value_parse()
 * takes, and the result is the same value. A test checks it for every setting.
 */
#include "config/value_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

struct unit_word {
    const char *word;
    uint64_t factor;
};

/* Largest first: the first one that divides a value writes it. In microseconds. */
static const struct unit_word duration_units[] = {
    {"d", 86400000000}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1},
};
static const struct unit_word size_units[] = {
    {"GiB", GIB(1)}, {"MiB", MIB(1)}, {"KiB", KIB(1)}, {"B", 1}, {"GB", 1000000000},
    {"MB", 1000000}, {"KB", 1000},    {"kB", 1000},    {"", 1},
};
#define SIZE_UNITS_WRITTEN 4

static void store(const struct setting *s, void *base, uint64_t v)
{
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;

    ASSERT(s->size == 8 || v < (uint64_t)1 << (8 * s->size));
    memcpy(value_at(s, base),
           s->size == 8   ? (void *)&v
           : s->size == 4 ? (void *)&v32
                          : (void *)&v16,
           s->size);
}

static uint64_t fetch(const struct setting *s, const void *base)
{
    uint64_t v = 0; /* the machine is little-endian: base/bytes.h insists */

    ASSERT(s->size <= sizeof(v));
    memcpy(&v, value_const_at(s, base), s->size);
    return v;
}

static uint64_t unit_us(const struct setting *s)
{
    return s->unit == UNIT_S ? 1000000 : s->unit == UNIT_MS ? 1000 : 1;
}

/* Digits, then a unit's word; moves `*text` past both. */
static int take_amount(struct slice *text, const struct unit_word *units, size_t unit_count,
                       uint64_t *ret)
{
    size_t digits = 0, letters;
    uint64_t n;

    while (digits < text->len && byte_is_digit(text->ptr[digits]))
        digits++;
    letters = digits;
    while (letters < text->len && byte_is_alpha(text->ptr[letters]))
        letters++;
    if (slice_to_u64(slice_sub(*text, 0, digits), UINT64_MAX, &n) < 0)
        return -EINVAL;
    for (size_t i = 0; i < unit_count; i++)
        if (slice_eq(slice_sub(*text, digits, letters - digits), slice_str(units[i].word))) {
            if (n > UINT64_MAX / units[i].factor)
                return -EINVAL;
            *ret = n * units[i].factor;
            *text = slice_from(*text, letters);
            return 0;
        }
    return -EINVAL;
}

static int put_in_range(const struct setting *s, void *base, uint64_t v)
{
    if (v < s->min || v > s->max)
        return -EINVAL;
    store(s, base, v);
    return 0;
}

/* "1h30m", in the setting's unit; "0" needs no unit. */
static int read_duration(const struct setting *s, struct slice text, uint64_t *ret)
{
    uint64_t us = 0, part;

    if (slice_eq(text, SLICE_LIT("0")))
        text = SLICE_LIT("0s");
    if (text.len == 0)
        return -EINVAL;
    while (text.len) {
        if (take_amount(&text, duration_units, ARRAY_SIZE(duration_units), &part) < 0 ||
            part > UINT64_MAX - us)
            return -EINVAL;
        us += part;
    }
    if (us % unit_us(s) != 0)
        return -EINVAL;
    *ret = us / unit_us(s);
    return 0;
}

static int parse_size(const struct setting *s, struct slice text, void *base)
{
    bool is_bare = text.len && byte_is_digit(text.ptr[text.len - 1]);
    uint64_t v;

    if (take_amount(&text, size_units, ARRAY_SIZE(size_units), &v) < 0 || text.len)
        return -EINVAL;
    if (s->needs_unit && is_bare && v != 0)
        return -EINVAL;
    return put_in_range(s, base, v);
}

/* "20%", "0.5%"; "enabled" is 20 %, as in the operators' words for jitter. */
static int parse_percent(const struct setting *s, struct slice text, void *base)
{
    struct slice fraction = {0};
    uint64_t whole, tenths = 0;
    ptrdiff_t dot;
    double share;

    if (slice_eq(text, SLICE_LIT("enabled")))
        text = SLICE_LIT("20%");
    else if (slice_eq(text, SLICE_LIT("disabled")))
        text = SLICE_LIT("0%");
    if (text.len < 2 || text.ptr[text.len - 1] != '%')
        return -EINVAL;
    text.len--;
    dot = slice_find(text, '.');
    if (dot >= 0) {
        fraction = slice_from(text, (size_t)dot + 1);
        text = slice_sub(text, 0, (size_t)dot);
        if (fraction.len != 1 || slice_to_u64(fraction, 9, &tenths) < 0)
            return -EINVAL;
    }
    if (slice_to_u64(text, 1000, &whole) < 0 || whole < s->min || whole * 10 + tenths > s->max * 10)
        return -EINVAL;
    share = (double)(whole * 10 + tenths) / 1000;
    memcpy(value_at(s, base), &share, sizeof(share));
    return 0;
}

static int parse_bool(const struct setting *s, struct slice text, void *base)
{
    static const char *const words[] = {"no",  "yes", "false",    "true",
                                        "off", "on",  "disabled", "enabled"};
    bool v;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (slice_eq_case(text, slice_str(words[i]))) {
            v = i % 2 == 1;
            memcpy(value_at(s, base), &v, sizeof(v));
            return 0;
        }
    return -EINVAL;
}

static int parse_enum(const struct setting *s, struct slice text, void *base)
{
    for (size_t i = 0; s->words[i]; i++)
        if (slice_eq_case(text, slice_str(s->words[i]))) {
            store(s, base, i);
            return 0;
        }
    return -EINVAL;
}

bool value_is_host(struct slice s)
{
    size_t label = 0;

    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool is_end = i + 1 == s.len || s.ptr[i + 1] == '.';

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            continue;
        }
        if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '_' &&
            (c != '-' || label == 0 || is_end))
            return false;
        if (++label > 63)
            return false;
    }
    return label > 0;
}

bool value_is_pattern(struct slice s)
{
    if (slice_eq(s, SLICE_LIT("*")))
        return true;
    return value_is_host(s.len && s.ptr[0] == '.' ? slice_from(s, 1) : s);
}

static bool is_mailbox(struct slice s)
{
    ptrdiff_t at_sign = slice_rfind(s, '@');
    struct slice local = at_sign < 0 ? s : slice_sub(s, 0, (size_t)at_sign);

    if (local.len == 0 || local.len > 64)
        return false;
    for (size_t i = 0; i < local.len; i++)
        if (!byte_is_alpha(local.ptr[i]) && !byte_is_digit(local.ptr[i]) &&
            !memchr("!#$%&'*+-/=?^_`{|}~.", local.ptr[i], 20))
            return false;
    return at_sign < 0 || value_is_host(slice_from(s, (size_t)at_sign + 1));
}

/* The first name of an absolute path, seen as the kernel does where there are no links: "proc" of
 * "//./srv/../proc/x". Empty: "/". */
static struct slice first_name(struct slice path)
{
    struct slice first = {0};
    size_t depth = 0;

    while (path.len > 0) {
        ptrdiff_t end = slice_find(path, '/');
        struct slice name = slice_sub(path, 0, end < 0 ? path.len : (size_t)end);

        path = slice_from(path, end < 0 ? path.len : (size_t)end + 1);
        if (slice_eq(name, SLICE_LIT(".."))) {
            depth -= depth > 0;
        } else if (name.len > 0 && !slice_eq(name, SLICE_LIT("."))) {
            if (depth++ == 0)
                first = name;
        }
    }
    return depth > 0 ? first : (struct slice){0};
}

/* Nothing can be kept in the kernel's own file systems, which fail in ways of their own. */
static bool is_folder(struct slice path)
{
    struct slice first = first_name(path);

    return path.ptr[0] != '/' ||
           (!slice_eq(first, SLICE_LIT("proc")) && !slice_eq(first, SLICE_LIT("sys")));
}

static bool is_text(const struct setting *s, struct slice text)
{
    if (text.len == 0 || text.len > 1024)
        return false;
    if (s->type == VALUE_HOST)
        return value_is_host(text);
    if (s->type == VALUE_PATTERN)
        return value_is_pattern(text);
    if (s->type == VALUE_DESTINATION)
        return policy_is_destination(text);
    if (s->type == VALUE_NAME)
        return policy_is_name(text);
    if (s->type == VALUE_MAILBOX)
        return is_mailbox(text);
    if (s->type == VALUE_FOLDER)
        return is_folder(text);
    return true;
}

static int parse_text(const struct setting *s, struct slice text, void *base, struct pool *pool)
{
    const char *copy;

    if (!is_text(s, text))
        return -EINVAL;
    copy = pool_text(pool, text);
    if (!copy)
        return -ENOMEM;
    memcpy(value_at(s, base), &copy, sizeof(copy));
    return 0;
}

static int parse_address(const struct setting *s, struct slice text, void *base, struct buf *detail)
{
    struct addr a;

    if (addr_parse(text, (uint16_t)s->min, &a, detail) < 0)
        return -EINVAL;
    if (s->type == VALUE_IPV4 || s->type == VALUE_IPV6) {
        if (addr_port(&a) != 0 || a.u.any.sa_family == AF_UNIX ||
            addr_is_ipv6(&a) != (s->type == VALUE_IPV6))
            return -EINVAL;
    }
    memcpy(value_at(s, base), &a, sizeof(a));
    return 0;
}

/* "host", "host:port", "[ip]:port", "[ip]". */
static int read_host_port(struct slice text, uint16_t default_port, struct slice *ret_host,
                          uint16_t *ret_port)
{
    struct slice host = text, port = {0};
    uint64_t number = default_port;
    ptrdiff_t colon;
    struct addr a;

    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = slice_find(text, ']');

        if (end < 0)
            return -EINVAL;
        host = slice_sub(text, 1, (size_t)end - 1);
        if (addr_parse(host, 0, &a, NULL) < 0 || a.u.any.sa_family == AF_UNIX || addr_port(&a) != 0)
            return -EINVAL;
        port = slice_from(text, (size_t)end + 1);
    } else {
        colon = slice_find(text, ':');
        if (colon >= 0) {
            host = slice_sub(text, 0, (size_t)colon);
            port = slice_from(text, (size_t)colon);
        }
        if (!value_is_host(host))
            return -EINVAL;
    }
    if (port.len && (port.ptr[0] != ':' || slice_to_u64(slice_from(port, 1), 65535, &number) < 0 ||
                     number == 0))
        return -EINVAL;
    *ret_host = host;
    *ret_port = (uint16_t)number;
    return 0;
}

static bool take_prefix(struct slice *s, struct slice prefix)
{
    if (!slice_has_prefix_case(*s, prefix))
        return false;
    *s = slice_from(*s, prefix.len);
    return true;
}

static int read_target(struct slice text, struct config_target *t, struct slice *ret_name)
{
    uint16_t port = 25;

    if (slice_eq_case(text, SLICE_LIT("mx")) || slice_eq_case(text, SLICE_LIT("discard"))) {
        t->kind = text.len == 2 ? CONFIG_TARGET_MX : CONFIG_TARGET_DISCARD;
        *ret_name = slice_make(NULL, 0);
        return 0;
    }
    if (take_prefix(&text, SLICE_LIT("mx:"))) {
        t->kind = CONFIG_TARGET_MX;
        *ret_name = text;
        return value_is_host(text) ? 0 : -EINVAL;
    }
    if (take_prefix(&text, SLICE_LIT("lmtp:unix:"))) {
        t->kind = CONFIG_TARGET_UNIX;
        *ret_name = text;
        return text.len && text.len < 108 ? 0 : -EINVAL;
    }
    t->kind = CONFIG_TARGET_SMTP;
    if (take_prefix(&text, SLICE_LIT("lmtp:"))) {
        t->kind = CONFIG_TARGET_LMTP;
        port = 24;
    } else {
        (void)take_prefix(&text, SLICE_LIT("smtp:"));
    }
    return read_host_port(text, port, ret_name, &t->port);
}

static int parse_target(const struct setting *s, struct slice text, void *base, struct pool *pool)
{
    struct config_target t = {0};
    struct slice name;
    const char *copy = NULL;

    if (read_target(text, &t, &name) < 0)
        return -EINVAL;
    t.text = pool_text(pool, text);
    if (name.len)
        copy = pool_text(pool, name);
    if (!t.text || (name.len && !copy))
        return -ENOMEM;
    *(t.kind == CONFIG_TARGET_UNIX ? &t.path : &t.host) = copy;
    memcpy(value_at(s, base), &t, sizeof(t));
    return 0;
}

void *value_grown(struct pool *pool, const void *list, size_t count, size_t element_size)
{
    void *more;

    if (count && (count < 4 || (count & (count - 1)) != 0)) { /* the room is there */
        memcpy(&more, &list, sizeof(more)); /* the array is the pool's, and ours to write */
        return more;
    }
    more = pool_alloc(pool, MAX_OF((size_t)4, 2 * count) * element_size);
    if (more && count)
        memcpy(more, list, count * element_size);
    return more;
}

static int add_network(const struct setting *s, struct slice text, void *base, struct pool *pool,
                       struct buf *detail)
{
    struct config_networks *n = value_at(s, base);
    struct network *list, one;
    const char **texts;

    if (network_parse(text, &one, detail) < 0)
        return -EINVAL;
    list = value_grown(pool, n->list, n->count, sizeof(*list));
    texts = value_grown(pool, n->texts, n->count, sizeof(*texts));
    if (!list || !texts)
        return -ENOMEM;
    list[n->count] = one;
    texts[n->count] = pool_text(pool, text);
    if (!texts[n->count])
        return -ENOMEM;
    n->list = list;
    n->texts = texts;
    n->count++;
    return 0;
}

/* libunbound's form, "address@port", from it and from "address:port". */
static int read_server(struct slice text, char *ret, size_t size)
{
    ptrdiff_t sign = slice_find(text, '@');
    char ip[ADDR_TEXT_MAX];
    uint64_t port = 53;
    struct addr a;

    if (sign >= 0) {
        if (slice_to_u64(slice_from(text, (size_t)sign + 1), 65535, &port) < 0)
            return -EINVAL;
        text = slice_sub(text, 0, (size_t)sign);
    }
    if (addr_parse(text, (uint16_t)port, &a, NULL) < 0 || a.u.any.sa_family == AF_UNIX ||
        addr_port(&a) == 0)
        return -EINVAL;
    addr_format_ip(&a, ip);
    (void)snprintf(ret, size, "%s@%u", ip, (unsigned)addr_port(&a));
    return 0;
}

static int add_text(const struct setting *s, struct slice text, void *base, struct pool *pool)
{
    struct config_texts *t = value_at(s, base);
    char server[ADDR_TEXT_MAX + 8];
    const char **list, *copy;

    if (s->type == VALUE_SERVERS) {
        if (read_server(text, server, sizeof(server)) < 0)
            return -EINVAL;
        text = slice_str(server);
    } else if (s->type == VALUE_FOLDERS ? text.len == 0 || text.len > 1000 || !is_folder(text)
                                        : !value_is_pattern(text)) {
        return -EINVAL;
    }
    copy = pool_text(pool, text);
    /* One more than there are, for the NULL at the end. */
    list = copy ? value_grown(pool, t->list, t->count, 2 * sizeof(*list)) : NULL;
    if (!list)
        return -ENOMEM;
    list[t->count++] = copy;
    list[t->count] = NULL;
    t->list = list;
    return 0;
}

static int add_delay(const struct setting *s, struct slice text, void *base, struct buf *detail)
{
    struct config_retry *r = value_at(s, base);
    uint64_t v;

    if (read_duration(s, text, &v) < 0 || v < s->min || v > s->max)
        return -EINVAL;
    if (r->delay_count == CONFIG_RETRIES_MAX) {
        if (detail)
            (void)buf_addf(detail, "at most %d delays", CONFIG_RETRIES_MAX - 1);
        return -EINVAL;
    }
    r->delays_s[r->delay_count++] = (uint32_t)v;
    return 0;
}

bool value_is_list(const struct setting *s)
{
    return s->type == VALUE_NETWORKS || s->type == VALUE_PATTERNS || s->type == VALUE_SERVERS ||
           s->type == VALUE_DELAYS || s->type == VALUE_COUNTS || s->type == VALUE_MEMBERS ||
           s->type == VALUE_FOLDERS;
}

int value_parse(const struct setting *s, struct slice text, void *base, struct pool *pool,
                struct buf *detail)
{
    uint64_t v;

    /* An empty folder is rather a variable that was not filled in than the wish to have none. */
    if (s->optional &&
        ((text.len == 0 && s->type != VALUE_FOLDER) || slice_eq_case(text, SLICE_LIT("none")))) {
        value_clear(s, base);
        return 0;
    }
    switch (s->type) {
    case VALUE_BOOL:
        return parse_bool(s, text, base);
    case VALUE_NUMBER:
        return slice_to_u64(text, s->max, &v) < 0 ? -EINVAL : put_in_range(s, base, v);
    case VALUE_SIZE:
        return parse_size(s, text, base);
    case VALUE_DURATION:
        return read_duration(s, text, &v) < 0 ? -EINVAL : put_in_range(s, base, v);
    case VALUE_PERCENT:
        return parse_percent(s, text, base);
    case VALUE_WHOLE_PERCENT:
        if (text.len && text.ptr[text.len - 1] == '%')
            text.len--;
        return slice_to_u64(text, s->max, &v) < 0 ? -EINVAL : put_in_range(s, base, v);
    case VALUE_ENUM:
        return parse_enum(s, text, base);
    case VALUE_TEXT:
    case VALUE_PATH:
    case VALUE_FOLDER:
    case VALUE_HOST:
    case VALUE_PATTERN:
    case VALUE_DESTINATION:
    case VALUE_NAME:
    case VALUE_MAILBOX:
        return parse_text(s, text, base, pool);
    case VALUE_ADDRESS:
    case VALUE_IPV4:
    case VALUE_IPV6:
        return parse_address(s, text, base, detail);
    case VALUE_TARGET:
        return parse_target(s, text, base, pool);
    case VALUE_NETWORKS:
        return add_network(s, text, base, pool, detail);
    case VALUE_PATTERNS:
    case VALUE_SERVERS:
    case VALUE_FOLDERS:
        return add_text(s, text, base, pool);
    case VALUE_DELAYS:
        return add_delay(s, text, base, detail);
    case VALUE_CHANGE:
    case VALUE_SHARE:
    case VALUE_FACTOR:
    case VALUE_RATE:
    case VALUE_DATE:
    case VALUE_COUNTS:
    case VALUE_MEMBERS:
        return policy_parse(s, text, base, pool, detail);
    case VALUE_MAPS:
        break;
    }
    return -EINVAL;
}

void value_clear(const struct setting *s, void *base)
{
    if (s->type == VALUE_DELAYS)
        ((struct config_retry *)value_at(s, base))->delay_count = 1;
    else
        memset(value_at(s, base), 0, s->size);
}

void value_copy(const struct setting *to, void *base, const struct setting *from,
                const void *from_base)
{
    ASSERT(to->type == from->type && to->size == from->size);
    if (to->type == VALUE_DELAYS) {
        struct config_retry *r = value_at(to, base);
        const struct config_retry *f = value_const_at(from, from_base);

        memcpy(r->delays_s + 1, f->delays_s + 1, sizeof(r->delays_s) - sizeof(r->delays_s[0]));
        r->delay_count = f->delay_count;
        return;
    }
    memcpy(value_at(to, base), value_const_at(from, from_base), to->size);
}

static void add_amount(struct buf *ret, uint64_t v, const struct unit_word *units, size_t count)
{
    size_t i = 0;

    if (v == 0) {
        (void)buf_push(ret, '0');
        return;
    }
    while (i + 1 < count && v % units[i].factor != 0)
        i++;
    (void)buf_addf(ret, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].word);
}

static void add_duration(const struct setting *s, struct buf *ret, uint64_t v)
{
    uint64_t us = v * unit_us(s);
    size_t skip = us < 7 * duration_units[0].factor ? 1 : 0; /* 48h rather than 2d */

    add_amount(ret, us, duration_units + skip, ARRAY_SIZE(duration_units) - skip);
}

static void add_percent(struct buf *ret, double share)
{
    unsigned tenths = (unsigned)(share * 1000 + 0.5);

    if (tenths % 10)
        (void)buf_addf(ret, "%u.%u%%", tenths / 10, tenths % 10);
    else
        (void)buf_addf(ret, "%u%%", tenths / 10);
}

static void add_address(const struct setting *s, const struct addr *a, struct buf *ret)
{
    char text[ADDR_TEXT_MAX];

    if (a->len == 0)
        return;
    if (s->type == VALUE_ADDRESS)
        addr_format(a, text);
    else
        addr_format_ip(a, text);
    (void)buf_add_str(ret, text);
}

static void add_list(const struct setting *s, const void *base, struct buf *ret)
{
    const struct config_networks *n = value_const_at(s, base);
    const struct config_texts *t = value_const_at(s, base);
    const struct config_retry *r = value_const_at(s, base);
    size_t first = s->type == VALUE_DELAYS ? 1 : 0;
    size_t count = s->type == VALUE_DELAYS     ? r->delay_count
                   : s->type == VALUE_NETWORKS ? n->count
                                               : t->count;

    for (size_t i = first; i < count; i++) {
        if (i > first)
            (void)buf_add_str(ret, ", ");
        if (s->type == VALUE_DELAYS)
            add_duration(s, ret, r->delays_s[i]);
        else
            (void)buf_add_str(ret, s->type == VALUE_NETWORKS ? n->texts[i] : t->list[i]);
    }
}

void value_format(const struct setting *s, const void *base, struct buf *ret)
{
    const void *p = value_const_at(s, base);

    switch (s->type) {
    case VALUE_BOOL:
        (void)buf_add_str(ret, *(const bool *)p ? "yes" : "no");
        break;
    case VALUE_NUMBER:
        (void)buf_addf(ret, "%llu", (unsigned long long)fetch(s, base));
        break;
    case VALUE_SIZE:
        add_amount(ret, fetch(s, base), size_units, SIZE_UNITS_WRITTEN);
        break;
    case VALUE_DURATION:
        add_duration(s, ret, fetch(s, base));
        break;
    case VALUE_PERCENT:
        add_percent(ret, *(const double *)p);
        break;
    case VALUE_WHOLE_PERCENT:
        (void)buf_addf(ret, "%llu%%", (unsigned long long)fetch(s, base));
        break;
    case VALUE_ENUM:
        (void)buf_add_str(ret, s->words[fetch(s, base)]);
        break;
    case VALUE_TEXT:
    case VALUE_PATH:
    case VALUE_FOLDER:
    case VALUE_HOST:
    case VALUE_PATTERN:
    case VALUE_DESTINATION:
    case VALUE_NAME:
    case VALUE_MAILBOX:
        (void)buf_add(ret, slice_str(*(const char *const *)p));
        break;
    case VALUE_ADDRESS:
    case VALUE_IPV4:
    case VALUE_IPV6:
        add_address(s, p, ret);
        break;
    case VALUE_TARGET:
        (void)buf_add(ret, slice_str(((const struct config_target *)p)->text));
        break;
    case VALUE_NETWORKS:
    case VALUE_PATTERNS:
    case VALUE_SERVERS:
    case VALUE_FOLDERS:
    case VALUE_DELAYS:
        add_list(s, base, ret);
        break;
    case VALUE_CHANGE:
    case VALUE_SHARE:
    case VALUE_FACTOR:
    case VALUE_RATE:
    case VALUE_DATE:
    case VALUE_COUNTS:
    case VALUE_MEMBERS:
        policy_format(s, base, ret);
        break;
    case VALUE_MAPS:
        break;
    }
}

static void add_range(const struct setting *s, struct buf *ret, const char *what)
{
    (void)buf_addf(ret, "%s from ", what);
    if (s->type == VALUE_SIZE)
        add_amount(ret, s->min, size_units, SIZE_UNITS_WRITTEN);
    else if (s->type == VALUE_NUMBER)
        (void)buf_addf(ret, "%llu", (unsigned long long)s->min);
    else
        add_duration(s, ret, s->min);
    (void)buf_add_str(ret, " to ");
    if (s->type == VALUE_SIZE)
        add_amount(ret, s->max, size_units, SIZE_UNITS_WRITTEN);
    else if (s->type == VALUE_NUMBER)
        (void)buf_addf(ret, "%llu", (unsigned long long)s->max);
    else
        add_duration(s, ret, s->max);
}

static void add_words(const struct setting *s, struct buf *ret)
{
    for (size_t i = 0; s->words[i]; i++)
        (void)buf_addf(ret, "%s%s", i == 0 ? "" : s->words[i + 1] ? ", " : " or ", s->words[i]);
}

void value_allowed(const struct setting *s, struct buf *ret)
{
    static const char *const sentences[] = {
        [VALUE_BOOL] = "yes, no, true, false, on, off, enabled or disabled",
        [VALUE_TEXT] = "a text of 1 to 1024 bytes",
        [VALUE_PATH] = "a path",
        [VALUE_FOLDER] = "the path of a folder that is not in /proc or /sys",
        [VALUE_HOST] = "a domain name in ASCII",
        [VALUE_PATTERN] = "a domain name in ASCII, .domain for all below it, or \"*\" for all",
        [VALUE_DESTINATION] =
            ("a domain name in ASCII (one without a dot: `localhost.`), .domain for "
             "all below it, \"*\" for all, mx:PATTERN like mx:*.example.net for "
             "those with such MX hosts, route:TEXT for a next hop, or the name of "
             "a provider or a group of them"),
        [VALUE_NAME] = "a name of 1 to 63 letters, digits, hyphens, underscores and dots",
        [VALUE_MAILBOX] = "an address like postmaster@example.org, or its local part alone",
        [VALUE_ADDRESS] = "an address and port like 127.0.0.1:25 or [::1]:25, or unix:/path",
        [VALUE_IPV4] = "an IPv4 address",
        [VALUE_IPV6] = "an IPv6 address",
        [VALUE_TARGET] = ("host:port, [ip]:port, lmtp:host:port, lmtp:unix:/path, mx, mx:domain "
                          "or discard"),
        [VALUE_NETWORKS] = "networks like 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32",
        [VALUE_PATTERNS] = "domain names in ASCII, .domain for all below one, or \"*\" for all",
        [VALUE_SERVERS] = "addresses like 127.0.0.1, 127.0.0.1@5353 or [::1]:53",
        [VALUE_FOLDERS] = "paths of folders that exist, not in /proc or /sys",
        [VALUE_MAPS] = "a list of maps",
    };

    switch (s->type) {
    case VALUE_NUMBER:
        add_range(s, ret, "a whole number");
        break;
    case VALUE_SIZE:
        add_range(s, ret,
                  s->needs_unit ? "a size with its unit like 64MiB or 512KiB,"
                                : "a size like 64MiB or 150MB,");
        break;
    case VALUE_DURATION:
        add_range(s, ret, "a duration like 500ms, 30s, 10m or 48h,");
        break;
    case VALUE_DELAYS:
        (void)buf_addf(ret, "up to %d", CONFIG_RETRIES_MAX - 1);
        add_range(s, ret, " durations like 20m, 40m, 80m, each");
        break;
    case VALUE_PERCENT:
        (void)buf_addf(ret, "a percentage from %llu%% to %llu%%, enabled (20%%) or disabled (0%%)",
                       (unsigned long long)s->min, (unsigned long long)s->max);
        break;
    case VALUE_WHOLE_PERCENT:
        (void)buf_addf(ret, "a whole percentage from %llu%% to %llu%%", (unsigned long long)s->min,
                       (unsigned long long)s->max);
        break;
    case VALUE_ENUM:
        add_words(s, ret);
        break;
    case VALUE_CHANGE:
    case VALUE_SHARE:
    case VALUE_FACTOR:
    case VALUE_RATE:
    case VALUE_DATE:
    case VALUE_COUNTS:
    case VALUE_MEMBERS:
        policy_allowed(s, ret);
        break;
    case VALUE_BOOL:
    case VALUE_TEXT:
    case VALUE_PATH:
    case VALUE_FOLDER:
    case VALUE_HOST:
    case VALUE_PATTERN:
    case VALUE_DESTINATION:
    case VALUE_NAME:
    case VALUE_MAILBOX:
    case VALUE_ADDRESS:
    case VALUE_IPV4:
    case VALUE_IPV6:
    case VALUE_TARGET:
    case VALUE_NETWORKS:
    case VALUE_PATTERNS:
    case VALUE_SERVERS:
    case VALUE_FOLDERS:
    case VALUE_MAPS:
        (void)buf_add_str(ret, sentences[s->type]);
        break;
    }
    if (s->optional)
        (void)buf_add_str(ret, ", or none");
}
