#include <stdio.h>
#include <string.h>

#include "broker/adapters.h"
#include "broker/redis/admin/admin.h"
#include "broker/redis/receiver.h"
#include "broker/redis/sender.h"
#include "broker/risk.h"

static bide_code explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error)
{
    (void)error;
    struct bide_plan plan = {.n_hops = 1, .passes = 1, .resolution_ms = 1};
    const char *queue = options->n_queues ? options->queues[0] : "<queue>";
    bool delayed = delay_ms > 0;
    snprintf(plan.hops[0].where, sizeof plan.hops[0].where, "{%.60s}:q:%.60s:%s", options->name_space, queue,
        delayed ? "delayed" : "ready");
    plan.hops[0].ms = delayed ? delay_ms : 0;
    plan.method = delayed
                      ? "a sorted set by due time; a worker claims it up to 200 ms ahead and runs it on its "
                        "millisecond"
                      : "a stream; a waiting worker is woken at once";
    *ret_plan = plan;
    return BIDE_OK;
}

static const char *risk(const struct bide_url *url)
{
    bool clear = strcmp(url->scheme, "redis") == 0 && bide_broker_shows_password(url);
    return clear ? "the password goes over the network in clear text: use rediss://" : NULL;
}

const struct bide_adapter bide_redis_adapter = {
    .name = "redis",
    .schemes = {"redis", "rediss", "redis+unix", NULL},
    .creates_queues = true,
    .landing_ms = BIDE_LANDING_MS,
    .open_sender = bide_redis_open_sender,
    .open_receiver = bide_redis_open_receiver,
    .open_admin = bide_redis_open_admin,
    .explain = explain,
    .risk = risk,
};
