/*
 * config/settings.c - every setting: name, kind, place in the snapshot, default, range, a sentence.
 *
 * The parser, `penstock config show`, --help and docs/configuration.md all come from here. A new
 * setting is a field in config.h and a line here; then `penstock config doc` writes the manual.
 */
#include "config/settings.h"

#include <stddef.h>

#define IN(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
#define AT(field) IN(struct config, field)
#define RANGE(low, high) .min = (low), .max = (high)
#define MS_HOUR (3600 * (uint64_t)1000)
#define S_DAY 86400

static const char *const listener_tls_words[] = {"off", "self_signed", "files", "auto", NULL};
static const char *const relay_words[] = {"networks", "none", "all", NULL};
static const char *const client_tls_words[] = {"off", "opportunistic", "required", "verified",
                                               NULL};
static const char *const family_words[] = {"any",  "prefer_ipv6", "prefer_ipv4",
                                           "ipv6", "ipv4",        NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};
static const char *const level_words[] = {"debug", "info", "notice", "warning", "error", NULL};
static const char *const target_words[] = {"auto", "stderr", "journal", "off", NULL};
static const char *const reply_detail_words[] = {"token", "bare", NULL};
static const char *const class_words[] = {"auto",     "internal",    "authenticated",
                                          "external", "second_copy", NULL};
static const char *const status_words[] = {"auto", "on", "off", NULL};

#define LISTENER(field) IN(struct config_listener, field)
static const struct setting listener_list[] = {
    {"address", VALUE_ADDRESS, LISTENER(address), .min = 25, .required = true,
     .what = "Where to listen: address and port. Port 0 lets the system pick one."},
    {"name", VALUE_TEXT, LISTENER(name), .optional = true, .def_note = "its address",
     .what = "What logs and statistics call it."},
    {"tls.mode", VALUE_ENUM, LISTENER(tls), .def = "auto", .words = listener_tls_words,
     .what = "STARTTLS: `off` does not offer it, `files` uses tls.certificate and tls.key, "
             "`self_signed` makes a certificate at start, `auto` is `files` where a certificate "
             "is set and `self_signed` elsewhere."},
    {"tls.certificate", VALUE_PATH, LISTENER(tls_certificate), .inherits = "tls.certificate",
     .optional = true, .what = "PEM file with the certificate and its chain."},
    {"tls.key", VALUE_PATH, LISTENER(tls_key), .inherits = "tls.key", .optional = true,
     .what = "PEM file with the private key."},
    {"tls.required", VALUE_BOOL, LISTENER(tls_required), .def = "no",
     .what = "Refuse mail before STARTTLS (530)."},
    {"class", VALUE_ENUM, LISTENER(class), .def = "auto", .words = class_words,
     .what = "What its mail counts as when room is short: `auto` is internal for clients in "
             "pressure.internal_networks and external for others."},
    {"relay", VALUE_ENUM, LISTENER(relay), .def = "networks", .words = relay_words,
     .what = "Who may send to any domain: clients in relay_networks, nobody (`none`), or "
             "whoever can connect (`all`: only for an address that nobody else can reach)."},
    {"relay_networks", VALUE_NETWORKS, LISTENER(relay_networks), .inherits = "relay.networks",
     .what = "The networks of clients that may send to any domain."},
};
static const struct settings listener_settings = {listener_list, ARRAY_SIZE(listener_list),
                                                  sizeof(struct config_listener)};

static const struct setting route_list[] = {
    {"domain", VALUE_PATTERN, IN(struct config_route, domain), .required = true,
     .what = "The recipient domain; `.example.org` is every domain below example.org, `\"*\"` "
             "every domain. The most exact one wins."},
    {"to", VALUE_TARGET, IN(struct config_route, to), .required = true,
     .what = "Where its mail goes: `host:port` or `[ip]:port` (no MX lookup), "
             "`lmtp:host:port`, `lmtp:unix:/path`, `mx` (its own MX hosts), `mx:domain` (those "
             "of another), or `discard`."},
};
static const struct settings route_settings = {route_list, ARRAY_SIZE(route_list),
                                               sizeof(struct config_route)};

#define SOURCE(field) IN(struct config_source, field)
static const struct setting source_list[] = {
    {"name", VALUE_NAME, SOURCE(name), .required = true, .reload = true,
     .what = "What pools, lanes, logs and statistics call it."},
    {"ipv4", VALUE_IPV4, SOURCE(ipv4), .inherits = "delivery.source_ipv4", .optional = true,
     .reload = true,
     .what = "The IPv4 address to send from; the machine must have it. A source that names an "
             "address of one family sends to hosts of that family alone."},
    {"ipv6", VALUE_IPV6, SOURCE(ipv6), .inherits = "delivery.source_ipv6", .optional = true,
     .reload = true, .what = "The IPv6 address to send from."},
    {"ehlo_name", VALUE_HOST, SOURCE(ehlo_name), .inherits = "delivery.ehlo_name", .optional = true,
     .reload = true,
     .what = "The name to say EHLO with; the address's name in DNS should be the same."},
    {"warm_up_start", VALUE_DATE, SOURCE(warm_up_start_ms), .optional = true,
     .def_note = "the block's", .reload = true,
     .what = "The day it began to send, for the warm-ups of destinations."},
};
static const struct settings source_settings = {source_list, ARRAY_SIZE(source_list),
                                                sizeof(struct config_source)};

static const struct setting pool_list[] = {
    {"name", VALUE_NAME, IN(struct config_pool, name), .required = true, .reload = true,
     .what = "What delivery.pool and blocks call it; `all` is the one of all sources."},
    {"sources", VALUE_MEMBERS, IN(struct config_pool, members), .required = true, .reload = true,
     .what = "Its sources, with weights: `out1 x 3, out2` sends three messages of four from out1. "
             "Weight 0 gets no new mail."},
};
static const struct settings pool_settings = {pool_list, ARRAY_SIZE(pool_list),
                                              sizeof(struct config_pool)};

/* What may be said of lanes in general, and in a block. */
#define RANGE_CHANGE RANGE(1, 90)
#define RANGE_CONNECTIONS RANGE(1, 10000)
#define RANGE_RATE RANGE(0, 1000000)
#define RANGE_QUEUE_AGE RANGE(0, 60 * (uint64_t)S_DAY * 1000)

