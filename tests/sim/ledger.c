/*
 * tests/sim/ledger.c - what was promised for each mail, and what became of it.
 *
 * Mail number N goes from "sN@d0.example" to "rN-I@dD.example"; its body follows from N. Whether
 * the server has durably recorded a delivery is seen at the spool's own interface: the linker
 * puts the functions at the end between the server and the spool (--wrap).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "message/envelope.h"
#include "sim.h"
#include "spool/spool.h"

#define MESSAGES 4096
#define PENDING 4096

static struct {
    struct mail mails[LEDGER_MAILS];
    uint32_t count;
    unsigned report_count;
    struct buf wrong; /* found on the way */
    unsigned wrong_count;
    struct message { /* in the spool */
        uint64_t id;
        uint32_t number; /* of the mail */
        uint8_t indices[LEDGER_RECIPIENTS], count;
    } messages[MESSAGES];
    size_t message_count;
    struct settled { /* recorded, and durable with the next sync */
        struct fate *fate;
        uint32_t arrivals;
    } pending[PENDING];
    size_t pending_count;
    uint32_t refusals; /* chance, one in */
    unsigned kept;
} ledger;

void ledger_begin(void)
{
    buf_done(&ledger.wrong);
    memset(&ledger, 0, sizeof(ledger));
    buf_init(&ledger.wrong, KIB(64));
}

static void complain(const char *what, const struct mail *m, const struct fate *f)
{
    ledger.wrong_count++;
    (void)buf_addf(&ledger.wrong, "  mail %u to d%u.example: %s (arrivals %u, allowed %u)\n",
                   m->number, f->domain, what, f->arrivals, f->allowed);
    sim_trace("WRONG: mail %u to d%u.example: %s", m->number, f->domain, what);
}

struct mail *ledger_new_mail(void)
{
    struct mail *m = &ledger.mails[ledger.count];

    if (ledger.count == LEDGER_MAILS)
        return NULL;
    *m = (struct mail){.number = ledger.count++,
                       .has_sender = !sim_chance(16),
                       .recipient_count = 1 + sim_below(4) / 2};
    if (sim_chance(8))
        m->recipient_count = LEDGER_RECIPIENTS;
    for (size_t i = 0; i < m->recipient_count; i++) {
        unsigned domain = sim_chance(12) ? DOMAIN_DEAD + (unsigned)sim_below(2)
                                         : 1 + (unsigned)sim_below(DOMAIN_HOSTS - 1);

        m->fates[i] = (struct fate){.domain = domain, .allowed = 1};
        if (i > 0 && sim_chance(2)) /* often several to one host */
            m->fates[i].domain = m->fates[0].domain;
    }
    return m;
}

void ledger_compose(const struct mail *m, struct buf *to)
{
    struct rand r;
    uint64_t lines;

    rand_init(&r, m->number * 7919u + 1);
    lines = rand_below(&r, 30) ? rand_below(&r, 20) : 500 + rand_below(&r, 3000);
    (void)buf_addf(to, "X-Seq: %u\r\nSubject: mail %u\r\n\r\n", m->number, m->number);
    while (lines-- > 0) {
        uint64_t shape = rand_below(&r, 8);

        (void)buf_addf(to, "%s%llx%s\r\n",
                       shape == 0   ? "."
                       : shape == 1 ? ".."
                                    : "",
                       (unsigned long long)rand_u64(&r),
                       shape == 2 ? " and a longer line, so that the body is of some size" : "");
    }
}

void ledger_sender(const struct mail *m, struct buf *to)
{
    if (m->has_sender)
        (void)buf_addf(to, "s%u@d%d.example", m->number, DOMAIN_SENDERS);
}

void ledger_recipient(const struct mail *m, size_t index, struct buf *to)
{
    (void)buf_addf(to, "r%u-%zu@d%u.example", m->number, index, m->fates[index].domain);
}

struct fate *ledger_find(struct slice address, struct mail **ret_mail)
{
    unsigned number, index;
    char text[64];

    (void)snprintf(text, sizeof(text), "%.*s", SLICE_FMT(address));
    if (sscanf(text, "r%u-%u@", &number, &index) != 2 || number >= ledger.count ||
        index >= ledger.mails[number].recipient_count)
        return NULL;
    if (ret_mail)
        *ret_mail = &ledger.mails[number];
    return &ledger.mails[number].fates[index];
}

