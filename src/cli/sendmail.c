/*
 * cli/sendmail.c - `penstock sendmail`, and what /usr/sbin/sendmail links to: takes a message from
 * a program's standard input and submits it to the server over SMTP.
 *
 * Exit codes are sendmail's (sysexits.h), not the 0, 1, 2 of the other commands: programs rely on
 * them. 0 means that the server has taken the message for every recipient.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/address_list.h"
#include "cli/cli.h"
#include "cli/sendmail_smtp.h"
#include "cli/submission.h"
#include "config/config.h"
#include "smtp/address.h"

#define WHY_MAX KIB(16)
#define ENVID_MAX 100 /* RFC 3461, section 4.4 */

struct options {
    char *config;
    const char *to, *sender, *full_name, *notify, *ret, *envid;
    char mode; /* of -b */
    bool take_recipients, ignores_dots, is_verbose, retries_queue;
};

struct recipients {
    struct smtp_address *list;
    size_t count, size;
    const char *host_name;
    int exit_code; /* why the last one was not added */
};

static int fail(int exit_code, const char *what, const char *why)
{
    fprintf(stderr, "sendmail: %s%s%s\n", what, *why ? ": " : "", why);
    return exit_code;
}

/* ---- addresses ---- */

/* A local name gets the host's. 0 or an exit code, told. */
static int read_address(struct slice text, const char *host_name, struct smtp_address *ret)
{
    char full[ADDRESS_LIST_ADDRESS_MAX + 300];
    const char *why = NULL;

    if (text.len > ADDRESS_LIST_ADDRESS_MAX)
        return fail(EX_DATAERR, "an address is too long", "");
    if (slice_rfind(text, '@') < 0)
        (void)snprintf(full, sizeof(full), "%.*s@%.255s", SLICE_FMT(text), host_name);
    else
        (void)snprintf(full, sizeof(full), "%.*s", SLICE_FMT(text));
    if (smtp_mailbox_parse(slice_str(full), SMTP_ALLOW_UTF8, ret, &why) == 0)
        return 0;
    return fail(EX_DATAERR, full, why ? why : "this is no address");
}

static bool is_known(const struct recipients *r, const struct smtp_address *a)
{
    for (size_t i = 0; i < r->count; i++)
        if (slice_eq(smtp_address_mailbox(&r->list[i]), smtp_address_mailbox(a)))
            return true;
    return false;
}

/* For address_list_each(): 0, or 1 with `exit_code` set. */
static int add_recipient(void *ctx, struct slice text)
{
    struct recipients *r = ctx;
    struct smtp_address a;

    r->exit_code = read_address(text, r->host_name, &a);
    if (r->exit_code != 0)
        return 1;
    if (is_known(r, &a))
        return 0;
    if (r->count == r->size) {
        size_t size = r->size ? r->size * 2 : 16;
        struct smtp_address *list = reallocarray(r->list, size, sizeof(*list));

        if (!list) {
            r->exit_code = fail(EX_TEMPFAIL, "out of memory", "");
            return 1;
        }
        r->list = list;
        r->size = size;
    }
    r->list[r->count++] = a;
    return 0;
}

/* Those of the command line; one argument may hold several. */
static int add_arguments(struct recipients *r, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        const char *why = NULL;
        int err = address_list_each(slice_str(arguments[i]), add_recipient, r, &why);

        if (why)
            return fail(EX_DATAERR, arguments[i], why);
        if (err)
            return r->exit_code;
    }
    return 0;
}

static int read_sender(const struct options *o, const char *host_name, struct smtp_address *ret)
{
    const char *name = o->sender;
    const struct passwd *user;

    *ret = (struct smtp_address){0};
    if (name && (strcmp(name, "") == 0 || strcmp(name, "<>") == 0))
        return 0; /* the null sender */
    if (!name) {
        user = getpwuid(getuid());
        name = user ? user->pw_name : "nobody";
    }
    if (name[0] == '<' && name[strlen(name) - 1] == '>')
        return read_address(slice_make(name + 1, strlen(name) - 2), host_name, ret);
    return read_address(slice_str(name), host_name, ret);
}

