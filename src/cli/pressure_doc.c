/* cli/pressure_doc.c - the tables of docs/pressure.md, from the tables the program runs by. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/pressure_int.h"
#include "config/config.h"
#include "governor/governor.h"

#define WHAT_PREFIX "Medium from here on: "

/* The defaults of all thresholds and histories, by the resource's place and the part. */
static const char *const parts[] = {"low_to_medium", "medium_to_high", "high_to_medium",
                                    "medium_to_low", "history"};
struct defaults {
    char values[GOVERNOR_RESOURCES][ARRAY_SIZE(parts)][32];
};

static void keep_default(void *ctx, const struct config_item *item)
{
    struct defaults *d = ctx;

    for (int r = 0; r < GOVERNOR_RESOURCES; r++)
        for (size_t p = 0; p < ARRAY_SIZE(parts); p++) {
            char name[128];

            (void)snprintf(name, sizeof(name), "pressure.%s.%s",
                           governor_resource_name((enum governor_resource)r), parts[p]);
            if (strcmp(name, item->name) == 0)
                (void)snprintf(d->values[r][p], sizeof(d->values[r][p]), "%s", item->value);
        }
}

/* "bytes of mail taken and not yet durable", of the manual's sentence for the first threshold. */
static struct slice measured(enum governor_resource r)
{
    char name[128];
    struct slice what;

    (void)snprintf(name, sizeof(name), "pressure.%s.%s", governor_resource_name(r), parts[0]);
    what = slice_str(config_what(name));
    if (slice_has_prefix(what, SLICE_LIT(WHAT_PREFIX)))
        what = slice_from(what, sizeof(WHAT_PREFIX) - 1);
    if (what.len && what.ptr[what.len - 1] == '.')
        what.len--;
    return what;
}

static void add_resource_rows(const struct defaults *d, struct buf *ret)
{
    (void)buf_add_str(ret, "| resource | what is measured | medium from | high from | medium again "
                           "| normal again | history | token in replies |\n"
                           "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (int i = 0; i < GOVERNOR_RESOURCES; i++) {
        enum governor_resource r = (enum governor_resource)i;
        struct slice what = measured(r);

        (void)buf_addf(ret, "| `%s` | %.*s ", governor_resource_name(r), SLICE_FMT(what));
        for (size_t p = 0; p < ARRAY_SIZE(parts); p++)
            (void)buf_addf(ret, "| %s ", d->values[i][p]);
        (void)buf_addf(ret, "| `%s` |\n", gate_token((uint8_t)i));
    }
}

static void add_remedy_rows(struct buf *ret)
{
    (void)buf_add_str(ret, "\n| remedy, in this order | what it does | helps |\n"
                           "| --- | --- | --- |\n");
    for (int i = 0; i < GOVERNOR_REMEDIES; i++) {
        enum governor_remedy remedy = (enum governor_remedy)i;
        size_t count = 0;

        (void)buf_addf(ret, "| `%s` | %s | ", governor_remedy_name(remedy),
                       governor_remedy_what(remedy));
        for (int r = 0; r < GOVERNOR_RESOURCES; r++)
            if (governor_remedy_helps(remedy, (enum governor_resource)r))
                (void)buf_addf(ret, "%s`%s`", count++ ? ", " : "",
                               governor_resource_name((enum governor_resource)r));
        (void)buf_add_str(ret, " |\n");
    }
}

static void add_advice_rows(struct buf *ret)
{
    (void)buf_add_str(ret, "\n| resource | what to do |\n| --- | --- |\n");
    for (int i = 0; i < GOVERNOR_RESOURCES; i++) {
        const char *name = governor_resource_name((enum governor_resource)i);

        (void)buf_addf(ret, "| `%s` | %s |\n", name, pressure_advice_for(name));
    }
}

int pressure_write_markdown(struct buf *ret)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *config = NULL;
    const struct config *held;
    struct defaults d = {0};
    int r = config_load(NULL, NULL, 0, &config, &why);

    buf_done(&why);
    if (r < 0)
        return r;
    config_each(config, keep_default, &d);
    held = config;
    config_unref(&held);
    add_resource_rows(&d, ret);
    add_remedy_rows(ret);
    add_advice_rows(ret);
    return buf_failed(ret) ? -E2BIG : 0;
}
