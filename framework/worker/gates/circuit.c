/* While the circuit of a type is open (outcome/breaker.h), nothing of it begins but one probe at a time. */
#include "base/alloc.h"
#include "worker/gates/gate.h"

enum { LOOK_US = 100 * 1000 }; /* another process may have closed a circuit */

struct circuit_gate {
    struct bide_gate gate;
    struct bide_circuits *circuits, *own; /* the supervisor's, or its own */
    struct bide_circuit_row **rows;       /* by handler; NULL: no message has come yet */
};

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)site;
    return handler && handler->config->breaker.failure_rate > 0;
}

static bide_code open(struct bide_gate *base, bide_error *error)
{
    struct circuit_gate *gate = (struct circuit_gate *)base;
    const struct bide_site *site = base->site;
    gate->rows = bide_calloc(site->handlers->n, sizeof(struct bide_circuit_row *));
    if (site->supervised)
        gate->circuits = site->supervised->circuits;
    else if ((gate->circuits = gate->own = bide_calloc(1, sizeof *gate->own)))
        bide_circuits_init(gate->own);
    return gate->rows && gate->circuits ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static void close(struct bide_gate *base)
{
    struct circuit_gate *gate = (struct circuit_gate *)base;
    bide_free(gate->own);
    bide_free(gate->rows);
}

/* NULL: it has none yet. */
static struct bide_circuit_row *row_of(const struct circuit_gate *gate, const struct bide_handler *handler)
{
    return gate->rows[bide_gate_row(gate->gate.site, handler)];
}

static bool is_open(const struct bide_circuit_row *row)
{
    return row && !bide_circuit_is_closed(row);
}

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct circuit_gate *gate = (struct circuit_gate *)base;
    const struct bide_handler_config *handler = job->handler->config;
    struct bide_circuit_row **row = &gate->rows[bide_gate_row(base->site, job->handler)];
    (void)answer;
    if (!*row && !(*row = bide_circuits_find(gate->circuits, bide_handler_name(handler))))
        return BIDE_GATE_PASS;
    enum bide_admission admission =
        bide_circuits_admit(gate->circuits, *row, handler, bide_mono_ms(base->site->clock));
    job->probe = admission == BIDE_ADMIT_PROBE;
    return admission == BIDE_ADMIT_HOLD ? BIDE_GATE_HOLD : BIDE_GATE_PASS;
}

static bool is_stopped(struct bide_gate *base, const struct bide_job *job)
{
    return !job->probe && is_open(row_of((struct circuit_gate *)base, job->handler));
}

/* While a probe is out it may be over at any moment, however long it is allowed to take. */
static int64_t stops(struct bide_gate *base, const struct bide_job *job)
{
    const struct circuit_gate *gate = (struct circuit_gate *)base;
    struct bide_circuit_row *row = row_of(gate, job->handler);
    if (!is_stopped(base, job))
        return -1;
    int64_t wait_ms = bide_circuits_wait_ms(gate->circuits, row, bide_mono_ms(base->site->clock));
    int64_t pause_ms = job->handler->config->breaker.pause_ms;
    return bide_circuit_is_half_open(row) && wait_ms > pause_ms ? pause_ms : wait_ms;
}

/* A crash is the handler's own; what it rejects, the message's; what it lacked here, this process's. */
static enum bide_sign sign_of(const struct bide_run *run, const struct bide_run_result *result)
{
    if (!result || result->handed_back || run->crashed || run->near_death || run->spared ||
        run->outcome == BIDE_DEAD)
        return BIDE_SIGN_NONE;
    return run->outcome == BIDE_DONE ? BIDE_SIGN_GOOD : BIDE_SIGN_BAD;
}

/* What fails while the circuit is not closed is no attempt of the message. */
static void report(struct bide_gate *base, struct bide_job *job, struct bide_run_result *result)
{
    const struct circuit_gate *gate = (struct circuit_gate *)base;
    struct bide_circuit_row *row = row_of(gate, job->handler);
    enum bide_sign sign = sign_of(&job->run, result);
    if (!row || (sign == BIDE_SIGN_NONE && !job->probe))
        return;
    bool spares = bide_circuits_report(
        gate->circuits, row, job->handler->config, bide_mono_ms(base->site->clock), job->probe, sign);
    job->probe = false;
    if (spares && sign == BIDE_SIGN_BAD)
        result->spared_ms = bide_gate_held_ms(base->site, stops(base, job));
}

static size_t room(
    struct bide_gate *base, const struct bide_handler *handler, size_t queue, struct bide_gate_round *round)
{
    const struct circuit_gate *gate = (struct circuit_gate *)base;
    struct bide_circuit_row *row = row_of(gate, handler);
    (void)queue;
    if (row && handler->metrics)
        atomic_store_explicit(&handler->metrics->circuit,
            atomic_load_explicit(&row->state, memory_order_relaxed), memory_order_relaxed);
    if (!is_open(row))
        return SIZE_MAX;
    int64_t wait_us = bide_circuits_wait_ms(gate->circuits, row, round->now_us / 1000) * 1000;
    bide_gate_hurry(round, wait_us > 0 && wait_us < LOOK_US ? wait_us : LOOK_US);
    round->waits |= wait_us > 0;
    return wait_us == 0; /* one to probe with */
}

const struct bide_gate_kind bide_gate_circuit = {.size = sizeof(struct circuit_gate),
    .open = open,
    .close = close,
    .serves = serves,
    .look = look,
    .report = report,
    .stops = stops,
    .is_stopped = is_stopped,
    .room = room};