/* ---- delivery status options ---- */

static int read_notify(const char *text, unsigned *ret)
{
    static const struct {
        const char *word;
        unsigned flag;
    } words[] = {
        {"never", SMTP_NOTIFY_NEVER},
        {"success", SMTP_NOTIFY_SUCCESS},
        {"failure", SMTP_NOTIFY_FAILURE},
        {"delay", SMTP_NOTIFY_DELAY},
    };
    struct slice left = slice_str(text);

    *ret = 0;
    while (left.len > 0) {
        ptrdiff_t comma = slice_find(left, ',');
        struct slice word = slice_trim(slice_sub(left, 0, comma < 0 ? left.len : (size_t)comma));
        unsigned flag = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            if (slice_eq_case(word, slice_str(words[i].word)))
                flag = words[i].flag;
        if (!flag)
            break;
        *ret |= flag;
        left = comma < 0 ? slice_make(NULL, 0) : slice_from(left, (size_t)comma + 1);
    }
    if (left.len > 0 || *ret == 0 || (*ret & SMTP_NOTIFY_NEVER && *ret != SMTP_NOTIFY_NEVER))
        return fail(EX_USAGE, "-N takes 'never', or a list of success, failure and delay", "");
    return 0;
}

static int read_ret(const char *text, enum smtp_ret *ret)
{
    if (slice_eq_case(slice_str(text), SLICE_LIT("full")))
        *ret = SMTP_RET_FULL;
    else if (slice_eq_case(slice_str(text), SLICE_LIT("hdrs")))
        *ret = SMTP_RET_HDRS;
    else
        return fail(EX_USAGE, "-R takes 'full' or 'hdrs'", "");
    return 0;
}

/* xtext, RFC 3461, section 4. */
static int read_envid(const char *text, struct buf *ret)
{
    for (const char *p = text; *p; p++) {
        if (*p < '!' || *p > '~' || *p == '+' || *p == '=')
            (void)buf_addf(ret, "+%02X", (unsigned)(uint8_t)*p);
        else
            (void)buf_push(ret, (uint8_t)*p);
    }
    if (buf_failed(ret) || buf_len(ret) == 0)
        return fail(EX_USAGE, "-V takes 1 to 100 characters", "");
    return 0;
}

/* ---- one message ---- */

static int exit_code_of(int err)
{
    switch (-err) {
    case EINVAL:
    case E2BIG:
        return EX_DATAERR;
    case EIO:
    case ENOSPC:
        return EX_IOERR;
    default:
        return EX_TEMPFAIL;
    }
}

static int read_message(const struct options *o, struct recipients *recipients,
                        const struct smtp_address *sender, struct submission *ret)
{
    struct smtp_address from = *sender;
    struct submission_options so = {.full_name = slice_str(o->full_name),
                                    .host_name = slice_str(recipients->host_name),
                                    .now_ms = clock_wall_ms(),
                                    .dot_ends = !o->ignores_dots,
                                    .on_recipient = o->take_recipients ? add_recipient : NULL,
                                    .ctx = recipients};
    struct buf why = BUF_INIT(WHY_MAX);
    int err, exit_code = 0;

    if (from.len == 0) /* a message from the null sender still has an author */
        (void)read_address(SLICE_LIT("MAILER-DAEMON"), recipients->host_name, &from);
    so.from = smtp_address_mailbox(&from);
    if (getrandom(&so.unique, sizeof(so.unique), 0) < 0)
        so.unique = (uint64_t)getpid();
    recipients->exit_code = 0;
    err = submission_read(ret, stdin, &so, &why);
    if (recipients->exit_code != 0)
        exit_code = recipients->exit_code;
    else if (err != 0)
        exit_code = fail(exit_code_of(err), buf_len(&why) ? buf_cstr(&why) : err_str(err), "");
    buf_done(&why);
    return exit_code;
}

