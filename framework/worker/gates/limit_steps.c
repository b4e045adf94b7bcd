/* The way of a message past its limits: what each answer of the store means, and what comes next. */
#include <stdlib.h>
#include <string.h>

#include "base/killpoint.h"
#include "bide/log.h"
#include "worker/gates/limit_inside.h"

enum {
    HOLD_MS = 500, /* of a message whose permits were of no use several times */
    TRIES_MAX = 4,
    MORE_MAX = 1000,
};
#define WAIT_HERE_US (INT64_C(250) * 1000) /* a permit that begins later moves its message to the broker */
#define ASK_AGAIN_US (INT64_C(30) * 1000 * 1000)
/* A broker takes away what is in hand for too long. */
#define LONGEST_HERE_US (INT64_C(5) * 60 * 1000 * 1000)
#define ALWAYS_LATE_US INT64_C(1)

/* ---- leaving ---- */

void limit_leave(struct limit_gate *gate, struct bide_job *job)
{
    if (job->limits->parked)
        job->limits->desk->parked--;
    limit_give_back(gate, job->limits);
    job->limits->next = job->limits->handler->spare;
    job->limits->handler->spare = job->limits;
    job->limits = NULL;
    job->start_us = job->begin_from_us = job->begin_by_us = 0;
}

static enum bide_gate_says hold(
    struct limit_gate *gate, struct bide_job *job, int64_t ms, struct bide_gate_answer *answer)
{
    limit_leave(gate, job);
    return bide_gate_hold(gate->gate.site, ms, answer);
}

static enum bide_gate_says hold_for_store(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    limit_leave(gate, job);
    return bide_gate_hold_for_store(gate->gate.site, answer);
}

/* To the time in so many µs; the broker gets it back as it was. */
static enum bide_gate_says move(
    struct limit_gate *gate, struct bide_job *job, int64_t wait_us, struct bide_gate_answer *answer)
{
    struct limit *limit = job->limits->handler->limits[job->limits->permit_of];
    int64_t due_ms = (bide_wall_us(gate->gate.site->clock) + (wait_us > 0 ? wait_us : 0)) / 1000 + 1;
    if (limit->metrics)
        bide_metrics_add(&limit->metrics->moved, 1);
    limit_leave(gate, job);
    answer->decision = (struct bide_decision){
        .verdict = BIDE_VERDICT_RETRY, .attempt = job->delivery->message->attempt, .due_ms = due_ms};
    BIDE_KILL_POINT("worker/limit-moves");
    return BIDE_GATE_MOVE;
}

/* ---- going on ---- */

static enum bide_gate_says ask(
    struct limit_gate *gate, struct bide_job *job, enum limit_step step, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    pass->step = step;
    pass->desk = step == LIMIT_TAKE ? limit_desk_of(gate, pass) : NULL;
    struct bide_errand *errand = bide_clerk_is_away(gate->gate.site->clerk) ? NULL : limit_letter(gate, pass);
    if (!errand) {
        pass->desk = NULL;
        return hold_for_store(gate, job, answer);
    }
    if (pass->desk)
        pass->desk->asking = true;
    answer->errand = errand;
    return BIDE_GATE_WAIT;
}

/* In hand, until it may ask: it lands, and comes back. */
static enum bide_gate_says wait_until(struct limit_gate *gate, struct bide_job *job, int64_t mono_us)
{
    job->limits->waits = true;
    job->start_us = bide_wall_us(gate->gate.site->clock) + mono_us - limit_now_us(gate);
    job->begin_from_us = job->begin_by_us = ALWAYS_LATE_US;
    return BIDE_GATE_PASS;
}

/* Where permits follow each other faster than threads wake up, several runs begin together, a little after
 * their permits. */
static int64_t begins_at(const struct bide_limit_pass *pass, int64_t wall_us)
{
    const int64_t fast_us = 1000, together_us = 4000;
    int64_t interval_us = bide_limit_interval_us(&pass->handler->limits[0]->terms.rate);
    if (!pass->handler->simple || interval_us >= fast_us)
        return wall_us;
    return (wall_us + together_us - 1) / together_us * together_us;
}

/* In this span it may run. One that is suspected of crashes runs alone, when that can be: the permit was its
 * own, and its time is not kept. */
