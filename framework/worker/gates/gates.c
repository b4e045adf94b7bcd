#include "worker/gates/gates.h"

#include <string.h>

#include "base/alloc.h"

/* What comes in passes them from the first to the last; an end is committed from the last to the first. The
 * limit is the last one: what it gives is used at once, and a run that is late comes back to it. */
static const struct bide_gate_kind *const table[] = {
    &bide_gate_stream,
    &bide_gate_transaction,
    &bide_gate_fit,
    &bide_gate_crash,
    &bide_gate_apart,
    &bide_gate_pause,
    &bide_gate_runner,
    &bide_gate_circuit,
    &bide_gate_marked,
    &bide_gate_once,
    &bide_gate_unique,
    &bide_gate_schedule, /* behind the key: a copy that is superseded must not stand for its slot */
    &bide_gate_limit,
};
enum { GATES = sizeof table / sizeof table[0] };
_Static_assert(GATES <= (int)BIDE_GATES_MAX, "a list has room for every gate");

/* It is there: the configuration was checked. */
static size_t find_queue(const struct bide_config *config, const char *name)
{
    size_t queue = 0;
    while (queue + 1 < config->n_queues && strcmp(config->queues[queue].name, name) != 0)
        queue++;
    return queue;
}

/* Opens those that some handler uses. */
static bide_code open_gate(struct bide_gates *gates, size_t i, bide_error *error)
{
    if (gates->all[i])
        return BIDE_OK;
    struct bide_gate *gate = gates->all[i] = bide_calloc(1, table[i]->size);
    if (!gate)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *gate = (struct bide_gate){.kind = table[i], .site = gates->site};
    return table[i]->open ? table[i]->open(gate, error) : BIDE_OK;
}

static bide_code make_list(struct bide_gates *gates, const struct bide_handler *handler, bide_error *error)
{
    struct bide_gate_list *list = &gates->lists[bide_gate_row(gates->site, handler)];
    if (handler)
        gates->queues[list->queue = find_queue(gates->site->config, handler->config->queue)].served = true;
    for (size_t i = 0; i < GATES; i++) {
        if (table[i]->serves && !table[i]->serves(gates->site, handler))
            continue;
        bide_code code = open_gate(gates, i, error);
        if (code != BIDE_OK)
            return code;
        list->gates[list->n++] = gates->all[i];
        list->commits |= table[i]->commit && table[i]->serves; /* of all: those that messages ask for */
    }
    return BIDE_OK;
}