static int send_message(const struct options *o, const struct addr *server,
                        const struct smtp_address *sender, const struct recipients *recipients,
                        struct submission *message)
{
    struct sendmail_mail mail = {.hello_name = slice_str(recipients->host_name),
                                 .sender = smtp_address_mailbox(sender),
                                 .recipients = recipients->list,
                                 .recipient_count = recipients->count,
                                 .smtputf8 = sender->is_utf8,
                                 .message = message,
                                 .is_verbose = o->is_verbose};
    struct buf envid = BUF_INIT(ENVID_MAX);
    int exit_code = 0;

    for (size_t i = 0; i < recipients->count; i++)
        mail.smtputf8 |= recipients->list[i].is_utf8;
    if (o->notify)
        exit_code = read_notify(o->notify, &mail.notify);
    if (exit_code == 0 && o->ret)
        exit_code = read_ret(o->ret, &mail.ret);
    if (exit_code == 0 && o->envid)
        exit_code = read_envid(o->envid, &envid);
    mail.envid = buf_slice(&envid);
    if (exit_code == 0)
        exit_code = sendmail_submit(server, &mail);
    buf_done(&envid);
    return exit_code;
}

static int submit(const struct options *o, const struct addr *server, const char *host_name,
                  int count, char **arguments)
{
    struct recipients recipients = {.host_name = host_name};
    struct submission message = {0};
    struct smtp_address sender;
    int exit_code = read_sender(o, host_name, &sender);

    if (exit_code == 0)
        exit_code = add_arguments(&recipients, count, arguments);
    if (exit_code == 0 && recipients.count == 0 && !o->take_recipients)
        exit_code =
            fail(EX_USAGE, "no recipients: name them, or say -t and have To, Cc or Bcc", "");
    if (exit_code == 0)
        exit_code = read_message(o, &recipients, &sender, &message);
    if (exit_code == 0 && recipients.count == 0)
        exit_code = fail(EX_USAGE, "no recipients in To, Cc or Bcc", "");
    if (exit_code == 0)
        exit_code = send_message(o, server, &sender, &recipients, &message);
    submission_done(&message);
    free(recipients.list);
    return exit_code;
}

/* ---- the command line ---- */

static void print_help(void)
{
    fputs(
        "Usage: penstock sendmail [OPTIONS] [RECIPIENT...]\n"
        "\n"
        "Reads a message from standard input and submits it to the server, as programs expect\n"
        "it of sendmail. A link named 'sendmail' to penstock does the same.\n"
        "\n"
        "  -t              takes recipients from To, Cc and Bcc, and removes Bcc\n"
        "  -i, -oi         a line of one dot does not end the message\n"
        "  -f ADDRESS      the sender; '' or '<>' is the null sender (-r does the same)\n"
        "  -F NAME         the display name in a From field that is added\n"
        "  -N WHEN         reports wanted: never, or success,failure,delay\n"
        "  -R WHAT         what reports return: full or hdrs\n"
        "  -V ID           an envelope id for reports\n"
        "  -bs             SMTP on standard input and output\n"
        "  -bp             prints the queue ('penstock queue list')\n"
        "  -q              makes the whole queue due ('penstock queue retry --all')\n"
        "  -v              tells what the server says\n"
        "  --to ADDRESS    the server, 127.0.0.1:2525; else the configuration's first listener\n"
        "  -C, -c, --config FILE  the configuration\n"
        "  --help          this text\n"
        "\n"
        "-m, -n, -U, -G, -e, -o, -O, -B, -A, -h, -L, -p, -X, -d are taken and ignored.\n"
        "Exit codes are those of sysexits.h: 0 taken for all recipients, 75 try again later,\n"
        "64 usage, 65 bad message or address, 67 unknown recipient, 69 refused, 77 not allowed.\n",
        stdout);
}

enum { OPT_TO = 256, OPT_HELP };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'C'},
    {"to", required_argument, NULL, OPT_TO},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* 0, an exit code, or -1: the help was printed. */
