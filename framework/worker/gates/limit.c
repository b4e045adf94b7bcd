/* `limited_by` of a handler: how often, and how many at once, its messages run across all workers. Steps and
 * letters: limit_inside.h. */
#include <string.h>

#include "base/alloc.h"
#include "worker/gates/limit_inside.h"

enum {
    THROTTLE_MS = 500, /* where a handler does not say how long */
    MEAN_FIRST_US = 100 * 1000,
    SLOW_US = 150 * 1000, /* what a run takes; QUICK_US: and not any more */
    QUICK_US = 50 * 1000,
    IN_HAND_MS = 250, /* of a limit without a key: how much of it is fetched ahead */
};

/* ---- opening ---- */

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)site;
    return handler && handler->config->limited_by;
}

static struct limit *find(struct limit_gate *gate, const char *name)
{
    size_t i = 0;
    while (strcmp(gate->limits[i].config->name, name) != 0) /* the configuration was checked */
        i++;
    return &gate->limits[i];
}

static bool has_own_queue(const struct bide_handlers *handlers, const struct bide_handler_config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < handlers->n; i++)
        n += strcmp(handlers->rows[i].config->queue, config->queue) == 0;
    return n == 1;
}

static void fill_handler(
    struct limit_gate *gate, struct limited *row, const struct bide_handler_config *config)
{
    for (; config->limited_by && config->limited_by[row->n]; row->n++) {
        row->limits[row->n] = find(gate, config->limited_by[row->n]);
        row->n_rates += row->limits[row->n]->config->rate.n > 0;
    }
    const struct bide_shared_limit_config *only = row->n == 1 ? row->limits[0]->config : NULL;
    row->simple = only && only->rate.n > 0 && only->concurrency == 0;
    row->keyless = row->simple && !only->key && has_own_queue(gate->gate.site->handlers, config);
}

