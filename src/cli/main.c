/* cli/main.c - dispatches to one file a subcommand. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"attempts", cmd_attempts, "show each try to deliver, with what was answered"},
    {"config", cmd_config, "check, show, describe and reload the configuration"},
    {"deliveries", cmd_deliveries, "tell what became of each recipient, from the delivery log"},
    {"events", cmd_events, "tell what happened, from the event log"},
    {"incidents", cmd_incidents, "show when a provider refused, what was done, and who said no"},
    {"lanes", cmd_lanes,
     "look at the lanes of a running server, and say what holds for an address"},
    {"load", cmd_load, "send test mail, measure and count what is answered"},
    {"logs", cmd_logs, "read any mail server's logs: what was refused, how often, by whom"},
    {"metrics", cmd_metrics, "print the metrics of a running server"},
    {"pressure", cmd_pressure, "show why a running server slows or refuses mail, and what to do"},
    {"providers", cmd_providers, "tell who operates the hosts that take mail"},
    {"queue", cmd_queue, "look at the queue of a running server, and act on it"},
    {"replies", cmd_replies, "explain what other servers' replies mean, check rules of your own"},
    {"sendmail", cmd_sendmail, "submit a message, as programs expect it of sendmail"},
    {"serve", cmd_serve, "run the mail server"},
    {"simulate", cmd_simulate,
     "try policies of sending against providers in trouble, in virtual time"},
    {"sink", cmd_sink, "receive test mail: count it, check it, refuse it as told"},
    {"spool", cmd_spool, "check, export and measure the queue on disk, the server stopped"},
    {"suppress", cmd_suppress, "list who is not tried any more, add, remove, import and export"},
    {"trace", cmd_trace, "show one message's whole life, with each reply"},
    {NULL, NULL, NULL},
};

static void print_help(FILE *to)
{
    fprintf(to, "Usage: penstock COMMAND [OPTIONS]\n\nCommands:\n");
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  %-10s %s\n", c->name, c->summary);
    fprintf(to, "\n'penstock COMMAND --help' tells more of each, 'penstock --version' which one "
                "this is.\n");
}

/* A report that a full disk has cut is no report. */
static int written(const char *command, int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    return command_error(command, "standard output: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;

    if (argc > 0 && strcmp(base ? base + 1 : argv[0], "sendmail") == 0)
        return cmd_sendmail(argc, argv);
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("penstock %s\n", PENSTOCK_VERSION);
        return EXIT_DONE;
    }
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, argv[1]) == 0)
            return written(c->name, c->run(argc - 1, argv + 1));
    fprintf(stderr, "penstock: no command '%s'\n", argv[1]);
    print_help(stderr);
    return EXIT_USAGE;
}