static enum bide_gate_says pass_in(struct limit_gate *gate, struct bide_job *job, struct bide_limit_span span)
{
    int64_t now_us = limit_now_us(gate);
    job->start_us = 0;
    if (span.from_us > now_us)
        job->start_us = begins_at(job->limits, bide_wall_us(gate->gate.site->clock) + span.from_us - now_us);
    job->begin_from_us = span.from_us - LIMIT_MARGIN_US;
    job->begin_by_us = job->suspect ? 0 : span.to_us - LIMIT_MARGIN_US;
    BIDE_KILL_POINT("worker/limit-passed");
    return BIDE_GATE_PASS;
}

static enum bide_gate_says go_by_permit(
    struct limit_gate *gate, struct bide_job *job, int64_t permit_us, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    struct bide_limit_span span = bide_limit_span(&gate->clock, permit_us);
    pass->permit_us = permit_us;
    if (pass->handler->keyless || span.from_us - limit_now_us(gate) <= WAIT_HERE_US)
        return pass_in(gate, job, span);
    return ask(gate, job, LIMIT_ISSUE, answer);
}

/* Without a key: in hand, until a permit begins soon. None is reserved before, so that none is lost with a
 * process, and what an operator sets or a 429 says is known to all within ASK_AGAIN_US. */
static enum bide_gate_says wait_for_turn(
    struct limit_gate *gate, struct bide_job *job, int64_t wait_us, struct bide_gate_answer *answer)
{
    int64_t now_us = limit_now_us(gate), later_us = wait_us - BIDE_LIMIT_IN_HAND_US / 4;
    if (now_us - job->limits->began_us > LONGEST_HERE_US)
        return hold(gate, job, HOLD_MS, answer);
    return wait_until(gate, job, now_us + (later_us < ASK_AGAIN_US ? later_us : ASK_AGAIN_US));
}

/* Another message asks for it, too: it is looked at again when that one has its answer. */
static enum bide_gate_says park(struct bide_limit_pass *pass, struct limit_desk *desk)
{
    pass->desk = desk;
    pass->parked = true;
    desk->parked++;
    return BIDE_GATE_WAIT;
}

enum bide_gate_says limit_take(struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    struct limit_desk *desk = limit_desk_of(gate, pass);
    int64_t permit_us = desk ? limit_desk_take(gate, desk) : 0;
    if (permit_us)
        return go_by_permit(gate, job, permit_us, answer);
    return desk && desk->asking ? park(pass, desk) : ask(gate, job, LIMIT_TAKE, answer);
}

enum bide_gate_says limit_try_again(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    if (++pass->tries >= TRIES_MAX)
        return hold(gate, job, HOLD_MS, answer);
    pass->permit_us = 0;
    return limit_take(gate, job, answer);
}

static enum bide_gate_says store_is_slow(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    int64_t more = job->limits->more * 2 + 1;
    job->limits->more = more < MORE_MAX ? more : MORE_MAX;
    if (!gate->slow)
        bide_log(BIDE_LOG_WARN, "the store takes more than 50 ms to answer: permits of limits are over when "
                                "they come, and messages "
                                "wait longer than they should");
    gate->slow = true;
    return limit_try_again(gate, job, answer);
}

/* ---- the answers ---- */

static void see_clock(struct limit_gate *gate, const struct bide_job *job)
{
    struct bide_limit_pass *pass = job->limits;
    for (size_t i = 0; i < pass->n_operations; i++) {
        const struct bide_store_operation *operation = &pass->operations[i];
        if (operation->kind != BIDE_STORE_METER || operation->answer.skipped)
            continue;
        bide_limit_clock_saw(
            &gate->clock, operation->answer.at_us, job->errand->began_us, job->errand->ended_us);
        if (pass->asked_us == 0)
            pass->asked_us = operation->answer.at_us;
    }
}

/* The data of a ticket: "PERMIT ASKED". */
static void read_ticket(struct bide_limit_pass *pass)
{
    const struct bide_store_operation *has;
    for (size_t at = 0; (has = limit_answer(pass, ROLE_HAS, &at));) {
        char text[64] = "", *end = text;
        if (has->answer.skipped || !has->answer.ok || has->answer.size >= sizeof text)
            continue;
        memcpy(text, has->answer.data, has->answer.size);
        int64_t permit_us = strtoll(text, &end, 10);
        if (permit_us <= pass->permit_us) /* of several, the latest */
            continue;
        pass->permit_us = permit_us;
        pass->permit_of = pass->of[at - 1];
        pass->asked_us = strtoll(end, NULL, 10);
    }
}

