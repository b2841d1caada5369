/*
 * tests/sim/sim_test.c - nothing is lost: histories of a server in a bad world.
 *
 * In each history clients submit mail, hosts take, defer and refuse it, connections break, the disk
 * fails and fills up, the power goes at any disk operation, clocks jump. Then the world turns
 * good, everything drains, and the books are checked: whatever was acknowledged was delivered or
 * reported as failed; nothing twice except where nobody could know; nothing damaged; nothing that
 * was refused.
 *
 * PENSTOCK_SEED=N runs one history, PENSTOCK_SIM_SECONDS=N as many as fit (15). A failure names its
 * seed; PENSTOCK_SIM_TRACE=1 tells what happened in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "sim.h"

#define DRAIN_STEPS 2000000
#define HISTORIES_MIN 20
#define HISTORY_SECONDS 60 /* it hangs when it takes longer */

/* What kind of a world it is, drawn once a history. */
struct weather {
    /* Chances at each step, one in. */
    uint32_t crash, restart, reload, operate, jump, submit, change;
    bool bad_disk, small_disk, full_disk, no_room, bad_network, bad_hosts;
};

static struct weather draw_weather(void)
{
    struct weather w = {
        .crash = sim_chance(3) ? 0 : 300 + (uint32_t)sim_below(3000),
        .restart = sim_chance(2) ? 0 : 2000,
        .reload = sim_chance(4) ? 1500 : 0,
        .operate = sim_chance(4) ? 300 : 0,
        .jump = sim_chance(4) ? 1000 : 0,
        .submit = 20 + (uint32_t)sim_below(200),
        .change = 500,
        .bad_disk = sim_chance(3),
        .small_disk = sim_chance(5),
        .full_disk = sim_chance(4),
        .no_room = sim_chance(3),
        .bad_network = !sim_chance(3),
        .bad_hosts = !sim_chance(4),
    };

    return w;
}

static void change_weather(const struct weather *w)
{
    struct network_faults net = {0};
    struct host_mood mood = {0};
    struct disk_faults disk = {.capacity_bytes = w->small_disk ? MIB(8) : MIB(64)};

    if (w->bad_network && !sim_chance(3))
        net = (struct network_faults){.connect = 2 + (uint32_t)sim_below(10),
                                      .dns = 2 + (uint32_t)sim_below(10),
                                      .cut = 20 + (uint32_t)sim_below(1000)};
    if (w->bad_hosts && !sim_chance(3))
        mood = (struct host_mood){.defer = 2 + (uint32_t)sim_below(20),
                                  .refuse = 2 + (uint32_t)sim_below(30),
                                  .close = 2 + (uint32_t)sim_below(50),
                                  .hang = 2 + (uint32_t)sim_below(50),
                                  .leave = 5 + (uint32_t)sim_below(50)};
    if (w->bad_disk && !sim_chance(3)) {
        disk.read = 50 + (uint32_t)sim_below(500);
        disk.write = 20 + (uint32_t)sim_below(200);
        disk.sync = 5 + (uint32_t)sim_below(100);
        disk.sync_dir = 5 + (uint32_t)sim_below(20);
    }
    if (w->full_disk && !sim_chance(3))
        disk.filler_bytes = disk.capacity_bytes - sim_below(disk.capacity_bytes / 2);
    ledger_set_refusals(w->no_room && !sim_chance(3) ? 1 + (uint32_t)sim_below(3) : 0);
    network_set_faults(&net);
    people_set_mood(&mood);
    disk_set_faults(&disk);
}

static void be_good(void)
{
    struct weather good = {0};

    change_weather(&good);
    server_cut_power(UINT64_MAX);
}

static void live(const struct weather *w, uint64_t steps)
{
    while (steps-- > 0) {
        if (server_is_dead()) {
            server_bury();
            sim_pass_time(sim_below(100000));
        }
        if (!server_is_running() && (!sim_chance(20) || server_start() < 0))
            sim_pass_time(1);
        if (sim_chance(w->submit))
            people_submit(server_address());
        if (sim_chance(w->crash))
            server_cut_power(sim_below(60));
        if (sim_chance(w->change))
            change_weather(w);
        if (sim_chance(w->jump))
            sim_jump_wall((int64_t)sim_below(8000000) - 4000000);
        if (server_is_running() && !server_is_dead() && sim_chance(w->restart))
            server_stop();
        if (server_is_running() && !server_is_dead() && sim_chance(w->reload))
            server_reload();
        if (server_is_running() && !server_is_dead() && sim_chance(w->operate))
            server_operate();
        (void)sim_step();
    }
}

