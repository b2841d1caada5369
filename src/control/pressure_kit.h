/*
 * control/pressure_kit.h - for tests: a server under pressure, made by hand, in the place of
 * pressure/. The spool's disk is at medium, system memory (advisory) at high, the queue observed
 * only, and stalls are not known to this kernel.
 */
#pragma once

#include <assert.h>
#include <string.h>

#include "config/config.h"
#include "pressure/pressure.h"

#define KIT_NOW_MS 1795382025000 /* wall clock: 2026-11-22 21:13:45 */
#define KIT_MONO_MS 90000000

struct pressure { /* what control/ and the command get to see */
    struct pressure_view view;
    struct config *config;
};

static inline void kit_governor(struct governor_view *g)
{
    static const char why[] = "/proc/pressure/cpu: No such file or directory";

    *g = (struct governor_view){.level = PRESSURE_MEDIUM,
                                .now_ms = KIT_MONO_MS,
                                .since_ms = KIT_MONO_MS - 200000,
                                .samples = 45000,
                                .transitions = 3,
                                .suppressed = 7,
                                .at_level = {.ms = {{3400000, 200000, 0}, {86200000, 200000, 0}},
                                             .total_ms = {90000000, 200000, 1}}};
    for (int i = 0; i < GOVERNOR_RESOURCES; i++) {
        struct governor_resource_view *r = &g->resources[i];

        *r = (struct governor_resource_view){
            .rule = {.thresholds = {88, 94, 89, 84}, .is_percent = true, .history = 30},
            .figure = {.is_known = true, .used = GIB(4), .limit = GIB(10), .origin = "MemTotal"},
            .effective = {GIB(88) / 10 + 1, GIB(94) / 10 + 1, GIB(9) - 1, GIB(85) / 10 - 1},
            .since_ms = KIT_MONO_MS - 7200000,
            .medium_in_s = INT64_MAX,
            .high_in_s = INT64_MAX,
            .full_in_s = INT64_MAX};
        if (i == GOVERNOR_SPOOL_INODES || i == GOVERNOR_DESCRIPTORS) {
            r->figure.used = 400;
            r->figure.limit = 1000;
            r->effective = (struct governor_thresholds){880, 940, 899, 849};
        }
        if (i >= GOVERNOR_CPU_STALL)
            r->figure = (struct governor_figure){.why = why};
    }
    g->resources[GOVERNOR_SPOOL_DISK].level = PRESSURE_MEDIUM;
    g->resources[GOVERNOR_SPOOL_DISK].since_ms = KIT_MONO_MS - 200000;
    g->resources[GOVERNOR_SPOOL_DISK].figure.used = GIB(90) / 10;
    g->resources[GOVERNOR_SPOOL_DISK].to_free = GIB(6) / 10;
    g->resources[GOVERNOR_SPOOL_DISK].trend = MIB(1);
    g->resources[GOVERNOR_SPOOL_DISK].high_in_s = 410;
    g->resources[GOVERNOR_SPOOL_DISK].has_hardened = true;
    g->resources[GOVERNOR_SPOOL_DISK].figure.origin = "statvfs /var";
    g->resources[GOVERNOR_SYSTEM_MEMORY].level = PRESSURE_HIGH;
    g->resources[GOVERNOR_SYSTEM_MEMORY].rule.advisory = true;
    g->resources[GOVERNOR_SYSTEM_MEMORY].to_free = GIB(1);
    g->resources[GOVERNOR_QUEUE].rule.observe_only = true;
    g->resources[GOVERNOR_QUEUE].rule.is_percent = false;
    g->resources[GOVERNOR_QUEUE].rule.thresholds =
        (struct governor_thresholds){9999, 15000, 10000, 2000};
    g->resources[GOVERNOR_QUEUE].effective = g->resources[GOVERNOR_QUEUE].rule.thresholds;
    g->resources[GOVERNOR_QUEUE].figure =
        (struct governor_figure){.is_known = true, .used = 12, .origin = "counted"};
    g->resources[GOVERNOR_QUEUE].medium_in_s = 86400;
    g->remedies[REMEDY_BODIES] = (struct governor_remedy_view){.runs = 3,
                                                               .last_at_ms = KIT_MONO_MS - 120000,
                                                               .last_took_us = 12000,
                                                               .last_freed = MIB(38),
                                                               .total_took_us = 40000,
                                                               .total_freed = MIB(120),
                                                               .is_measured = true,
                                                               .last_for = GOVERNOR_MEMORY};
    g->remedies[REMEDY_COMPACT] = (struct governor_remedy_view){.runs = 1,
                                                                .last_at_ms = KIT_MONO_MS - 1000,
                                                                .last_took_us = 900,
                                                                .last_for = GOVERNOR_SPOOL_DISK};
    g->remedies[REMEDY_PAUSE] =
        (struct governor_remedy_view){.is_running = true, .last_for = GOVERNOR_CPU_STALL};
    g->history[0] = (struct governor_transition){.at_ms = KIT_MONO_MS - 200000,
                                                 .resource = GOVERNOR_RESOURCES,
                                                 .cause = GOVERNOR_SPOOL_DISK,
                                                 .value = GIB(89) / 10,
                                                 .threshold = GIB(88) / 10,
                                                 .to = PRESSURE_MEDIUM,
                                                 .lasted_ms = 7000000,
                                                 .counts = true};
    g->history[1] = (struct governor_transition){.at_ms = KIT_MONO_MS - 200000,
                                                 .resource = GOVERNOR_SPOOL_DISK,
                                                 .cause = GOVERNOR_SPOOL_DISK,
                                                 .to = PRESSURE_MEDIUM,
                                                 .value = GIB(89) / 10,
                                                 .threshold = GIB(88) / 10,
                                                 .limit = GIB(10),
                                                 .lasted_ms = 7000000,
                                                 .counts = true};
    g->history[2] = (struct governor_transition){.at_ms = KIT_MONO_MS - 300000,
                                                 .resource = GOVERNOR_QUEUE,
                                                 .cause = GOVERNOR_QUEUE,
                                                 .from = PRESSURE_HIGH,
                                                 .value = 1999,
                                                 .threshold = 2000,
                                                 .lasted_ms = 61000};
    g->history_count = 3;
    g->gate = (struct gate_settings){
        .level = PRESSURE_MEDIUM,
        .size_max = MIB(25),
        .lines[MAIL_EXTERNAL] = {.verdict = GATE_REFUSE, .resource = GOVERNOR_SPOOL_DISK},
        .lines[MAIL_INTERNAL] = {
            .verdict = GATE_DELAY, .delay_ms = 4000, .resource = GOVERNOR_SPOOL_DISK}};
}

