#include "cli/sink_rules.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MAX_MS 3600000
#define SECONDS_MAX 31536000

const char *const sink_phase_names[SINK_PHASES] = {
    [SINK_CONNECT] = "connect", [SINK_HELLO] = "ehlo", [SINK_MAIL] = "mail",
    [SINK_RCPT] = "rcpt",       [SINK_DATA] = "data",  [SINK_EOD] = "eod",
};

void sink_schedule_init(struct sink_schedule *s)
{
    memset(s, 0, sizeof(*s));
    s->count = 1;
}

static int bad(struct buf *why, const char *sentence, struct slice got)
{
    (void)buf_addf(why, "%s; got '%.*s'", sentence, SLICE_FMT(got));
    return -EINVAL;
}

/* Takes "PHASE=" from the front. */
static int take_phase(struct slice *text, enum sink_phase *ret, struct buf *why)
{
    ptrdiff_t equals = slice_find(*text, '=');
    struct slice name = equals < 0 ? *text : slice_sub(*text, 0, (size_t)equals);

    for (int i = 0; equals >= 0 && i < SINK_PHASES; i++) {
        if (slice_eq_case(name, slice_str(sink_phase_names[i]))) {
            *ret = (enum sink_phase)i;
            *text = slice_from(*text, (size_t)equals + 1);
            return 0;
        }
    }
    return bad(why, "a phase is one of connect, ehlo, mail, rcpt, data, eod, then '='", *text);
}

/* "5", "5%", "0.02%". */
static int parse_percent(struct slice text, double *ret, struct buf *why)
{
    char copy[32], *end;
    double n;

    if (text.len && text.ptr[text.len - 1] == '%')
        text.len--;
    if (text.len == 0 || text.len >= sizeof(copy))
        return bad(why, "a share is a percentage from 0 to 100", text);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    n = strtod(copy, &end);
    if (*end != '\0' || !isfinite(n) || n < 0 || n > 100)
        return bad(why, "a share is a percentage from 0 to 100", text);
    *ret = n;
    return 0;
}

static int parse_reply(struct slice text, struct sink_reply *ret, struct buf *why)
{
    struct slice rest = slice_from(text, 3);
    uint64_t code;
    size_t used;

    if (text.len < 3 || slice_to_u64(slice_sub(text, 0, 3), 599, &code) < 0 || code < 200 ||
        code / 100 == 3 || (rest.len && rest.ptr[0] != ' '))
        return bad(why, "a reply is a code of 2xx, 4xx or 5xx, a blank and a text", text);
    ret->code = (unsigned)code;
    rest = slice_trim(rest);
    if (smtp_enhanced_parse(rest, &ret->enhanced, &used))
        rest = slice_from(rest, used);
    if (rest.len >= sizeof(ret->text))
        return bad(why, "the text of a reply has at most 199 bytes", rest);
    if (rest.len)
        memcpy(ret->text, rest.ptr, rest.len);
    ret->text[rest.len] = '\0';
    return 0;
}

static int add_reply(struct sink_rules *rules, struct slice text, struct buf *why)
{
    enum sink_phase phase;
    struct sink_reply reply = {.percent = 0};
    ptrdiff_t colon;
    int r = take_phase(&text, &phase, why);

    if (r < 0)
        return r;
    colon = slice_find(text, ':');
    if (colon < 0)
        return bad(why, "a reply rule is PHASE=PERCENT%:REPLY", text);
    r = parse_percent(slice_sub(text, 0, (size_t)colon), &reply.percent, why);
    if (r == 0)
        r = parse_reply(slice_from(text, (size_t)colon + 1), &reply, why);
    if (r < 0)
        return r;
    if (rules->phases[phase].reply_count == SINK_REPLIES_MAX)
        return bad(why, "a phase has at most 4 replies", text);
    rules->phases[phase].replies[rules->phases[phase].reply_count++] = reply;
    return 0;
}

