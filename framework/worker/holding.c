#include "worker/holding.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "shared/circuits.h"
#include "worker/intake.h"

enum {
    SHORTEST_PAUSE_MS = 500, /* of what is given back while a probe is out, or an operator has paused it */
    LONGEST_PAUSE_MS = 5000, /* … for long: how late such a message may be after the resumption */
    PAUSE_SHARE = 8,         /* of the time that it has been paused for */
    LOOK_US = 100 * 1000,    /* another process may have closed a circuit */
};

bide_code bide_holding_init(struct bide_intake *intake, bide_error *error)
{
    struct bide_holding *holding = &intake->holding;
    holding->queues = bide_calloc(intake->config->n_queues, sizeof *holding->queues);
    holding->circuits = intake->supervised ? intake->supervised->circuits : NULL;
    holding->owns_circuits = !holding->circuits;
    holding->wait_us = -1;
    if (holding->owns_circuits && (holding->circuits = bide_calloc(1, sizeof *holding->circuits)))
        bide_circuits_init(holding->circuits);
    if (!holding->queues || !holding->circuits)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return BIDE_OK;
}

void bide_holding_clear(struct bide_intake *intake)
{
    if (intake->holding.owns_circuits)
        bide_free(intake->holding.circuits);
    bide_free(intake->holding.queues);
}

/* NULL where the handler has no breaker. Looked for once a message has come. */
static struct bide_circuit_row *circuit_of(struct bide_intake *intake, struct bide_handler *handler)
{
    if (!handler->circuit && handler->config->breaker.failure_rate > 0)
        handler->circuit = bide_circuits_find(intake->holding.circuits, handler->config->type);
    return handler->circuit;
}

/* By an operator, or because its program does not start. */
static bool is_stopped(const struct bide_handler *handler)
{
    return handler->paused || bide_handler_is_down(handler);
}

static bool is_closed(const struct bide_handler *handler)
{
    return !handler->circuit || bide_circuit_is_closed(handler->circuit);
}

/* ---- one message ---- */

/* While a probe is out it may be over at any moment, however long it is allowed to take. */
static int64_t circuit_pause_ms(struct bide_intake *intake, const struct bide_handler *handler)
{
    if (is_closed(handler))
        return 0;
    int64_t wait_ms =
        bide_circuits_wait_ms(intake->holding.circuits, handler->circuit, bide_mono_ms(intake->clock));
    int64_t pause_ms = handler->config->breaker.pause_ms;
    return bide_circuit_is_half_open(handler->circuit) && wait_ms > pause_ms ? pause_ms : wait_ms;
}

/* An operator may resume at any moment; but what has long been paused need not come round all the time. */
static int64_t operator_pause_ms(const struct bide_intake *intake, const struct bide_handler *handler)
{
    if (!handler->paused)
        return 0;
    int64_t pause_ms = (bide_mono_ms(intake->clock) - intake->holding.changed_ms) / PAUSE_SHARE;
    return pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
}

int64_t bide_holding_pause_ms(struct bide_intake *intake, const struct bide_handler *handler)
{
    int64_t circuit_ms = circuit_pause_ms(intake, handler), paused_ms = operator_pause_ms(intake, handler);
    int64_t pause_ms = circuit_ms > paused_ms ? circuit_ms : paused_ms;
    if (pause_ms < SHORTEST_PAUSE_MS)
        pause_ms = SHORTEST_PAUSE_MS;
    return pause_ms + (int64_t)((double)pause_ms / 2 * erand48(intake->random));
}

static void give_back(
    struct bide_intake *intake, const struct bide_handler *handler, struct bide_delivery *delivery)
{
    int64_t due_ms = bide_wall_ms(intake->clock) + bide_holding_pause_ms(intake, handler);
    if (due_ms < delivery->message->due_ms)
        due_ms = delivery->message->due_ms;
    bide_intake_count(intake, delivery->message, handler, BIDE_COUNT_RELEASED, NULL, NULL);
    bide_intake_settle(intake, &(struct bide_settlement){
                                   .delivery = delivery,
                                   .verdict = BIDE_VERDICT_RETRY,
                                   .attempt = delivery->message->attempt,
                                   .due_ms = due_ms,
                               });
}