#define DESTINATION(field) IN(struct config_destination, field)
static const struct setting destination_list[] = {
    {"destination", VALUE_DESTINATION, DESTINATION(destination), .required = true, .reload = true,
     .what = "Whose mail the block is for: a recipient domain; `.domain`, every domain below it; "
             "`mx:PATTERN`, domains whose best MX host it matches; a provider or a group of them "
             "by name (`microsoft-domains`); `route:TEXT`, a next hop as it is written in "
             "delivery.routes or delivery.smart_host; `\"*\"`, all."},
    {"initial_retry", VALUE_DURATION, UNIT_S, DESTINATION(retry.delays_s[0]), RANGE(1, 7 * S_DAY),
     .inherits = "retry.initial_retry", .reload = true,
     .what = "Wait after the first attempt that was deferred."},
    {"next_retry", VALUE_DELAYS, UNIT_S, DESTINATION(retry), RANGE(1, 7 * S_DAY),
     .inherits = "retry.next_retry", .reload = true, .what = "Waits after the further attempts."},
    {"jitter", VALUE_PERCENT, DESTINATION(retry.jitter), RANGE(0, 50), .inherits = "retry.jitter",
     .reload = true, .what = "How much each wait is varied by chance."},
    {"max_queue_time", VALUE_DURATION, UNIT_S, DESTINATION(retry.max_queue_time_s),
     RANGE(1, 60 * S_DAY), .inherits = "retry.max_queue_time", .reload = true,
     .what = "After this time the mail is returned."},
    {"connections_max", VALUE_NUMBER, DESTINATION(connections_max), RANGE_CONNECTIONS,
     .def_note = "as `delivery.connections_per_destination_max`, or `lanes.connections_max`",
     .reload = true,
     .what = "Connections at a time: to each domain that the block is for; in a block by MX host, "
             "provider or next hop, of a whole lane."},
    {"pool", VALUE_NAME, DESTINATION(pool_name), .inherits = "delivery.pool", .optional = true,
     .reload = true, .what = "The sources its mail is sent from."},
    {"connection_change", VALUE_CHANGE, DESTINATION(limits.connection_change), RANGE_CHANGE,
     .inherits = "lanes.connection_change", .reload = true,
     .what = "How a lane's connections change, and its rate, when its receiver is short of "
             "capacity."},
    {"connections_floor", VALUE_NUMBER, DESTINATION(limits.connections_floor), RANGE_CONNECTIONS,
     .inherits = "lanes.connections_floor", .reload = true,
     .what = "No cut goes below so many connections of a lane."},
    {"rate_max", VALUE_RATE, DESTINATION(limits.rate_max), RANGE_RATE, .inherits = "lanes.rate_max",
     .reload = true, .what = "The most messages a lane may send."},
    {"rate_change", VALUE_CHANGE, DESTINATION(limits.rate_change), RANGE_CHANGE,
     .inherits = "lanes.rate_change", .reload = true,
     .what = "How a lane's rate changes when its receiver says that we are too fast."},
    {"queue_age_max", VALUE_DURATION, UNIT_MS, DESTINATION(limits.queue_age_max_ms),
     RANGE_QUEUE_AGE, .inherits = "lanes.queue_age_max", .reload = true,
     .what = "Older mail in a lane makes it an incident."},
    {"warm_up", VALUE_COUNTS, DESTINATION(limits.warm_up), RANGE(1, 1000000000), .reload = true,
     .what = "Messages a lane may send on the first day, the second, ..., from warm_up_start on."},
    {"warm_up_factor", VALUE_FACTOR, DESTINATION(limits.warm_up_factor), RANGE(100, 1000),
     .def = "1", .reload = true,
     .what = "After the list each day has so many times the messages of the day before; 1: the "
             "last number of the list stays."},
    {"warm_up_start", VALUE_DATE, DESTINATION(limits.warm_up_start_ms), .optional = true,
     .def_note = "the source's", .reload = true,
     .what = "The first day of the warm-up, for sources that do not say theirs; without one a "
             "source has none."},
};
static const struct settings destination_settings = {destination_list, ARRAY_SIZE(destination_list),
                                                     sizeof(struct config_destination)};

/* The six settings of one resource. */
#define PRESSURE_RULE(key, i, type_, max_, unit_, low_to_medium_, medium_to_high_,                 \
                      high_to_medium_, medium_to_low_, history_, what_)                            \
    {"pressure." key ".low_to_medium",                                                             \
     type_,                                                                                        \
     AT(pressure.rules[i].low_to_medium),                                                          \
     .def = low_to_medium_,                                                                        \
     RANGE(0, max_),                                                                               \
     .needs_unit = unit_,                                                                          \
     .reload = true,                                                                               \
     .what = "Medium from here on: " what_ "."},                                                   \
        {"pressure." key ".medium_to_high",                                                        \
         type_,                                                                                    \
         AT(pressure.rules[i].medium_to_high),                                                     \
         .def = medium_to_high_,                                                                   \
         RANGE(0, max_),                                                                           \
         .needs_unit = unit_,                                                                      \
         .reload = true,                                                                           \
         .what = "High from here on."},                                                            \
        {"pressure." key ".high_to_medium",                                                        \
         type_,                                                                                    \
         AT(pressure.rules[i].high_to_medium),                                                     \
         .def = high_to_medium_,                                                                   \
         RANGE(0, max_),                                                                           \
         .needs_unit = unit_,                                                                      \
         .reload = true,                                                                           \
         .what = "From high to medium, down here."},                                               \
        {"pressure." key ".medium_to_low",                                                         \
         type_,                                                                                    \
         AT(pressure.rules[i].medium_to_low),                                                      \
         .def = medium_to_low_,                                                                    \
         RANGE(0, max_),                                                                           \
         .needs_unit = unit_,                                                                      \
         .reload = true,                                                                           \
         .what = "Normal again, down here."},                                                      \
        {"pressure." key ".history",                                                               \
         VALUE_NUMBER,                                                                             \
         AT(pressure.rules[i].history),                                                            \
         .def = history_,                                                                          \
         RANGE(0, 100000),                                                                         \
         .reload = true,                                                                           \
         .what = "So many samples on end off normal turn delay into refusal; 0: at once."},        \
    {                                                                                              \
        "pressure." key ".observe_only", VALUE_BOOL, AT(pressure.rules[i].observe_only),           \
            .def = "no", .reload = true, .what = "Tell what it would have done, and do nothing."   \
    }
#define AMOUNT_MAX (UINT64_MAX / 2)
/* Parameters are named one by one: cppcheck does not follow "..." into PRESSURE_RULE. Exchange
 * counts version buckets where we have sizes: its bare numbers would be taken for bytes. */
#define PRESSURE_PERCENT(key, i, up, high, down, low, history, what)                               \
    PRESSURE_RULE(key, i, VALUE_WHOLE_PERCENT, 100, false, up, high, down, low, history, what)
#define PRESSURE_SIZE(key, i, up, high, down, low, history, what)                                  \
    PRESSURE_RULE(key, i, VALUE_SIZE, AMOUNT_MAX, true, up, high, down, low, history, what)
