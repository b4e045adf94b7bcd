/* outcome/backoff.h: how long to wait before the next attempt. Pure; any thread.
 *
 *   fixed        base
 *   linear       base × n
 *   exponential  base × 2^(n-1)
 *   fibonacci    base × F(n), F = 1, 1, 2, 3, 5 …
 *   list         the n-th entry; the last one when n goes beyond
 *
 * n counts failures so far (1 for the first). The cap bounds this value (not a list). Jitter then moves it by
 * up to ± jitter × value, so that messages which failed together are not retried together. */
#ifndef BIDE_OUTCOME_BACKOFF_H
#define BIDE_OUTCOME_BACKOFF_H

#include <stdint.h>

#include "config/config.h"

/* Milliseconds, 0 … BIDE_DELAY_MAX_MS. `random` is in [0, 1); 0.5 means no jitter. */
int64_t bide_backoff_ms(const struct bide_retry_config *policy, int failures, double random);

/* How long a message that always fails at once is retried until it is a dead letter: the sum of all its waits
 * without jitter, at most about BIDE_DELAY_MAX_MS. */
int64_t bide_backoff_total_ms(const struct bide_retry_config *policy);

#endif
