/* A clock's round: claims the slots of all schedules that are due, sends their messages, and moves the
 * schedules on: two commits of the store and one of the broker, however many they are. */
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "schedules/inside.h"

enum { RETRY_MS = 1000, TRIES = 10 };

/* A schedule in a round. */
struct shot {
    struct bide_scheduled *row;
    struct bide_schedule_plan plan;
    bool goes; /* its slots are this clock's to send, or were sent */
    int64_t fired, late, skipped, refused;
};

struct round {
    struct bide_schedules *schedules;
    struct shot *shots;
    size_t n;
    struct bide_schedule_change *changes; /* one a shot */
    struct bide_store_letter *letters;    /* of those that change now, */
    struct shot **changing;               /* and whose they are */
    size_t n_letters;
    bide_message **messages; /* in the order of the shots that go, and their slots */
    bide_sent *results;
    size_t n_messages;
    bide_error *error;
};

/* ---- what is due ---- */

/* In how many ms a claim of another clock may be taken over; 0: now, or there is none. */
static int64_t held_ms(const struct bide_scheduled *row, int64_t mono_ms)
{
    const char *claim = row->schedule.claim;
    if (!*claim || strcmp(claim, row->mine) == 0)
        return 0;
    int64_t left_ms = row->seen_ms + BIDE_CLAIM_MS - mono_ms;
    return left_ms > 0 ? left_ms : 0;
}

/* Begins behind the last one that was chosen: where more are due than a round takes, all have their turn. */
static void choose(struct round *round, int64_t *ret_wait_ms)
{
    struct bide_schedules *schedules = round->schedules;
    int64_t now_ms = bide_wall_ms(schedules->options.clock);
    int64_t mono_ms = bide_mono_ms(schedules->options.clock);
    *ret_wait_ms = BIDE_NEVER;
    size_t first = schedules->first;
    for (size_t i = 0; i < schedules->n && round->n < BIDE_ROUND_MAX; i++) {
        struct shot *shot = &round->shots[round->n];
        int64_t wait_ms = BIDE_NEVER;
        size_t at = (first + i) % schedules->n;
        *shot = (struct shot){.row = &schedules->rows[at]};
        bide_schedule_plan(&shot->row->schedule, now_ms, &shot->plan);
        int64_t other_ms = held_ms(shot->row, mono_ms);
        if (shot->row->is_gone)
            continue;
        if (shot->plan.does == BIDE_SCHEDULE_WAITS)
            wait_ms = shot->plan.at_ms == BIDE_NEVER ? BIDE_NEVER : shot->plan.at_ms - now_ms;
        else if (other_ms > 0)
            wait_ms = other_ms;
        else
            schedules->first = at + 1, round->n++;
        *ret_wait_ms = wait_ms < *ret_wait_ms ? wait_ms : *ret_wait_ms;
    }
    if (round->n == BIDE_ROUND_MAX)
        *ret_wait_ms = 0; /* there may be more */
}

/* ---- changing ---- */

/* Somebody else has changed it: what it is now. */
static bide_code adopt(
    struct round *round, struct bide_scheduled *row, const struct bide_store_answer *answer)
{
    struct bide_schedule now;
    bide_code code = bide_schedule_of_answer(row->schedule.is.name, answer, &now, round->error);
    if (code == BIDE_E_NOT_FOUND && bide_schedules_keep_lost(round->schedules, row))
        return BIDE_OK;
    if (code == BIDE_E_NOT_FOUND || code == BIDE_E_DATA) {
        row->is_gone = true;
        round->schedules->is_loaded = false;
        return BIDE_OK;
    }
    if (code != BIDE_OK)
        return code;
    if (strcmp(now.claim, row->schedule.claim) != 0)
        row->seen_ms = bide_mono_ms(round->schedules->options.clock);
    bide_schedule_clear(&row->schedule);
    row->schedule = now;
    return BIDE_OK;
}

/* next: a copy of the row's schedule that differs in numbers and claim alone. */
static bide_code prepare(struct round *round, struct shot *shot, struct bide_schedule *next)
{
    struct bide_schedule_change *change = &round->changes[round->n_letters];
    bide_code code = bide_schedule_change_write(
        change, next->is.name, shot->row->schedule.revision, next, false, round->error);
    if (code == BIDE_OK)
        round->changing[round->n_letters++] = shot;
    return code;
}

