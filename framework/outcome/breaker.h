/* outcome/breaker.h: when to stop asking a downstream that does not answer. Pure; whoever shares one locks
 * it.
 *
 *   closed     runs are counted over a sliding window; too many failures of enough runs open it, and so do
 *              that many failures in a row, however much went well just before
 *   open       nothing runs for a pause
 *   half-open  one probe at a time; its success closes the circuit, its failure opens it for twice the pause
 *
 * Only what speaks of the downstream counts: a run that is done, or one that wants to be retried (timeouts
 * among them). A message that is rejected says nothing of it.
 *
 * Times are monotonic ms. All zero is a closed circuit that has counted nothing. */
#ifndef BIDE_OUTCOME_BREAKER_H
#define BIDE_OUTCOME_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

enum { BIDE_BREAKER_SLICES = 10 }; /* of the window: what is older leaves it a tenth at a time */

/* The numbers are those of the metric bide_circuit_state. */
enum bide_circuit { BIDE_CIRCUIT_CLOSED, BIDE_CIRCUIT_HALF_OPEN, BIDE_CIRCUIT_OPEN };

struct bide_breaker {
    enum bide_circuit state;
    bool probing;      /* HALF_OPEN: a probe is out */
    int64_t until_ms;  /* OPEN: no probe before; HALF_OPEN: when the probe that is out is taken for lost */
    int64_t pause_ms;  /* of the last opening */
    int64_t opened_ms; /* when it was closed last */
    int in_a_row;      /* failures since the last success */
    int64_t slice;     /* the number of the newest slice */
    uint32_t runs[BIDE_BREAKER_SLICES];
    uint32_t failures[BIDE_BREAKER_SLICES];
};

/* What may be done with a message now. */
enum bide_admission {
    BIDE_ADMIT_RUN,
    BIDE_ADMIT_PROBE, /* run it, and report it as the probe */
    BIDE_ADMIT_HOLD,  /* not now: see bide_breaker_wait_ms */
};

/* How the run told of the downstream. */
enum bide_sign { BIDE_SIGN_GOOD, BIDE_SIGN_BAD, BIDE_SIGN_NONE };

enum bide_breaker_change {
    BIDE_BREAKER_SAME,
    BIDE_BREAKER_OPENED,
    BIDE_BREAKER_REOPENED,
    BIDE_BREAKER_CLOSED
};

/* lost_ms: after so long without a report a probe is taken for lost, and another one may go. */
enum bide_admission bide_breaker_admit(struct bide_breaker *breaker, int64_t now_ms, int64_t lost_ms);

/* After a run. probe: it was admitted as one; a probe that did not run, or told nothing, is BIDE_SIGN_NONE.
 * What comes in of runs begun before the circuit opened changes nothing. */
enum bide_breaker_change bide_breaker_report(struct bide_breaker *breaker,
    const struct bide_breaker_config *config, int64_t now_ms, bool probe, enum bide_sign sign);

/* How long a probe has to wait at least: 0 where one may go now (or all may), else ms until one may. */
int64_t bide_breaker_wait_ms(const struct bide_breaker *breaker, int64_t now_ms);

/* What the window holds. */
void bide_breaker_count(const struct bide_breaker *breaker, uint32_t *ret_runs, uint32_t *ret_failures);

#endif