#define PRESSURE_COUNT(key, i, up, high, down, low, history, what)                                 \
    PRESSURE_RULE(key, i, VALUE_NUMBER, AMOUNT_MAX, false, up, high, down, low, history, what)

static const struct setting main_list[] = {
    {"server.hostname", VALUE_HOST, AT(server.hostname), .optional = true,
     .def_note = "the machine's",
     .what = "The name the server greets with and writes into Received and Message-ID fields."},
    {"server.user", VALUE_TEXT, AT(server.user), .optional = true,
     .what = "The user to become once the listeners are open, when started as root."},
    {"server.group", VALUE_TEXT, AT(server.group), .optional = true, .def_note = "the user's",
     .what = "The group to become."},
    {"server.loops", VALUE_NUMBER, AT(server.loops), .def = "0", RANGE(0, 64),
     .def_note = "0: one a core", .what = "Event loop threads for SMTP sessions."},
    {"server.control_socket", VALUE_PATH, AT(server.control_socket), .def = "./var/control.sock",
     .what = "The Unix socket `penstock queue` and others talk to the server through."},

    {"listeners", VALUE_MAPS, AT(listeners), .def = "[{address: \"127.0.0.1:2525\"}]",
     .count_offset = offsetof(struct config, listener_count), .sub = &listener_settings,
     .what = "Where mail is taken."},

    {"relay.networks", VALUE_NETWORKS, AT(relay.networks), .def = "127.0.0.0/8, ::1/128",
     .reload = true,
     .what = "Clients in these networks may send to any domain. Everybody else may send to "
             "relay.domains only."},
    {"relay.domains", VALUE_PATTERNS, AT(relay.domains), .def = "", .reload = true,
     .what = "Recipient domains whose mail is taken from anyone; `.example.org` is every domain "
             "below example.org."},

    {"tls.certificate", VALUE_PATH, AT(tls.certificate), .optional = true, .reload = true,
     .what = "PEM file with certificate and chain, for listeners that name none."},
    {"tls.key", VALUE_PATH, AT(tls.key), .optional = true, .reload = true,
     .what = "PEM file with its private key."},
    {"tls.ca_file", VALUE_PATH, AT(tls.ca_file), .optional = true, .reload = true,
     .def_note = "the system's",
     .what = "PEM file with the authorities that other servers' certificates are verified with."},

    {"smtp.message_size_max", VALUE_SIZE, AT(smtp.message_size_max_bytes), .def = "100MiB",
     RANGE(KIB(64), GIB(1)), .reload = true,
     .what = "The largest message taken, announced with SIZE (RFC 1870)."},
    {"smtp.recipients_max", VALUE_NUMBER, AT(smtp.recipients_max), .def = "1000", RANGE(1, 10000),
     .reload = true, .what = "Recipients of one message; RFC 5321 asks for at least 100."},
    {"smtp.connections_max", VALUE_NUMBER, AT(smtp.connections_max), .def = "2000",
     RANGE(1, 100000), .reload = true, .what = "Client connections at a time, in all."},
    {"smtp.connections_per_client_max", VALUE_NUMBER, AT(smtp.connections_per_client_max),
     .def = "0", RANGE(0, 60000), .def_note = "0: no limit of its own", .reload = true,
     .what = "Connections at a time from one client outside pressure.internal_networks: one IPv4 "
             "address, or one IPv6 network (smtp.client_ipv6_prefix)."},
    {"smtp.connections_per_client_minute_max", VALUE_NUMBER,
     AT(smtp.connections_per_client_minute_max), .def = "0", RANGE(0, 1000000),
     .def_note = "0: no limit", .reload = true,
     .what = "Connections in a minute from one such client."},
    {"smtp.messages_per_client_minute_max", VALUE_NUMBER, AT(smtp.messages_per_client_minute_max),
     .def = "0", RANGE(0, 1000000), .def_note = "0: no limit", .reload = true,
     .what = "Messages in a minute from one such client."},
    {"smtp.errors_per_client_minute_max", VALUE_NUMBER, AT(smtp.errors_per_client_minute_max),
     .def = "0", RANGE(0, 1000000), .def_note = "0: no limit", .reload = true,
     .what = "Broken commands and refused recipients in a minute from one such client; the next "
             "is answered with 421."},
    {"smtp.client_ipv6_prefix", VALUE_NUMBER, AT(smtp.client_ipv6_bits), .def = "64",
     RANGE(32, 128), .reload = true,
     .what = "Bits that IPv6 addresses have in common where the limits above take them for one "
             "client: who has one address of a network usually has all of it."},
    {"smtp.messages_per_connection_max", VALUE_NUMBER, AT(smtp.messages_per_connection_max),
     .def = "0", RANGE(0, 1000000), .def_note = "0: no limit", .reload = true,
     .what = "Messages in one session, announced with LIMITS MAILMAX (RFC 9422)."},
    {"smtp.errors_max", VALUE_NUMBER, AT(smtp.errors_max), .def = "20", RANGE(1, 1000),
     .reload = true,
     .what = "Broken commands in a row, no message between them, before the session is "
             "closed with 421."},
    {"smtp.command_line_max", VALUE_SIZE, AT(smtp.command_line_max_bytes), .def = "2048B",
     RANGE(512, KIB(64)), .reload = true, .what = "Bytes of a command line, CRLF included."},
    {"smtp.text_line_max", VALUE_SIZE, AT(smtp.text_line_max_bytes), .def = "1000B",
     RANGE(1000, MIB(1)), .reload = true,
     .what = "Bytes of a line of a message, CRLF included; RFC 5321 says 1000, some senders "
             "need more."},
    {"smtp.received_max", VALUE_NUMBER, AT(smtp.received_max), .def = "50", RANGE(10, 1000),
     .reload = true, .what = "Received fields in a message before it is refused as a loop."},
    {"smtp.early_talkers_refused", VALUE_BOOL, AT(smtp.early_talkers_refused), .def = "no",
     .reload = true,
     .what = "Refuse clients that talk before the greeting; smtp.greeting_delay gives them "
             "the time to."},
    {"smtp.greeting_delay", VALUE_DURATION, UNIT_MS, AT(smtp.greeting_delay_ms), .def = "0",
     RANGE(0, 60000), .reload = true, .what = "Wait before the greeting, to see who talks early."},
    {"smtp.time_outs.command", VALUE_DURATION, UNIT_MS, AT(smtp.time_outs.command_ms), .def = "5m",
     RANGE(100, MS_HOUR), .reload = true, .what = "Until the client's next command line is whole."},
    {"smtp.time_outs.data", VALUE_DURATION, UNIT_MS, AT(smtp.time_outs.data_ms), .def = "3m",
     RANGE(100, MS_HOUR), .reload = true, .what = "Between two pieces of a message."},
    {"smtp.time_outs.message", VALUE_DURATION, UNIT_MS, AT(smtp.time_outs.message_ms), .def = "2h",
     RANGE(1000, 24 * MS_HOUR), .reload = true,
     .what = "For the whole of a message, against senders that trickle."},
    {"smtp.time_outs.tls", VALUE_DURATION, UNIT_MS, AT(smtp.time_outs.tls_ms), .def = "1m",
     RANGE(100, MS_HOUR), .reload = true, .what = "For the TLS handshake."},
    {"smtp.time_outs.session", VALUE_DURATION, UNIT_MS, AT(smtp.time_outs.session_ms), .def = "24h",
     RANGE(1000, 30 * 24 * MS_HOUR), .reload = true,
     .what = "For a whole session, which then gets 421 after its current message."},

    {"spool.directory", VALUE_FOLDER, AT(spool.directory), .def = "./var/spool",
     .what = "Where accepted mail is kept. One server at a time may use it."},
    {"spool.more_directories", VALUE_FOLDERS, AT(spool.more_directories), .def = "", .reload = true,
     .what = "Further folders that hold mail, on other disks: new files of the spool are made "
             "where most is free. They must exist. Taken out and reloaded, one is emptied into "
             "the others while the server runs, and then let go."},
    {"spool.drain_directory", VALUE_BOOL, AT(spool.drain_directory), .def = "no", .reload = true,
     .what = "Make no files for mail in spool.directory and move the mail that is there to "
             "spool.more_directories. The lock, the checkpoints and the list of directories stay."},
    {"spool.segment_size", VALUE_SIZE, AT(spool.segment_size_bytes), .def = "64MiB",
     RANGE(MIB(1), GIB(1)), .what = "Size of one file of the spool; smaller on a small disk."},
    {"spool.size_max", VALUE_SIZE, AT(spool.size_max_bytes), .def = "0", RANGE(0, UINT64_MAX / 2),
     .def_note = "0: the disk's size", .reload = true,
     .what = "The most that all files of the spool may take together. Lowered below what they "
             "take, it removes nothing: new mail is refused until enough was delivered."},
    {"spool.drain_reserve", VALUE_SIZE, AT(spool.drain_reserve_bytes), .def = "64MiB",
     RANGE(MIB(1), GIB(64)),
     .what = "Kept for the records of delivered and deferred mail, so that a full spool still "
             "drains."},
    {"spool.spare_segments", VALUE_NUMBER, AT(spool.spare_segments), .def = "4", RANGE(1, 1024),
     .what = "Empty files kept ready; more are removed."},
    {"spool.commit_delay", VALUE_DURATION, UNIT_US, AT(spool.commit_delay_us), .def = "2ms",
     RANGE(0, 1000000), .reload = true,
     .what = "The longest a message waits for others to share its fdatasync."},
    {"spool.commit_batch", VALUE_SIZE, AT(spool.commit_batch_bytes), .def = "4MiB",
     RANGE(KIB(64), GIB(1)), .reload = true, .what = "So many bytes together are written at once."},
    {"spool.lazy_sync", VALUE_DURATION, UNIT_MS, AT(spool.lazy_sync_ms), .def = "100ms",
     RANGE(1, 60000), .reload = true,
     .what = "The longest the record of a delivery waits to be durable; a crash before may send "
             "that message twice."},
    {"spool.messages_max", VALUE_NUMBER, AT(spool.messages_max), .def = "10000000",
     RANGE(1000, 60000000), .reload = true,
     .what = "Messages in the queue, counted once for each destination, before new mail is "
             "refused with 452."},

    {"delivery.smart_host", VALUE_TARGET, AT(delivery.smart_host), .optional = true, .reload = true,
     .what = "Where mail goes that no route covers: `host:port`, `[ip]:port`, `lmtp:...`. None: "
             "to the MX hosts of its domain."},
    {"delivery.source_ipv4", VALUE_IPV4, AT(delivery.source_ipv4), .optional = true, .reload = true,
     .def_note = "the system's choice", .what = "The IPv4 address to send from."},
    {"delivery.source_ipv6", VALUE_IPV6, AT(delivery.source_ipv6), .optional = true, .reload = true,
     .def_note = "the system's choice", .what = "The IPv6 address to send from."},
    {"delivery.ehlo_name", VALUE_HOST, AT(delivery.ehlo_name), .inherits = "server.hostname",
     .optional = true, .reload = true, .what = "The name to say EHLO with."},
    {"delivery.pool", VALUE_NAME, AT(delivery.pool_name), .optional = true, .reload = true,
     .def_note = "all sources, with equal weights",
     .what = "The pool that mail is sent from where no block says another."},
    {"delivery.connections_max", VALUE_NUMBER, AT(delivery.connections_max), .def = "500",
     RANGE(1, 100000), .reload = true, .what = "Outgoing connections at a time, in all."},
    {"delivery.connections_per_destination_max", VALUE_NUMBER,
     .offset = offsetof(struct config, delivery.connections_per_destination_max),
     .size = sizeof(uint32_t), .def = "20", RANGE(1, 10000), .reload = true,
     .what = "Outgoing connections at a time to one destination."},
    {"delivery.messages_per_connection_max", VALUE_NUMBER, AT(delivery.messages_per_connection_max),
     .def = "1000", RANGE(1, 1000000), .reload = true,
     .what = "Messages sent over one connection before it is closed."},
    {"delivery.recipients_per_message_max", VALUE_NUMBER, AT(delivery.recipients_per_message_max),
     .def = "1000", RANGE(1, 10000), .reload = true,
     .what = "Recipients of one message in one transaction; the others follow in the next."},
    {"delivery.connection_idle", VALUE_DURATION, UNIT_MS, AT(delivery.connection_idle_ms),
     .def = "5s", RANGE(0, 300000), .reload = true,
     .what = "How long a connection is kept open for the next message."},
    {"delivery.tls", VALUE_ENUM, AT(delivery.tls), .def = "opportunistic",
     .words = client_tls_words, .reload = true,
     .what = "STARTTLS when sending: `opportunistic` where it is offered, any certificate; "
             "`required` never in the clear; `verified` with a certificate that names the host."},
    {"delivery.chunking", VALUE_BOOL, AT(delivery.chunking), .def = "yes", .reload = true,
     .what = "Send with BDAT (RFC 3030) where it is offered."},
    {"delivery.pipelining", VALUE_BOOL, AT(delivery.pipelining), .def = "yes", .reload = true,
     .what = "Send commands without waiting for each reply (RFC 2920) where it is offered."},
    {"delivery.port", VALUE_NUMBER, AT(delivery.port), .def = "25", RANGE(1, 65535), .reload = true,
     .what = "The port of MX hosts."},
    {"delivery.families", VALUE_ENUM, AT(delivery.families), .def = "any", .words = family_words,
     .reload = true, .what = "Which IP addresses of a host are used, and in what order."},
    {"delivery.mx_hosts_max", VALUE_NUMBER, AT(delivery.mx_hosts_max), .def = "5", RANGE(1, 50),
     .reload = true, .what = "Hosts of a destination tried in one attempt."},
    {"delivery.time_outs.connect", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.connect_ms),
     .def = "30s", RANGE(100, MS_HOUR), .reload = true, .what = "For the connection to be made."},
    {"delivery.time_outs.greeting", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.greeting_ms),
     .def = "5m", RANGE(100, MS_HOUR), .reload = true, .what = "For the greeting."},
    {"delivery.time_outs.tls", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.tls_ms), .def = "1m",
     RANGE(100, MS_HOUR), .reload = true, .what = "For the TLS handshake."},
    {"delivery.time_outs.ehlo", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.ehlo_ms),
     .def = "5m", RANGE(100, MS_HOUR), .reload = true,
     .what = "For the replies to EHLO, HELO, LHLO, RSET and STARTTLS."},
    {"delivery.time_outs.mail", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.mail_ms),
     .def = "5m", RANGE(100, MS_HOUR), .reload = true, .what = "For the reply to MAIL."},
    {"delivery.time_outs.rcpt", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.rcpt_ms),
     .def = "5m", RANGE(100, MS_HOUR), .reload = true, .what = "For the reply to RCPT."},
    {"delivery.time_outs.data", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.data_ms),
     .def = "2m", RANGE(100, MS_HOUR), .reload = true, .what = "For the reply to DATA."},
    {"delivery.time_outs.block", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.block_ms),
     .def = "3m", RANGE(100, MS_HOUR), .reload = true,
     .what = "For the other side to take the next piece of a message."},
    {"delivery.time_outs.data_end", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.data_end_ms),
     .def = "10m", RANGE(100, MS_HOUR), .reload = true,
     .what = "For the reply to the whole message; too short a time sends messages twice."},
    {"delivery.time_outs.quit", VALUE_DURATION, UNIT_MS, AT(delivery.time_outs.quit_ms),
     .def = "10s", RANGE(100, MS_HOUR), .reload = true, .what = "For the reply to QUIT."},
    {"delivery.routes", VALUE_MAPS, AT(delivery.routes), .def = "[]",
     .count_offset = offsetof(struct config, delivery.route_count), .sub = &route_settings,
     .reload = true, .what = "Where mail of certain domains goes."},

    {"retry.initial_retry", VALUE_DURATION, UNIT_S, AT(retry.policy.delays_s[0]), .def = "10m",
     RANGE(1, 7 * S_DAY), .reload = true,
     .what = "Wait after the first attempt that was deferred."},
    {"retry.next_retry", VALUE_DELAYS, UNIT_S, AT(retry.policy), .def = "20m, 40m, 80m",
     RANGE(1, 7 * S_DAY), .reload = true,
     .what = "Waits after the second, third, ... attempt; the last one repeats."},
    {"retry.jitter", VALUE_PERCENT, AT(retry.policy.jitter), .def = "20%", RANGE(0, 50),
     .reload = true,
     .what = "How much each wait is varied by chance, so that mail deferred together does not "
             "come back together."},
    {"retry.max_queue_time", VALUE_DURATION, UNIT_S, AT(retry.policy.max_queue_time_s),
     .def = "48h", RANGE(1, 60 * S_DAY), .reload = true,
     .what = "After this time mail that could not be delivered is returned to its sender."},
    {"retry.delay_warning", VALUE_DURATION, UNIT_S, AT(retry.delay_warning_s), .def = "4h",
     RANGE(0, 60 * S_DAY), .reload = true,
     .what = "After this time the sender is told once that the mail is delayed, unless NOTIFY "
             "says otherwise; 0: never."},

    {"destinations", VALUE_MAPS, AT(destinations), .def = "[]",
     .count_offset = offsetof(struct config, destination_count), .sub = &destination_settings,
     .reload = true, .what = "Policies of certain destinations."},

    {"sources", VALUE_MAPS, AT(sources), .def = "[{name: default}]",
     .count_offset = offsetof(struct config, source_count), .sub = &source_settings, .reload = true,
     .what = "Where mail is sent from."},
    {"pools", VALUE_MAPS, AT(pools), .def = "[]",
     .count_offset = offsetof(struct config, pool_count), .sub = &pool_settings, .reload = true,
     .what = "Sources that share mail."},

    {"lanes.enabled", VALUE_BOOL, AT(lanes.enabled), .def = "yes", .reload = true,
     .what = "Cut and restore by what receivers answer; `no` tells what a lane's band is, and "
             "changes nothing."},
    {"lanes.connections_max", VALUE_NUMBER, AT(lanes.limits.connections_max), .def = "100",
     RANGE_CONNECTIONS, .reload = true,
     .what = "Connections of one lane at a time, while all is well."},
    {"lanes.connections_floor", VALUE_NUMBER, AT(lanes.limits.connections_floor), .def = "1",
     RANGE_CONNECTIONS, .reload = true, .what = "No cut goes below so many connections of a lane."},
    {"lanes.connection_change", VALUE_CHANGE, AT(lanes.limits.connection_change), .def = "-20%",
     RANGE_CHANGE, .reload = true,
     .what = "How a lane's connections change, and its rate, when its receiver is short of "
             "capacity."},
    {"lanes.rate_max", VALUE_RATE, AT(lanes.limits.rate_max), .def = "0", RANGE_RATE,
     .def_note = "0: no limit", .reload = true,
     .what = "The most messages one lane may send, while all is well."},
    {"lanes.rate_floor", VALUE_RATE, AT(lanes.rate_floor), .def = "6/m", RANGE(1, 1000000),
     .reload = true, .what = "No cut goes below that rate."},
    {"lanes.rate_change", VALUE_CHANGE, AT(lanes.limits.rate_change), .def = "-20%", RANGE_CHANGE,
     .reload = true,
     .what = "How a lane's rate changes when its receiver says that we are too fast."},
    {"lanes.minute", VALUE_DURATION, UNIT_MS, AT(lanes.minute_ms), .def = "1m", RANGE(100, 60000),
     .reload = true,
     .what = "The parts that lanes.window is counted in, and an hour and a day behind it are so "
             "much shorter, too: for trials in which retry times are scaled down."},
    {"lanes.window", VALUE_DURATION, UNIT_MS, AT(lanes.window_ms), .def = "10m",
     RANGE(100, 3 * MS_HOUR), .reload = true,
     .what = "The time that a lane's share of capacity replies is counted over; the hour and the "
             "day behind it where it has too few attempts."},
    {"lanes.sample_min", VALUE_NUMBER, AT(lanes.sample_min), .def = "200", RANGE(1, 1000000),
     .reload = true, .what = "With fewer attempts nothing is decided."},
    {"lanes.hits_min", VALUE_NUMBER, AT(lanes.hits_min), .def = "3", RANGE(1, 1000000),
     .reload = true, .what = "With fewer capacity replies no lane is worse than `watch`."},
    {"lanes.confidence", VALUE_SHARE, AT(lanes.confidence), .def = "99%", RANGE(500000, 999900),
     .reload = true,
     .what = "How sure it must be that a lane is above a threshold: its lower bound (Clopper and "
             "Pearson) is compared."},
    {"lanes.watch", VALUE_SHARE, AT(lanes.watch_share), .def = "0.01%", RANGE(1, 500000),
     .reload = true,
     .what = "From this share of attempts answered for want of capacity on, a lane is watched."},
    {"lanes.throttle", VALUE_SHARE, AT(lanes.throttle_share), .def = "0.02%", RANGE(1, 500000),
     .reload = true, .what = "From here on it is cut."},
    {"lanes.incident", VALUE_SHARE, AT(lanes.incident_share), .def = "0.2%", RANGE(1, 900000),
     .reload = true, .what = "From here on it is an incident."},
    {"lanes.baseline_factor", VALUE_FACTOR, AT(lanes.baseline_factor), .def = "2",
     RANGE(100, 10000), .reload = true,
     .what = "A lane is at its baseline up to so many times the share it has in quiet times."},
    {"lanes.queue_age_max", VALUE_DURATION, UNIT_MS, AT(lanes.limits.queue_age_max_ms), .def = "0",
     RANGE_QUEUE_AGE, .def_note = "0: no limit", .reload = true,
     .what = "Older mail in a lane makes it an incident."},
    {"lanes.hold_cycles", VALUE_NUMBER, AT(lanes.hold_cycles), .def = "2", RANGE(1, 20),
     .reload = true,
     .what = "After a cut nothing is changed for so many retry cycles (the lane's initial_retry)."},
    {"lanes.restore_step", VALUE_SHARE, AT(lanes.restore_step), .def = "10%", RANGE(10000, 1000000),
     .reload = true, .what = "The part of its full limit that a lane gets back in one step."},
    {"lanes.step_hold", VALUE_DURATION, UNIT_MS, AT(lanes.step_hold_ms), .def = "1m",
     RANGE(0, 24 * MS_HOUR), .def_note = "0: one retry cycle", .reload = true,
     .what = "The time between two such steps."},
    {"lanes.rest", VALUE_DURATION, UNIT_MS, AT(lanes.rest_ms), .def = "30s", RANGE(0, MS_HOUR),
     .def_note = "0: none", .reload = true,
     .what =
         "A connection that is refused for want of capacity, or for its rate, is closed, and its "
         "slot in the lane rests for so long, on average."},
    {"lanes.tick", VALUE_DURATION, UNIT_MS, AT(lanes.tick_ms), .def = "10s", RANGE(100, 600000),
     .reload = true, .what = "How often lanes are looked at."},
    {"lanes.spread_max", VALUE_DURATION, UNIT_MS, AT(lanes.spread_max_ms), .def = "1h",
     RANGE(1000, 24 * MS_HOUR), .reload = true,
     .what = "A backlog is spread over this time at most, so that it does not come as a wave."},
    {"lanes.release_rate", VALUE_RATE, AT(lanes.release_rate), .def = "20/s", RANGE(1, 1000000),
     .reload = true,
     .what = "When a lane has recovered, its waiting mail is sent before its time at this pace, "
             "and a backlog without a history is spread to it."},

    {"evidence.enabled", VALUE_BOOL, AT(evidence.enabled), .def = "yes",
     .what = "Keep what was attempted and answered: what `penstock attempts`, `trace` and "
             "`incidents` tell, and what a restart must not forget of lanes."},
    {"evidence.directory", VALUE_FOLDER, AT(evidence.directory), .def = "./var/evidence",
     .what = "Where it is kept."},
    {"evidence.age_max", VALUE_DURATION, UNIT_S, AT(evidence.age_max_s), .def = "720h",
     RANGE(3600, 3650 * (uint64_t)S_DAY), .def_note = "720h (30 days)", .reload = true,
     .what = "Older attempts are forgotten; figures by the hour are kept ten times as long."},
    {"evidence.size_max", VALUE_SIZE, AT(evidence.size_max_bytes), .def = "1GiB",
     RANGE(MIB(16), GIB(1024)), .reload = true,
     .what = "The most its file may take; the oldest attempts go first."},
    {"evidence.commit", VALUE_DURATION, UNIT_MS, AT(evidence.commit_ms), .def = "1s",
     RANGE(10, 60000), .reload = true,
     .what = "It is written so often; a crash forgets what came since."},

    {"suppression.automatic", VALUE_BOOL, AT(suppression.automatic), .def = "yes", .reload = true,
     .what = "An address goes on the suppression list when a host says for good (5xx) that its "
             "mailbox is unknown or disabled; its mail is then returned without being tried. No "
             "temporary reply (4xx) ever does that. With `no` the list has only what the operator "
             "puts there with `penstock suppress`. The list is kept in `evidence.directory`: "
             "without `evidence.enabled` there is none."},
    {"suppression.age_max", VALUE_DURATION, UNIT_S, AT(suppression.age_max_s), .def = "4320h",
     RANGE(0, 3650 * (uint64_t)S_DAY), .def_note = "4320h (180 days)", .reload = true,
     .what = "Automatic entries leave the list after this time, and the address is tried again; 0 "
             "is never. The operator's stay."},
    {"suppression.entries_max", VALUE_NUMBER, AT(suppression.entries_max), .def = "1000000",
     RANGE(1, 20000000), .reload = true,
     .what = "Entries of the list, each of about 500 bytes of memory. Over it the oldest automatic "
             "ones leave."},

    {"providers.file", VALUE_PATH, AT(providers.file), .optional = true, .reload = true,
     .what = "Providers of your own, in the form of share/providers.yaml; they come before the "
             "shipped ones."},
    {"replies.file", VALUE_PATH, AT(replies.file), .optional = true, .reload = true,
     .what = "Rules of your own on what replies mean, in the form of share/replies.yaml; they come "
             "before the shipped ones."},

    {"bounce.from", VALUE_MAILBOX, AT(bounce.from), .def = "MAILER-DAEMON", .reload = true,
     .what = "The From: address of bounces; without a domain, server.hostname is added. Their "
             "envelope sender is always empty."},
    {"bounce.from_name", VALUE_TEXT, AT(bounce.from_name), .def = "Mail Delivery System",
     .reload = true, .what = "The name beside it."},
    {"bounce.postmaster", VALUE_MAILBOX, AT(bounce.postmaster), .optional = true, .reload = true,
     .what = "Gets a copy of every failure notice."},
    {"bounce.return_size_max", VALUE_SIZE, AT(bounce.return_size_max_bytes), .def = "64KiB",
     RANGE(0, MIB(100)), .reload = true,
     .what = "Larger messages are returned as headers only, even where RET=FULL asks for all."},

    {"dns.servers", VALUE_SERVERS, AT(dns.servers), .def = "",
     .def_note = "those of /etc/resolv.conf",
     .what = "Resolvers to ask, `127.0.0.1` or with a port `127.0.0.1@5353`."},
    {"dns.time_out", VALUE_DURATION, UNIT_MS, AT(dns.time_out_ms), .def = "10s", RANGE(100, 120000),
     .what = "For one query, its retries included."},
    {"dns.trust_anchor", VALUE_PATH, AT(dns.trust_anchor), .optional = true,
     .def_note = "none: no validation", .what = "File with the DNSSEC key of the root."},
    {"dns.cache", VALUE_BOOL, AT(dns.cache), .def = "yes",
     .what = "Keep answers for their time to live."},

    {"pressure.enabled", VALUE_BOOL, AT(pressure.enabled), .def = "yes", .reload = true,
     .what = "Govern: `no` keeps the figures, and runs no remedy and refuses nothing."},
    {"pressure.interval", VALUE_DURATION, UNIT_MS, AT(pressure.interval_ms), .def = "2s",
     RANGE(100, 60000), .reload = true, .what = "Time from one sample to the next."},
    {"pressure.dwell", VALUE_DURATION, UNIT_MS, AT(pressure.dwell_ms), .def = "10s",
     RANGE(0, MS_HOUR), .reload = true,
     .what = "A level lasts at least so long before it falls, against flapping."},
    {"pressure.reminder", VALUE_DURATION, UNIT_MS, AT(pressure.reminder_ms), .def = "3h",
     RANGE(60000, 24 * MS_HOUR), .reload = true,
     .what = "Pressure that lasts so long is told once more."},
    {"pressure.internal_networks", VALUE_NETWORKS, AT(pressure.internal_networks),
     .inherits = "relay.networks", .def_note = "as `relay.networks`", .reload = true,
     .what = "Clients in these networks are the class internal: slowed and refused after all "
             "others, and free of the limits for one client."},
    {"pressure.disk_counted_max", VALUE_SIZE, AT(pressure.disk_counted_max_bytes), .def = "200GiB",
     RANGE(GIB(1), UINT64_MAX / 2), .reload = true,
     .what = "Percentages of a disk are of so much of it at most: 1 % is never more than 2 GiB."},
    {"pressure.memory_limit", VALUE_SIZE, AT(pressure.memory_limit_bytes), .def = "0",
     RANGE(0, UINT64_MAX / 2), .def_note = "0: the cgroup's, RLIMIT_AS, or the machine's",
     .reload = true, .what = "What the process's memory is measured against."},
    {"pressure.message_share", VALUE_PERCENT, AT(pressure.message_share), .def = "25%",
     RANGE(1, 100), .reload = true,
     .what = "The largest part of the spool's room that one message may take; a larger one is "
             "refused alone until there is more room."},
    {"pressure.body_memory", VALUE_PERCENT, AT(pressure.body_memory_share), .def = "25%",
     RANGE(1, 50), .reload = true,
     .what = "The part of the memory limit that bodies on their way into the spool may take; "
             "from half of it on, sessions hand them over in small pieces."},
    {"pressure.tarpit.start", VALUE_DURATION, UNIT_MS, AT(pressure.tarpit.start_ms), .def = "1s",
     RANGE(0, 240000), .reload = true, .what = "The first delay of MAIL at medium."},
    {"pressure.tarpit.step", VALUE_DURATION, UNIT_MS, AT(pressure.tarpit.step_ms), .def = "1s",
     RANGE(0, 60000), .reload = true,
     .what = "With each sample under pressure the delay grows by it, and shrinks again after."},
    {"pressure.tarpit.max", VALUE_DURATION, UNIT_MS, AT(pressure.tarpit.max_ms), .def = "55s",
     RANGE(0, 240000), .reload = true, .what = "The longest delay; a client waits five minutes."},
    {"pressure.tarpit.sessions_max", VALUE_NUMBER, AT(pressure.tarpit.sessions_max), .def = "500",
     RANGE(0, 100000), .reload = true,
     .what = "Sessions that are delayed at a time; the next is refused instead."},
    {"pressure.remedy_interval", VALUE_DURATION, UNIT_MS, AT(pressure.remedy_interval_ms),
     .def = "10s", RANGE(100, MS_HOUR), .reload = true,
     .what = "One remedy runs no more often, and more rarely where it frees nothing."},
    {"pressure.reply_detail", VALUE_ENUM, AT(pressure.reply_detail), .def = "token",
     .words = reply_detail_words, .reload = true,
     .what = "Whether the reply 452 4.3.1 ends with a short word for the resource, like "
             "`(spool-disk)`; `bare`: without."},
    {"pressure.refuse_at_connect", VALUE_BOOL, AT(pressure.refuse_at_connect), .def = "no",
     .reload = true,
     .what = "At high, external clients are refused when they connect, with 421 4.3.2, so that "
             "they try another host."},
    {"pressure.refusals_logged_max", VALUE_NUMBER, AT(pressure.refusals_logged_max), .def = "10",
     RANGE(0, 10000), .reload = true,
     .what = "Refusals under pressure told one by one in each interval; all are counted."},
    PRESSURE_PERCENT(
        "spool_disk", CONFIG_PRESSURE_SPOOL_DISK, "96%", "99%", "97%", "94%", "0",
        "the file system of the spool in use, what the spool could use again not counted. More "
        "stays free where mail in flight, the drain reserve and the logs need it"),
    PRESSURE_PERCENT("spool_inodes", CONFIG_PRESSURE_SPOOL_INODES, "96%", "99%", "97%", "94%", "0",
                     "the inodes of that file system in use"),
    PRESSURE_PERCENT("log_disk", CONFIG_PRESSURE_LOG_DISK, "90%", "99%", "94%", "88%", "0",
                     "the file system of log.files.directory in use (advisory: mail goes on "
                     "without logs)"),
    PRESSURE_SIZE("uncommitted", CONFIG_PRESSURE_UNCOMMITTED, "64MiB", "256MiB", "96MiB", "32MiB",
                  "10", "bytes of mail taken and not yet durable"),
    PRESSURE_PERCENT("memory", CONFIG_PRESSURE_MEMORY, "72%", "75%", "73%", "71%", "30",
                     "the process's anonymous and shared memory against its limit"),
    PRESSURE_PERCENT("system_memory", CONFIG_PRESSURE_SYSTEM_MEMORY, "88%", "94%", "89%", "84%",
                     "0",
                     "memory in use on the machine or in the cgroup, page cache not counted "
                     "(advisory: it frees, and never refuses)"),
    PRESSURE_COUNT("queue", CONFIG_PRESSURE_QUEUE, "9999", "15000", "10000", "2000", "300",
                   "messages accepted and not yet scheduled"),
    PRESSURE_PERCENT("descriptors", CONFIG_PRESSURE_DESCRIPTORS, "85%", "95%", "88%", "80%", "5",
                     "file descriptors in use of those the process may have"),
    PRESSURE_PERCENT(
        "cpu_stall",
        CONFIG_PRESSURE_CPU_STALL, "80%", "95%", "85%", "60%", "30",
        "the share of the last 10 s in which some task waited for a CPU (PSI cpu, some; advisory)"),
    PRESSURE_PERCENT(
        "memory_stall", CONFIG_PRESSURE_MEMORY_STALL, "40%", "80%", "50%", "20%", "15",
        "the share of the last 10 s in which all tasks waited for memory (PSI memory, full)"),
    PRESSURE_PERCENT(
        "io_stall", CONFIG_PRESSURE_IO_STALL, "80%", "97%", "85%", "60%", "30",
        "the share of the last 10 s in which all tasks waited for a disk (PSI io, full; advisory)"),

    {"log.format", VALUE_ENUM, AT(log.format), .def = "logfmt", .words = format_words,
     .reload = true, .what = "How a line is written."},
    {"log.level", VALUE_ENUM, AT(log.level), .def = "info", .words = level_words, .reload = true,
     .what = "Lines below this level are not written."},
    {"log.target", VALUE_ENUM, AT(log.target), .def = "auto", .words = target_words, .reload = true,
     .what = "Where lines go: standard error, the systemd journal, or nowhere; `auto`: the journal "
             "where systemd has connected standard error to it. In the journal a line is always "
             "logfmt, and each field is one of the entry's too."},
    {"log.status_line", VALUE_ENUM, AT(log.status_line), .def = "auto", .words = status_words,
     .what = "A line of figures that renews itself, on standard output; `auto`: where that is a "
             "terminal and the log goes elsewhere."},
    {"log.files.directory", VALUE_FOLDER, AT(log.files.directory), .def = "./var/log",
     .optional = true, .reload = true,
     .what = "Where the log files below are kept; `none`: no files."},
    {"log.files.events", VALUE_BOOL, AT(log.files.events), .def = "yes", .reload = true,
     .what = "The event log: notices and worse, one JSON object a line (`penstock events`)."},
    {"log.files.protocol", VALUE_BOOL, AT(log.files.protocol), .def = "yes", .reload = true,
     .what = "The protocol logs: every SMTP line of both sides, in Exchange's CSV format."},
    {"log.files.connectivity", VALUE_BOOL, AT(log.files.connectivity), .def = "yes", .reload = true,
     .what = "The connectivity log: outgoing connections."},
    {"log.files.tracking", VALUE_BOOL, AT(log.files.tracking), .def = "yes", .reload = true,
     .what = "The message tracking log: what became of each message."},
    {"log.files.subjects", VALUE_BOOL, AT(log.files.subjects), .def = "yes", .reload = true,
     .what = "Whether message tracking has subjects."},
    {"log.files.deliveries", VALUE_BOOL, AT(log.files.deliveries), .def = "yes", .reload = true,
     .what = "The delivery log: what became of each recipient, one JSON object a line "
             "(`penstock deliveries`)."},
    {"log.files.file_max", VALUE_SIZE, AT(log.files.file_max_bytes), .def = "10MiB",
     RANGE(KIB(64), GIB(1)), .reload = true,
     .what = "A file that reaches it is followed by another."},
    {"log.files.folder_max", VALUE_SIZE, AT(log.files.folder_max_bytes), .def = "250MiB",
     RANGE(KIB(256), GIB(1024)), .reload = true,
     .what = "The most that the files of one kind may take together; the oldest go."},
    {"log.files.age_max", VALUE_DURATION, UNIT_S, AT(log.files.age_max_s), .def = "720h",
     RANGE(0, 3650 * (uint64_t)S_DAY), .def_note = "720h (30 days); 0: no bound", .reload = true,
     .what = "Older files are removed."},
};

