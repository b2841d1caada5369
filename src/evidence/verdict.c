/*
 * evidence/verdict.c - who said no: the rules, in the order they are asked.
 *
 *     nothing was refused                                -> undecided
 *     our own hosts refused most of it                   -> our side
 *     our governor was pressed meanwhile                 -> our side
 *     a third of the other providers refuse too (two+)   -> our side: it goes across destinations
 *     most had no reply                                  -> undecided: the network, DNS or theirs
 *     too few attempts                                   -> undecided
 *     too little mail to others to compare with          -> undecided
 *     more than a quarter of the others refuse too       -> undecided
 *     one provider's hosts answered, the others are fine -> receiver-side
 *
 * Which host answered is known of a single refusal; that others are fine needs samples. So "ours"
 * comes before the samples are counted, "receiver" after.
 */
#include <stdarg.h>
#include <stdio.h>

#include "evidence/incident.h"

#define MOST 0.5      /* of the refusals */
#define OTHERS_MANY 3 /* one of so many other providers: it is no accident of one of them */
#define OTHERS_MANY_LEAST 2
#define OTHERS_FINE 4 /* at most one of so many */

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
    if (f->others_refusing >= OTHERS_MANY_LEAST &&
        (double)f->others_refusing * OTHERS_MANY >= (double)f->others) {
        reason(v,
               "it goes across destinations: %llu of %llu other providers refuse more than usual",
               U(f->others_refusing), U(f->others));
        if (f->destinations_refusing > 1)
            reason(v, "%u recipient domains are refused in all", f->destinations_refusing);
    }
    return v->reason_count > 0;
}

/* What the lane itself shows, whoever is to blame. */
static void tell_refusals(const struct verdict_facts *f, struct verdict *v)
{
    const char *more = f->hosts >= INCIDENT_LIST_MAX ? " or more" : "";

    if (f->hosts_refusing)
        reason(v,
               "the remote hosts of one provider answered: %llu of %llu attempts refused, by %llu "
               "of %llu%s hosts",
               U(f->refusals), U(f->attempts), U(f->hosts_refusing), U(f->hosts), more);
    else
        reason(v, "%llu of %llu attempts refused, by hosts whose names are not known",
               U(f->refusals), U(f->attempts));
    if (f->refused_by_ours)
        reason(v, "%llu of the refusals came from our own relay, smart host or gateway",
               U(f->refused_by_ours));
    if (f->refused_without_reply)
        reason(v, "%llu of the refusals had no reply", U(f->refused_without_reply));
}

static void tell_receiver(const struct verdict_facts *f, struct verdict *v)
{
    v->side = VERDICT_RECEIVER;
    tell_refusals(f, v);
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

static void tell_silence(const struct verdict_facts *f, struct verdict *v)
{
    reason(v, "%llu of %llu refusals had no reply: connections failed, or DNS or TLS did",
           U(f->refused_without_reply), U(f->refusals));
    if (f->others && f->others_refusing == 0)
        reason(v, "none of %llu other providers refuses more than usual", U(f->others));
    missing(v, "a reply of the remote host, or a look at it from another network");
}

void verdict_decide(const struct verdict_facts *f, struct verdict *v)
{
    *v = (struct verdict){.side = VERDICT_UNDECIDED};
    if (f->refusals == 0) {
        missing(v, "nothing was refused");
    } else if (is_ours(f, v)) {
        v->side = VERDICT_OURS;
    } else if (is_most(f->refused_without_reply, f->refusals)) {
        tell_silence(f, v);
    } else if (f->attempts < f->sample_min) {
        tell_refusals(f, v);
        reason(v, "only %llu attempts, where %u make a sample", U(f->attempts), f->sample_min);
        missing(v, "more attempts to this provider");
    } else if (f->others == 0 || f->others_attempts < f->sample_min) {
        tell_refusals(f, v);
        missing(v, "enough mail to other providers in the same time, to compare with");
    } else if ((double)f->others_refusing * OTHERS_FINE > (double)f->others) {
        tell_refusals(f, v);
        reason(v, "%llu of %llu other providers refuse more than usual too", U(f->others_refusing),
               U(f->others));
        missing(v, "mail to more providers: these are too few to tell a common cause from chance");
    } else {
        tell_receiver(f, v);
    }
}
