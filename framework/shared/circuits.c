#include "shared/circuits.h"

#include <stdio.h>
#include <string.h>

#include "base/process_lock.h"
#include "bide/log.h"

enum { REPORT_GRACE_MS = 2000 }; /* beyond its last moment, for a probe to be heard of */

void bide_circuits_init(struct bide_circuits *circuits)
{
    bide_process_lock_init(&circuits->lock);
}

/* A process that died inside left counts that are one off, or a probe that is soon taken for lost. */
static void lock(struct bide_circuits *circuits)
{
    bide_process_lock(&circuits->lock);
}

struct bide_circuit_row *bide_circuits_find(struct bide_circuits *circuits, const char *name)
{
    struct bide_circuit_row *found = NULL;
    lock(circuits);
    for (size_t i = 0; i < BIDE_CIRCUITS_MAX && !found; i++) {
        struct bide_circuit_row *circuit = &circuits->rows[i];
        if (!circuit->name[0])
            snprintf(circuit->name, sizeof circuit->name, "%s", name);
        if (strcmp(circuit->name, name) == 0)
            found = circuit;
    }
    bide_process_unlock(&circuits->lock);
    return found;
}

/* When nothing has been heard of a probe for so long, its process is dead. */
static int64_t lost_after_ms(const struct bide_handler_config *handler)
{
    int64_t run_ms = handler->timeout_ms > 0 ? handler->timeout_ms + handler->kill_after_ms
                                             : handler->breaker.max_pause_ms;
    return run_ms + REPORT_GRACE_MS;
}

enum bide_admission bide_circuits_admit(struct bide_circuits *circuits, struct bide_circuit_row *circuit,
    const struct bide_handler_config *handler, int64_t now_ms)
{
    if (bide_circuit_is_closed(circuit))
        return BIDE_ADMIT_RUN;
    lock(circuits);
    enum bide_admission admission = bide_breaker_admit(&circuit->breaker, now_ms, lost_after_ms(handler));
    int64_t open_ms = now_ms - circuit->breaker.opened_ms;
    atomic_store_explicit(&circuit->state, (int)circuit->breaker.state, memory_order_relaxed);
    bide_process_unlock(&circuits->lock);
    if (admission == BIDE_ADMIT_PROBE)
        bide_log(BIDE_LOG_INFO, "circuit half-open: one message is run as a probe",
            BIDE_STR("type", bide_handler_name(handler)), BIDE_INT("open_ms", open_ms));
    return admission;
}

static void log_change(enum bide_breaker_change change, const struct bide_handler_config *handler,
    const struct bide_breaker *breaker, int64_t now_ms)
{
    uint32_t runs, failures;
    bide_breaker_count(breaker, &runs, &failures);
    if (change == BIDE_BREAKER_OPENED)
        bide_log(BIDE_LOG_WARN, "circuit opened: messages of this type wait in the broker",
            BIDE_STR("type", bide_handler_name(handler)), BIDE_INT("failures", failures),
            BIDE_INT("runs", runs), BIDE_INT("window_ms", handler->breaker.window_ms),
            BIDE_INT("pause_ms", breaker->pause_ms));
    else if (change == BIDE_BREAKER_REOPENED)
        bide_log(BIDE_LOG_WARN, "circuit stays open: the probe failed",
            BIDE_STR("type", bide_handler_name(handler)), BIDE_INT("open_ms", now_ms - breaker->opened_ms),
            BIDE_INT("pause_ms", breaker->pause_ms));
    else if (change == BIDE_BREAKER_CLOSED)
        bide_log(BIDE_LOG_INFO, "circuit closed: the probe succeeded",
            BIDE_STR("type", bide_handler_name(handler)), BIDE_INT("open_ms", now_ms - breaker->opened_ms));
}

bool bide_circuits_report(struct bide_circuits *circuits, struct bide_circuit_row *circuit,
    const struct bide_handler_config *handler, int64_t now_ms, bool probe, enum bide_sign sign)
{
    lock(circuits);
    bool was_closed = circuit->breaker.state == BIDE_CIRCUIT_CLOSED;
    enum bide_breaker_change change =
        bide_breaker_report(&circuit->breaker, &handler->breaker, now_ms, probe, sign);
    const struct bide_breaker now = circuit->breaker;
    atomic_store_explicit(&circuit->state, (int)now.state, memory_order_relaxed);
    bide_process_unlock(&circuits->lock);
    log_change(change, handler, &now, now_ms);
    return !was_closed;
}

int64_t bide_circuits_wait_ms(
    struct bide_circuits *circuits, struct bide_circuit_row *circuit, int64_t now_ms)
{
    lock(circuits);
    int64_t wait_ms = bide_breaker_wait_ms(&circuit->breaker, now_ms);
    bide_process_unlock(&circuits->lock);
    return wait_ms;
}
