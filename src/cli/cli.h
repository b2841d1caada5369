/*
 * cli/cli.h - what the subcommands share.
 *
 * Each subcommand is one file, cli/NAME.c, with one function cmd_NAME(argc, argv) that returns the
 * exit code; argv[0] is the subcommand's name. main.c has the table of them.
 */
#pragma once

#include "base/base.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Prints "penstock NAME: message" and how to get help, to stderr. Returns EXIT_USAGE. */
int usage_error(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Prints "penstock NAME: message" to stderr. Returns EXIT_FAILED. */
int command_error(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);

int cmd_attempts(int argc, char **argv);
int cmd_incidents(int argc, char **argv);
int cmd_lanes(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_pressure(int argc, char **argv);
int cmd_providers(int argc, char **argv);
int cmd_queue(int argc, char **argv);
int cmd_replies(int argc, char **argv);
int cmd_sendmail(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_sink(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_deliveries(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_suppress(int argc, char **argv);
int cmd_spool(int argc, char **argv);
int cmd_trace(int argc, char **argv);