uint32_t ledger_arrived(struct slice recipient, struct slice body)
{
    struct buf expect = BUF_INIT(MIB(1));
    struct mail *m;
    struct fate *f = ledger_find(recipient, &m);

    if (!f)
        return 0;
    f->arrivals++;
    sim_trace("mail %u arrives at d%u.example, time %u", m->number, f->domain, f->arrivals);
    ledger_compose(m, &expect);
    if (!slice_has_suffix_case(body, buf_slice(&expect)) ||
        !slice_eq(slice_from(body, body.len - buf_len(&expect)), buf_slice(&expect)))
        complain("arrived damaged", m, f);
    if (!slice_has_prefix(body, SLICE_LIT("Received: ")))
        complain("arrived without our Received field", m, f);
    buf_done(&expect);
    return f->arrivals;
}

static void allow(struct fate *f, uint32_t arrivals)
{
    f->allowed = MAX_OF(f->allowed, arrivals);
}

void ledger_arrival_is_unknown(struct slice recipient, uint32_t arrival)
{
    struct fate *f = ledger_find(recipient, NULL);

    if (f)
        allow(f, arrival + 1);
}

/* "Final-Recipient: rfc822; ADDRESS" and then "Action: failed". */
void ledger_report_arrived(struct slice body)
{
    static const struct slice field = {(const uint8_t *)"Final-Recipient: rfc822;", 24};
    ptrdiff_t at;

    ledger.report_count++;
    while ((at = slice_find_slice(body, field)) >= 0) {
        struct slice address;
        ptrdiff_t next;
        struct fate *f;

        body = slice_from(body, (size_t)at + field.len);
        address = slice_trim(slice_sub(body, 0, (size_t)MAX_OF(slice_find(body, '\r'), 0)));
        next = slice_find_slice(body, field);
        at = slice_find_slice(body, SLICE_LIT("Action: failed"));
        f = ledger_find(address, NULL);
        sim_trace("report on %.*s arrives", SLICE_FMT(address));
        if (f && at >= 0 && (next < 0 || at < next))
            f->reports++;
    }
}

void ledger_server_ended(void)
{
    ledger.pending_count = 0;
    for (uint32_t i = 0; i < ledger.count; i++)
        for (size_t k = 0; k < ledger.mails[i].recipient_count; k++) {
            struct fate *f = &ledger.mails[i].fates[k];

            if (f->arrivals > f->settled)
                allow(f, f->arrivals + 1);
        }
}

void ledger_records_lost(void)
{
    for (uint32_t i = 0; i < ledger.count; i++)
        for (size_t k = 0; k < ledger.mails[i].recipient_count; k++) {
            struct fate *f = &ledger.mails[i].fates[k];

            f->settled = 0;
            if (f->arrivals > 0)
                allow(f, f->arrivals + 1);
        }
}

static void check_fate(const struct mail *m, const struct fate *f)
{
    bool reported =
        f->reports > 0 || (!m->has_sender && (f->was_refused || f->domain >= DOMAIN_DEAD));

    if (f->told == TOLD_YES && f->arrivals == 0 && !reported)
        complain("promised, and lost", m, f);
    if (f->told == TOLD_NO && f->arrivals > 0)
        complain("refused, and delivered", m, f);
    if (f->told == TOLD_NOTHING && f->arrivals > 0)
        complain("never sent whole, and delivered", m, f);
    if (f->arrivals > f->allowed)
        complain("delivered twice", m, f);
    if (f->reports > 0 && f->domain < DOMAIN_DEAD && !f->was_refused)
        complain("reported as failed though its host had not refused it", m, f);
}

unsigned ledger_check(struct buf *ret_wrong)
{
    for (uint32_t i = 0; i < ledger.count; i++)
        for (size_t k = 0; k < ledger.mails[i].recipient_count; k++)
            check_fate(&ledger.mails[i], &ledger.mails[i].fates[k]);
    (void)buf_add(ret_wrong, buf_slice(&ledger.wrong));
    buf_done(&ledger.wrong);
    return ledger.wrong_count;
}

void ledger_sum(struct ledger_figures *ret)
{
    *ret = (struct ledger_figures){
        .mails = ledger.count, .reports = ledger.report_count, .kept = ledger.kept};
    for (uint32_t i = 0; i < ledger.count; i++)
        for (size_t k = 0; k < ledger.mails[i].recipient_count; k++) {
            const struct fate *f = &ledger.mails[i].fates[k];

            ret->promised += f->told == TOLD_YES;
            ret->refused += f->told == TOLD_NO;
            ret->unknown += f->told == TOLD_UNKNOWN;
            ret->arrived += f->arrivals > 0;
            ret->twice += f->arrivals > 1;
        }
}

/* ---- between the server and the spool ---- */

void ledger_set_refusals(uint32_t one_in)
{
    ledger.refusals = one_in;
}

