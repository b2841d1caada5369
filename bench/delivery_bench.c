/*
 * bench/delivery_bench.c - what a line of the delivery log costs the thread that tells it.
 *
 *     delivery_bench [FOLDER]     .
 *
 * One line of JSON: nanoseconds a line, the medians of the rounds, and the bytes of a line; "line":
 * made, and put nowhere; "told": made and put into the ring, from which the log thread takes it
 * meanwhile and writes files in FOLDER; "held": made, held and released with its time; "off": with
 * the log turned off. A round is shorter than a ring and is flushed before the next, so none is
 * dropped.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/base.h"
#include "base/clock.h"
#include "event/delivery.h"
#include "event/event.h"

#define LINES 500
#define ROUNDS 400

enum step { LINE, TOLD, HELD, OFF, STEPS };
static const char *const names[STEPS] = {"line", "told", "held", "off"};

static struct delivery an_attempt(void)
{
    return (struct delivery){
        .event = DELIVERY_DEFERRED,
        .id = UINT64_C(1795393025234927),
        .message_id = SLICE_LIT("<20261123064107.4b1f9e2a@news.example.com>"),
        .sender = SLICE_LIT("bounce+4711@news.example.com"),
        .recipient = SLICE_LIT("anna.example@outlook.example"),
        .domain = SLICE_LIT("outlook.example"),
        .size = 48211,
        .attempt = 3,
        .code = 452,
        .enhanced = {4, 3, 1},
        .klass = SLICE_LIT("capacity"),
        .phase = SLICE_LIT("end of data"),
        .reply = SLICE_LIT("452 4.3.1 Insufficient system resources [mx1.example 2026-11-23]"),
        .provider = SLICE_LIT("microsoft-consumer"),
        .lane = SLICE_LIT("microsoft-consumer/default"),
        .source = SLICE_LIT("default"),
        .local = SLICE_LIT("198.51.100.10"),
        .host = SLICE_LIT("outlook-com.olc.protection.outlook.example"),
        .peer = SLICE_LIT("203.0.113.25"),
        .tls = true,
        .tls_version = SLICE_LIT("TLSv1.3"),
        .tls_cipher = SLICE_LIT("TLS_AES_256_GCM_SHA384"),
        .in_queue_ms = 4213377,
        .latency_ms = 812,
    };
}

static void set_log(const char *folder, bool is_on)
{
    const struct record_config rc = {.directory = folder,
                                     .is_on = {[RECORD_DELIVERIES] = is_on},
                                     .file_max_bytes = MIB(10),
                                     .folder_max_bytes = MIB(50)};
    const char *failed;
    int r = record_set_config(&rc, &failed);

    ASSERT(r == 0);
    event_flush();
}

static size_t one_step(enum step step, struct buf *held)
{
    struct delivery d = an_attempt();
    static char line[RECORD_LINE_MAX];

    switch (step) {
    case LINE:
        d.at_ms = d.next_attempt_ms = clock_wall_ms();
        return delivery_line(&d, line);
    case HELD:
        delivery_hold(&d, held);
        delivery_release(held, d.at_ms + 600000);
        return 0;
    case TOLD:
    case OFF:
    case STEPS:
        break;
    }
    delivery_log(&d);
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double measure(enum step step, size_t *ret_bytes)
{
    static double ns[ROUNDS];
    struct buf held = BUF_INIT(DELIVERY_HELD_MAX);

    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t began_ns = clock_mono_ns();

        for (size_t n = 0; n < LINES; n++)
            *ret_bytes = MAX_OF(one_step(step, &held), *ret_bytes);
        ns[i] = (double)(clock_mono_ns() - began_ns) / LINES;
        event_flush();
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), by_size);
    return ns[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    const struct event_config config = {.fd = STDERR_FILENO, .level = EVENT_NOTHING};
    size_t bytes = 0;
    int r = event_start(&config);

    ASSERT(r == 0);
    printf("{");
    for (enum step step = 0; step < STEPS; step++) {
        set_log(folder, step != OFF);
        printf("\"%s_ns\": %.1f, ", names[step], measure(step, &bytes));
    }
    event_stop();
    printf("\"bytes\": %zu, \"dropped\": %" PRIu64 "}\n", bytes,
           counter_get(COUNTER_RECORDS_DROPPED));
    return 0;
}
