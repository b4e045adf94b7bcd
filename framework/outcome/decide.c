#include "outcome/decide.h"

#include "bide/message.h"
#include "outcome/backoff.h"

static struct bide_decision dead(enum bide_reason reason, int attempt)
{
    return (struct bide_decision){.verdict = BIDE_VERDICT_DEAD, .reason = reason, .attempt = attempt};
}

static enum bide_reason out_of_attempts(const struct bide_run_result *run)
{
    if (run->checks > 0)
        return BIDE_REASON_UNRESOLVED;
    if (run->timed_out)
        return BIDE_REASON_TIMEOUT;
    return run->crashes > 0 ? BIDE_REASON_CRASHED : BIDE_REASON_EXHAUSTED;
}

struct bide_decision bide_decide(
    const struct bide_retry_config *policy, const struct bide_run_result *run, int64_t now_ms, double random)
{
    if (run->handed_back)
        return (struct bide_decision){.verdict = BIDE_VERDICT_RELEASE, .attempt = run->attempt};
    if (run->outcome == BIDE_DONE)
        return (struct bide_decision){.verdict = BIDE_VERDICT_ACK, .attempt = run->attempt};
    if (run->outcome == BIDE_DEAD)
        return dead(BIDE_REASON_REJECTED, run->attempt);
    if (run->crashes > 0 && run->crashes >= policy->crash_attempts)
        return dead(BIDE_REASON_CRASHED, run->attempt);
    if (run->attempt >= (run->checks > 0 ? run->checks : policy->attempts) && run->spared_ms == 0)
        return dead(out_of_attempts(run), run->attempt);
    int64_t delay_ms = run->delay_ms >= 0 ? run->delay_ms : bide_backoff_ms(policy, run->attempt, random);
    if (delay_ms < run->spared_ms)
        delay_ms = run->spared_ms;
    if (delay_ms > BIDE_DELAY_MAX_MS)
        delay_ms = BIDE_DELAY_MAX_MS;
    return (struct bide_decision){.verdict = BIDE_VERDICT_RETRY,
        .attempt = run->attempt + (run->spared_ms == 0),
        .due_ms = now_ms + delay_ms};
}
