#include "outcome/breaker.h"

#include <string.h>

static void forget_counts(struct bide_breaker *breaker)
{
    memset(breaker->runs, 0, sizeof breaker->runs);
    memset(breaker->failures, 0, sizeof breaker->failures);
    breaker->in_a_row = 0;
}

/* Moves the window to now and forgets the runs that have left it. Returns the index of the newest slice. */
static size_t turn_to(struct bide_breaker *breaker, const struct bide_breaker_config *config, int64_t now_ms)
{
    int64_t length_ms = config->window_ms / BIDE_BREAKER_SLICES;
    int64_t slice = now_ms / (length_ms > 0 ? length_ms : 1);
    if (slice - breaker->slice >= BIDE_BREAKER_SLICES || slice < breaker->slice) {
        forget_counts(breaker);
        breaker->slice = slice;
    }
    while (breaker->slice < slice) {
        size_t next = (size_t)(++breaker->slice % BIDE_BREAKER_SLICES);
        breaker->runs[next] = breaker->failures[next] = 0;
    }
    return (size_t)(slice % BIDE_BREAKER_SLICES);
}

void bide_breaker_count(const struct bide_breaker *breaker, uint32_t *ret_runs, uint32_t *ret_failures)
{
    *ret_runs = *ret_failures = 0;
    for (size_t i = 0; i < BIDE_BREAKER_SLICES; i++) {
        *ret_runs += breaker->runs[i];
        *ret_failures += breaker->failures[i];
    }
}

static void open_for(struct bide_breaker *breaker, int64_t now_ms, int64_t pause_ms)
{
    breaker->state = BIDE_CIRCUIT_OPEN;
    breaker->probing = false;
    breaker->pause_ms = pause_ms;
    breaker->until_ms = now_ms + pause_ms;
}

static bool exceeds(const struct bide_breaker_config *config, uint32_t runs, uint32_t failures)
{
    return runs >= (uint32_t)config->min_runs && failures >= config->failure_rate * runs;
}

static enum bide_breaker_change count_run(struct bide_breaker *breaker,
    const struct bide_breaker_config *config, int64_t now_ms, enum bide_sign sign)
{
    uint32_t runs, failures;
    size_t slice = turn_to(breaker, config, now_ms);
    breaker->runs[slice]++;
    breaker->failures[slice] += sign == BIDE_SIGN_BAD;
    breaker->in_a_row = sign == BIDE_SIGN_BAD ? breaker->in_a_row + 1 : 0;
    if (sign != BIDE_SIGN_BAD)
        return BIDE_BREAKER_SAME;
    bide_breaker_count(breaker, &runs, &failures);
    if (breaker->in_a_row < config->min_runs && !exceeds(config, runs, failures))
        return BIDE_BREAKER_SAME;
    breaker->opened_ms = now_ms;
    open_for(breaker, now_ms, config->pause_ms);
    return BIDE_BREAKER_OPENED;
}

static enum bide_breaker_change end_probe(struct bide_breaker *breaker,
    const struct bide_breaker_config *config, int64_t now_ms, enum bide_sign sign)
{
    int64_t twice_ms =
        breaker->pause_ms < config->max_pause_ms / 2 ? breaker->pause_ms * 2 : config->max_pause_ms;
    breaker->probing = false;
    if (sign == BIDE_SIGN_NONE)
        return BIDE_BREAKER_SAME;
    if (sign == BIDE_SIGN_BAD) {
        open_for(breaker, now_ms, twice_ms);
        return BIDE_BREAKER_REOPENED;
    }
    breaker->state = BIDE_CIRCUIT_CLOSED;
    forget_counts(breaker); /* earlier failures say nothing about the downstream now */
    return BIDE_BREAKER_CLOSED;
}

enum bide_admission bide_breaker_admit(struct bide_breaker *breaker, int64_t now_ms, int64_t lost_ms)
{
    if (breaker->state == BIDE_CIRCUIT_CLOSED)
        return BIDE_ADMIT_RUN;
    if (bide_breaker_wait_ms(breaker, now_ms) > 0)
        return BIDE_ADMIT_HOLD;
    breaker->state = BIDE_CIRCUIT_HALF_OPEN;
    breaker->probing = true;
    breaker->until_ms = now_ms + lost_ms;
    return BIDE_ADMIT_PROBE;
}

enum bide_breaker_change bide_breaker_report(struct bide_breaker *breaker,
    const struct bide_breaker_config *config, int64_t now_ms, bool probe, enum bide_sign sign)
{
    if (probe && breaker->state == BIDE_CIRCUIT_HALF_OPEN)
        return end_probe(breaker, config, now_ms, sign);
    if (breaker->state == BIDE_CIRCUIT_CLOSED && sign != BIDE_SIGN_NONE)
        return count_run(breaker, config, now_ms, sign);
    return BIDE_BREAKER_SAME;
}

int64_t bide_breaker_wait_ms(const struct bide_breaker *breaker, int64_t now_ms)
{
    bool waits =
        breaker->state == BIDE_CIRCUIT_OPEN || (breaker->state == BIDE_CIRCUIT_HALF_OPEN && breaker->probing);
    return waits && breaker->until_ms > now_ms ? breaker->until_ms - now_ms : 0;
}