/* Applies what was prepared. nexts: what each one's schedule becomes where it was changed. */
static bide_code apply(struct round *round, const struct bide_schedule *nexts)
{
    for (size_t i = 0; i < round->n_letters; i++)
        round->letters[i] = round->changes[i].letter;
    bide_code code =
        bide_store_apply(round->schedules->options.store, round->letters, round->n_letters, round->error);
    for (size_t i = 0; i < round->n_letters; i++) {
        struct shot *shot = round->changing[i];
        round->changes[i].letter = round->letters[i];
        shot->goes = code == BIDE_OK && bide_schedule_changed(&round->changes[i]);
        if (shot->goes)
            shot->row->schedule = nexts[i];
        else if (code == BIDE_OK)
            code = adopt(round, shot->row, &round->changes[i].operations[0].answer);
    }
    return code;
}

/* ---- claiming ---- */

static struct bide_schedule claimed(struct shot *shot)
{
    struct bide_schedule next = shot->row->schedule;
    next.missed += shot->plan.missed;
    *next.claim = '\0';
    if (shot->plan.does == BIDE_SCHEDULE_FIRES)
        bide_schedule_token(next.claim);
    next.next_ms = shot->plan.n > 0 ? shot->plan.slots_ms[0] : shot->plan.next_ms;
    return next;
}

static void log_missed(const struct shot *shot)
{
    if (shot->goes && shot->plan.missed > 0)
        bide_log(BIDE_LOG_WARN, "slots of a schedule were missed and do not fire",
            BIDE_STR("schedule", shot->row->schedule.is.name), BIDE_INT("slots", shot->plan.missed));
}

static bide_code claim(struct round *round, struct bide_schedule *nexts)
{
    bide_code code = BIDE_OK;
    round->n_letters = 0;
    for (size_t i = 0; i < round->n && code == BIDE_OK; i++) {
        nexts[i] = claimed(&round->shots[i]);
        code = prepare(round, &round->shots[i], &nexts[i]);
    }
    if (code == BIDE_OK)
        code = apply(round, nexts);
    for (size_t i = 0; i < round->n && code == BIDE_OK; i++) {
        struct bide_scheduled *row = round->shots[i].row;
        if (round->shots[i].goes)
            memcpy(row->mine, row->schedule.claim, sizeof row->mine);
        log_missed(&round->shots[i]);
        round->shots[i].goes &= round->shots[i].plan.does == BIDE_SCHEDULE_FIRES;
    }
    return code;
}

/* ---- sending ---- */

static size_t count_messages(const struct round *round)
{
    size_t n = 0;
    for (size_t i = 0; i < round->n; i++)
        n += round->shots[i].goes ? round->shots[i].plan.n : 0;
    return n;
}

static bide_code make_messages(struct round *round)
{
    size_t n = count_messages(round);
    round->messages = bide_calloc(n + 1, sizeof *round->messages);
    round->results = bide_calloc(n + 1, sizeof *round->results);
    if (!round->messages || !round->results)
        return bide_fail(round->error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < round->n; i++) {
        const struct shot *shot = &round->shots[i];
        for (size_t slot = 0; shot->goes && slot < shot->plan.n; slot++) {
            bide_code code = bide_schedule_message(&shot->row->schedule.is, shot->plan.slots_ms[slot],
                &round->messages[round->n_messages], round->error);
            if (code != BIDE_OK)
                return code;
            round->n_messages++;
        }
    }
    return BIDE_OK;
}

static void count_message(struct shot *shot, const bide_message *message, bide_sent result, int64_t now_ms)
{
    int64_t slot_ms = shot->plan.slots_ms[shot->fired + shot->skipped + shot->refused];
    bool is_own = strcmp(bide_message_duplicate_of(message), bide_message_id(message)) == 0;
    if (result == BIDE_SENT_REFUSED) {
        shot->refused++;
        bide_log(BIDE_LOG_ERROR, "the message of a schedule is refused: it is not sent",
            BIDE_STR("schedule", shot->row->schedule.is.name), BIDE_STR("id", bide_message_id(message)));
    } else if (result == BIDE_SENT_DUPLICATE && !is_own) {
        shot->skipped++;
        bide_log(BIDE_LOG_INFO, "slot skipped: the message of an earlier one has not ended",
            BIDE_STR("schedule", shot->row->schedule.is.name), BIDE_STR("id", bide_message_id(message)));
    } else {
        shot->fired++;
        shot->late += now_ms - slot_ms >= BIDE_LATE_MS;
        bide_log(BIDE_LOG_DEBUG, "slot fired", BIDE_STR("id", bide_message_id(message)));
    }
}

/* One that was not confirmed leaves its schedule claimed: it is sent again, and perhaps by another. */
static void count_results(struct round *round)
{
    int64_t now_ms = bide_wall_ms(round->schedules->options.clock);
    size_t at = 0;
    for (size_t i = 0; i < round->n; i++) {
        struct shot *shot = &round->shots[i];
        bool goes = shot->goes;
        for (size_t slot = 0; goes && slot < shot->plan.n; slot++, at++) {
            if (round->results[at] == BIDE_SENT_UNKNOWN)
                shot->goes = false;
            else if (shot->goes)
                count_message(shot, round->messages[at], round->results[at], now_ms);
        }
    }
}

