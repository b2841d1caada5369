/*
 * deliver/mx.c - from a domain to the addresses to try.
 *
 *     ASK_MX -> WAIT_MX --answer--> ASK_LEVEL -> (all asked) -> WAIT_LEVEL -> (all answered)
 *     -> GIVE -> (all given) -> ASK_LEVEL of the next preference ... -> ENDED
 *
 * A literal starts at GIVE, a static host at ASK_LEVEL. All of a preference is looked up before
 * any of it is tried: only then is it known whether one of them is us, in which case none of that
 * preference may be tried (RFC 5321, section 5.1).
 */
#include "deliver/mx.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/err.h"

enum { ASK_MX = 0, WAIT_MX, ASK_LEVEL, WAIT_LEVEL, GIVE, ENDED };
enum { FAMILY_IPV4 = 1 << 0, FAMILY_IPV6 = 1 << 1 };
enum { LOOKUP_MX = 0, LABEL_MAX = 63, NAME_TEXT_MAX = 253 };

/* ---- verdicts ---- */

static void PRINTF_LIKE(5, 6) end_with(struct mx *m, enum mx_result result, uint16_t code,
                                       const char *status, const char *fmt, ...)
{
    va_list ap;

    m->state = ENDED;
    m->verdict =
        (struct mx_verdict){.result = result, .code = code, .status = status, .why = m->why};
    if (m->is_route && result == MX_FAIL)
        m->verdict =
            (struct mx_verdict){.result = MX_DEFER, .code = 451, .status = "4.3.5", .why = m->why};
    va_start(ap, fmt);
    (void)vsnprintf(m->why, sizeof(m->why), fmt, ap);
    va_end(ap);
}

/* All hosts there are have been looked up and all their addresses given. */
static void end_of_hosts(struct mx *m)
{
    if (m->tries > 0)
        end_with(m, MX_TRIED_ALL, 0, "", "all addresses for %s were tried", m->domain);
    else if (m->temporary)
        end_with(m, MX_DEFER, 451, "4.4.3", "the mail hosts of %s could not be looked up in DNS",
                 m->domain);
    else if (m->looped)
        end_with(m, MX_FAIL, 550, "5.4.6",
                 "the mail loops back: this server is the best mail host for %s", m->domain);
    else
        end_with(m, MX_FAIL, 550, "5.4.4", "DNS has no usable address of a mail host for %s",
                 m->domain);
}

/* ---- names ---- */

static bool is_host_byte(uint8_t c)
{
    return byte_is_alpha(c) || byte_is_digit(c) || c == '-' || c == '_';
}

/* Labels of letters, digits, '-' and (as found in the wild) '_'. The last one is not a number, or
 * it would be an address, and those are no names (RFC 5321, section 5.1). */
static bool is_host_name(struct slice s)
{
    size_t label = 0;
    bool number = true;

    if (s.len == 0 || s.len > NAME_TEXT_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            number = true;
            continue;
        }
        if (!is_host_byte(c) || ++label > LABEL_MAX)
            return false;
        number = number && byte_is_digit(c);
    }
    return label > 0 && !number;
}

static void copy_lower(char *to, size_t size, struct slice name)
{
    ASSERT(name.len < size);
    for (size_t i = 0; i < name.len; i++)
        to[i] = (char)byte_lower(name.ptr[i]);
    to[name.len] = '\0';
}

/* For messages only: whatever the client sent, cut and printable. */
static void copy_printable(char *to, size_t size, struct slice name)
{
    size_t n = MIN_OF(name.len, size - 1);

    for (size_t i = 0; i < n; i++)
        to[i] = (char)(name.ptr[i] > ' ' && name.ptr[i] < 0x7f ? name.ptr[i] : '?');
    to[n] = '\0';
}

static bool convert_to_ascii(struct slice name, char *ret, size_t size)
{
    char utf8[DNS_NAME_MAX + 1];
    char *ascii = NULL;
    bool ok = false;

    if (name.len >= sizeof(utf8) || slice_find(name, '\0') >= 0)
        return false;
    memcpy(utf8, name.ptr, name.len);
    utf8[name.len] = '\0';
    if (idn2_to_ascii_8z(utf8, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK) {
        ok = is_host_name(slice_str(ascii));
        if (ok)
            copy_lower(ret, size, slice_str(ascii));
    }
    free(ascii);
    return ok;
}

/* The domain as DNS wants it, in lower case; false: it is no host name. */
static bool copy_domain(struct slice name, char *ret, size_t size)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 0x80)
            return convert_to_ascii(name, ret, size);
    if (!is_host_name(name))
        return false;
    copy_lower(ret, size, name);
    return true;
}