static bide_code open(struct bide_gate *base, bide_error *error)
{
    struct limit_gate *gate = (struct limit_gate *)base;
    const struct bide_site *site = base->site;
    const struct bide_config *config = site->config;
    if (!site->clerk)
        return bide_fail(error, BIDE_E_CONFIG, "`limited_by` needs a store, and there is none");
    gate->limits = bide_calloc(config->n_limits, sizeof *gate->limits);
    gate->handlers = bide_calloc(site->handlers->n, sizeof *gate->handlers);
    gate->desks = bide_calloc(LIMIT_DESKS, sizeof *gate->desks);
    bool fine = gate->limits && gate->handlers && gate->desks;
    for (size_t i = 0; fine && i < config->n_limits; i++)
        gate->limits[gate->n_limits++] = (struct limit){.config = &config->limits[i],
            .terms = bide_limit_terms(&config->limits[i], (struct bide_slice){0}),
            .mean_us = MEAN_FIRST_US,
            .metrics = site->supervised
                           ? bide_metrics_limit(site->supervised->metrics, config->limits[i].name)
                           : NULL};
    for (size_t i = 0; fine && i < gate->n_limits; i++)
        limit_name_keys(&gate->limits[i]);
    for (size_t i = 0; fine && i < site->handlers->n; i++)
        fill_handler(gate, &gate->handlers[i], site->handlers->rows[i].config);
    bide_id_generate(gate->holder, site->clock);
    bide_clerk_begin(site->clerk);
    return fine ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static void close(struct bide_gate *base)
{
    struct limit_gate *gate = (struct limit_gate *)base;
    for (size_t i = 0; gate->handlers && i < base->site->handlers->n; i++)
        for (struct bide_limit_pass *pass = gate->handlers[i].spare, *next; pass; pass = next) {
            next = pass->next;
            bide_free(pass);
        }
    bide_free(gate->desks);
    bide_free(gate->handlers);
    bide_free(gate->limits);
}

/* ---- the gate ---- */

static enum bide_gate_says look(struct bide_gate *base, struct bide_job *job, struct bide_gate_answer *answer)
{
    struct limit_gate *gate = (struct limit_gate *)base;
    if (job->errand)
        return limit_judge(gate, job, answer);
    if (job->limits && job->limits->parked)
        return limit_start(gate, job, answer);
    if (job->limits) { /* it landed to ask, or began too late */
        bool waited = job->limits->waits;
        job->limits->waits = false;
        job->start_us = 0;
        return waited ? limit_take(gate, job, answer) : limit_try_again(gate, job, answer);
    }
    job->limits = limit_pass_create(
        gate, &gate->handlers[bide_gate_row(base->site, job->handler)], job->delivery->message);
    return job->limits ? limit_start(gate, job, answer) : bide_gate_hold_for_store(base->site, answer);
}

static void count_run(const struct limit_gate *gate, const struct bide_job *job)
{
    const struct bide_limit_pass *pass = job->limits;
    int64_t began_us = bide_mono_us(gate->gate.site->clock) - job->run.took_us + gate->clock.low_us;
    for (size_t i = 0; i < pass->handler->n; i++) {
        struct limit *limit = pass->handler->limits[i];
        limit->mean_us += (job->run.took_us - limit->mean_us) / 8;
        if (!limit->metrics)
            continue;
        bide_metrics_add(&limit->metrics->allowed, 1);
        bide_histogram_add(&limit->metrics->wait,
            pass->asked_us && began_us > pass->asked_us ? began_us - pass->asked_us : 0);
    }
}

/* What it calls said that it is too much: the key waits, and the attempt does not count. */
static void throttle(struct limit_gate *gate, struct bide_job *job, struct bide_run_result *result)
{
    const struct bide_limit_pass *pass = job->limits;
    int64_t wait_ms = job->run.delay_ms > 0 ? job->run.delay_ms : THROTTLE_MS;
    const char *name = job->run.throttled;
    for (size_t i = 0; i < pass->handler->n; i++) {
        struct limit *limit = pass->handler->limits[i];
        if (*name && strcmp(name, limit->config->name) != 0)
            continue;
        limit_throttle(gate, pass, i, wait_ms);
        struct limit_desk *desk = limit_desk_of(gate, pass);
        if (desk)
            desk->n = 0;
        if (limit->metrics)
            bide_metrics_add(&limit->metrics->throttled, 1);
        result->spared_ms = result->spared_ms > wait_ms ? result->spared_ms : wait_ms;
    }
}

static void report(struct bide_gate *base, struct bide_job *job, struct bide_run_result *result)
{
    struct limit_gate *gate = (struct limit_gate *)base;
    if (!job->limits)
        return;
    if (result)
        count_run(gate, job);
    if (result && result->outcome == BIDE_RETRY && job->run.throttled)
        throttle(gate, job, result);
    limit_leave(gate, job);
}

/* Of slow runs no more is fetched than has a thread. That costs a thread a moment between two runs; and a new
 * limit of a queue may cost a broker something, so it changes seldom. */
static size_t threads_of(
    const struct limit_gate *gate, struct limited *row, const struct bide_handler_config *handler)
{
    int64_t mean_us = row->limits[0]->mean_us;
    row->slow = mean_us > SLOW_US || (row->slow && mean_us > QUICK_US);
    if (!row->slow || handler->program) /* how many a program runs at once, it says itself */
        return SIZE_MAX;
    int threads = gate->gate.site->config->worker.threads, most = handler->concurrency;
    return (size_t)(most > 0 && most < threads ? most : threads);
}

static size_t room(
    struct bide_gate *base, const struct bide_handler *handler, size_t queue, struct bide_gate_round *round)
{
    struct limit_gate *gate = (struct limit_gate *)base;
    struct limited *row = &gate->handlers[bide_gate_row(base->site, handler)];
    (void)queue;
    if (bide_clerk_is_away(base->site->clerk)) {
        round->waits = true;
        return 0;
    }
    if (!row->keyless)
        return SIZE_MAX;
    const struct bide_rate *rate = &row->limits[0]->terms.rate;
    size_t ahead = (size_t)(rate->n * IN_HAND_MS / rate->window_ms) + 1,
           threads = threads_of(gate, row, handler->config);
    return ahead < threads ? ahead : threads;
}

const struct bide_gate_kind bide_gate_limit = {.size = sizeof(struct limit_gate),
    .open = open,
    .close = close,
    .serves = serves,
    .look = look,
    .report = report,
    .room = room};
