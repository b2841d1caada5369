/*
 * schedule/schedule_model.h - for tests: a model of the schedule that is too simple to be wrong.
 *
 * It keeps plain arrays and searches them. It knows the order of every queue and round; what the
 * schedule draws by chance the test takes over from it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "schedule/schedule.h"

enum { ENTRIES = 96, NAMES = 5, SENDERS = 4, LANES = 4 };
enum { NOBODY = -1, TURN_ENTRIES = 64 };

struct model_entry {
    bool used;
    entry_ref ref;
    uint64_t id;
    int name, sender;
    uint32_t attempts;
    int64_t arrival, due;
    enum entry_state state;
    int64_t place; /* READY: its order among its sender's; lower goes first */
    uint64_t filed;
};

struct model_destination {
    int senders[SENDERS], sender_count; /* those with ready entries, in the order of their turns */
    bool lives;
    int lane, release_at; /* an entry or NOBODY */
    const struct retry_policy *lane_retry;
    uint32_t lane_connections;
    uint32_t slots, unused, failures;
    uint64_t turn_taken;
    int64_t paused_until;
};

struct model_lane {
    int members[NAMES], member_count;
    int waiting[NAMES], waiting_count; /* of these, may be granted a slot, in turn */
    struct schedule_lane_limits limits;
    double tokens;
    int64_t tokens_ms, wake_ms; /* SCHEDULE_NEVER: no wake */
    int release_at;             /* a member or NOBODY */
    uint64_t taken, turn_taken;
    uint32_t peak;
};

struct model {
    struct schedule *s;
    struct schedule_config config;
    struct rand chance, theirs;
    struct model_entry entries[ENTRIES];
    struct model_destination destinations[NAMES];
    struct model_lane lanes[LANES];
    int turns[LANES], turn_count; /* lanes */
    uint32_t slots, override_slots;
    int64_t now, last_place, first_place;
    uint64_t filed;
    bool seen;
    /* Half of the histories. Without small steps back of the clock: how many tokens there are in
     * the time that comes twice depends on when they were counted. */
    bool has_rates;
};

/* The first ready entry of a sender at a destination; NULL. */
struct model_entry *model_ready_of(struct model *m, int name, int sender);
/* Entries of that destination in that state. */
uint32_t model_count_of(const struct model *m, int name, enum entry_state state);
/* Lists of numbers: takes `value` out, if it is there; whether it is there. */
void model_remove_at(int *list, int *count, int value);
bool model_contains(const int *list, int count, int value);
struct model_lane *model_lane_of(struct model *m, int name);
/* In use by the destinations of a lane, and how many that may be; the same of one. */
uint32_t model_lane_slots(const struct model *m, int lane);
uint32_t model_lane_limit(const struct model *m, int lane);
uint32_t model_limit_of(const struct model *m, int name);
/* The most tokens a lane can have; counts those that came until now; how many entries they allow. */
double model_burst_of(const struct model_lane *l);
void model_refill(struct model *m, struct model_lane *l);
uint64_t model_tokens_of(struct model *m, struct model_lane *l);
/* Entries were taken, or (below 0) given back. */
void model_charge(struct model *m, struct model_lane *l, double entries);
/* Its place in the round of lanes. */
void model_update_lane(struct model *m, int lane);
/* After any change of a destination: senders without ready entries, destinations without use for a
 * slot and lanes without room for one leave their rounds, new ones join at the end. */
void model_update(struct model *m, int name);
/* In the order they came into the lane; NOBODY. */
int model_member_after(const struct model_lane *l, int name);
/* The destination is no longer in its lane; `lane` is to be set. */
void model_leave_lane(struct model *m, int name);
/* As update(); a destination of which nothing is left is forgotten, its failures and lane too. */
void model_settle(struct model *m, int name);
/* The entry filed after that one (or the first, NOBODY) of its destination; NOBODY. */
int model_filed_after(const struct model *m, int name, int entry);
/* Files the entry under a destination, as the last one; moves it there from another. */
void model_file(struct model *m, struct model_entry *e, int name);
void model_move(struct model *m, struct model_entry *e, int name);
/* The entry is done, or cancelled. */
void model_gone(struct model *m, struct model_entry *e);
/* Any entry in that state (below 0: in any); NULL: there is none. */
struct model_entry *model_pick(struct model *m, int state);
int64_t model_real_due(struct model *m, const struct model_entry *e);
/* Ready, or behind the pause of its destination. */
void model_make_ready(struct model *m, struct model_entry *e, bool first);
/* Waiting or ready, as its due time says. */
void model_by_time(struct model *m, struct model_entry *e);
/* Each time that the schedule is told. */
void model_see_time(struct model *m, int64_t now);