static bide_code send_messages(struct round *round)
{
    const struct bide_schedules_options *options = &round->schedules->options;
    bide_code code = make_messages(round);
    for (size_t i = 0; code != BIDE_OK && i < round->n; i++)
        round->shots[i].goes = false;
    if (code != BIDE_OK || round->n_messages == 0)
        return code;
    BIDE_KILL_POINT("clock/claimed");
    code = options->send(options->user, round->messages, round->n_messages, round->results, round->error);
    count_results(round);
    BIDE_KILL_POINT("clock/sent");
    return code == BIDE_E_DATA ? BIDE_OK : code;
}

/* ---- moving on ---- */

static struct bide_schedule moved_on(const struct shot *shot)
{
    struct bide_schedule next = shot->row->schedule;
    next.next_ms = shot->plan.next_ms;
    *next.claim = '\0';
    next.fired += shot->fired;
    next.late += shot->late;
    next.skipped += shot->skipped;
    next.missed += shot->refused;
    if (shot->fired > 0)
        next.last_ms = shot->plan.slots_ms[shot->plan.n - 1];
    return next;
}

/* A schedule that somebody has changed meanwhile and that is still this clock's (it was paused) is moved on
 * as it is now. */
static bide_code move_on(struct round *round, struct bide_schedule *nexts)
{
    bide_code code = BIDE_OK;
    for (int i = 0; i < TRIES && code == BIDE_OK; i++) {
        round->n_letters = 0;
        for (size_t j = 0; j < round->n && code == BIDE_OK; j++) {
            struct shot *shot = &round->shots[j];
            if (!shot->goes || shot->row->is_gone || !*shot->row->mine ||
                strcmp(shot->row->schedule.claim, shot->row->mine) != 0)
                continue;
            nexts[round->n_letters] = moved_on(shot);
            code = prepare(round, shot, &nexts[round->n_letters]);
        }
        if (code != BIDE_OK || round->n_letters == 0)
            break;
        code = apply(round, nexts);
        for (size_t j = 0; j < round->n_letters; j++)
            round->changing[j]->goes = true;
    }
    return code;
}

/* ---- the round ---- */

static bide_code play(struct round *round, int64_t *ret_wait_ms)
{
    struct bide_schedule *nexts = bide_calloc(BIDE_ROUND_MAX, sizeof *nexts);
    bide_code code = nexts ? claim(round, nexts) : bide_fail(round->error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK) {
        bide_error first;
        bide_code sent = send_messages(round);
        if (sent != BIDE_OK)
            first = *round->error;
        code = move_on(round, nexts);
        if (code == BIDE_OK && sent != BIDE_OK)
            code = bide_fail(round->error, sent, "%s", first.text);
        *ret_wait_ms = 0; /* another look: slots may be left, and others may have changed some */
    }
    bide_free(nexts);
    return code;
}

static void clear(struct round *round)
{
    for (size_t i = 0; round->changes && i < BIDE_ROUND_MAX; i++)
        bide_schedule_change_clear(&round->changes[i]);
    for (size_t i = 0; i < round->n_messages; i++)
        bide_message_destroy(round->messages[i]);
    bide_free(round->messages);
    bide_free(round->results);
    bide_free(round->shots);
    bide_free(round->changes);
    bide_free(round->letters);
    bide_free(round->changing);
}

static bool allocate(struct round *round)
{
    round->shots = bide_calloc(BIDE_ROUND_MAX, sizeof *round->shots);
    round->changes = bide_calloc(BIDE_ROUND_MAX, sizeof *round->changes);
    round->letters = bide_calloc(BIDE_ROUND_MAX, sizeof *round->letters);
    round->changing = bide_calloc(BIDE_ROUND_MAX, sizeof(struct shot *));
    for (size_t i = 0; round->changes && i < BIDE_ROUND_MAX; i++)
        bide_schedule_change_init(&round->changes[i]);
    return round->shots && round->changes && round->letters && round->changing;
}

bide_code bide_schedules_fire(struct bide_schedules *schedules, int64_t *ret_wait_ms, bide_error *error)
{
    bide_error unwanted;
    struct round round = {.schedules = schedules, .error = error ? error : &unwanted};
    bide_code code = allocate(&round) ? BIDE_OK : bide_fail(round.error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK) {
        choose(&round, ret_wait_ms);
        if (round.n > 0)
            code = play(&round, ret_wait_ms);
    }
    clear(&round);
    return code;
}
