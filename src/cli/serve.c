/* cli/serve.c - penstock serve: the server in the foreground. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/server.h"
#include "config/config.h"

#define OVERRIDES_MAX 256

static void print_help(void)
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
    enum { OPT_SET = 256, OPT_STATUS };
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"set", required_argument, NULL, OPT_SET},
                                            {"status", no_argument, NULL, OPT_STATUS},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *overrides[OVERRIDES_MAX];
    struct server_options so = {.overrides = overrides};
    int opt;

    while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            so.config_file = optarg;
            break;
        case OPT_SET:
            if (so.override_count == OVERRIDES_MAX)
                return usage_error("serve", "more than %d --set", OVERRIDES_MAX);
            overrides[so.override_count++] = optarg;
            break;
        case OPT_STATUS:
            so.status_line = true;
            break;
        case 'h':
            print_help();
            return EXIT_DONE;
        default:
            return usage_error("serve", "bad option");
        }
    }
    if (optind < argc)
        return usage_error("serve", "unexpected argument '%s'", argv[optind]);
    return serve(&so);
}