static int add_delay(struct sink_rules *rules, struct slice text, struct buf *why)
{
    enum sink_phase phase;
    uint64_t ms;
    int r = take_phase(&text, &phase, why);

    if (r < 0)
        return r;
    if (slice_to_u64(text, DELAY_MAX_MS, &ms) < 0)
        return bad(why, "a delay is a number of milliseconds, at most an hour", text);
    rules->phases[phase].delay_ms = (uint32_t)ms;
    return 0;
}

static int add_drop(struct sink_rules *rules, struct slice text, struct buf *why)
{
    enum sink_phase phase;
    double percent;
    int r = take_phase(&text, &phase, why);

    if (r == 0)
        r = parse_percent(text, &percent, why);
    if (r == 0)
        rules->phases[phase].drop_percent = percent;
    return r;
}

static struct sink_rules *rules_from(struct sink_schedule *s, uint64_t at_ms, struct buf *why)
{
    struct sink_step *last = &s->steps[s->count - 1];

    if (at_ms < last->at_ms) {
        (void)buf_add_str(why, "the times of a schedule must not go back");
        return NULL;
    }
    if (at_ms == last->at_ms)
        return &last->rules;
    if (s->count == SINK_STEPS_MAX) {
        (void)buf_addf(why, "a schedule has at most %d times", SINK_STEPS_MAX);
        return NULL;
    }
    s->steps[s->count] = *last;
    s->steps[s->count].at_ms = at_ms;
    return &s->steps[s->count++].rules;
}

int sink_schedule_add(struct sink_schedule *s, uint64_t at_ms, struct slice rule, struct buf *why)
{
    struct sink_rules *rules = rules_from(s, at_ms, why);

    if (!rules)
        return -EINVAL;
    if (slice_has_prefix(rule, SLICE_LIT("reply ")))
        return add_reply(rules, slice_trim(slice_from(rule, 6)), why);
    if (slice_has_prefix(rule, SLICE_LIT("delay ")))
        return add_delay(rules, slice_trim(slice_from(rule, 6)), why);
    if (slice_has_prefix(rule, SLICE_LIT("drop ")))
        return add_drop(rules, slice_trim(slice_from(rule, 5)), why);
    if (slice_eq(rule, SLICE_LIT("clear"))) {
        memset(rules, 0, sizeof(*rules));
        return 0;
    }
    return bad(why, "a rule begins with reply, delay or drop, or is clear", rule);
}

int sink_schedule_parse(struct sink_schedule *s, struct slice text, struct buf *why)
{
    ptrdiff_t colon = slice_find(text, ':');
    uint64_t seconds;

    if (colon <= 0 || slice_to_u64(slice_sub(text, 0, (size_t)colon), SECONDS_MAX, &seconds) < 0)
        return bad(why, "a schedule entry is SECONDS:RULE", text);
    return sink_schedule_add(s, seconds * 1000, slice_trim(slice_from(text, (size_t)colon + 1)),
                             why);
}

const struct sink_rules *sink_schedule_at(const struct sink_schedule *s, uint64_t elapsed_ms)
{
    size_t i = s->count - 1;

    while (i > 0 && s->steps[i].at_ms > elapsed_ms)
        i--;
    return &s->steps[i].rules;
}

static double percent_below(struct rand *rand)
{
    return (rand_symmetric(rand) + 1) * 50;
}

struct sink_action sink_rules_act(const struct sink_rules *rules, enum sink_phase phase,
                                  struct rand *rand)
{
    struct sink_action action = {.delay_ms = rules->phases[phase].delay_ms};
    double drop = rules->phases[phase].drop_percent, dice;

    if (drop > 0 && percent_below(rand) < drop)
        action.drop = true;
    if (rules->phases[phase].reply_count == 0)
        return action;
    dice = percent_below(rand);
    for (size_t i = 0; i < rules->phases[phase].reply_count && !action.reply; i++) {
        const struct sink_reply *reply = &rules->phases[phase].replies[i];

        if (dice < reply->percent)
            action.reply = reply;
        dice -= reply->percent;
    }
    return action;
}
