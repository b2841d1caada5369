/*
 * evidence/verdict.c - who said no: the rules, in the order they are asked.
 *
 *     our own hosts refused most of it          -> our side
 *     our governor was pressed meanwhile        -> our side
 *     other providers refuse beyond their usual -> our side: it goes across destinations
 *     nobody answered at all                    -> undecided: network, DNS or theirs
 *     too few attempts                          -> undecided
 *     one provider's hosts, the others are fine -> receiver side
 *     there are no others to compare with       -> undecided, and what would decide it
 */
#include <stdarg.h>
#include <stdio.h>

#include "evidence/incident.h"

#define MOST 0.5         /* of the refusals */
#define OTHERS_MANY 0.33 /* of the other providers: a third of them */

const char *verdict_side_name(enum verdict_side s)
{
    static const char *const names[] = {[VERDICT_UNDECIDED] = "undecided",
                                        [VERDICT_RECEIVER] = "receiver-side",
                                        [VERDICT_OURS] = "our-side"};

    return names[s];
}

PRINTF_LIKE(2, 3) static void reason(struct verdict *v, const char *format, ...)
{
    va_list args;

    if (v->reason_count == VERDICT_REASONS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(v->reasons[v->reason_count++], VERDICT_REASON_MAX, format, args);
    va_end(args);
}

static void missing(struct verdict *v, const char *what)
{
    v->side = VERDICT_UNDECIDED;
    (void)snprintf(v->missing, sizeof(v->missing), "%s", what);
}

static bool is_most(uint64_t part, uint64_t whole)
{
    return whole > 0 && (double)part > MOST * (double)whole;
}

#define U(n) ((unsigned long long)(n))

static bool is_ours(const struct verdict_facts *f, struct verdict *v)
{
    if (is_most(f->refused_by_ours, f->refusals))
        reason(v, "%llu of %llu refusals came from our own relay, smart host or gateway",
               U(f->refused_by_ours), U(f->refusals));
    if (f->governor_pressed)
        reason(v, "our own server was under pressure (medium or high) in that time");
    if (f->others_refusing >= 2 && (double)f->others_refusing >= OTHERS_MANY * (double)f->others)
        reason(v,
               "it goes across destinations: %llu of %llu other providers refuse more than usual",
               U(f->others_refusing), U(f->others));
    return v->reason_count > 0;
}

static void tell_receiver(const struct verdict_facts *f, struct verdict *v)
{
    v->side = VERDICT_RECEIVER;
    reason(v,
           "the remote hosts of one provider answered: %llu of %llu attempts refused, by %llu of "
           "%llu hosts",
           U(f->refusals), U(f->attempts), U(f->hosts_refusing), U(f->hosts));
    reason(v,
           "the others are fine: %llu of %llu other providers refuse more than usual (%llu "
           "attempts)",
           U(f->others_refusing), U(f->others), U(f->others_attempts));
    if (f->sources > 1 && f->sources_refused == f->sources)
        reason(v, "all %llu of our sending addresses are refused alike", U(f->sources));
    if (f->sources > 1 && f->sources_refused < f->sources)
        reason(v, "%llu of our %llu sending addresses are refused: look at their limits there",
               U(f->sources_refused), U(f->sources));
}

void verdict_decide(const struct verdict_facts *f, struct verdict *v)
{
    *v = (struct verdict){.side = VERDICT_UNDECIDED};
    if (f->refusals == 0) {
        missing(v, "nothing was refused");
    } else if (is_ours(f, v)) {
        v->side = VERDICT_OURS;
    } else if (is_most(f->refused_without_reply, f->refusals)) {
        reason(v, "%llu of %llu refusals had no reply: connections failed, or DNS or TLS did",
               U(f->refused_without_reply), U(f->refusals));
        missing(v, "a reply of the remote host, or a look at the network from another place");
    } else if (f->attempts < f->sample_min) {
        reason(v, "only %llu attempts, where %llu make a sample", U(f->attempts), U(f->sample_min));
        missing(v, "more attempts to this provider");
    } else if (f->others == 0 || f->others_attempts < f->sample_min) {
        reason(v, "the hosts of this provider refused %llu of %llu attempts", U(f->refusals),
               U(f->attempts));
        missing(v, "enough mail to other providers in the same time, to compare with");
    } else {
        tell_receiver(f, v);
    }
}
