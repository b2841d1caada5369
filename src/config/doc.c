/*
 * config/doc.c - the table of settings as a manual.
 */
#include <errno.h>
#include <string.h>

#include "config/config_int.h"

static const char *type_name(const struct setting *s)
{
    static const char *const names[] = {
        [VALUE_BOOL] = "yes or no",
        [VALUE_NUMBER] = "number",
        [VALUE_SIZE] = "size",
        [VALUE_DURATION] = "duration",
        [VALUE_PERCENT] = "percent",
        [VALUE_WHOLE_PERCENT] = "percent",
        [VALUE_ENUM] = "word",
        [VALUE_TEXT] = "text",
        [VALUE_PATH] = "path",
        [VALUE_FOLDER] = "folder",
        [VALUE_HOST] = "domain",
        [VALUE_PATTERN] = "domain",
        [VALUE_MAILBOX] = "mailbox",
        [VALUE_ADDRESS] = "address",
        [VALUE_IPV4] = "IPv4 address",
        [VALUE_IPV6] = "IPv6 address",
        [VALUE_TARGET] = "target",
        [VALUE_NETWORKS] = "networks",
        [VALUE_PATTERNS] = "domains",
        [VALUE_SERVERS] = "servers",
        [VALUE_DELAYS] = "durations",
        [VALUE_MAPS] = "list",
        [VALUE_CHANGE] = "change",
        [VALUE_SHARE] = "percent",
        [VALUE_FACTOR] = "number",
        [VALUE_RATE] = "rate",
        [VALUE_DATE] = "day",
        [VALUE_NAME] = "name",
        [VALUE_DESTINATION] = "destination",
        [VALUE_COUNTS] = "numbers",
        [VALUE_MEMBERS] = "names",
        [VALUE_FOLDERS] = "folders",
    };

    return names[s->type];
}

static void add_default(const struct setting *s, struct buf *ret)
{
    if (s->def_note)
        (void)buf_add_str(ret, s->def_note);
    else if (s->inherits)
        (void)buf_addf(ret, "as `%s`", s->inherits);
    else if (s->required)
        (void)buf_add_str(ret, "(must be given)");
    else if (!s->def || !s->def[0])
        (void)buf_add_str(ret, "none");
    else
        (void)buf_addf(ret, "`%s`", s->def);
}

static void add_row(const struct setting *s, struct buf *ret)
{
    (void)buf_addf(ret, "| `%s` | %s | ", s->name, type_name(s));
    add_default(s, ret);
    (void)buf_add_str(ret, " | ");
    value_allowed(s, ret);
    (void)buf_addf(ret, " | %s | %s |\n", s->reload ? "yes" : "no", s->what);
}

static void add_table_head(struct buf *ret)
{
    (void)buf_add_str(ret, "| setting | kind | default | allowed | reload | what it does |\n"
                           "| --- | --- | --- | --- | --- | --- |\n");
}

/* The settings "name.…" that are not in a list of maps. */
static void add_section_rows(const char *name, struct buf *ret)
{
    struct slice section = slice_str(name);

    for (size_t i = 0; i < settings_main.count; i++) {
        const struct setting *s = &settings_main.list[i];
        struct slice full = slice_str(s->name);

        if (s->type != VALUE_MAPS && slice_has_prefix(full, section) &&
            full.ptr[section.len] == '.')
            add_row(s, ret);
    }
}

static void add_section(const struct settings_section *section, struct buf *ret)
{
    const struct setting *list = settings_find(&settings_main, slice_str(section->name));

    (void)buf_addf(ret, "\n## %s\n\n%s", section->name, section->what);
    if (list)
        (void)buf_addf(ret, " Default: `%s`.", list->def);
    (void)buf_add_str(ret, "\n\n");
    add_table_head(ret);
    if (!list)
        add_section_rows(section->name, ret);
    for (size_t i = 0; list && i < list->sub->count; i++)
        add_row(&list->sub->list[i], ret);
}