static bool is_own_name(const struct mx *m, const char *name)
{
    for (size_t i = 0; i < m->config->own_name_count; i++)
        if (slice_eq_case(m->config->own_names[i], slice_str(name)))
            return true;
    return false;
}

/* ---- addresses ---- */

/* Addresses no mail host can have: they would reach ourselves or everybody. */
static bool is_nowhere(struct slice ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t zeros[12];

    if (ip.len == 4)
        return ip.ptr[0] == 0 || ip.ptr[0] >= 224;
    return ip.ptr[0] == 0xff || memcmp(ip.ptr, mapped, sizeof(mapped)) == 0 ||
           (memcmp(ip.ptr, zeros, sizeof(zeros)) == 0 &&
            (ip.ptr[12] || ip.ptr[13] || ip.ptr[14] || ip.ptr[15] != 1)); /* all but ::1 */
}

static bool make_addr(const struct mx *m, struct slice ip, struct addr *ret)
{
    return !is_nowhere(ip) && addr_from_ip(ip, m->port, ret) == 0;
}

static bool is_own_addr(const struct mx *m, const struct addr *a)
{
    return m->config->is_own && m->config->is_own(m->config->ctx, a);
}

/* Whether any host has it already: some domains list one machine under many names. */
static bool is_known(const struct mx *m, struct slice ip)
{
    for (uint32_t i = 0; i < m->host_count; i++)
        for (uint8_t k = 0; k < m->hosts[i].count; k++)
            if (slice_eq(slice_make(m->hosts[i].addresses[k].ip, m->hosts[i].addresses[k].len), ip))
                return true;
    return false;
}

static void keep_address(struct mx_host *h, struct slice ip)
{
    ASSERT(h->count < ARRAY_SIZE(h->addresses));
    memcpy(h->addresses[h->count].ip, ip.ptr, ip.len);
    h->addresses[h->count].len = (uint8_t)ip.len;
    h->count++;
}

static void shuffle(struct rand *r, uint8_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rand_below(r, i);
        uint8_t t = items[i - 1];

        items[i - 1] = items[other];
        items[other] = t;
    }
}

/* Takes a few addresses of the answer, by chance; looks at all of them for our own. */
static void take_addresses(struct mx *m, struct mx_host *h, size_t ip_len,
                           const struct dns_answer *answer)
{
    uint8_t order[DNS_RECORDS_MAX] = {0};
    size_t count = MIN_OF(answer->count, DNS_RECORDS_MAX), kept = 0;

    for (size_t i = 0; i < count; i++)
        order[i] = (uint8_t)i;
    shuffle(m->rand, order, count);
    for (size_t i = 0; i < count; i++) {
        struct slice ip = answer->records[order[i]];
        struct addr a;

        if (ip.len != ip_len || !make_addr(m, ip, &a))
            continue;
        if (is_own_addr(m, &a)) {
            h->own = true;
        } else if (kept < MX_ADDRESSES_PER_FAMILY && !is_known(m, ip)) {
            keep_address(h, ip);
            kept++;
        }
    }
}

/* Puts the addresses of a host into the order in which they are tried. */
static void arrange(struct mx *m, struct mx_host *h)
{
    struct mx_host sorted = *h;
    uint8_t order[2 * MX_ADDRESSES_PER_FAMILY] = {0};
    uint8_t first_len = m->config->families == CONFIG_FAMILIES_PREFER_IPV4 ? 4 : 16;

    if (m->config->families == CONFIG_FAMILIES_ANY) {
        for (uint8_t i = 0; i < h->count; i++)
            order[i] = i;
        shuffle(m->rand, order, h->count);
        for (uint8_t i = 0; i < h->count; i++)
            h->addresses[i] = sorted.addresses[order[i]];
        return;
    }
    h->count = 0;
    for (int second = 0; second < 2; second++)
        for (uint8_t i = 0; i < sorted.count; i++)
            if ((sorted.addresses[i].len != first_len) == second)
                h->addresses[h->count++] = sorted.addresses[i];
    ASSERT(h->count == sorted.count);
}

/* ---- hosts ---- */

static uint8_t wanted_families(const struct mx *m)
{
    if (m->config->families == CONFIG_FAMILIES_IPV4)
        return FAMILY_IPV4;
    if (m->config->families == CONFIG_FAMILIES_IPV6)
        return FAMILY_IPV6;
    return FAMILY_IPV4 | FAMILY_IPV6;
}