static inline void kit_sums(struct tally_sums *s, uint64_t n)
{
    *s = (struct tally_sums){.bytes[MAIL_EXTERNAL] = n * MIB(1), .refused.count = 2};
    s->counts[MAIL_EXTERNAL][TALLY_ACCEPTED] = 1000 * n;
    s->counts[MAIL_EXTERNAL][TALLY_REFUSED] = 10 * n;
    s->counts[MAIL_EXTERNAL][TALLY_REFUSED_SIZE] = n;
    s->counts[MAIL_INTERNAL][TALLY_DELAYED] = 2 * n;
    memcpy(s->refused.clients[0].client, "192.0.2.7", sizeof("192.0.2.7"));
    s->refused.clients[0].count = 9 * n;
    s->refused.clients[0].bytes = n * MIB(1);
    memcpy(s->refused.clients[1].client, "2001:db8::1", sizeof("2001:db8::1"));
    s->refused.clients[1].count = 5 * n;
    s->refused.clients[1].error = 3 * n; /* what it had from whom it pushed out of the table */
}

/* `settings`: the configuration file, as text; free with kit_done(). */
static inline void kit_init(struct pressure *p, const char *settings)
{
    struct buf why = BUF_INIT(CONFIG_WHY_MAX);
    struct pressure_view *v = &p->view;
    int r = config_load_text("p.yaml", slice_str(settings), NULL, 0, &p->config, &why);

    assert(r == 0);
    *v = (struct pressure_view){.enabled = true,
                                .taken_ms = KIT_NOW_MS - 1000,
                                .sessions = 250,
                                .delayed_sessions = 12,
                                .delayed_sessions_max = 500,
                                .messages_in_flight = 31,
                                .bytes_in_flight = GIB(1),
                                .holder_count = 3,
                                .log_lines_lost = 5,
                                .config = p->config,
                                .spool_directory = p->config->spool.directory};
    kit_governor(&v->governor);
    kit_sums(&v->sums[TALLY_MINUTE], 1);
    kit_sums(&v->sums[TALLY_HOUR], 20);
    kit_sums(&v->sums[TALLY_DAY], 300);
    v->totals.counts[MAIL_EXTERNAL][TALLY_ACCEPTED] = 7000;
    v->totals.counts[MAIL_INTERNAL][TALLY_DELAYED] = 40;
    v->totals.counts[MAIL_EXTERNAL][TALLY_REFUSED_CLIENT] = 3;
    v->totals.causes[GOVERNOR_SPOOL_DISK] = 11;
    for (size_t i = 0; i < v->holder_count; i++) {
        v->holders[i] =
            (struct pressure_holder){.bytes = MIB(30 - i), .since_ms = KIT_NOW_MS - 15000};
        memcpy(v->holders[i].client, "192.0.2.7", sizeof("192.0.2.7"));
        if (i < 2)
            memcpy(v->holders[i].sender, "news@example.org", sizeof("news@example.org"));
        else
            memcpy(v->holders[i].sender, "b\x1b[1m@x", sizeof("b\x1b[1m@x"));
    }
    buf_done(&why);
    (void)r;
}

static inline void kit_done(struct pressure *p)
{
    const struct config *c = p->config;

    config_unref(&c);
}

void pressure_get_view(struct pressure *p, struct pressure_view *ret)
{
    *ret = p->view;
}

enum gate_verdict pressure_ready(const struct pressure *p, enum mail_class c, uint8_t *ret_resource)
{
    *ret_resource = p->view.governor.gate.lines[c].resource;
    return p->view.governor.gate.lines[c].verdict;
}
