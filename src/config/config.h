/*
 * config/config.h - the configuration: one table of settings, YAML in, one immutable snapshot out.
 *
 * A snapshot is plain data: whoever holds a reference reads its fields from any thread, without a
 * lock, and nothing in it changes. A reload makes another snapshot and swaps the pointer; sessions
 * that hold the old one finish with it. Names, units, defaults and ranges of all settings are in
 * the table of config/settings.c, from which the parser, `penstock config show` and
 * docs/configuration.md come; a field here has the name of its setting, with the unit last.
 *
 * Ownership: everything a snapshot points to belongs to it and lives until its last reference is
 * dropped. Texts are NUL-ended; NULL means not set, where the comment allows it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/slice.h"
#include "io/addr.h"

#define CONFIG_RETRIES_MAX 16 /* delays in a retry list */

struct config_networks {
    const struct network *list;
    const char *const *texts; /* the same, as they were written */
    size_t count;
};
struct config_texts {
    const char *const *list; /* NULL-ended as well, so that it may be handed to libraries */
    size_t count;
};

/* Who may send to any domain through a listener. */
enum config_relay {
    CONFIG_RELAY_NETWORKS, /* clients in relay_networks */
    CONFIG_RELAY_NONE,     /* nobody: only relay.domains are accepted */
    CONFIG_RELAY_ALL,      /* whoever can connect: for private addresses only */
};
enum config_listener_tls {
    CONFIG_LISTENER_TLS_OFF,         /* STARTTLS is not offered */
    CONFIG_LISTENER_TLS_SELF_SIGNED, /* with a certificate made at start */
    CONFIG_LISTENER_TLS_FILES,       /* with tls_certificate and tls_key */
    CONFIG_LISTENER_TLS_AUTO,        /* one of the two above; never in a snapshot */
};
/* What a listener's mail counts as when room is short (governor/gate.h). */
enum config_class {
    CONFIG_CLASS_AUTO, /* internal from pressure.internal_networks, else external */
    CONFIG_CLASS_INTERNAL,
    CONFIG_CLASS_AUTHENTICATED,
    CONFIG_CLASS_EXTERNAL,
    CONFIG_CLASS_SECOND_COPY,
};
struct config_listener {
    const char *name;
    struct addr address;
    enum config_listener_tls tls;
    const char *tls_certificate, *tls_key; /* set with CONFIG_LISTENER_TLS_FILES */
    bool tls_required;                     /* mail is refused before STARTTLS */
    enum config_class class;
    enum config_relay relay;
    struct config_networks relay_networks; /* its own, or those of the relay section */
};

/* Where mail for a domain goes. */
enum config_target_kind {
    CONFIG_TARGET_MX,      /* the MX hosts of `host`, or of the domain itself where it is NULL */
    CONFIG_TARGET_SMTP,    /* host and port, no MX lookup */
    CONFIG_TARGET_LMTP,    /* host and port */
    CONFIG_TARGET_UNIX,    /* LMTP to the socket `path` */
    CONFIG_TARGET_DISCARD, /* delivered to nowhere, and logged so */
};
struct config_target {
    enum config_target_kind kind;
    const char *host; /* a domain name, or an IP address without brackets */
    const char *path;
    uint16_t port;
    const char *text; /* as it was written: names the target in logs */
};
struct config_route {
    const char *domain; /* "example.org", ".example.org" (below it), "*" (all others) */
    struct config_target to;
};

struct config_retry {
    uint32_t delays_s[CONFIG_RETRIES_MAX]; /* after attempt 1, 2, ...; the last for all further */
    size_t delay_count;                    /* 1 or more */
    double jitter;                         /* 0..0.5, a share of the delay */
    uint64_t max_queue_time_s;
};
/* A count of messages in a time: "10/s", "600/m". `count` 0: no limit. */
struct config_rate {
    uint32_t count, per_s; /* per_s: 1, 60 or 3600 */
};
#define CONFIG_WARM_UP_MAX 32         /* days in a list */
#define CONFIG_WINDOW_MINUTES_MAX 180 /* parts of lanes.window */
struct config_counts {
    uint32_t list[CONFIG_WARM_UP_MAX];
    size_t count;
};

