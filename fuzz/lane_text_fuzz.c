/*
 * fuzz/lane_text_fuzz.c - what is stored of a lane may be damaged in any way: it is taken or it is
 * not, what is taken is stored as the same again, and the lane runs on with it.
 *
 * Input: 'w' and a window's text, 't' and a controller's, else a lane's object.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schedule/lanes_bench.h"

static void window(struct slice text)
{
    static struct window w, again;
    struct buf saved = BUF_INIT(WINDOW_TEXT_MAX);
    struct window_counts c = {.attempts = 1, .capacity = 1};

    if (window_load(&w, text) < 0)
        return;
    ASSERT(window_save(&w, &saved) == 0);
    ASSERT(window_load(&again, buf_slice(&saved)) == 0);
    ASSERT(memcmp(&w, &again, sizeof(w)) == 0);
    window_add(&w, BENCH_START, &c);
    window_advance(&w, BENCH_START + 60 * w.minute_ms);
    window_sum_days(&w, WINDOW_DAYS, &c);
    ASSERT(c.attempts > 0);
    buf_done(&saved);
}

static void controller(struct slice text)
{
    static struct window w;
    struct lanes_bench settings;
    struct throttle t, again;
    struct throttle_decision d;
    struct throttle_input in = {.window = &w, .queue_length = 1, .queue_age_ms = 1};
    struct buf saved = BUF_INIT(THROTTLE_TEXT_MAX);

    bench_init(&settings);
    bench_done(&settings);
    throttle_init(&t, &settings.rules.throttle, 0);
    again = t;
    if (throttle_load(&t, text) < 0)
        return;
    ASSERT(throttle_save(&t, &saved) == 0);
    ASSERT(throttle_load(&again, buf_slice(&saved)) == 0);
    ASSERT(memcmp(&t, &again, sizeof(t)) == 0);
    window_init(&w, WINDOW_MINUTE_MS, BENCH_START);
    throttle_set(&t, &settings.rules.throttle, BENCH_START);
    for (int i = 0; i < 300; i++) {
        window_advance(&w, BENCH_START + i * MINUTE_MS);
        (void)throttle_tick(&t, &settings.rules.throttle, &in, BENCH_START + i * MINUTE_MS, &d);
        ASSERT(t.connections >= 2 && t.connections <= 20);
    }
    buf_done(&saved);
}

static void whole_lane(struct slice text)
{
    static struct lanes_bench b;
    struct buf first = BUF_INIT(LANE_TEXT_MAX), second = BUF_INIT(LANE_TEXT_MAX);
    uint32_t it = 0;
    struct lane_view v;

    bench_init(&b);
    b.rules.warm_up = (struct warm_up_settings){.list = {9}, .days = 1, .factor = 2};
    if (lanes_restore(b.lanes, text, b.now) == 0) {
        ASSERT(lanes_next(b.lanes, &it, &v));
        ASSERT(lanes_save(b.lanes, v.ref, &first) == 0);
        ASSERT(lanes_restore(b.lanes, buf_slice(&first), b.now) == 0);
        ASSERT(lanes_save(b.lanes, v.ref, &second) == 0);
        ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
        bench_run(&b, 2 * MINUTE_MS);
    }
    bench_done(&b);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);

    if (size > 0 && data[0] == 'w')
        window(slice_from(text, 1));
    else if (size > 0 && data[0] == 't')
        controller(slice_from(text, 1));
    else
        whole_lane(text);
    return 0;
}