static int set_option(struct options *o, int opt, const char *bad)
{
    switch (opt) {
    case 'b':
        o->mode = optarg[0];
        break;
    case 'C':
    case 'c':
        o->config = optarg;
        break;
    case 'F':
        o->full_name = optarg;
        break;
    case 'f':
    case 'r':
        o->sender = optarg;
        break;
    case 'i':
        o->ignores_dots = true;
        break;
    case 'o':
        o->ignores_dots |= optarg[0] == 'i';
        break;
    case 'N':
        o->notify = optarg;
        break;
    case 'R':
        o->ret = optarg;
        break;
    case 'V':
        o->envid = optarg;
        break;
    case 'q':
        o->retries_queue = true;
        break;
    case 't':
        o->take_recipients = true;
        break;
    case 'v':
        o->is_verbose = true;
        break;
    case OPT_TO:
        o->to = optarg;
        break;
    case OPT_HELP:
        print_help();
        return -1;
    case '?':
        return fail(EX_USAGE, bad, "there is no such option, or it lacks its value");
    default: /* of other sendmails, and without a meaning here */
        break;
    }
    return 0;
}

/* `penstock queue` does what -bp and -q ask for. */
static int ask_queue(const struct options *o, char *verb, char *option)
{
    char command[] = "queue", flag[] = "-c";
    char *arguments[6] = {command, verb};
    int count = 2;

    if (option)
        arguments[count++] = option;
    if (o->config) {
        arguments[count++] = flag;
        arguments[count++] = o->config;
    }
    return cmd_queue(count, arguments) == EXIT_DONE ? EX_OK : EX_UNAVAILABLE;
}

/* Where the server is: --to, else the first listener. 0 or an exit code, told. */
static int find_server(const struct options *o, const struct config *config, struct addr *ret)
{
    struct buf why = BUF_INIT(WHY_MAX);
    int exit_code = 0;

    if (o->to) {
        if (addr_parse(slice_str(o->to), 25, ret, &why) < 0)
            exit_code = fail(EX_USAGE, "--to", buf_cstr(&why));
    } else if (config->listener_count == 0) {
        exit_code = fail(EX_CONFIG, "the configuration has no listener; --to names a server", "");
    } else {
        *ret = config->listeners[0].address;
    }
    buf_done(&why);
    return exit_code;
}

static int run_with_config(const struct options *o, int count, char **arguments)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct config *config = NULL;
    const struct config *held;
    struct addr server;
    int exit_code;

    if (config_load(o->config, NULL, 0, &config, &why) < 0) {
        exit_code = fail(EX_CONFIG, buf_cstr(&why), "");
        buf_done(&why);
        return exit_code;
    }
    exit_code = find_server(o, config, &server);
    if (exit_code == 0)
        exit_code = o->mode == 's' ? sendmail_bridge(&server)
                                   : submit(o, &server, config->server.hostname, count, arguments);
    held = config;
    config_unref(&held);
    buf_done(&why);
    return exit_code;
}

int cmd_sendmail(int argc, char **argv)
{
    struct options o = {.mode = 'm', .full_name = getenv("NAME")};
    char list[] = "list", retry[] = "retry", all[] = "--all";
    int opt, r;

    opterr = 0;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "A:B:C:F:GIL:N:O:R:UV:X:b:c:d::e:f:h:imno:p:q::r:stvx",
                              long_options, NULL)) != -1) {
        r = set_option(&o, opt, argv[optind - 1]);
        if (r != 0)
            return r < 0 ? EX_OK : r;
    }
    if (o.mode == 'p')
        return ask_queue(&o, list, NULL);
    if (o.retries_queue)
        return ask_queue(&o, retry, all);
    if (o.mode == 'i') /* newaliases: there is no table of aliases to build */
        return EX_OK;
    if (!strchr("ams", o.mode))
        return fail(EX_USAGE, "of -b only -bm, -bs, -bp and -bi are known", "");
    return run_with_config(&o, argc - optind, argv + optind);
}