/* A spool that has failed serves on only after a restart, as the operator would. */
static bool server_is_well(void)
{
    struct server_figures f;

    if (!server_is_running())
        return false;
    server_get_figures(&f);
    return !f.failed;
}

static void drain(void)
{
    uint64_t steps = 0;

    be_good();
    if (server_is_dead())
        server_bury();
    while (!server_is_running() || people_clients() > 0 || server_queued() > 0 ||
           !server_is_idle() || !server_is_well()) {
        if (++steps > DRAIN_STEPS)
            fail_msg("the queue does not drain: %llu entries",
                     (unsigned long long)(server_is_running() ? server_queued() : 0));
        if (steps % 64 == 1 && server_is_running() && !server_is_well())
            server_stop();
        if (!server_is_running() && server_start() < 0)
            fail_msg("the server does not start on a good disk");
        if (steps % 4096 == 1)
            server_release_all();
        if (!sim_step() && people_clients() == 0 && server_queued() > 0)
            fail_msg("nothing will ever happen, and the queue is not empty");
    }
}

/*
 * What is left is nothing, and that is durable. A removal that the disk refused may bring a message
 * back at a restart (the books know of it); on a good disk that is over after one.
 */
static void check_empty(void)
{
    struct server_figures f;

    for (int round = 0; round < 2; round++) {
        server_stop();
        assert_int_equal(server_start(), 0);
        drain();
    }
    server_stop();
    assert_int_equal(server_start(), 0);
    server_get_figures(&f);
    assert_int_equal(server_queued(), 0);
    assert_int_equal(f.messages, 0);
    assert_int_equal(f.damaged, 0);
    server_stop();
}

static void run(uint64_t seed, struct ledger_figures *sum)
{
    struct buf wrong = BUF_INIT(KIB(64));
    struct ledger_figures f;
    struct weather w;
    unsigned count;

    sim_begin(seed);
    disk_begin();
    ledger_begin();
    people_begin();
    w = draw_weather();
    change_weather(&w);
    live(&w, 500 + sim_below(8000));
    drain();
    check_empty();
    people_end();
    network_sweep();
    sim_end();
    disk_end();
    count = ledger_check(&wrong);
    if (count > 0)
        print_error("%s", buf_cstr(&wrong));
    buf_done(&wrong);
    assert_int_equal(count, 0);
    ledger_sum(&f);
    sum->mails += f.mails;
    sum->promised += f.promised;
    sum->refused += f.refused;
    sum->unknown += f.unknown;
    sum->arrived += f.arrived;
    sum->twice += f.twice;
    sum->kept += f.kept;
    sum->reports += f.reports;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static char seed_line[96];

/* Whatever ends the program, an assertion, a sanitizer or a history that hangs, the seed is
 * told. */
static void on_signal(int signum)
{
    ssize_t n = write(STDERR_FILENO, seed_line, strlen(seed_line));

    (void)n;
    (void)signal(signum, SIG_DFL);
    (void)raise(signum);
}

static void begin_history(uint64_t seed)
{
    (void)snprintf(seed_line, sizeof(seed_line),
                   "# history %" PRIu64 "; again: PENSTOCK_SEED=%" PRIu64 " PENSTOCK_SIM_TRACE=1\n",
                   seed, seed);
    (void)alarm(HISTORY_SECONDS);
}

static void nothing_is_lost(void **state)
{
    uint64_t seconds = number_from("PENSTOCK_SIM_SECONDS", 15);
    uint64_t first = number_from("PENSTOCK_SEED", 0), histories = 0;
    time_t end = time(NULL) + (time_t)seconds;
    struct ledger_figures sum = {0};

    (void)state;
    server_configure();
    for (uint64_t seed = first; histories < 1 || (!getenv("PENSTOCK_SEED") &&
                                                  (histories < HISTORIES_MIN || time(NULL) < end));
         seed++, histories++) {
        begin_history(seed);
        run(seed, &sum);
    }
    (void)alarm(0);
    seed_line[0] = '\0';
    server_unconfigure();
    print_message("# %llu histories, %u mails: recipients promised %u, refused %u, unknown %u; "
                  "arrived %u, twice %u; reports %u; records refused %u\n",
                  (unsigned long long)histories, sum.mails, sum.promised, sum.refused, sum.unknown,
                  sum.arrived, sum.twice, sum.reports, sum.kept);
}

static int tell_seed_of_failure(void **state)
{
    (void)state;
    fputs(seed_line, stderr);
    return 0;
}

int main(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGALRM};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_lost, tell_seed_of_failure),
    };

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)signal(signals[i], on_signal);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
