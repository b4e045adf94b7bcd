/* shared/circuits.h: the circuit breakers of a worker's handlers, shared by its processes.
 *
 * A table by handlers' names (bide_handler_name), in memory shared with the supervisor (or the worker's own,
 * where there is none), so that what one process has found out about a downstream spares the others'
 * messages. The rules are outcome/breaker.h; here are the lock, the table and the log.
 *
 * Thread-safety: each call takes the table's robust, process-shared lock; a state is read without it. Times
 * are monotonic ms. */
#ifndef BIDE_SHARED_CIRCUITS_H
#define BIDE_SHARED_CIRCUITS_H

#include <pthread.h>
#include <stdatomic.h>

#include "message/message.h"
#include "outcome/breaker.h"

enum { BIDE_CIRCUITS_MAX = 256 };

struct bide_circuit_row {
    char name[BIDE_HANDLER_NAME_MAX + 1]; /* "": free */
    _Atomic int state;                    /* enum bide_circuit */
    struct bide_breaker breaker;
};

struct bide_circuits {
    pthread_mutex_t lock;
    struct bide_circuit_row rows[BIDE_CIRCUITS_MAX];
};

/* In zeroed memory, before any fork. */
void bide_circuits_init(struct bide_circuits *circuits);

/* The circuit of a handler, added where it is new; NULL where the table is full: that one has no breaker. It
 * stays where it is. */
struct bide_circuit_row *bide_circuits_find(struct bide_circuits *circuits, const char *name);

/* May a message of this handler run? Logs where this begins to probe. */
enum bide_admission bide_circuits_admit(struct bide_circuits *circuits, struct bide_circuit_row *circuit,
    const struct bide_handler_config *handler, int64_t now_ms);

/* A run has ended (see bide_breaker_report); logs what changes. True where the circuit was not closed: what
 * failed is the downstream's fault, and no attempt of this message. */
bool bide_circuits_report(struct bide_circuits *circuits, struct bide_circuit_row *circuit,
    const struct bide_handler_config *handler, int64_t now_ms, bool probe, enum bide_sign sign);

/* See bide_breaker_wait_ms. */
int64_t bide_circuits_wait_ms(
    struct bide_circuits *circuits, struct bide_circuit_row *circuit, int64_t now_ms);

static inline bool bide_circuit_is_closed(const struct bide_circuit_row *circuit)
{
    return atomic_load_explicit(&circuit->state, memory_order_relaxed) == BIDE_CIRCUIT_CLOSED;
}

static inline bool bide_circuit_is_half_open(const struct bide_circuit_row *circuit)
{
    return atomic_load_explicit(&circuit->state, memory_order_relaxed) == BIDE_CIRCUIT_HALF_OPEN;
}

#endif
