/*
 * fuzz/config_fuzz.c - any text is a configuration or is refused with a reason that names a place;
 * what is taken can be shown, and what is shown can be set again and makes the same snapshot.
 *
 * Input: the file; where there is a NUL byte, what stands before it is a --set option.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "config/policy.h"
#include "libfyaml_leaks.h"

#define ITEMS_MAX 2000

struct items {
    char *texts[ITEMS_MAX];
    size_t count;
};

static void collect(void *ctx, const struct config_item *item)
{
    struct items *all = ctx;
    size_t name_len = strlen(item->name), value_len = strlen(item->value);
    char *text;

    if (all->count == ITEMS_MAX)
        return;
    text = malloc(name_len + value_len + 2);
    ASSERT(text);
    memcpy(text, item->name, name_len);
    text[name_len] = '=';
    memcpy(text + name_len + 1, item->value, value_len + 1);
    all->texts[all->count++] = text;
}

static void free_items(struct items *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->texts[i]);
    all->count = 0;
}

/* The same file with everything that is in effect set once more. */
static void check_round_trip(const struct config *c, struct slice file, struct buf *why)
{
    static struct items first, second;
    struct config *loaded = NULL;
    const struct config *again;

    config_each(c, collect, &first);
    if (first.count < ITEMS_MAX) {
        int r = config_load_text("f", file, (const char *const *)first.texts, first.count, &loaded,
                                 why);

        ASSERT(r == 0 && buf_len(why) == 0);
        again = loaded;
        config_each(again, collect, &second);
        ASSERT(first.count == second.count);
        for (size_t i = 0; i < first.count; i++)
            ASSERT(strcmp(first.texts[i], second.texts[i]) == 0);
        config_unref(&again);
    }
    free_items(&first);
    free_items(&second);
}

/* Whatever the blocks say, a policy makes sense, for a destination and for its lane. */
static void check_policies(const struct config *c)
{
    const struct slice host = SLICE_LIT("mx1.example.net");
    struct config_query q = {.domain = SLICE_LIT("a.b.example.org."),
                             .mx_hosts = &host,
                             .mx_count = 1,
                             .provider = SLICE_LIT("microsoft-365"),
                             .group = SLICE_LIT("microsoft-domains")};
    struct config_policy p, lane;

    config_find_policy(c, &q, &p);
    config_find_lane_policy(c, p.lane ? slice_str(p.lane) : q.provider, q.group, &lane);
    ASSERT(memcmp(&p.limits, &lane.limits, sizeof(p.limits)) == 0);
    ASSERT(p.retry.delay_count >= 1 && p.connections_max >= 1);
    ASSERT(p.limits.connections_max >= p.limits.connections_floor);
    ASSERT(p.limits.connections_floor >= 1 && p.limits.connection_change < 0);
    ASSERT(config_choose_source(p.pool, 4711)->ehlo_name);
}

static void check_lookups(const struct config *c)
{
    check_policies(c);
    ASSERT(config_find_target(c, SLICE_LIT("a.b.example.org")));
    (void)config_is_relay_domain(c, SLICE_LIT("."));
    ASSERT(c->server.hostname && c->delivery.ehlo_name && c->server.loops > 0);
    ASSERT(c->retry.policy.delay_count >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice file = slice_make(data, size);
    ptrdiff_t nul = slice_find(file, 0);
    struct buf why = BUF_INIT(CONFIG_WHY_MAX), option = BUF_INIT(MIB(1));
    struct config *loaded = NULL;
    const struct config *c;
    const char *override = "";
    int r;

    if (nul >= 0) {
        (void)buf_add(&option, slice_sub(file, 0, (size_t)nul));
        override = buf_cstr(&option);
        file = slice_from(file, (size_t)nul + 1);
    }
    r = config_load_text("f", file, &override, nul >= 0 ? 1 : 0, &loaded, &why);
    c = loaded;
    ASSERT(r == 0 ? buf_len(&why) == 0 && c : buf_len(&why) > 0 && !c);
    if (c) {
        check_lookups(c);
        if (nul < 0)
            check_round_trip(c, file, &why);
        config_unref(&c);
    }
    buf_done(&why);
    buf_done(&option);
    return 0;
}
