/*
 * cli/ledger_reader.c - the server's ledger, found by its configuration.
 */
#include "cli/ledger_reader.h"

#include <stdio.h>

#include "cli/cli.h"
#include "config/config.h"

int open_ledger_reader(struct ledger_reader **ret, const char *command, const char *config,
                       const char *directory)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *loaded = NULL;
    const struct config *c;
    int r = directory ? 0 : config_load(config, NULL, 0, &loaded, &why);

    if (r < 0) {
        (void)fputs(buf_cstr(&why), stderr);
        buf_done(&why);
        return EXIT_FAILED;
    }
    if (!directory)
        directory = loaded->evidence.directory;
    if (ledger_reader_open(ret, directory, &why) < 0)
        r = command_error(command,
                          "%s (evidence.directory; name the server's with -c FILE or --directory)",
                          buf_cstr(&why));
    c = loaded;
    config_unref(&c);
    buf_done(&why);
    return r;
}