/* One that was never moved, delayed or retried has none. */
static bool may_have_ticket(const struct bide_limit_pass *pass, const struct bide_message *message)
{
    return !pass->looked && pass->handler->n_rates > 0 && !pass->handler->keyless &&
           message->due_ms > message->sent_ms;
}

enum bide_gate_says limit_start(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    if (pass->parked) {
        pass->parked = false;
        pass->desk->parked--;
        pass->desk = NULL;
        return limit_take(gate, job, answer);
    }
    if (gate->clock.seen_us)
        pass->asked_us = limit_now_us(gate) + gate->clock.low_us;
    int64_t early_us = job->delivery->message->due_ms * 1000 - bide_wall_us(gate->gate.site->clock);
    if (may_have_ticket(pass, job->delivery->message))
        return ask(gate, job, LIMIT_TICKET, answer);
    if (early_us > 0)
        return wait_until(gate, job, limit_now_us(gate) + early_us);
    return limit_take(gate, job, answer);
}

static enum bide_gate_says judge_ticket(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    size_t at = 0;
    pass->looked = true;
    read_ticket(pass);
    if (pass->permit_us == 0)
        return limit_start(gate, job, answer);
    struct bide_limit_span span = bide_limit_span(&gate->clock, pass->permit_us);
    if (span.to_us - LIMIT_MARGIN_US <= limit_now_us(gate)) {
        pass->permit_us = 0; /* it comes too late */
        return limit_start(gate, job, answer);
    }
    const struct bide_store_operation *use = limit_answer(pass, ROLE_USE, &at);
    if (use && !use->answer.changed) {
        pass->permit_us = 0;
        return limit_start(gate, job, answer);
    }
    if (span.from_us - limit_now_us(gate) > BIDE_LIMIT_IN_HAND_US) /* rescheduled, or a clock was set */
        return ask(gate, job, LIMIT_ISSUE, answer);
    return use ? pass_in(gate, job, span) : wait_until(gate, job, span.from_us);
}

/* The next permit that can be used, of those that its letter reserved or of its key's desk; 0: none. */
static int64_t usable_permit(
    struct limit_gate *gate, struct limit_desk *desk, const struct bide_store_operation *permit)
{
    int64_t first_us = permit->answer.at_us + permit->answer.wait_us, now_us = limit_now_us(gate);
    if (desk) {
        limit_desk_put(desk, permit);
        return limit_desk_take(gate, desk);
    }
    for (int64_t i = 0; i < permit->answer.count; i++) {
        int64_t permit_us = first_us + i * permit->meter.interval_us;
        if (limit_can_begin(gate, permit_us, now_us))
            return permit_us;
    }
    return 0;
}

/* All of them now, and the ticket's: where their spans meet. */
static enum bide_gate_says go_by_all(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    struct bide_limit_span span = {0, INT64_MAX};
    const struct bide_store_operation *permit;
    bool all = true;
    if (pass->permit_us > 0)
        span = bide_limit_span(&gate->clock, pass->permit_us);
    for (size_t at = 0; (permit = limit_answer(pass, ROLE_PERMIT, &at));) {
        struct bide_limit_span one =
            bide_limit_span(&gate->clock, permit->answer.at_us + permit->answer.wait_us);
        span.from_us = one.from_us > span.from_us ? one.from_us : span.from_us;
        span.to_us = one.to_us < span.to_us ? one.to_us : span.to_us;
        all &= permit->answer.count > 0;
    }
    if (span.to_us == INT64_MAX) { /* no rates: places alone */
        job->begin_by_us = 0;
        return BIDE_GATE_PASS;
    }
    if (!all || span.to_us - LIMIT_MARGIN_US <= limit_now_us(gate) || span.from_us > span.to_us)
        return store_is_slow(gate, job, answer);
    return pass_in(gate, job, span);
}

