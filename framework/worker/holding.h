/* worker/holding.h: messages that are not to run now, and how they stay in the broker.
 *
 * While the circuit of a type is open (outcome/breaker.h), or an operator has paused it, its queue or
 * everything (shared/controls.h), nothing of it begins. A queue whose handlers are all held is not taken
 * from at all; from one that also serves others, what comes goes back for later, with the attempt it came
 * with. A probe is let through alone.
 *
 * Part of the intake: its thread, its state. */
#ifndef BIDE_WORKER_HOLDING_H
#define BIDE_WORKER_HOLDING_H

#include "dispatch/handler.h"
#include "outcome/breaker.h"

struct bide_intake;
struct bide_circuits;

struct bide_holding_queue {
    size_t cap;  /* deliveries that its handlers want in hand; SIZE_MAX: as many as the prefetch allows */
    size_t told; /* the limit that the receiver has been told */
    bool serves; /* `cap` holds: some handler has it as its queue */
    bool paused; /* by an operator */
};

/* What the intake knows of it. */
struct bide_holding {
    struct bide_circuits *circuits; /* the supervisor's, or its own */
    bool owns_circuits;
    struct bide_holding_queue *queues;
    int64_t wait_us;    /* how soon to look again; -1: when something happens */
    uint32_t changes;   /* of the controls, as seen last */
    int64_t changed_ms; /* monotonic: when that was */
    bool any_paused;
    bool must_withdraw; /* something is held that was not: what waits in hand is to go back */
    bool waits;         /* messages may lie in the broker that this worker does not take just now */
};

/* supervised must be set. clear: also after a failed init, or none. */
bide_code bide_holding_init(struct bide_intake *intake, bide_error *error);
void bide_holding_clear(struct bide_intake *intake);

/* Before what has just come in is sorted: obeys what an operator has told since. */
void bide_holding_obey(struct bide_intake *intake);

/* Once a round: gives back what waits in the pool or in quarantine and is held now, and tells the receiver
 * how much of each queue is wanted. */
void bide_holding_look(struct bide_intake *intake, int64_t now_us);

/* A delivery for this handler: may it run? HOLD: it has been given back. */
enum bide_admission bide_holding_admit(
    struct bide_intake *intake, struct bide_handler *handler, struct bide_delivery *delivery);

/* What a run (or a job that was given back without one: BIDE_SIGN_NONE) tells of the handler's downstream.
 * True where a failure is no attempt of the message. */
bool bide_holding_report(struct bide_intake *intake, const struct bide_job *job, enum bide_sign sign);

/* How long a message of this handler is best kept away, in ms: until its circuit may be probed, and a little
 * more, so that not all come back at once. */
int64_t bide_holding_pause_ms(struct bide_intake *intake, const struct bide_handler *handler);

#endif
