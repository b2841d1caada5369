/*
 * fuzz/mx_fuzz.c - a domain and DNS answers from the enemy: whatever they are, the selection ends,
 * keeps its bounds, gives only addresses somebody can have, and never one of ours.
 *
 * Input: a byte of settings, the domain's length and the domain, then answers, each a kind byte, a
 * count byte, and for each record a length byte and the bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "deliver/mx.h"

static bool is_own(void *ctx, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];

    (void)ctx;
    addr_format_ip(a, text);
    return strcmp(text, "1.1.1.1") == 0;
}

static const struct slice own_names[] = {{(const uint8_t *)"us", 2}};

static void answer_next(struct mx *m, struct cursor *c, uint32_t lookup)
{
    struct slice records[DNS_RECORDS_MAX + 8];
    struct dns_answer a = {.records = records};
    uint8_t kind = cursor_u8(c);

    a.secure = kind & 8;
    a.bogus = kind & 16;
    a.nxdomain = kind & 32;
    a.why = kind & 64 ? "SERVFAIL" : NULL;
    if ((kind & 3) == 1)
        a.err = -ERR_DNS_NONE;
    else if ((kind & 3) == 2)
        a.err = -ERR_DNS_TEMP;
    a.count = cursor_u8(c) % ARRAY_SIZE(records);
    for (size_t i = 0; i < a.count; i++)
        records[i] = cursor_take(c, cursor_u8(c));
    mx_answer(m, lookup, &a);
}

static void check_try(const struct mx_step *step)
{
    char text[ADDR_TEXT_MAX];

    addr_format_ip(&step->addr, text);
    ASSERT(strcmp(text, "1.1.1.1") != 0 && strcmp(text, "0.0.0.0") != 0 && strcmp(text, "::") != 0);
    ASSERT(strlen(step->name) > 0 && strlen(step->name) <= DNS_NAME_MAX);
    for (const char *p = step->name; *p; p++)
        ASSERT(*p > ' ' && *p < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(slice_make(data, size));
    struct mx_config config = {
        .port = 25, .own_names = own_names, .own_name_count = 1, .is_own = is_own};
    uint32_t lookups[1 + 2 * MX_HOSTS_MAX];
    size_t asked = 0, total = 0, tries = 0;
    enum mx_step_kind kind;
    struct mx_step step;
    struct slice domain;
    struct rand r;
    static struct mx m;
    uint8_t settings = cursor_u8(&c);

    config.families = (enum config_families)(settings % (CONFIG_FAMILIES_IPV4 + 1));
    config.tries_max = settings & 64 ? 3 : 0;
    rand_init(&r, settings);
    domain = cursor_take(&c, cursor_u8(&c));
    if (settings & 16)
        mx_start_host(&m, &config, &r, domain, 25);
    else if (settings & 32)
        mx_start_relay(&m, &config, &r, domain);
    else
        mx_start(&m, &config, &r, domain);
    while ((kind = mx_next(&m, &step)) != MX_END) {
        if (kind == MX_LOOKUP) {
            ASSERT(total++ < ARRAY_SIZE(lookups) && strlen(step.name) <= DNS_NAME_MAX);
            lookups[asked++] = step.lookup;
        } else if (kind == MX_TRY) {
            ASSERT(++tries <= MX_HOSTS_MAX * 2 * MX_ADDRESSES_PER_FAMILY);
            check_try(&step);
        } else {
            ASSERT(asked > 0);
            answer_next(&m, &c, lookups[--asked]);
        }
    }
    ASSERT((mx_verdict(&m)->result == MX_TRIED_ALL) == (tries > 0));
    ASSERT(!(settings & 48) || mx_verdict(&m)->result != MX_FAIL);
    ASSERT(strlen(mx_verdict(&m)->why) < MX_WHY_MAX);
    return 0;
}
