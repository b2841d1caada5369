/* cli/sendmail_smtp.c - the client machine of smtp/ on a plain socket. */
#include "cli/sendmail_smtp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/submission.h"
#include "smtp/client.h"

#define CONNECT_MS 30000
#define OUT_MAX MIB(1)
#define CHUNK KIB(64)
/* A bridge whose input ended waits so long for what the server still has to say. */
#define QUIET_MS 2000

/* ---- a socket with time-outs ---- */

/* 1: ready. 0: the time is over. */
static int wait_for(int fd, short events, uint64_t timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    uint64_t end_ms = clock_mono_ms() + timeout_ms;

    for (;;) {
        uint64_t now_ms = clock_mono_ms();
        uint64_t left_ms = end_ms > now_ms ? end_ms - now_ms : 0;
        int r = poll(&p, 1, (int)MIN_OF(left_ms, UINT64_C(60000)));

        if (r > 0)
            return 1;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (left_ms == 0)
            return 0;
    }
}

/* The socket, or the error. */
static int connect_to(const struct addr *server)
{
    int fd = socket(server->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(int);
    int err = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, &server->u.any, server->len) < 0) {
        err = errno;
        if (err == EINPROGRESS) {
            int r = wait_for(fd, POLLOUT, CONNECT_MS);

            err = r < 0 ? -r : r == 0 ? ETIMEDOUT : 0;
            if (err == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
                err = errno;
        }
    }
    if (err == 0)
        return fd;
    (void)close(fd);
    return -err;
}

