/* outcome/breaker.h: stops the runs of a handler while the downstream that it calls does not answer. Pure; if
 * threads or processes share one, they lock it.
 *
 *   closed     runs are counted over a sliding window; it opens after too many failures of enough runs, and
 *              after that many failures in a row, whatever went well before
 *   open       nothing runs for a pause
 *   half-open  one probe at a time; its success closes the circuit, its failure opens it for twice the pause
 *
 * A run counts if it says something about the downstream: it is done, or wants to be retried (a timeout too).
 * A rejected message says nothing about it.
 *
 * Times are monotonic ms. All zero is a closed circuit that has counted nothing. */
#ifndef BIDE_OUTCOME_BREAKER_H
#define BIDE_OUTCOME_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

enum { BIDE_BREAKER_SLICES = 10 }; /* slices of the window: old runs leave it a tenth at a time */

/* The values of the metric bide_circuit_state. */
enum bide_circuit { BIDE_CIRCUIT_CLOSED, BIDE_CIRCUIT_HALF_OPEN, BIDE_CIRCUIT_OPEN };

struct bide_breaker {
    enum bide_circuit state;
    bool probing;      /* HALF_OPEN: a probe is running */
    int64_t until_ms;  /* OPEN: no probe before; HALF_OPEN: when the running probe counts as lost */
    int64_t pause_ms;  /* the last pause */
    int64_t opened_ms; /* when it last went from closed to open */
    int in_a_row;      /* failures since the last success */
    int64_t slice;     /* number of the newest slice */
    uint32_t runs[BIDE_BREAKER_SLICES];
    uint32_t failures[BIDE_BREAKER_SLICES];
};

/* What to do with a message now. */
enum bide_admission {
    BIDE_ADMIT_RUN,
    BIDE_ADMIT_PROBE, /* run it, and report it as the probe */
    BIDE_ADMIT_HOLD,  /* not now: see bide_breaker_wait_ms */
};

/* What a run says about the downstream. */
enum bide_sign { BIDE_SIGN_GOOD, BIDE_SIGN_BAD, BIDE_SIGN_NONE };

enum bide_breaker_change {
    BIDE_BREAKER_SAME,
    BIDE_BREAKER_OPENED,
    BIDE_BREAKER_REOPENED,
    BIDE_BREAKER_CLOSED
};

/* lost_ms: after so long without a report the probe counts as lost, and another one may run. */
enum bide_admission bide_breaker_admit(struct bide_breaker *breaker, int64_t now_ms, int64_t lost_ms);

/* Called after a run. probe: it was admitted as one; a probe that did not run, or says nothing, is
 * BIDE_SIGN_NONE. Runs that began before the circuit opened change nothing. */
enum bide_breaker_change bide_breaker_report(struct bide_breaker *breaker,
    const struct bide_breaker_config *config, int64_t now_ms, bool probe, enum bide_sign sign);

/* How many ms until a probe may run; 0: now (or all may run). */
int64_t bide_breaker_wait_ms(const struct bide_breaker *breaker, int64_t now_ms);

/* The runs and failures in the window. */
void bide_breaker_count(const struct bide_breaker *breaker, uint32_t *ret_runs, uint32_t *ret_failures);

#endif