enum bide_admission bide_holding_admit(
    struct bide_intake *intake, struct bide_handler *handler, struct bide_delivery *delivery)
{
    struct bide_circuit_row *circuit = circuit_of(intake, handler);
    enum bide_admission admission = BIDE_ADMIT_RUN;
    if (is_stopped(handler) || intake->holding.queues[delivery->queue].paused)
        admission = BIDE_ADMIT_HOLD;
    else if (circuit)
        admission = bide_circuits_admit(
            intake->holding.circuits, circuit, handler->config, bide_mono_ms(intake->clock));
    if (admission == BIDE_ADMIT_HOLD)
        give_back(intake, handler, delivery);
    return admission;
}

bool bide_holding_report(struct bide_intake *intake, const struct bide_job *job, enum bide_sign sign)
{
    struct bide_circuit_row *circuit = job->handler->circuit;
    if (!circuit || (sign == BIDE_SIGN_NONE && !job->probe))
        return false;
    return bide_circuits_report(intake->holding.circuits, circuit, job->handler->config,
        bide_mono_ms(intake->clock), job->probe, sign);
}

/* ---- what an operator has paused ---- */

static struct bide_holding_queue *queue_of(struct bide_intake *intake, const struct bide_handler *handler)
{
    for (size_t i = 0; i < intake->config->n_queues; i++)
        if (strcmp(intake->config->queues[i].name, handler->config->queue) == 0)
            return &intake->holding.queues[i];
    return NULL; /* cannot be: the configuration was checked */
}

static bool is_paused(const struct bide_controls *controls, const char *name)
{
    return bide_controls_is_quiet(controls) || bide_controls_is_paused(controls, name);
}

static void pause_or_not(struct bide_holding *holding, bool *paused, bool now)
{
    holding->must_withdraw |= now && !*paused;
    holding->any_paused |= now;
    *paused = now;
}

static void read_controls(struct bide_intake *intake, const struct bide_controls *controls)
{
    struct bide_holding *holding = &intake->holding;
    holding->any_paused = false;
    for (size_t i = 0; i < intake->config->n_queues; i++)
        pause_or_not(
            holding, &holding->queues[i].paused, is_paused(controls, intake->config->queues[i].name));
    for (size_t i = 0; i < intake->handlers->n; i++) {
        struct bide_handler *handler = &intake->handlers->rows[i];
        const struct bide_holding_queue *queue = queue_of(intake, handler);
        bool paused = is_paused(controls, handler->config->type) || (queue && queue->paused);
        pause_or_not(holding, &handler->paused, paused);
    }
}

/* ---- what waits in hand ---- */

/* A probe is let through while its circuit is not closed. */
static bool is_to_wait(const void *user, const struct bide_job *job)
{
    const struct bide_intake *intake = user;
    return is_stopped(job->handler) || intake->holding.queues[job->delivery->queue].paused ||
           (!job->probe && !is_closed(job->handler));
}

static void give_back_job(struct bide_intake *intake, struct bide_job *job)
{
    bide_holding_report(intake, job, BIDE_SIGN_NONE);
    give_back(intake, job->handler, job->delivery);
    bide_job_append(&intake->free_jobs, job);
}

/* Those that have not begun. */
static void give_back_waiting(struct bide_intake *intake)
{
    struct bide_job_list from_pool = {0}, from_quarantine = {0};
    struct bide_job *job;
    intake->holding.must_withdraw = false;
    bide_pool_withdraw(intake->pool, is_to_wait, intake, &from_pool);
    bide_quarantine_withdraw(&intake->quarantine, is_to_wait, intake, &from_quarantine);
    while ((job = bide_job_pop(&from_pool))) {
        bide_intake_take_back(intake, job);
        give_back_job(intake, job);
    }
    while ((job = bide_job_pop(&from_quarantine)))
        give_back_job(intake, job);
}

