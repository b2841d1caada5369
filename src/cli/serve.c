/* cli/serve.c - penstock serve: the server in the foreground. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/server.h"
#include "config/config.h"

static int print_help(void)
{
    printf("Usage: penstock serve [-c FILE] [--set KEY=VALUE]... [--status]\n"
           "\n"
           "Runs the mail server in the foreground. It prints 'ready' when it listens.\n"
           "\n"
           "  -c, --config FILE    the configuration; without it, the embedded defaults\n"
           "      --set KEY=VALUE  a setting that wins over the file; may be given often\n"
           "      --status         a live line with what moves\n"
           "  -h, --help           this text\n"
           "\n"
           "SIGTERM, SIGINT: take no new mail, end what is under way, exit 0 within 10 s.\n"
           "SIGHUP: read the configuration again; a bad one changes nothing and the log says why.\n"
           "\n"
           "'penstock config show' prints every setting with its value and where it is from.\n");
    return EXIT_DONE;
}

static int serve(const struct server_options *options)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct server *s;
    int code = EXIT_FAILED;

    if (server_new(&s, options, &why) < 0) {
        (void)command_error("serve", "%s", buf_cstr(&why));
    } else {
        code = server_run(s);
        server_free(&s);
    }
    buf_done(&why);
    return code;
}

int cmd_serve(int argc, char **argv)
{
    struct option_list overrides = {.count = 0};
    struct server_options so = {.overrides = overrides.items};
    bool help = false;
    const struct option_spec specs[] = {
        OPTION_TEXT("config", 'c', &so.config_file), OPTION_LIST("set", 0, &overrides),
        OPTION_FLAG("status", 0, &so.status_line), OPTION_FLAG("help", 'h', &help)};
    int r = options_read("serve", argc, argv, specs, ARRAY_SIZE(specs));

    if (r != EXIT_DONE)
        return r;
    if (help)
        return print_help();
    if (optind < argc)
        return usage_error("serve", "unexpected argument '%s'", argv[optind]);
    so.override_count = overrides.count;
    return serve(&so);
}
