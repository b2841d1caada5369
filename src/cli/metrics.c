/*
 * cli/metrics.c - `penstock metrics`: the metrics page of a running server, for collectors that
 * read files or run commands.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/options.h"

static int print_help(void)
{
    puts("Usage: penstock metrics [OPTIONS]\n"
         "\n"
         "Prints the metrics of a running server in the text format of Prometheus (0.0.4), as\n"
         "GET /metrics on its control socket gives them. docs/pressure.md tells what they mean.\n"
         "\n"
         "      --socket PATH      the server's control socket\n"
         "  -c, --config FILE      the server's configuration, which names the socket\n"
         "  -h, --help             this text");
    return EXIT_DONE;
}

int cmd_metrics(int argc, char **argv)
{
    const char *socket = NULL, *config = NULL;
    bool help = false;
    const struct option_spec specs[] = {OPTION_TEXT("socket", 0, &socket),
                                        OPTION_TEXT("config", 'c', &config),
                                        OPTION_FLAG("help", 'h', &help)};
    struct client *c = NULL;
    int r = options_read("metrics", argc, argv, specs, ARRAY_SIZE(specs));

    if (r == EXIT_DONE && help)
        return print_help();
    if (r == EXIT_DONE && optind < argc)
        r = usage_error("metrics", "'%s': it takes options only", argv[optind]);
    if (r == EXIT_DONE)
        r = client_new(&c, "metrics", socket, config);
    if (r == EXIT_DONE)
        r = client_download(c, "/metrics", stdout);
    client_free(&c);
    if (r == EXIT_DONE && fflush(stdout) == EOF)
        r = command_error("metrics", "cannot write to standard output");
    return r;
}