static int send_all(int fd, struct slice data, uint64_t timeout_ms)
{
    while (data.len > 0) {
        ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

        if (n >= 0) {
            data = slice_from(data, (size_t)n);
        } else if (errno == EAGAIN) {
            int r = wait_for(fd, POLLOUT, timeout_ms);

            if (r <= 0)
                return r < 0 ? r : -ETIMEDOUT;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* >0: bytes. 0: the peer closed. */
static ssize_t receive(int fd, void *to, size_t size, uint64_t timeout_ms)
{
    for (;;) {
        ssize_t n = recv(fd, to, size, 0);
        int r;

        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        r = wait_for(fd, POLLIN, timeout_ms);
        if (r <= 0)
            return r < 0 ? r : -ETIMEDOUT;
    }
}

static int connect_or_tell(const struct addr *server)
{
    char text[ADDR_TEXT_MAX];
    int fd = connect_to(server);

    if (fd < 0) {
        addr_format(server, text);
        fprintf(stderr, "sendmail: the server on %s cannot be reached: %s\n", text, err_str(fd));
    }
    return fd;
}

/* ---- submission ---- */

struct sending {
    const struct sendmail_mail *mail;
    struct smtp_client client;
    struct smtp_recipient *recipients;
    struct smtp_transaction transaction;
    size_t first, answered; /* of the transaction under way; of all */
    uint64_t header_sent;   /* of the transaction's body */
    struct buf out;
    int fd, exit_code;
};

static int exit_code_of(const struct smtp_result *r)
{
    if (r->outcome == SMTP_DEFERRED)
        return EX_TEMPFAIL;
    if (r->err == -EMSGSIZE || r->enhanced.subject == 6 ||
        (r->enhanced.subject == 3 && r->enhanced.detail == 4))
        return EX_DATAERR;
    if (r->enhanced.subject == 1)
        return EX_NOUSER;
    if (r->enhanced.subject == 7)
        return EX_NOPERM;
    return EX_UNAVAILABLE;
}

static void tell_result(struct slice about, const struct smtp_result *r)
{
    fprintf(stderr, "sendmail: %.*s: ", SLICE_FMT(about));
    if (r->code)
        fprintf(stderr, "%u ", r->code);
    /* Of a reply of several lines, each on a line of its own. */
    for (size_t i = 0; i < r->text.len; i++)
        fputc(r->text.ptr[i] == '\n' ? ' ' : r->text.ptr[i], stderr);
    fputc('\n', stderr);
}

static void count_failure(struct sending *s, const struct smtp_result *r)
{
    int code = exit_code_of(r);

    if (code == EX_TEMPFAIL || s->exit_code == EX_OK)
        s->exit_code = code;
}

static void on_result(void *ctx, size_t recipient, const struct smtp_result *result)
{
    struct sending *s = ctx;
    struct slice address = s->recipients[s->first + recipient].address;

    s->answered++;
    if (result->outcome != SMTP_DELIVERED)
        count_failure(s, result);
    if (result->outcome != SMTP_DELIVERED || s->mail->is_verbose)
        tell_result(address, result);
}

static void on_done(void *ctx)
{
    (void)ctx;
}

static void begin_transaction(struct sending *s)
{
    const struct sendmail_mail *m = s->mail;

    s->first = s->answered;
    s->header_sent = 0;
    rewind(m->message->body);
    s->transaction = (struct smtp_transaction){
        .sender = m->sender,
        .recipients = s->recipients + s->first,
        .recipient_count =
            MIN_OF(m->recipient_count - s->first, (size_t)smtp_client_recipients_max(&s->client)),
        .body_bytes = buf_len(&m->message->header) + m->message->body_bytes,
        .is_8bit = m->message->has_8bit,
        .smtputf8 = m->smtputf8,
        .ret = m->ret,
        .envid = m->envid};
    smtp_client_begin(&s->client, &s->transaction);
}

/* The header, then the body, a chunk a call. */
static int send_body(struct sending *s)
{
    struct slice header = buf_slice(&s->mail->message->header), chunk;
    uint8_t block[CHUNK];
    size_t n;

    if (s->header_sent < header.len) {
        chunk = slice_sub(header, (size_t)s->header_sent, CHUNK);
        s->header_sent += chunk.len;
        return smtp_client_body(&s->client, chunk);
    }
    n = fread(block, 1, sizeof(block), s->mail->message->body);
    if (n == 0)
        return -EIO;
    return smtp_client_body(&s->client, slice_make(block, n));
}

static uint64_t timeout_ms(const struct sending *s)
{
    return (uint64_t)smtp_phase_timeout_s(smtp_client_phase(&s->client)) * MS_PER_S;
}

static void read_reply(struct sending *s)
{
    uint8_t block[KIB(16)];
    ssize_t n = receive(s->fd, block, sizeof(block), timeout_ms(s));

    if (n > 0)
        smtp_client_feed(&s->client, slice_make(block, (size_t)n));
    else
        smtp_client_eof(&s->client, (int)n);
}

/* Sends `out`. A server that refuses in the middle says why before it closes: when sending fails,
 * what it said is read first. */
static void flush_out(struct sending *s)
{
    int err = send_all(s->fd, buf_slice(&s->out), timeout_ms(s));
    uint8_t block[KIB(16)];
    ssize_t n = 1;

    buf_clear(&s->out);
    if (err == 0)
        return;
    while (n > 0 && smtp_client_wants(&s->client) != SMTP_CLIENT_CLOSE) {
        n = recv(s->fd, block, sizeof(block), 0);
        if (n > 0)
            smtp_client_feed(&s->client, slice_make(block, (size_t)n));
    }
    if (smtp_client_wants(&s->client) != SMTP_CLIENT_CLOSE)
        smtp_client_eof(&s->client, err);
    buf_clear(&s->out);
}

static void converse(struct sending *s)
{
    for (;;) {
        int err = 0;

        if (buf_len(&s->out) > 0)
            flush_out(s);
        switch (smtp_client_wants(&s->client)) {
        case SMTP_CLIENT_REPLY:
            read_reply(s);
            break;
        case SMTP_CLIENT_TLS: /* not asked for */
            err = -EPROTO;
            break;
        case SMTP_CLIENT_TRANSACTION:
            if (s->answered == s->mail->recipient_count)
                smtp_client_quit(&s->client);
            else
                begin_transaction(s);
            break;
        case SMTP_CLIENT_BODY:
            err = send_body(s);
            break;
        case SMTP_CLIENT_CLOSE:
            return;
        }
        if (err < 0)
            smtp_client_eof(&s->client, err);
    }
}

/* Recipients whose turn never came, because the session ended before it. */
static void tell_unsent(struct sending *s)
{
    const struct smtp_result *failure = smtp_client_failure(&s->client);

    if (s->answered == s->mail->recipient_count)
        return;
    if (failure) {
        count_failure(s, failure);
        tell_result(SLICE_LIT("the server"), failure);
    } else {
        s->exit_code = EX_TEMPFAIL;
        fprintf(stderr, "sendmail: the server ended the session\n");
    }
}

int sendmail_submit(const struct addr *server, const struct sendmail_mail *mail)
{
    static const struct smtp_client_handler handler = {.on_result = on_result, .on_done = on_done};
    struct smtp_client_config config = SMTP_CLIENT_CONFIG_INIT;
    struct sending s = {.mail = mail, .fd = connect_or_tell(server)};

    if (s.fd < 0)
        return EX_TEMPFAIL;
    s.recipients = calloc(mail->recipient_count, sizeof(*s.recipients));
    if (!s.recipients) {
        (void)close(s.fd);
        return EX_TEMPFAIL;
    }
    for (size_t i = 0; i < mail->recipient_count; i++) {
        s.recipients[i].address = smtp_address_mailbox(&mail->recipients[i]);
        s.recipients[i].notify = mail->notify;
    }
    config.hello_name = mail->hello_name;
    config.tls = SMTP_TLS_NEVER;
    buf_init(&s.out, OUT_MAX);
    smtp_client_init(&s.client, &config, &handler, &s, &s.out);
    converse(&s);
    tell_unsent(&s);
    smtp_client_done(&s.client);
    buf_done(&s.out);
    free(s.recipients);
    (void)close(s.fd);
    return s.exit_code;
}

/* ---- bridge ---- */

/* Whatever the server says, to standard output. 1: more may come. 0: the server closed. */
static int copy_out(int fd)
{
    uint8_t block[KIB(16)];
    ssize_t n = recv(fd, block, sizeof(block), 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    if (n == 0)
        return 0;
    if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) == EOF)
        return -EPIPE;
    return 1;
}

/* 1: more may come. 0: the input ended. */
static int copy_in(int fd)
{
    uint8_t block[KIB(16)];
    ssize_t n = read(STDIN_FILENO, block, sizeof(block));

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    if (n == 0)
        return 0;
    return send_all(fd, slice_make(block, (size_t)n), (uint64_t)600 * MS_PER_S) < 0 ? 0 : 1;
}

static int bridge(int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    bool has_greeting = false, has_input = true;
    int r = 1;

    while (r > 0) {
        int n = poll(fds, 2, has_input ? -1 : QUIET_MS);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0) /* nothing to come on either side */
            (void)shutdown(fd, SHUT_WR);
        if (n > 0 && fds[0].revents) {
            r = copy_out(fd);
            has_greeting = true;
        }
        if (r > 0 && n > 0 && fds[1].revents) {
            r = copy_in(fd);
            has_input = r > 0;
            r = r < 0 ? r : 1;
        }
        fds[1].fd = has_greeting && has_input ? STDIN_FILENO : -1;
    }
    return r;
}

int sendmail_bridge(const struct addr *server)
{
    int fd = connect_or_tell(server), r;

    if (fd < 0)
        return EX_TEMPFAIL;
    r = bridge(fd);
    if (r < 0)
        fprintf(stderr, "sendmail: the session broke: %s\n", err_str(r));
    (void)close(fd);
    return r < 0 ? EX_TEMPFAIL : EX_OK;
}
