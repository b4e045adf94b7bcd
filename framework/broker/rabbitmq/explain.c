#include <stdio.h>

#include "broker/rabbitmq/ladder.h"
#include "broker/rabbitmq/objects.h"

static void add_hop(struct bide_plan *plan, const char *where, int64_t ms)
{
    if (plan->n_hops == BIDE_PLAN_HOPS)
        return;
    struct bide_plan_hop *hop = &plan->hops[plan->n_hops++];
    snprintf(hop->where, sizeof hop->where, "%s", where);
    hop->ms = ms;
}

static void add_pass(struct bide_plan *plan, const char *name_space, const struct bide_rmq_climb *climb)
{
    for (int rung = climb->first; rung >= 0; rung--) {
        char text[BIDE_RMQ_RUNG_TEXT], where[160];
        int digit = climb->digits[rung];
        if (digit == 0)
            continue;
        snprintf(where, sizeof where, "%.100s.hold.%s", name_space, bide_rmq_rung_text(rung, digit, text));
        add_hop(plan, where, digit * bide_rmq_rung_unit_ms(rung));
    }
}

bide_code bide_rmq_explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error)
{
    struct bide_plan plan = {.passes = 0,
        .resolution_ms = BIDE_RMQ_TICK_MS,
        .method = "holding queues, one for each decimal digit of the delay in 0.1 s, dead-letter from the "
                  "larger unit to the smaller; each hop begins 40 ms early, and a worker lands the rest to "
                  "the millisecond"};
    if (delay_ms < 0 || delay_ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_USAGE, "a delay is from 0 to 3650 days");
    int64_t left = delay_ms;
    do {
        struct bide_rmq_climb climb;
        bide_rmq_climb_plan(left, &climb);
        add_pass(&plan, options->name_space, &climb);
        left -= climb.held_ms;
        plan.passes++;
    } while (left >= BIDE_RMQ_TICK_MS);
    if (delay_ms > 0)
        add_hop(&plan, "landing", left);
    *ret_plan = plan;
    return BIDE_OK;
}