static const char introduction[] =
    "<!-- Written by `penstock config doc`; change src/config/settings.c instead. -->\n"
    "# Configuration\n"
    "\n"
    "Penstock reads one YAML file, `penstock serve -c FILE`; without one it runs on the defaults\n"
    "below. A setting `a.b` is `b` in the section `a`:\n"
    "\n"
    "```yaml\n"
    "include: conf.d/*.yaml\n"
    "\n"
    "listeners:\n"
    "  - address: 0.0.0.0:25\n"
    "    tls: {certificate: /etc/penstock/tls.pem, key: /etc/penstock/tls.key}\n"
    "relay:\n"
    "  networks: [127.0.0.0/8, 10.0.0.0/8]\n"
    "  domains: example.org, .example.org\n"
    "smtp:\n"
    "  message_size_max: 150MB\n"
    "delivery:\n"
    "  routes:\n"
    "    - {domain: example.org, to: \"10.0.0.7:25\"}\n"
    "destinations:\n"
    "  - destination: example.com\n"
    "    initial_retry: 10m\n"
    "    next_retry: 20m, 40m, 80m\n"
    "    jitter: enabled\n"
    "    max_queue_time: 48h\n"
    "```\n"
    "\n"
    "- `penstock config check -c FILE` tells every error with file, line and column;\n"
    "  `penstock config show -c FILE` prints each setting as it is in effect, and where it was "
    "set.\n"
    "- `--set name=value` on the command line wins over the file:\n"
    "  `--set smtp.recipients_max=50`, `--set 'listeners[0].address=127.0.0.1:2526'`,\n"
    "  `--set 'listeners=[{address: \"[::1]:25\"}]'`.\n"
    "- `include` names files or patterns, as seen from the folder of the file it stands in. What "
    "the\n"
    "  including file says wins; of several included files, the later one; lists of maps are "
    "joined.\n"
    "- On SIGHUP the file is read again. If anything in it is wrong, all of it is refused and\n"
    "  nothing changes. Settings with \"no\" under *reload* are read at start only. A reload that\n"
    "  changes where mail goes waits for transactions to end; a SIGHUP that comes meanwhile is\n"
    "  kept, and the file is read once more after it (`config_waits`).\n"
    "- A file with nothing but comments and blanks is refused, at start too: an editor that saves\n"
    "  it may have emptied it a moment ago, and a server that took all its defaults then would\n"
    "  look for its mail in another folder. To have all defaults, write `{}`. Included files may\n"
    "  be empty.\n"
    "- Lists may be written `[a, b]` or `a, b`. Durations have a unit: `us`, `ms`, `s`, `m`, `h`,\n"
    "  `d`, also together as in `1h30m`. Sizes: `KiB`, `MiB`, `GiB` (powers of 1024), `KB`, `MB`,\n"
    "  `GB` (powers of 1000), or bytes. Where a setting is optional, `none` unsets it.\n"
    "- In the section `pressure` the names of Exchange's file are understood too, in any case:\n"
    "  `PrivateBytes.LowToMedium` is `memory.low_to_medium`, `PrivateBytesHistoryDepth` is\n"
    "  `memory.history`; [pressure.md](pressure.md#names-in-exchange) has them all.\n"
    "- YAML anchors, aliases and tags are not used; a key may be given once.\n";

const char *config_what(const char *name)
{
    const struct setting *s = settings_find(&settings_main, slice_str(name));

    return s ? s->what : NULL;
}

int config_write_markdown(struct buf *ret)
{
    (void)buf_add_str(ret, introduction);
    for (const struct settings_section *s = settings_sections; s->name; s++)
        add_section(s, ret);
    return buf_failed(ret) ? -E2BIG : 0;
}

int config_write_help(struct buf *ret)
{
    for (size_t i = 0; i < settings_main.count; i++) {
        const struct setting *s = &settings_main.list[i];

        (void)buf_addf(ret, "  %-44s %-12s ", s->name, type_name(s));
        add_default(s, ret);
        (void)buf_push(ret, '\n');
        for (size_t k = 0; s->sub && k < s->sub->count; k++) {
            (void)buf_addf(ret, "  %s[N].%-*s %-12s ", s->name, (int)(40 - strlen(s->name)),
                           s->sub->list[k].name, type_name(&s->sub->list[k]));
            add_default(&s->sub->list[k], ret);
            (void)buf_push(ret, '\n');
        }
    }
    return buf_failed(ret) ? -E2BIG : 0;
}