/* Which addresses of a host are used. */
enum config_families {
    CONFIG_FAMILIES_ANY, /* both, in the order of preference and chance */
    CONFIG_FAMILIES_PREFER_IPV6,
    CONFIG_FAMILIES_PREFER_IPV4,
    CONFIG_FAMILIES_IPV6, /* only */
    CONFIG_FAMILIES_IPV4, /* only */
};
/* Where mail is sent from: an address of each family, and the name to say EHLO with. */
struct config_source {
    const char *name;              /* "default" where none is configured */
    struct addr ipv4, ipv6;        /* .len 0: the system's choice */
    const char *ehlo_name;         /* never NULL */
    enum config_families families; /* one alone where only its address is set; else delivery's */
    int64_t warm_up_start_ms; /* the day it began to send; 0: as the destination's block says */
};
struct config_members { /* of a pool, as they were written */
    const char *const *names;
    const uint32_t *weights;
    size_t count;
};
struct config_share {
    const struct config_source *source;
    uint32_t weight; /* 0: gets no new mail */
};
struct config_pool {
    const char *name; /* "all" for the one of all sources with equal weights */
    struct config_members members;
    const struct config_share *shares; /* one for each member; one at least has a weight */
    size_t share_count;
};

/* What a lane (one provider from one source) may do; one that says nothing has it from `lanes`. */
struct config_lane_limits {
    uint32_t connections_max, connections_floor;
    double connection_change, rate_change; /* -0.9..-0.01 */
    struct config_rate rate_max;
    uint64_t queue_age_max_ms;    /* 0: no limit */
    struct config_counts warm_up; /* messages on day 1, 2, ...; empty: none */
    double warm_up_factor;        /* of each further day over the one before; 1: the last stays */
    int64_t warm_up_start_ms;     /* 0: each source's own */
};

/* What the key `destination` of a block is; the most specific first. */
enum config_match {
    CONFIG_MATCH_DOMAIN, /* "example.org"; one without a dot is written with one behind it */
    CONFIG_MATCH_SUFFIX, /* ".example.org": every domain below it */
    CONFIG_MATCH_MX,     /* "mx:*.mail.protection.outlook.com": by the best MX host */
    CONFIG_MATCH_NAME,   /* "microsoft-domains": a provider, or a group of them */
    CONFIG_MATCH_ROUTE,  /* "route:10.0.0.7:25": a next hop of delivery.routes, or the smart host */
    CONFIG_MATCH_ALL,    /* "*" */
    CONFIG_MATCHES,
};
/* A block: what is different for some destinations. Its values are those it says, or else those of
 * retry, delivery and lanes; config/policy.h joins the blocks that hold for a destination. */
struct config_destination {
    const char *destination; /* as it was written */
    enum config_match match;
    const char *pattern; /* without "mx:", "route:" or the dot behind a domain of one label */
    const char *lane;    /* the name of its own lanes ("policy:example.org"): it says something of
                            lanes, and is not by provider; NULL: its mail is in its provider's */
    uint32_t says;       /* bits: 1 << enum config_policy_key */
    const char *file;    /* where it stands */
    uint32_t line, column;

    struct config_retry retry;
    uint32_t connections_max; /* DOMAIN, SUFFIX, ALL: to each domain; others: of a lane */
    const char *pool_name;    /* NULL: delivery.pool */
    struct config_lane_limits limits;
};

enum config_client_tls {
    CONFIG_CLIENT_TLS_OFF,
    CONFIG_CLIENT_TLS_OPPORTUNISTIC, /* where offered, any certificate (RFC 7435) */
    CONFIG_CLIENT_TLS_REQUIRED,      /* any certificate, but never in the clear */
    CONFIG_CLIENT_TLS_VERIFIED,      /* and the certificate must name the host */
};
enum config_log_format { CONFIG_LOG_LOGFMT, CONFIG_LOG_JSON };
enum config_log_level {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_INFO,
    CONFIG_LOG_NOTICE,
    CONFIG_LOG_WARNING,
    CONFIG_LOG_ERROR,
};
enum config_log_target { CONFIG_LOG_AUTO, CONFIG_LOG_STDERR, CONFIG_LOG_JOURNAL, CONFIG_LOG_OFF };
enum config_status_line { CONFIG_STATUS_AUTO, CONFIG_STATUS_ON, CONFIG_STATUS_OFF };