void bide_holding_obey(struct bide_intake *intake)
{
    struct bide_holding *holding = &intake->holding;
    if (!intake->supervised || !intake->supervised->shared)
        return;
    const struct bide_controls *controls = &intake->supervised->shared->controls;
    uint32_t changes = bide_controls_changes(controls);
    if (changes == holding->changes)
        return;
    holding->changes = changes;
    holding->changed_ms = bide_mono_ms(intake->clock);
    read_controls(intake, controls);
    if (holding->must_withdraw)
        give_back_waiting(intake);
}

/* ---- once a round ---- */

/* One to probe with, or none; and when to look again. */
static size_t room_to_probe(struct bide_intake *intake, const struct bide_handler *handler, int64_t now_us)
{
    struct bide_holding *holding = &intake->holding;
    int64_t wait_us = bide_circuits_wait_ms(holding->circuits, handler->circuit, now_us / 1000) * 1000;
    int64_t look_us = wait_us > 0 && wait_us < LOOK_US ? wait_us : LOOK_US;
    holding->waits |= wait_us > 0;
    if (holding->wait_us < 0 || look_us < holding->wait_us)
        holding->wait_us = look_us;
    return wait_us == 0;
}

static void show_circuit(const struct bide_handler *handler)
{
    if (handler->circuit && handler->metrics)
        atomic_store_explicit(&handler->metrics->circuit,
            atomic_load_explicit(&handler->circuit->state, memory_order_relaxed), memory_order_relaxed);
}

/* How many more of this handler may be taken in: all, one to probe, or none. */
static size_t look_at(struct bide_intake *intake, struct bide_handler *handler, int64_t now_us)
{
    bool stopped = is_stopped(handler), held = stopped || !is_closed(handler);
    if (stopped && !handler->paused) { /* its program may start at any moment */
        intake->holding.waits = true;
        if (intake->holding.wait_us < 0 || intake->holding.wait_us > LOOK_US)
            intake->holding.wait_us = LOOK_US;
    }
    intake->holding.must_withdraw |= held && !handler->held;
    handler->held = held;
    show_circuit(handler);
    if (!is_closed(handler)) {
        size_t room = room_to_probe(intake, handler, now_us);
        return stopped ? 0 : room;
    }
    return stopped ? 0 : SIZE_MAX;
}

/* Most of the time nothing is held. */
static bool has_something_to_hold(const struct bide_intake *intake)
{
    if (intake->holding.any_paused)
        return true;
    for (size_t i = 0; i < intake->handlers->n; i++)
        if (intake->handlers->rows[i].held || is_stopped(&intake->handlers->rows[i]) ||
            !is_closed(&intake->handlers->rows[i]))
            return true;
    return false;
}

/* A queue gets the most that one of its handlers wants; one that no handler has as its own is held only where
 * it is paused itself. */
static void find_caps(struct bide_intake *intake, int64_t now_us)
{
    struct bide_holding *holding = &intake->holding;
    holding->wait_us = -1;
    holding->waits = holding->any_paused;
    for (size_t i = 0; i < intake->config->n_queues; i++)
        holding->queues[i].serves = false;
    if (!has_something_to_hold(intake))
        return;
    for (size_t i = 0; i < intake->handlers->n; i++) {
        struct bide_handler *handler = &intake->handlers->rows[i];
        size_t wanted = look_at(intake, handler, now_us);
        struct bide_holding_queue *queue = queue_of(intake, handler);
        if (queue && (!queue->serves || wanted > queue->cap))
            queue->cap = wanted;
        if (queue)
            queue->serves = true;
    }
    if (holding->must_withdraw)
        give_back_waiting(intake);
}

static size_t limit_of(const struct bide_holding_queue *queue, size_t limit)
{
    if (queue->paused)
        return 0;
    return queue->serves && queue->cap < limit ? queue->cap : limit;
}

void bide_holding_look(struct bide_intake *intake, int64_t now_us)
{
    if (intake->stage != BIDE_INTAKE_SERVING)
        return;
    find_caps(intake, now_us);
    for (size_t i = 0; i < intake->config->n_queues; i++) {
        struct bide_holding_queue *queue = &intake->holding.queues[i];
        size_t limit = limit_of(queue, intake->prefetch[i].limit);
        if (limit != queue->told)
            intake->receiver->ops->limit(intake->receiver, i, limit);
        queue->told = limit;
    }
}
