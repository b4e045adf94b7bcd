#include <stdio.h>

#include "broker/rabbitmq/objects.h"
#include "broker/rabbitmq/settings.h"

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
    for (int rung = climb->first; rung < BIDE_RMQ_RUNGS; rung++) {
        char where[BIDE_RMQ_HOLDING_NAME];
        int number = climb->numbers[rung];
        if (number > 0)
            add_hop(plan, bide_rmq_holding_name(name_space, rung, number, 1, where),
                number * bide_rmq_rung_unit_ms(rung));
    }
}

bide_code bide_rmq_explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error)
{
    struct bide_plan plan = {.passes = 0,
        .resolution_ms = bide_rmq_rung_unit_ms(BIDE_RMQ_RUNGS - 1),
        .method = "a holding queue for each decimal digit of the minutes and one for the seconds; a worker "
                  "takes the message early and lands the rest to the millisecond (bodies over 4 KiB: tenths "
                  "of a second first)"};
    if (delay_ms < 0 || delay_ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_USAGE, "a delay is from 0 to 3650 days");
    int64_t left = delay_ms;
    do {
        struct bide_rmq_climb climb;
        bide_rmq_climb_plan(left, false, 1, &climb);
        add_pass(&plan, options->name_space, &climb);
        left -= climb.held_ms;
        plan.passes++;
    } while (left >= BIDE_RMQ_EARLY_MS);
    if (delay_ms > 0)
        add_hop(&plan, "landing", left > 0 ? left : 0);
    *ret_plan = plan;
    return BIDE_OK;
}