/* The first operation that was refused; NULL: nothing was. */
static const struct bide_store_operation *refused(struct bide_limit_pass *pass, size_t *ret_at)
{
    for (size_t i = 0; i < pass->n_operations; i++)
        if (pass->roles[i] == ROLE_PLACE && pass->operations[i].answer.ok &&
            !pass->operations[i].answer.skipped)
            pass->places |= 1U << pass->of[i];
    for (size_t i = 0; i < pass->n_operations; i++) {
        const struct bide_store_operation *operation = &pass->operations[i];
        *ret_at = i;
        if (operation->stop && !operation->answer.ok)
            return operation;
        if (pass->roles[i] == ROLE_USE && !operation->answer.changed)
            return operation;
    }
    return NULL;
}

static enum bide_gate_says judge_take(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_pass *pass = job->limits;
    size_t at = 0;
    const struct bide_store_operation *no = refused(pass, &at);
    if (no && pass->roles[at] == ROLE_USE) { /* its ticket is void, or was used */
        pass->permit_us = 0;
        return ask(gate, job, LIMIT_TAKE, answer);
    }
    if (no && pass->roles[at] == ROLE_PLACE) {
        pass->permit_of = pass->of[at];
        return ask(gate, job, LIMIT_LINE, answer);
    }
    if (no) {
        pass->permit_of = pass->of[at];
        if (pass->handler->limits[pass->permit_of]->config->rate.n)
            return ask(gate, job, LIMIT_RESERVE, answer);
        return move(gate, job, no->answer.wait_us, answer);
    }
    at = 0;
    const struct bide_store_operation *permit = limit_answer(pass, ROLE_PERMIT, &at);
    if (!permit || pass->handler->n_rates != 1)
        return go_by_all(gate, job, answer);
    pass->permit_of = pass->of[at - 1];
    if (pass->handler->keyless && permit->answer.count == 0)
        return wait_for_turn(gate, job, permit->answer.wait_us, answer);
    int64_t permit_us = usable_permit(gate, limit_desk_of(gate, pass), permit);
    return permit_us ? go_by_permit(gate, job, permit_us, answer) : store_is_slow(gate, job, answer);
}

static enum bide_gate_says judge_reserved(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    size_t at = 0;
    const struct bide_store_operation *permit = limit_answer(job->limits, ROLE_PERMIT, &at);
    job->limits->permit_us = permit->answer.at_us + permit->answer.wait_us;
    return ask(gate, job, LIMIT_ISSUE, answer);
}

static enum bide_gate_says judge_issued(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct bide_limit_span span = bide_limit_span(&gate->clock, job->limits->permit_us);
    return move(gate, job, span.from_us - limit_now_us(gate), answer);
}

static enum bide_gate_says judge_line(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    size_t at = 0;
    const struct bide_store_operation *turn = limit_answer(job->limits, ROLE_PERMIT, &at);
    int64_t least_us = turn->meter.interval_us, wait_us = turn->answer.wait_us;
    if (turn->answer.count == 0) /* the line is long: later, and not all at once */
        wait_us = 1000 * bide_gate_spread_ms(gate->gate.site, turn->meter.within_us / 1000, 1, 0.5);
    job->limits->permit_us = 0;
    return move(gate, job, wait_us > least_us ? wait_us : least_us, answer);
}

enum bide_gate_says limit_judge(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    static enum bide_gate_says (*const judges[])(
        struct limit_gate *, struct bide_job *, struct bide_gate_answer *) = {
        [LIMIT_TICKET] = judge_ticket,
        [LIMIT_TAKE] = judge_take,
        [LIMIT_RESERVE] = judge_reserved,
        [LIMIT_ISSUE] = judge_issued,
        [LIMIT_LINE] = judge_line,
    };
    struct bide_limit_pass *pass = job->limits;
    if (pass->desk)
        pass->desk->asking = false;
    pass->desk = NULL;
    if (job->errand->letter.code != BIDE_OK) {
        for (size_t i = 0; i < pass->handler->n; i++) /* it may have got places all the same */
            pass->places |= (unsigned)(pass->handler->limits[i]->config->concurrency > 0) << i;
        return hold_for_store(gate, job, answer);
    }
    see_clock(gate, job);
    if (limit_terms_hold(pass))
        return judges[pass->step](gate, job, answer);
    limit_desks_void(gate);
    if (pass->step != LIMIT_TICKET)
        pass->permit_us = 0;
    if (++pass->tries >= TRIES_MAX)
        return hold(gate, job, HOLD_MS, answer);
    return ask(gate, job, pass->step == LIMIT_TICKET ? LIMIT_TICKET : LIMIT_TAKE, answer);
}