static struct mx_host *add_host(struct mx *m, const char *name, uint16_t preference)
{
    struct mx_host *h = &m->hosts[m->host_count++];

    ASSERT(m->host_count <= MX_HOSTS_MAX);
    memset(h, 0, sizeof(*h));
    copy_lower(h->name, sizeof(h->name), slice_str(name));
    h->preference = preference;
    return h;
}

static void begin_level(struct mx *m, uint32_t first)
{
    uint32_t i = first;

    m->level_start = m->at = first;
    while (i < m->host_count && m->hosts[i].preference == m->hosts[first].preference)
        i++;
    m->level_end = i;
    m->state = ASK_LEVEL;
    if (first == m->host_count)
        end_of_hosts(m);
}

static void settle_level(struct mx *m)
{
    bool own = false;

    for (uint32_t i = m->level_start; i < m->level_end; i++)
        own |= m->hosts[i].own;
    if (own) {
        m->looped = true;
        m->host_count = m->level_start;
        end_of_hosts(m);
        return;
    }
    for (uint32_t i = m->level_start; i < m->level_end; i++)
        arrange(m, &m->hosts[i]);
    m->at = m->level_start;
    m->state = GIVE;
}

/* The domain itself is its mail host (RFC 5321, section 5.1: the implicit MX). */
static void use_implicit_mx(struct mx *m)
{
    if (is_own_name(m, m->domain))
        m->looped = true;
    else
        (void)add_host(m, m->domain, 0);
    begin_level(m, 0);
}

/* ---- the MX answer ---- */

struct candidate {
    uint16_t preference;
    uint64_t chance;
    char name[DNS_NAME_MAX + 1]; /* "" is the root */
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return (x->chance > y->chance) - (x->chance < y->chance);
}

/* A wire-format name that is a host name or the root; anything else is false. */
static bool read_name(struct slice wire, char ret[static DNS_NAME_MAX + 1])
{
    size_t at = 0, len = 0;

    while (at < wire.len && wire.ptr[at] != 0) {
        size_t label = wire.ptr[at++];

        if (label > LABEL_MAX || label > wire.len - at || len + label + 1 > NAME_TEXT_MAX + 1)
            return false;
        if (slice_find(slice_sub(wire, at, label), '.') >= 0)
            return false;
        if (len > 0)
            ret[len++] = '.';
        copy_lower(ret + len, DNS_NAME_MAX + 1 - len, slice_sub(wire, at, label));
        len += label;
        at += label;
    }
    ret[len] = '\0';
    return at + 1 == wire.len && (len == 0 || is_host_name(slice_make(ret, len)));
}

static size_t read_candidates(struct mx *m, const struct dns_answer *answer, struct candidate *to)
{
    size_t count = 0;

    for (size_t i = 0; i < MIN_OF(answer->count, DNS_RECORDS_MAX); i++) {
        struct slice rdata = answer->records[i];

        if (rdata.len < 3 || !read_name(slice_from(rdata, 2), to[count].name))
            continue;
        to[count].preference = (uint16_t)(rdata.ptr[0] << 8 | rdata.ptr[1]);
        to[count].chance = rand_u64(m->rand);
        count++;
    }
    return count;
}

static bool has_host(const struct mx *m, const char *name)
{
    for (uint32_t i = 0; i < m->host_count; i++)
        if (slice_eq(slice_str(m->hosts[i].name), slice_str(name)))
            return true;
    return false;
}

static uint32_t hosts_max(const struct mx *m)
{
    return m->config->hosts_max ? MIN_OF(m->config->hosts_max, MX_HOSTS_MAX) : MX_HOSTS_MAX;
}

static void drop_preference(struct mx *m, uint16_t preference)
{
    while (m->host_count > 0 && m->hosts[m->host_count - 1].preference == preference)
        m->host_count--;
}

static void take_hosts(struct mx *m, const struct dns_answer *answer)
{
    struct candidate candidates[DNS_RECORDS_MAX];
    size_t count = read_candidates(m, answer, candidates);

    if (answer->count == 1 && count == 1 && candidates[0].name[0] == '\0') {
        end_with(m, MX_FAIL, 556, "5.1.10", "%s accepts no mail: its MX record is the null MX",
                 m->domain);
        return;
    }
    qsort(candidates, count, sizeof(candidates[0]), compare_candidates);
    for (size_t i = 0; i < count; i++) {
        const struct candidate *c = &candidates[i];

        if (is_own_name(m, c->name)) { /* we, and what is as good or worse, are not to be tried */
            m->looped = true;
            drop_preference(m, c->preference);
            break;
        }
        if (c->name[0] != '\0' && m->host_count < hosts_max(m) && !has_host(m, c->name))
            (void)add_host(m, c->name, c->preference);
    }
    begin_level(m, 0);
}

