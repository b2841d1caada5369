#include "cli/tables.h"

#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "config/yaml.h"
#include "deliver/lane_rules.h"

static int read_all(FILE *f, struct buf *to)
{
    size_t n;

    do {
        if (buf_reserve(to, KIB(64)) < 0)
            return buf_len(to) + KIB(64) > YAML_BYTES_MAX ? -EFBIG : -ENOMEM;
        errno = 0;
        n = fread(buf_tail(to), 1, KIB(64), f);
        buf_grew(to, n);
    } while (n > 0);
    return ferror(f) ? (errno ? -errno : -EIO) : 0;
}

int tables_read(const char *name, struct buf *to, struct buf *why)
{
    FILE *f;
    int r;

    if (!name || !*name)
        return 0;
    f = fopen(name, "re");
    r = f ? read_all(f, to) : -errno;
    if (f)
        (void)fclose(f);
    if (r < 0)
        (void)buf_addf(why, "%s: %s\n", name, err_str(r));
    return r;
}

int tables_replies(struct replies **ret, const char *file, struct buf *why)
{
    struct buf own = BUF_INIT(YAML_BYTES_MAX);
    int r = tables_read(file, &own, why);

    if (r == 0)
        r = replies_new(ret, buf_slice(&own), file, why);
    buf_done(&own);
    return r;
}

int tables_providers(struct providers **ret, const char *file, struct buf *why)
{
    struct buf own = BUF_INIT(YAML_BYTES_MAX);
    int r = tables_read(file, &own, why);

    if (r == 0)
        r = providers_new(ret, buf_slice(&own), file, why);
    buf_done(&own);
    return r;
}

int tables_knowledge(const struct config *c, const struct knowledge **ret, struct buf *why)
{
    struct replies *replies = NULL;
    struct providers *providers = NULL;
    int r = tables_replies(&replies, c->replies.file, why);

    *ret = NULL;
    if (r == 0)
        r = tables_providers(&providers, c->providers.file, why);
    if (r == 0)
        r = knowledge_new(ret, &replies, &providers, why);
    if (r == 0)
        r = lane_rules_check(c, (*ret)->providers, why);
    if (r < 0)
        knowledge_unref(ret);
    replies_free(&replies);
    providers_free(&providers);
    return r;
}