int __real_spool_commit(struct spool *sp, uint64_t id, struct slice envelope,
                        const struct spool_extent *extents, size_t count);
int __real_spool_mark(struct spool *sp, uint64_t id, struct slice mark);
int __real_spool_remove(struct spool *sp, uint64_t id);
int __real_spool_sync(struct spool *sp);
int __wrap_spool_commit(struct spool *sp, uint64_t id, struct slice envelope,
                        const struct spool_extent *extents, size_t count);
int __wrap_spool_mark(struct spool *sp, uint64_t id, struct slice mark);
int __wrap_spool_remove(struct spool *sp, uint64_t id);
int __wrap_spool_sync(struct spool *sp);

static struct fate *fate_of(const struct message *m, size_t i)
{
    return &ledger.mails[m->number].fates[m->indices[i]];
}

static struct message *message_of(uint64_t id)
{
    for (size_t i = 0; i < ledger.message_count; i++)
        if (ledger.messages[i].id == id)
            return &ledger.messages[i];
    return NULL;
}

static void remember(uint64_t id, struct slice envelope)
{
    struct recipient recipients[LEDGER_RECIPIENTS];
    struct envelope e;
    struct message *m = &ledger.messages[ledger.message_count];

    if (message_of(id) || ledger.message_count == MESSAGES ||
        envelope_decode(envelope, recipients, LEDGER_RECIPIENTS, &e) < 0)
        return;
    *m = (struct message){.id = id};
    for (size_t i = 0; i < e.recipient_count; i++) {
        struct mail *mail;
        struct fate *f = ledger_find(recipients[i].address, &mail);

        if (!f) /* a report */
            return;
        m->number = mail->number;
        m->indices[m->count++] = (uint8_t)(f - mail->fates);
    }
    ledger.message_count++;
    sim_trace("mail %u is message %llx", m->number, (unsigned long long)id);
}

int __wrap_spool_commit(struct spool *sp, uint64_t id, struct slice envelope,
                        const struct spool_extent *extents, size_t count)
{
    remember(id, envelope);
    return __real_spool_commit(sp, id, envelope, extents, count);
}

/* Recorded, or not: a record that the disk fails to take is one that nobody has. One that it has no
 * room for is kept by the queue as long as the server lives. */
static void settle(struct fate *f, int result)
{
    if (result == -ENOSPC)
        ledger.kept++;
    else if (result < 0)
        allow(f, f->arrivals + 1);
    else if (ledger.pending_count < PENDING)
        ledger.pending[ledger.pending_count++] =
            (struct settled){.fate = f, .arrivals = f->arrivals};
}

struct marking {
    const struct message *message;
    int result;
};

static int settle_results(void *ctx, const struct mark *mark)
{
    const struct marking *marking = ctx;
    const struct message *m = marking->message;

    for (size_t i = 0; i < mark->result_count; i++)
        if (mark->kind == MARK_ATTEMPT && mark->results[i].recipient < m->count &&
            mark->results[i].state != RECIPIENT_PENDING)
            settle(fate_of(m, mark->results[i].recipient), marking->result);
    return 0;
}

int __wrap_spool_mark(struct spool *sp, uint64_t id, struct slice mark)
{
    bool is_refused = sim_chance(ledger.refusals);
    struct marking marking = {.result = is_refused ? -ENOSPC : __real_spool_mark(sp, id, mark),
                              .message = message_of(id)};
    struct buf framed = BUF_INIT(MIB(1));

    if (marking.message) {
        (void)buf_add_u32(&framed, (uint32_t)mark.len);
        (void)buf_add(&framed, mark);
        ASSERT(marks_each(buf_slice(&framed), settle_results, &marking) == 0);
    }
    buf_done(&framed);
    return marking.result;
}

int __wrap_spool_remove(struct spool *sp, uint64_t id)
{
    int r = sim_chance(ledger.refusals) ? -ENOSPC : __real_spool_remove(sp, id);
    struct message *m = message_of(id);

    for (size_t i = 0; m && i < m->count; i++)
        settle(fate_of(m, i), r);
    sim_trace("message %llx is removed: %d", (unsigned long long)id, r);
    return r;
}

int __wrap_spool_sync(struct spool *sp)
{
    int r = __real_spool_sync(sp);

    for (size_t i = 0; i < ledger.pending_count; i++) {
        struct settled *s = &ledger.pending[i];

        if (r == 0)
            s->fate->settled = MAX_OF(s->fate->settled, s->arrivals);
        else
            allow(s->fate, s->arrivals + 1);
    }
    sim_trace("spool syncs: %d", r);
    ledger.pending_count = 0;
    return r;
}
