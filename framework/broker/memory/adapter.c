/* The smallest adapter there is: broker/broker.h with nothing around it. Who writes another one begins here.
 */
#include <stdio.h>

#include "broker/adapters.h"
#include "broker/memory/store.h"

static bide_code explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error)
{
    (void)options, (void)error;
    *ret_plan = (struct bide_plan){
        .n_hops = 1,
        .passes = 1,
        .resolution_ms = 1,
        .method =
            "a list in the order of due times; a worker takes a message up to 250 ms early and starts it on "
            "its millisecond",
    };
    ret_plan->hops[0].ms = delay_ms;
    snprintf(ret_plan->hops[0].where, sizeof ret_plan->hops[0].where, "this process's memory");
    return BIDE_OK;
}

const struct bide_adapter bide_memory_adapter = {
    .name = "memory",
    .schemes = {"memory"},
    .creates_queues = true,
    .landing_ms = BIDE_LANDING_MS,
    .one_process = true,
    .open_sender = bide_memory_open_sender,
    .open_receiver = bide_memory_open_receiver,
    .open_admin = bide_memory_open_admin,
    .explain = explain,
};
