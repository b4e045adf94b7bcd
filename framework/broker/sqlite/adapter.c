#include <stdio.h>

#include "broker/adapters.h"
#include "broker/sqlite/file.h"
#include "broker/sqlite/sqlite.h"

static bide_code explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error)
{
    struct bide_sqlite_file file;
    bide_code code = bide_sqlite_file_init(&file, options, error);
    if (code != BIDE_OK)
        return code;
    *ret_plan = (struct bide_plan){
        .n_hops = 1,
        .passes = 1,
        .resolution_ms = 1,
        .method = "a row waits in the order of due times; a worker takes it up to 250 ms early and starts it "
                  "on its millisecond",
    };
    ret_plan->hops[0].ms = delay_ms;
    snprintf(ret_plan->hops[0].where, sizeof ret_plan->hops[0].where, "table %s_waiting", file.name_space);
    bide_sqlite_file_clear(&file);
    return BIDE_OK;
}

const struct bide_adapter bide_sqlite_adapter = {
    .name = "sqlite",
    .schemes = {"sqlite"},
    .creates_queues = true,
    .landing_ms = BIDE_LANDING_MS,
    .open_sender = bide_sqlite_open_sender,
    .open_receiver = bide_sqlite_open_receiver,
    .open_admin = bide_sqlite_open_admin,
    .explain = explain,
};
