/* outcome/decide.h: decides what becomes of a message after a run. Nothing else decides that; pure, any
 * thread.
 *
 *   handed back                       -> release
 *   done                              -> ack
 *   retry, spared                     -> retry with the same attempt, after at least spared_ms
 *   retry, attempts left              -> retry at now + delay (the handler's own, else the policy's)
 *   retry, none left                  -> dead "exhausted"; "timeout" if that cancelled the last run
 *                                        "unresolved" where it asked about a transaction
 *   dead                              -> dead "rejected"
 *   crashed or hung (it ended its     -> as a failure to be retried, but dead "crashed" once it has crashed
 *   process)                             crash_attempts times, or when no attempt is left: then "timeout"
 *                                        if it hung */
#ifndef BIDE_OUTCOME_DECIDE_H
#define BIDE_OUTCOME_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "bide/handler.h"
#include "broker/broker.h"
#include "config/config.h"

/* The facts about the run. */
struct bide_run_result {
    bide_outcome outcome;
    int64_t delay_ms; /* RETRY: the handler's own, or BIDE_BY_POLICY */
    bool timed_out;   /* it ran longer than its timeout */
    int attempt;      /* of this run */
    int crashes; /* runs of the message that ended their process, this one included; 0: this one returned */
    int64_t spared_ms; /* > 0: its downstream is down, or this process lacks something: the attempt does not
                          count, and the retry waits at least so long */
    int checks;        /* it asks about a transaction, at most so often; 0: it asks for none */
    bool handed_back;  /* it was cut short or ended for reasons other than itself: as if it had not run */
};

struct bide_decision {
    enum bide_verdict verdict;
    enum bide_reason reason; /* DEAD */
    int attempt;             /* RETRY: of the next run; else of this one */
    int64_t due_ms;          /* RETRY */
};

/* random: in [0, 1), for the jitter. */
struct bide_decision bide_decide(
    const struct bide_retry_config *policy, const struct bide_run_result *run, int64_t now_ms, double random);

#endif
