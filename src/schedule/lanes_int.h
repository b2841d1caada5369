/*
 * schedule/lanes_int.h - what the files of lanes share: lanes.c (places, attempts, views),
 * lanes_tick.c (controllers), lanes_rest.c (slots that rest), lanes_backlog.c (spread and release),
 * lanes_incident.c (incidents and their verdicts), lanes_text.c (save and restore).
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "schedule/lanes.h"

/* A sixteenth of the lanes is looked at in one call. */
#define LANES_SLOTS 16
/* A lane that has nothing to say is not looked at for so many ticks, or until its next attempt. */
#define LANES_SKIP_TICKS 5
/* Entries that one step of spreading looks at, and the time to the next step. */
#define SPREAD_CHUNK 2000
#define SPREAD_GAP_MS 10

#define PEAKS 5
#define REST_PARTS 6

#define LANES_OTHER SLICE_LIT("other") /* the provider's part of a lane that many share */

struct lane_state {
    uint32_t index, generation;
    bool is_used;
    char name[LANE_NAME_MAX]; /* "provider/source", NUL-ended */
    struct slice provider, source;
    uint32_t first_of_provider; /* index of a lane of the same provider; may be its own */
    struct list of_provider;    /* a ring of its lanes */

    struct lane_rules rules;
    struct throttle_settings settings; /* the rules', with the operator's limit */
    struct throttle throttle;
    struct throttle_decision last;
    struct window window;
    struct times times;
    int64_t times_day;
    struct warm_up warm_up;
    uint32_t schedule_lane;
    struct schedule_lane_limits limits;
    uint64_t taken; /* of the schedule's count, what the warm-up has seen */

    /* Most slots in use, in stretches of a quarter of the window; [0] is the present one. */
    uint32_t peaks[PEAKS];
    int64_t peak_since_ms;

    /* Slots that rest, by the part of time in which they end; [0] is the one since `rest_ms`. */
    uint32_t rests[REST_PARTS];
    uint32_t resting; /* their sum */
    uint32_t rest_turn;
    int64_t rest_ms;
    bool has_delivered; /* since the last session that was refused */

    bool paused;
    uint32_t limit;
    bool is_refused;

    uint64_t provider_attempts, provider_capacity; /* while a verdict is made */
    struct incident *notes;                        /* NULL: none; id 0: not an incident yet */
    bool was_pressed;                              /* the governor, while there were notes */
    bool notes_changed;
    int64_t notes_told_ms;

    bool is_spreading;
    uint32_t spread_cursor;
    uint64_t spread_ms;
    uint64_t to_release;
    uint32_t release_rounds;                     /* that may still begin */
    int64_t release_next_ms;                     /* the next of them, not before */
    int64_t recovered_ms;                        /* what is older is the backlog */
    double release_carry;                        /* parts of an entry */
    uint64_t release_retries, release_delivered; /* the window's totals when it began */
    uint32_t unanswered;                         /* attempts in a row, up to OUTAGE_ATTEMPTS */
    int64_t delivered_ms;                        /* the last time */

    bool is_changed;
    uint64_t saved_attempts; /* the window's total when it was last marked changed */
    int64_t saved_ms;
};

struct lanes {
    struct lanes_settings settings;
    struct lanes_seams seams;
    struct schedule *schedule; /* borrowed */
    struct map by_name, by_provider;
    struct lane_state **lanes;
    uint8_t *skips; /* of each lane: ticks in which it is not looked at */
    uint32_t count, size;
    int64_t now_ms; /* the last time it was told */
    int64_t slot_due_ms[LANES_SLOTS];
    uint64_t incident_id;
    uint32_t summed_span; /* of the providers' sums, and when they were made */
    int64_t summed_ms;
    uint32_t spreading;  /* lanes that are */
    uint32_t spread_at;  /* index */
    uint32_t changed_at; /* index */
    uint32_t reclaim_at; /* index */
    uint32_t reclaim_vain;
};

/* NULL: stale, or no lane. */
struct lane_state *lanes_at(const struct lanes *l, lane_ref ref);
lane_ref lanes_ref_of(const struct lane_state *lane);
struct slice lanes_name_of(const struct lane_state *lane);
uint32_t lanes_minute_ms(const struct lanes *l);
struct incident *lanes_open_incident(const struct lane_state *lane); /* NULL: none is open */

/* lanes_tick.c */
/* The rules, and what follows of them. */
void lanes_set_rules(struct lanes *l, struct lane_state *lane, int64_t now_ms);
/* Tells the schedule what holds. */
void lanes_apply(struct lanes *l, struct lane_state *lane, int64_t now_ms);
uint32_t lanes_peak_of(const struct lane_state *lane);
void lanes_mark_changed(struct lane_state *lane);

/* lanes_rest.c */
/* After want of capacity, or of rate, in a session. */
void lanes_rest_after(struct lanes *l, struct lane_state *lane, const struct attempt *a,
                      int64_t now_ms);
/* Ends the rests whose time has come; lanes_apply() is to follow. */
void lanes_rest_step(const struct lanes *l, struct lane_state *lane, int64_t now_ms);

/* lanes_backlog.c */
void lanes_spread_start(struct lanes *l, struct lane_state *lane, int64_t now_ms);
void lanes_spread_stop(struct lanes *l, struct lane_state *lane);
/* A step of one lane; is there more? */
bool lanes_spread_step(struct lanes *l, int64_t now_ms);
void lanes_release_start(struct lanes *l, struct lane_state *lane, int64_t now_ms);
void lanes_release_step(struct lanes *l, struct lane_state *lane, int64_t now_ms);
/* Finds out that a lane answers again. */
void lanes_note_answer(struct lanes *l, struct lane_state *lane, const struct attempt *a);

/* lanes_incident.c */
void lanes_note_attempt(struct lane_state *lane, const struct attempt *a);
void lanes_note_decision(struct lanes *l, struct lane_state *lane,
                         const struct throttle_decision *d);
/* Tells what is new of it, drops notes that lead nowhere. */
void lanes_note_time(struct lanes *l, struct lane_state *lane, int64_t now_ms);
void lanes_note_drop(struct lane_state *lane);