const struct settings settings_main = {main_list, ARRAY_SIZE(main_list), 0};

const struct settings_section settings_sections[] = {
    {"server", "The process."},
    {"listeners", "A list: where mail is taken, and from whom. A listener is opened at start."},
    {"relay", "For whom mail is relayed. By default only for the machine itself."},
    {"tls", "Certificates."},
    {"smtp", "Limits and time-outs of sessions with clients (RFC 5321, sections 4.5.3.1 and "
             "4.5.3.2)."},
    {"spool", "The queue on disk."},
    {"delivery", "Sending."},
    {"delivery.routes", "A list: where mail of certain domains goes."},
    {"retry", "When mail that was deferred is tried again."},
    {"destinations",
     "A list: what is different for certain destinations. Several blocks may hold for one: each "
     "key "
     "is taken from the most specific block that has it (the domain, the longest suffix, the "
     "longest MX pattern, the provider, its group, `\"*\"`), and where none has, from `retry`, "
     "`delivery` or `lanes`; `penstock lanes resolve ADDRESS` tells what holds for an address, and "
     "why. Keys from connection_change on are about lanes: a block for a provider or a group sets "
     "them for that provider's lanes, one for a domain, a suffix or an MX pattern that has one of "
     "them gives its destinations lanes of their own."},
    {"sources", "A list: the addresses that mail is sent from."},
    {"pools", "A list: which sources share mail, and in what parts. A message keeps its source as "
              "long as the pool stays as it is."},
    {"lanes", "A lane is all mail to one provider from one source. The share of its attempts that "
              "meet a receiver short of capacity decides how many connections it may have."},
    {"evidence", "What is remembered of attempts, lanes and incidents."},
    {"suppression", "Recipients that are not tried any more."},
    {"providers", "Who operates a destination's MX hosts."},
    {"replies", "What replies mean."},
    {"bounce", "Notices to senders (RFC 3464)."},
    {"dns", "Name resolution."},
    {"pressure", "The governor: when mail is slowed and refused to protect what was taken. Each "
                 "resource has four thresholds; docs/pressure.md explains them."},
    {"log", "What the server tells."},
    {NULL, NULL},
};

const struct setting *settings_find(const struct settings *t, struct slice name)
{
    for (size_t i = 0; i < t->count; i++)
        if (slice_eq(slice_str(t->list[i].name), name))
            return &t->list[i];
    return NULL;
}
