#include "outcome/backoff.h"

#include <math.h>
#include <stddef.h>

#include "bide/message.h"

/* Computed in doubles: they hold every value up to 2^53 ms exactly, and do not overflow before the cap
 * applies. */
static double fixed(const struct bide_retry_config *policy, int failures)
{
    (void)failures;
    return (double)policy->base_ms;
}

static double linear(const struct bide_retry_config *policy, int failures)
{
    return (double)policy->base_ms * failures;
}

static double exponential(const struct bide_retry_config *policy, int failures)
{
    return ldexp((double)policy->base_ms, failures - 1);
}

static double fibonacci(const struct bide_retry_config *policy, int failures)
{
    double last = 0, next = 1;
    for (int i = 1; i < failures && next < (double)BIDE_DELAY_MAX_MS; i++) {
        double sum = last + next;
        last = next;
        next = sum;
    }
    return (double)policy->base_ms * next;
}

static double listed(const struct bide_retry_config *policy, int failures)
{
    size_t entry = (size_t)failures - 1;
    if (policy->n_list == 0)
        return 0;
    return (double)policy->list_ms[entry < policy->n_list ? entry : policy->n_list - 1];
}

static double (*const shapes[])(const struct bide_retry_config *, int) = {
    [BIDE_BACKOFF_FIXED] = fixed,
    [BIDE_BACKOFF_LINEAR] = linear,
    [BIDE_BACKOFF_EXPONENTIAL] = exponential,
    [BIDE_BACKOFF_FIBONACCI] = fibonacci,
    [BIDE_BACKOFF_LIST] = listed,
};

int64_t bide_backoff_ms(const struct bide_retry_config *policy, int failures, double random)
{
    double value = shapes[policy->backoff](policy, failures < 1 ? 1 : failures);
    if (policy->backoff != BIDE_BACKOFF_LIST)
        value = fmin(value, (double)policy->cap_ms);
    value += value * policy->jitter * (2 * random - 1);
    return (int64_t)fmin(fmax(value, 0), (double)BIDE_DELAY_MAX_MS);
}

int64_t bide_backoff_total_ms(const struct bide_retry_config *policy)
{
    int64_t total = 0;
    for (int failures = 1; failures < policy->attempts && total < BIDE_DELAY_MAX_MS; failures++)
        total += bide_backoff_ms(policy, failures, 0.5);
    return total;
}
