#include "cli/reply_text.h"

#include "cli/wrap.h"

#define LABEL_WIDTH 12

const char *reply_action_name(enum reply_action a)
{
    static const char *const names[] = {[REPLY_ACTION_NOTHING] = "nothing",
                                        [REPLY_ACTION_THROTTLE] = "throttle",
                                        [REPLY_ACTION_PACE] = "pace",
                                        [REPLY_ACTION_ALERT] = "alert",
                                        [REPLY_ACTION_SPLIT] = "split"};

    return names[a];
}

static const char *temporary_text(enum reply_class klass)
{
    switch (reply_class_action(klass)) {
    case REPLY_ACTION_THROTTLE:
        return "Keeps the mail in the queue and tries it again by the retry policy. Counts the "
               "attempt for its lane's capacity replies per 10,000; its slot rests (lanes.rest). "
               "Above the lane's baseline it "
               "cuts connections (and rate) by connection_change, waits two retry cycles, looks "
               "again, and restores them in steps when the rate is at baseline and the queue's "
               "age falls.";
    case REPLY_ACTION_PACE:
        return "Keeps the mail in the queue and tries it again by the retry policy. Its slot in "
               "the lane rests (lanes.rest); where such replies are confirmed to be many, the "
               "lane's rate is lowered by rate_change, and restored in steps.";
    case REPLY_ACTION_ALERT:
        return "Keeps the mail in the queue and tries it again by the retry policy, not faster. "
               "Raises an event, and holds a planned increase of the lane's warm-up.";
    case REPLY_ACTION_SPLIT:
        return "Sends the recipients that were not taken at once in another, smaller transaction. "
               "The lane goes on at full speed.";
    case REPLY_ACTION_NOTHING:
        break;
    }
    return "Keeps the mail in the queue and tries it again by the retry policy. The lane's speed "
           "does not change, and no recipient is put on the suppression list for it.";
}

static const char *permanent_text(enum reply_class klass)
{
    switch (klass) {
    case REPLY_POLICY:
    case REPLY_AUTHENTICATION:
        return "Reports the failure to the sender, raises an event, and holds a planned increase "
               "of the lane's warm-up.";
    case REPLY_BATCH:
        return "Sends the recipients that were not taken at once in another, smaller transaction.";
    case REPLY_CAPACITY:
    case REPLY_RATE:
        return "Reports the failure to the sender and counts it for the lane, as a temporary one.";
    case REPLY_MAILBOX_UNKNOWN:
    case REPLY_MAILBOX_DISABLED:
        return "Reports the failure to the sender. As the answer to one recipient, with an "
               "enhanced "
               "code of 5 or with words that a rule knows, it puts the address on the suppression "
               "list (suppression.automatic): further mail to it is returned without being tried, "
               "until it is removed or suppression.age_max has passed. A bare code does not, nor "
               "does 551.";
    case REPLY_NONE:
    case REPLY_MAILBOX_FULL:
    case REPLY_CONTENT:
    case REPLY_GREYLIST:
    case REPLY_PROTOCOL:
    case REPLY_CONNECTION:
    case REPLY_DNS:
    case REPLY_TLS:
    case REPLY_OTHER:
    case REPLY_CLASSES:
        break;
    }
    return "Reports the failure to the sender. The recipient is not put on the suppression list.";
}

const char *reply_action_text(enum reply_class klass, unsigned code)
{
    if (klass == REPLY_NONE)
        return "Nothing: it is no refusal.";
    return code >= 500 ? permanent_text(klass) : temporary_text(klass);
}

static void add(struct buf *to, const char *label, const char *text)
{
    if (*text)
        wrap_add(to, label, LABEL_WIDTH, slice_str(text));
}

void reply_text_write(struct buf *to, const struct reply_question *q, const struct reply_verdict *v)
{
    struct buf part = BUF_INIT(KIB(4));

    wrap_add(to, "", 0, q->line);
    (void)buf_addf(&part, "%s: %s", reply_class_name(v->klass), reply_class_what(v->klass));
    add(to, "class", buf_cstr(&part));
    add(to, "rule", *v->rule ? v->rule : "none; by its codes");
    add(to, "phase", smtp_phase_name(q->facts.phase));
    if (q->facts.provider.len)
        wrap_add(to, "provider", LABEL_WIDTH, q->facts.provider);
    add(to, "meaning", v->meaning);
    add(to, "Penstock", reply_action_text(v->klass, q->facts.code));
    add(to, "do", v->advice);
    add(to, "do not", v->warning);
    buf_done(&part);
}

json_t *reply_text_json(const struct reply_question *q, const struct reply_verdict *v)
{
    const struct smtp_enhanced *e = &q->facts.enhanced;
    struct buf enhanced = BUF_INIT(32);
    json_t *o;

    if (e->klass)
        (void)buf_addf(&enhanced, "%u.%u.%u", e->klass, e->subject, e->detail);
    o = json_pack("{s:s%, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "reply",
                  (const char *)q->line.ptr, q->line.len, "code", (int)q->facts.code, "enhanced",
                  buf_cstr(&enhanced), "phase", smtp_phase_name(q->facts.phase), "class",
                  reply_class_name(v->klass), "what", reply_class_what(v->klass), "rule", v->rule,
                  "meaning", v->meaning, "action", reply_action_name(reply_class_action(v->klass)),
                  "penstock", reply_action_text(v->klass, q->facts.code), "advice", v->advice,
                  "warning", v->warning, "temporary", q->facts.code < 500);
    if (o && q->facts.provider.len)
        (void)json_object_set_new(
            o, "provider",
            json_stringn((const char *)q->facts.provider.ptr, q->facts.provider.len));
    buf_done(&enhanced);
    return o;
}