static void take_mx_answer(struct mx *m, const struct dns_answer *answer)
{
    m->mx_secure = answer->secure;
    if (answer->err == 0 && answer->count > 0)
        take_hosts(m, answer);
    else if (answer->err == 0 || (answer->err == -ERR_DNS_NONE && !answer->nxdomain))
        use_implicit_mx(m);
    else if (answer->err == -ERR_DNS_NONE)
        end_with(m, MX_FAIL, 550, "5.1.2", "the domain %s does not exist in DNS", m->domain);
    else
        end_with(m, MX_DEFER, 451, "4.4.3", "the MX records of %s could not be looked up: %.120s",
                 m->domain,
                 answer->bogus ? "DNSSEC says they are forged"
                 : answer->why ? answer->why
                               : err_str(answer->err));
}

static void take_host_answer(struct mx *m, uint32_t lookup, const struct dns_answer *answer)
{
    uint32_t index = (lookup - 1) / 2;
    uint8_t family = (lookup - 1) % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
    struct mx_host *h;

    if (index < m->level_start || index >= m->level_end)
        return;
    h = &m->hosts[index];
    if (!(h->waiting & family))
        return;
    h->waiting &= (uint8_t)~family;
    h->insecure |= !answer->secure;
    if (answer->err == 0)
        take_addresses(m, h, family == FAMILY_IPV4 ? 4 : 16, answer);
    else if (answer->err != -ERR_DNS_NONE)
        m->temporary = true;
}

void mx_answer(struct mx *m, uint32_t lookup, const struct dns_answer *answer)
{
    if (lookup == LOOKUP_MX && m->state == WAIT_MX)
        take_mx_answer(m, answer);
    else if (lookup != LOOKUP_MX && (m->state == ASK_LEVEL || m->state == WAIT_LEVEL))
        take_host_answer(m, lookup, answer);
}

/* ---- steps ---- */

static enum mx_step_kind ask_mx(struct mx *m, struct mx_step *ret)
{
    m->state = WAIT_MX;
    *ret = (struct mx_step){.lookup = LOOKUP_MX, .type = DNS_MX, .name = m->domain};
    return MX_LOOKUP;
}

/* Asks for the next address lookup of this preference; false: all have been asked for. */
static bool ask_host(struct mx *m, struct mx_step *ret)
{
    for (; m->at < m->level_end; m->at++) {
        struct mx_host *h = &m->hosts[m->at];
        uint8_t left = wanted_families(m) & (uint8_t)~h->asked;
        bool ipv6 = left == FAMILY_IPV6;

        if (!left)
            continue;
        h->asked |= ipv6 ? FAMILY_IPV6 : FAMILY_IPV4;
        h->waiting |= ipv6 ? FAMILY_IPV6 : FAMILY_IPV4;
        *ret = (struct mx_step){
            .lookup = 1 + 2 * m->at + ipv6, .type = ipv6 ? DNS_AAAA : DNS_A, .name = h->name};
        return true;
    }
    return false;
}

static bool is_waiting(const struct mx *m)
{
    for (uint32_t i = m->level_start; i < m->level_end; i++)
        if (m->hosts[i].waiting)
            return true;
    return false;
}

static bool give(struct mx *m, struct mx_step *ret)
{
    for (; m->at < m->level_end; m->at++) {
        struct mx_host *h = &m->hosts[m->at];
        struct slice ip;

        if (h->given == h->count)
            continue;
        ip = slice_make(h->addresses[h->given].ip, h->addresses[h->given].len);
        *ret = (struct mx_step){
            .name = h->name, .preference = h->preference, .secure = m->mx_secure && !h->insecure};
        (void)make_addr(m, ip, &ret->addr); /* succeeded when the address was kept */
        h->given++;
        m->tries++;
        return true;
    }
    return false;
}

