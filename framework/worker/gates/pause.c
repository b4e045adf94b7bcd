/* What an operator has paused (shared/controls.h): a type, a handler, a queue, or everything. Nothing of it
 * begins. */
#include "base/alloc.h"
#include "worker/gates/gate.h"

enum {
    LONGEST_PAUSE_MS = 5000, /* how late a message that was given back may be after the resumption */
    PAUSE_SHARE = 8,         /* of the time that it has been paused for */
};

struct pause_gate {
    struct bide_gate gate;
    bool *queues, *handlers; /* that are paused */
    bool any;
    uint32_t changes;   /* of the controls, as seen last */
    int64_t changed_ms; /* monotonic: when that was */
};

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)handler;
    return site->supervised;
}

static bide_code open(struct bide_gate *base, bide_error *error)
{
    struct pause_gate *gate = (struct pause_gate *)base;
    size_t n_queues = base->site->config->n_queues;
    gate->queues = bide_calloc(n_queues + base->site->handlers->n, sizeof *gate->queues);
    if (!gate->queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    gate->handlers = gate->queues + n_queues;
    return BIDE_OK;
}

static void close(struct bide_gate *base)
{
    bide_free(((struct pause_gate *)base)->queues);
}

/* True where it is paused now and was not. */
static bool pause_or_not(struct pause_gate *gate, bool *paused, bool now)
{
    bool begins = now && !*paused;
    gate->any |= now;
    *paused = now;
    return begins;
}

static bool is_paused(const struct bide_controls *controls, const char *name)
{
    return bide_controls_is_quiet(controls) || bide_controls_is_paused(controls, name);
}

static bool read_controls(struct pause_gate *gate, const struct bide_controls *controls)
{
    const struct bide_site *site = gate->gate.site;
    bool begins = false;
    gate->any = false;
    for (size_t i = 0; i < site->config->n_queues; i++)
        begins |= pause_or_not(gate, &gate->queues[i], is_paused(controls, site->config->queues[i].name));
    for (size_t i = 0; i < site->handlers->n; i++) {
        const struct bide_handler_config *handler = site->handlers->rows[i].config;
        bool paused = is_paused(controls, handler->type) || is_paused(controls, handler->queue) ||
                      (handler->name && is_paused(controls, handler->name));
        begins |= pause_or_not(gate, &gate->handlers[i], paused);
    }
    return begins;
}

static bool obey(struct bide_gate *base)
{
    struct pause_gate *gate = (struct pause_gate *)base;
    const struct bide_controls *controls = &base->site->supervised->shared->controls;
    uint32_t changes = bide_controls_changes(controls);
    if (changes == gate->changes)
        return false;
    gate->changes = changes;
    gate->changed_ms = bide_mono_ms(base->site->clock);
    return read_controls(gate, controls);
}

/* An operator may resume at any moment; but what has long been paused need not come round all the time. */
static int64_t stops(struct bide_gate *base, const struct bide_job *job)
{
    const struct pause_gate *gate = (struct pause_gate *)base;
    if (!gate->any ||
        !(gate->queues[job->delivery->queue] || gate->handlers[bide_gate_row(base->site, job->handler)]))
        return -1;
    int64_t pause_ms = (bide_mono_ms(base->site->clock) - gate->changed_ms) / PAUSE_SHARE;
    return pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
}

static size_t room(
    struct bide_gate *base, const struct bide_handler *handler, size_t queue, struct bide_gate_round *round)
{
    const struct pause_gate *gate = (struct pause_gate *)base;
    round->waits |= gate->any;
    return (handler ? gate->handlers[bide_gate_row(base->site, handler)] : gate->queues[queue]) ? 0
                                                                                                : SIZE_MAX;
}

const struct bide_gate_kind bide_gate_pause = {.size = sizeof(struct pause_gate),
    .open = open,
    .close = close,
    .serves = serves,
    .obey = obey,
    .stops = stops,
    .room = room};