struct config_server {
    const char *hostname;       /* never NULL: the machine's where not set */
    const char *user, *group;   /* to become after binding; NULL: stay */
    uint32_t loops;             /* never 0 in a snapshot: one a core where not set */
    const char *control_socket; /* path */
};
struct config_relay_rules {
    struct config_networks networks;
    struct config_texts domains; /* ask config_is_relay_domain() */
};
struct config_tls {
    const char *certificate, *key; /* for listeners that name none; NULL */
    const char *ca_file;           /* what other hosts are verified with; NULL: the system's */
};
struct config_smtp_time_outs {
    uint64_t command_ms; /* until the next command line is whole */
    uint64_t data_ms;    /* between two pieces of a message */
    uint64_t message_ms; /* for all of one message's data */
    uint64_t tls_ms;     /* for the handshake */
    uint64_t session_ms; /* for a whole session */
};
struct config_smtp {
    uint64_t message_size_max_bytes;
    uint32_t recipients_max;
    uint32_t connections_max, connections_per_client_max; /* 0: no limit of its own */
    /* Of one client outside pressure.internal_networks in a minute; 0: no limit. */
    uint32_t connections_per_client_minute_max, messages_per_client_minute_max;
    uint32_t errors_per_client_minute_max;
    uint32_t client_ipv6_bits;            /* addresses with these in common are one client */
    uint32_t messages_per_connection_max; /* 0: no limit */
    uint32_t errors_max;
    uint32_t command_line_max_bytes, text_line_max_bytes; /* CRLF included */
    uint32_t received_max;
    bool early_talkers_refused;
    uint64_t greeting_delay_ms;
    struct config_smtp_time_outs time_outs;
};
struct config_spool {
    const char *directory;
    struct config_texts more_directories;
    bool drain_directory; /* mail moves from `directory` to the others */
    uint64_t segment_size_bytes;
    uint64_t size_max_bytes; /* 0: the disk's */
    uint64_t drain_reserve_bytes;
    uint32_t spare_segments;
    uint64_t commit_delay_us;
    uint64_t commit_batch_bytes;
    uint64_t lazy_sync_ms;
    uint64_t messages_max; /* destinations of messages in the queue */
};
struct config_delivery_time_outs {
    uint64_t connect_ms, greeting_ms, tls_ms, ehlo_ms, mail_ms, rcpt_ms, data_ms;
    uint64_t block_ms; /* between two pieces the peer takes */
    uint64_t data_end_ms, quit_ms;
};
struct config_delivery {
    struct config_target smart_host; /* kind CONFIG_TARGET_MX with host NULL: none */
    const struct config_route *routes;
    size_t route_count;                   /* ask config_find_target() */
    struct addr source_ipv4, source_ipv6; /* .len 0: the system's choice */
    const char *ehlo_name;                /* never NULL: server.hostname where not set */
    const char *pool_name;                /* NULL: all sources; see `pool` of struct config */
    uint32_t connections_max, connections_per_destination_max;
    uint32_t messages_per_connection_max;
    uint32_t recipients_per_message_max;
    uint64_t connection_idle_ms;
    enum config_client_tls tls;
    bool chunking, pipelining;
    uint16_t port;
    enum config_families families;
    uint32_t mx_hosts_max;
    struct config_delivery_time_outs time_outs;
};
struct config_retry_section {
    struct config_retry policy;
    uint64_t delay_warning_s; /* 0: never */
};
struct config_bounce {
    const char *from;               /* the address of the From: field of a DSN; never NULL */
    const char *from_name;          /* its display name */
    const char *postmaster;         /* gets a copy of each failure DSN; NULL: nobody */
    uint64_t return_size_max_bytes; /* larger messages come back as headers only */
};
struct config_dns {
    struct config_texts servers; /* "127.0.0.1@5353"; empty: the system's */
    uint64_t time_out_ms;
    const char *trust_anchor; /* file; NULL: no DNSSEC validation */
    bool cache;
};
/* In the order of governor/governor.h's GOVERNOR_RESOURCES_TABLE. */
enum config_pressure_resource {
    CONFIG_PRESSURE_SPOOL_DISK,
    CONFIG_PRESSURE_SPOOL_INODES,
    CONFIG_PRESSURE_LOG_DISK,
    CONFIG_PRESSURE_UNCOMMITTED,
    CONFIG_PRESSURE_MEMORY,
    CONFIG_PRESSURE_SYSTEM_MEMORY,
    CONFIG_PRESSURE_QUEUE,
    CONFIG_PRESSURE_DESCRIPTORS,
    CONFIG_PRESSURE_CPU_STALL,
    CONFIG_PRESSURE_MEMORY_STALL,
    CONFIG_PRESSURE_IO_STALL,
    CONFIG_PRESSURE_RESOURCES,
};
struct config_pressure_rule { /* percent, or bytes (uncommitted), or messages (queue) */
    uint64_t low_to_medium, medium_to_high, high_to_medium, medium_to_low;
    uint32_t history; /* samples */
    bool observe_only;
};
enum config_reply_detail { CONFIG_REPLY_TOKEN, CONFIG_REPLY_BARE };
struct config_pressure {
    bool enabled;
    uint64_t interval_ms, dwell_ms, reminder_ms;
    struct config_networks internal_networks;
    struct config_pressure_rule rules[CONFIG_PRESSURE_RESOURCES];
    uint64_t disk_counted_max_bytes;
    uint64_t memory_limit_bytes; /* 0: the cgroup's, else the machine's */
    double message_share, body_memory_share;
    struct {
        uint64_t start_ms, step_ms, max_ms;
        uint32_t sessions_max;
    } tarpit;
    uint64_t remedy_interval_ms;
    enum config_reply_detail reply_detail;
    bool refuse_at_connect;
    uint32_t refusals_logged_max; /* in one interval */
};
struct config_log_files {
    const char *directory; /* NULL: no log files */
    bool events, protocol, connectivity, tracking, subjects, deliveries;
    uint64_t file_max_bytes, folder_max_bytes, age_max_s;
};
struct config_log {
    enum config_log_format format;
    enum config_log_level level;
    enum config_log_target target;
    enum config_status_line status_line;
    struct config_log_files files;
};

