/* worker/gates/gates.h: the gates of a worker, as one. What a gate is: worker/gates/gate.h.
 *
 * Each handler has a list of its own: the rows of the table whose feature it uses, in the table's order. What
 * passes alone goes to the quarantine, which is here, too.
 *
 * Thread-safety: the intake thread's. */
#ifndef BIDE_WORKER_GATES_GATES_H
#define BIDE_WORKER_GATES_GATES_H

#include "worker/gates/gate.h"
#include "worker/gates/quarantine.h"

enum { BIDE_GATES_MAX = 13 };

struct bide_gate_list {
    struct bide_gate *gates[BIDE_GATES_MAX];
    unsigned n;
    size_t queue; /* the handler's own */
    bool held;    /* not everything of it may be taken in just now */
    bool commits; /* some of them may have to tell the store how a message ends */
};

struct bide_gates_queue {
    size_t cap;  /* how many deliveries are wanted in hand; SIZE_MAX: as many as the prefetch says */
    bool served; /* some handler has it as its own */
};

struct bide_gates {
    struct bide_site *site;
    struct bide_gate *all[BIDE_GATES_MAX];
    struct bide_gate_list *lists; /* by handler, and one for what has none */
    struct bide_gates_queue *queues;
    struct bide_gate_round round; /* the last one's */
    struct bide_quarantine quarantine;
};

/* `site` is set. close: also after a failed open, or none. */
bide_code bide_gates_open(struct bide_gates *gates, bide_error *error);
void bide_gates_close(struct bide_gates *gates);

/* May this job run now? ALONE: it is in the quarantine. WAIT: the clerk has it; when it comes back with an
 * answer, this is called again and goes on there. HOLD: for answer->hold_ms, which is set. With HOLD and
 * SETTLE the gates that it had passed have been told. limit: the prefetch of its queue. */
enum bide_gate_says bide_gates_look(
    struct bide_gates *gates, struct bide_job *job, size_t limit, struct bide_gate_answer *answer);
/* To the gates that it has passed, in reverse order: see bide_gate_kind. */
void bide_gates_report(struct bide_job *job, struct bide_run_result *result);
void bide_gates_decided(const struct bide_job *job, const struct bide_decision *decision);
/* True: the clerk has it until the store has been told how it ends; it comes back with the answer, and this
 * is called again. */
bool bide_gates_commit(struct bide_gates *gates, struct bide_job *job, struct bide_gate_end *end);

/* Both say whether something that waits in hand is to go back: what passes bide_gates_stop. */
bool bide_gates_obey(struct bide_gates *gates);                  /* before a batch is looked at */
bool bide_gates_round(struct bide_gates *gates, int64_t now_us); /* once a round: sets `queues` and `round` */
/* A bide_job_test. */
bool bide_gates_stop(const void *user, const struct bide_job *job);
/* For how long such a job is held. */
int64_t bide_gates_held_ms(struct bide_gates *gates, const struct bide_job *job);

#endif