enum mx_step_kind mx_next(struct mx *m, struct mx_step *ret)
{
    for (;;) {
        switch (m->state) {
        case ASK_MX:
            return ask_mx(m, ret);
        case ASK_LEVEL:
            if (ask_host(m, ret))
                return MX_LOOKUP;
            m->state = WAIT_LEVEL;
            break;
        case WAIT_LEVEL:
            if (is_waiting(m))
                return MX_WAIT;
            settle_level(m);
            break;
        case GIVE:
            if (m->config->tries_max && m->tries >= m->config->tries_max)
                end_of_hosts(m);
            else if (give(m, ret))
                return MX_TRY;
            else
                begin_level(m, m->level_end);
            break;
        case ENDED:
            return MX_END;
        default:
            return MX_WAIT;
        }
    }
}

size_t mx_hosts(const struct mx *m, struct slice *ret, size_t max)
{
    size_t n = MIN_OF((size_t)m->host_count, max);

    for (size_t i = 0; i < n; i++)
        ret[i] = slice_str(m->hosts[i].name);
    return n;
}

const struct mx_verdict *mx_verdict(const struct mx *m)
{
    ASSERT(m->state == ENDED);
    return &m->verdict;
}

/* ---- starts ---- */

static void init(struct mx *m, const struct mx_config *config, struct rand *rand)
{
    memset(m, 0, offsetof(struct mx, hosts)); /* hosts are cleared as they are added */
    m->config = config;
    m->rand = rand;
    m->port = config->port;
}

/* The bytes of "192.0.2.1", or of "2001:db8::1" where `ipv6` is set; returns how many, 0: none. */
static size_t read_ip(struct slice text, bool ipv6, uint8_t ret[static 16])
{
    char cstr[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(cstr) || slice_find(text, '\0') >= 0)
        return 0;
    if (text.len)
        memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';
    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, cstr, ret) != 1)
        return 0;
    return ipv6 ? 16 : 4;
}

/* One host that needs no lookup. False: no mail can be sent to that address. */
static bool use_address(struct mx *m, const uint8_t *ip, size_t len)
{
    struct addr a;
    struct mx_host *h;

    if (!make_addr(m, slice_make(ip, len), &a))
        return false;
    h = add_host(m, m->domain, 0);
    h->asked = FAMILY_IPV4 | FAMILY_IPV6;
    h->own = is_own_addr(m, &a);
    keep_address(h, slice_make(ip, len));
    begin_level(m, 0);
    return true;
}

static void start_literal(struct mx *m, struct slice domain)
{
    struct slice text = slice_sub(domain, 1, domain.len - 2);
    uint8_t ip[16];
    size_t len = 0;

    copy_printable(m->domain, sizeof(m->domain), domain);
    if (domain.ptr[domain.len - 1] == ']')
        len = slice_has_prefix_case(text, SLICE_LIT("IPv6:"))
                  ? read_ip(slice_from(text, 5), true, ip)
                  : read_ip(text, false, ip);
    if (len == 0 || !use_address(m, ip, len))
        end_with(m, MX_FAIL, 550, "5.1.3", "%s is not an address mail can be sent to", m->domain);
}

static void start(struct mx *m, struct slice domain)
{
    if (domain.len > 1 && domain.ptr[0] == '[') {
        start_literal(m, domain);
        return;
    }
    if (copy_domain(domain, m->domain, sizeof(m->domain)))
        return;
    copy_printable(m->domain, sizeof(m->domain), domain);
    end_with(m, MX_FAIL, 550, "5.1.2", "\"%s\" is not a domain name", m->domain);
}

void mx_start(struct mx *m, const struct mx_config *config, struct rand *rand, struct slice domain)
{
    init(m, config, rand);
    start(m, domain);
}

void mx_start_relay(struct mx *m, const struct mx_config *config, struct rand *rand,
                    struct slice domain)
{
    init(m, config, rand);
    m->is_route = true;
    start(m, domain);
}

void mx_start_host(struct mx *m, const struct mx_config *config, struct rand *rand,
                   struct slice host, uint16_t port)
{
    uint8_t ip[16];
    size_t len;

    init(m, config, rand);
    m->port = port;
    m->is_route = true;
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = slice_sub(host, 1, host.len - 2);
    copy_printable(m->domain, sizeof(m->domain), host);
    len = read_ip(host, slice_find(host, ':') >= 0, ip);
    if (len > 0) {
        if (!use_address(m, ip, len))
            end_of_hosts(m);
        return;
    }
    if (copy_domain(host, m->domain, sizeof(m->domain))) {
        m->mx_secure = true; /* there is no MX answer: the address's alone counts */
        (void)add_host(m, m->domain, 0);
        begin_level(m, 0);
        return;
    }
    end_with(m, MX_FAIL, 550, "5.1.2", "\"%s\" is not a host name", m->domain);
}