/* The lanes' controller (schedule/throttle.h, schedule/lanes.h). */
struct config_lanes {
    bool enabled;
    uint64_t tick_ms, window_ms;
    uint64_t minute_ms; /* of windows: 60000, or less in trials */
    uint32_t sample_min, hits_min;
    double confidence;                                  /* 0.5..0.9999 */
    double watch_share, throttle_share, incident_share; /* shares of attempts */
    double baseline_factor;
    uint32_t hold_cycles;
    double restore_step;   /* a share of the full limit */
    uint64_t step_hold_ms; /* 0: one retry cycle */
    uint64_t rest_ms;      /* of a slot, after a reply of class capacity or rate; 0: none */
    uint64_t spread_max_ms;
    struct config_rate release_rate, rate_floor;
    struct config_lane_limits limits; /* of lanes whose blocks do not say; no warm-up */
};
struct config_evidence {
    bool enabled;
    const char *directory;
    uint64_t age_max_s, size_max_bytes, commit_ms;
};

struct config_suppression {
    bool automatic;
    uint64_t age_max_s, entries_max; /* age_max_s 0: for ever */
};

struct config_private;
struct config {
    struct config_server server;
    const struct config_listener *listeners;
    size_t listener_count;
    struct config_relay_rules relay;
    struct config_tls tls;
    struct config_smtp smtp;
    struct config_spool spool;
    struct config_delivery delivery;
    struct config_retry_section retry;
    const struct config_destination *destinations;
    size_t destination_count; /* ask config_find_policy() */
    const struct config_source *sources;
    size_t source_count; /* 1 or more */
    const struct config_pool *pools;
    size_t pool_count;
    const struct config_pool *pool; /* delivery.pool, or that of all sources */
    struct config_lanes lanes;
    struct config_evidence evidence;
    struct config_suppression suppression;
    struct {
        const char *file; /* NULL: the shipped table alone */
    } providers, replies;
    struct config_bounce bounce;
    struct config_dns dns;
    struct config_pressure pressure;
    struct config_log log;
    struct config_private *private;
};