bide_code bide_gates_open(struct bide_gates *gates, bide_error *error)
{
    const struct bide_site *site = gates->site;
    bide_quarantine_init(&gates->quarantine, (size_t)site->config->worker.threads, bide_mono_us(site->clock));
    gates->lists = bide_calloc(site->handlers->n + 1, sizeof *gates->lists);
    gates->queues = bide_calloc(site->config->n_queues, sizeof *gates->queues);
    if (!gates->lists || !gates->queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = make_list(gates, NULL, error);
    for (size_t i = 0; i < site->handlers->n && code == BIDE_OK; i++)
        code = make_list(gates, &site->handlers->rows[i], error);
    return code;
}

void bide_gates_close(struct bide_gates *gates)
{
    for (size_t i = 0; i < GATES; i++) {
        if (gates->all[i] && table[i]->close)
            table[i]->close(gates->all[i]);
        bide_free(gates->all[i]);
    }
    bide_free(gates->lists);
    bide_free(gates->queues);
}

/* ---- one delivery ---- */

static enum bide_gate_says ask(struct bide_gate *gate, struct bide_job *job, struct bide_gate_answer *answer)
{
    if (gate->kind->look)
        return gate->kind->look(gate, job, answer);
    return gate->kind->stops(gate, job) < 0 ? BIDE_GATE_PASS : BIDE_GATE_HOLD;
}

/* The gate that asked has seen the answer. */
static void drop_answer(struct bide_gates *gates, struct bide_job *job)
{
    if (job->errand)
        bide_clerk_free(gates->site->clerk, job->errand);
    job->errand = NULL;
}

static void hand(struct bide_gates *gates, struct bide_job *job, struct bide_errand *errand)
{
    errand->job = job;
    bide_clerk_hand(gates->site->clerk, errand);
}

enum bide_gate_says bide_gates_look(
    struct bide_gates *gates, struct bide_job *job, size_t limit, struct bide_gate_answer *answer)
{
    const struct bide_gate_list *list = job->gates = &gates->lists[bide_gate_row(gates->site, job->handler)];
    enum bide_gate_says says = BIDE_GATE_PASS;
    for (; job->asked < list->n && says == BIDE_GATE_PASS; job->asked++) {
        says = ask(list->gates[job->asked], job, answer);
        drop_answer(gates, job);
        if (says == BIDE_GATE_WAIT) {
            if (answer->errand)
                hand(gates, job, answer->errand);
            return says;
        }
        if (says == BIDE_GATE_ALONE) {
            job->suspect = true;
            says = bide_quarantine_is_full(&gates->quarantine, job->delivery->queue, limit) ? BIDE_GATE_HOLD
                                                                                            : BIDE_GATE_PASS;
            if (says == BIDE_GATE_PASS)
                answer->hold_ms = 0; /* a later gate that holds it says for how long */
        }
    }
    if (says == BIDE_GATE_PASS && job->suspect) {
        bide_job_append(&gates->quarantine.waiting, job);
        return BIDE_GATE_ALONE;
    }
    if (says == BIDE_GATE_PASS)
        return says;
    job->asked--;
    bide_gates_report(job, NULL);
    job->asked += says == BIDE_GATE_SETTLE; /* who settles it is told what was decided */
    if (says == BIDE_GATE_HOLD && answer->hold_ms == 0)
        answer->hold_ms = bide_gates_held_ms(gates, job);
    return says;
}

void bide_gates_report(struct bide_job *job, struct bide_run_result *result)
{
    for (unsigned i = job->asked; i-- > 0;) {
        struct bide_gate *gate = job->gates->gates[i];
        if (gate->kind->report)
            gate->kind->report(gate, job, result);
    }
}

void bide_gates_decided(const struct bide_job *job, const struct bide_decision *decision)
{
    for (unsigned i = job->asked; i-- > 0;) {
        struct bide_gate *gate = job->gates->gates[i];
        if (gate->kind->decided)
            gate->kind->decided(gate, job, decision);
    }
}

bool bide_gates_commit(struct bide_gates *gates, struct bide_job *job, struct bide_gate_end *end)
{
    for (; job->committed < job->gates->n; job->committed++) {
        struct bide_gate *gate = job->gates->gates[job->gates->n - 1 - job->committed];
        struct bide_errand *errand = gate->kind->commit ? gate->kind->commit(gate, job, end) : NULL;
        drop_answer(gates, job);
        if (!errand)
            continue;
        errand->ends = true;
        errand->decision = end->decision;
        errand->kind = end->kind;
        hand(gates, job, errand);
        return true;
    }
    return false;
}

/* ---- what waits in hand ---- */

/* The longest that one of them stops it for; -1: none does. */
static int64_t stop_ms(const struct bide_job *job)
{
    int64_t longest_ms = -1;
    for (unsigned i = 0; i < job->gates->n; i++) {
        struct bide_gate *gate = job->gates->gates[i];
        int64_t ms = gate->kind->stops ? gate->kind->stops(gate, job) : -1;
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    return longest_ms;
}

bool bide_gates_stop(const void *user, const struct bide_job *job)
{
    bool stopped = false;
    (void)user;
    for (unsigned i = 0; i < job->gates->n && !stopped; i++) {
        struct bide_gate *gate = job->gates->gates[i];
        if (gate->kind->is_stopped)
            stopped = gate->kind->is_stopped(gate, job);
        else if (gate->kind->stops)
            stopped = gate->kind->stops(gate, job) >= 0;
    }
    return stopped;
}

int64_t bide_gates_held_ms(struct bide_gates *gates, const struct bide_job *job)
{
    return bide_gate_held_ms(gates->site, stop_ms(job));
}

bool bide_gates_obey(struct bide_gates *gates)
{
    const struct bide_gate_list *list = &gates->lists[gates->site->handlers->n];
    bool begins = false;
    for (unsigned i = 0; i < list->n; i++)
        if (list->gates[i]->kind->obey)
            begins |= list->gates[i]->kind->obey(list->gates[i]);
    return begins;
}

/* ---- once a round ---- */

static size_t room_of(struct bide_gates *gates, const struct bide_handler *handler, size_t queue)
{
    const struct bide_gate_list *list = &gates->lists[bide_gate_row(gates->site, handler)];
    size_t least = SIZE_MAX;
    for (unsigned i = 0; i < list->n; i++) {
        struct bide_gate *gate = list->gates[i];
        size_t room = gate->kind->room ? gate->kind->room(gate, handler, queue, &gates->round) : SIZE_MAX;
        least = room < least ? room : least;
    }
    return least;
}

/* A queue gets the most that one of its handlers wants. */
static bool ask_handlers(struct bide_gates *gates)
{
    bool begins = false;
    for (size_t i = 0; i < gates->site->handlers->n; i++) {
        struct bide_gate_list *list = &gates->lists[i];
        size_t room = room_of(gates, &gates->site->handlers->rows[i], list->queue);
        size_t *cap = &gates->queues[list->queue].cap;
        *cap = room > *cap ? room : *cap;
        begins |= room < SIZE_MAX && !list->held;
        list->held = room < SIZE_MAX;
    }
    return begins;
}

bool bide_gates_round(struct bide_gates *gates, int64_t now_us)
{
    gates->round = (struct bide_gate_round){.now_us = now_us, .wait_us = -1};
    for (size_t i = 0; i < gates->site->config->n_queues; i++)
        gates->queues[i].cap = gates->queues[i].served ? 0 : room_of(gates, NULL, i);
    return ask_handlers(gates);
}