#define CONFIG_WHY_MAX KIB(16) /* a cap for `why` that holds the reports of many errors */

/*
 * Reads `file` (NULL: the embedded defaults alone) and what it includes, then applies `overrides`
 * ("smtp.recipients_max=50"; they win), checks everything and makes a snapshot with one reference.
 *
 * 0; or -EINVAL (something is wrong in it), -ENOENT, -EACCES, -EIO..., -E2BIG, -ENOMEM. On failure
 * `*ret` is untouched and `*why` has one line for each error found, "file:line:column: key 'x':
 * value 'y': what is allowed"; the first 20 are told and the rest counted. Reads files, so it is
 * for the main thread at start and reload.
 */
MUST_CHECK int config_load(const char *file, const char *const *overrides, size_t override_count,
                           struct config **ret, struct buf *why);
/* As config_load() without a file: `text` is what it would hold, `name` what errors call it. */
MUST_CHECK int config_load_text(const char *name, struct slice text, const char *const *overrides,
                                size_t override_count, struct config **ret, struct buf *why);

/* Any thread. */
const struct config *config_ref(const struct config *c);
void config_unref(const struct config **c); /* sets *c to NULL; NULL is fine */

/* Adds to `ret` the names of settings that differ between the two and are read only at start,
 * separated by ", ". Returns how many. */
size_t config_restart_needed(const struct config *from, const struct config *to, struct buf *ret);

/* Has the setting called `name` (a list: any of its elements) another value in `b`? */
bool config_differs(const struct config *a, const struct config *b, const char *name);
/* Messages a second; 0: no limit. */
double config_rate_per_second(struct config_rate r);

/* Is mail for this recipient domain taken from anyone (relay.domains)? */
bool config_is_relay_domain(const struct config *c, struct slice domain);
/* Is `client` in one of the networks? */
bool config_networks_contain(const struct config_networks *n, const struct addr *client);
/* Where mail for `domain` goes: the exact route, else that of the longest ".suffix", else "*",
 * else the smart host, else the domain's own MX hosts. Never NULL. */
const struct config_target *config_find_target(const struct config *c, struct slice domain);

/* One setting as `penstock config show` tells it; the texts are valid during the call. */
struct config_item {
    const char *name;   /* "listeners[0].address", "smtp.recipients_max" */
    const char *value;  /* in the form the file takes; "" where not set */
    const char *origin; /* "default", "/etc/penstock.yaml:12", "command line" */
    bool is_set, is_default, reloadable;
};
/* Calls fn for each setting in the order of the table. */
void config_each(const struct config *c, void (*fn)(void *ctx, const struct config_item *item),
                 void *ctx);
/* Adds where the setting called `name` (no list) was set: "default", "/etc/penstock.yaml:12",
 * "as server.hostname", "command line". */
void config_write_origin(const struct config *c, const char *name, struct buf *ret);
/* The manual's sentence about the setting `name`; NULL: there is none of that name. */
const char *config_what(const char *name);
/* Adds docs/configuration.md to `ret`. 0, -E2BIG or -ENOMEM. */
MUST_CHECK int config_write_markdown(struct buf *ret);
/* Adds a short list of all settings (name, unit, default) for --help. 0, -E2BIG or -ENOMEM. */
MUST_CHECK int config_write_help(struct buf *ret);
