#include "broker/adapters.h"
#include "broker/rabbitmq/ladder.h"
#include "broker/rabbitmq/objects.h"

static const char *const beside_url[] = {"queue_type", "ladder_shards", NULL};

_Static_assert((int)BIDE_RMQ_LANDING_MS <= (int)BIDE_LANDING_MAX_MS, "broker.h promises that");

const struct bide_adapter bide_rabbitmq_adapter = {
    .name = "rabbitmq",
    .schemes = {"amqp", "amqps", NULL},
    .creates_queues = false,
    .marks = true,
    .landing_ms = BIDE_RMQ_LANDING_MS,
    .open_sender = bide_rmq_open_sender,
    .open_receiver = bide_rmq_open_receiver,
    .open_admin = bide_rmq_open_admin,
    .explain = bide_rmq_explain,
    .beside_url = beside_url,
    .risk = bide_rmq_risk,
};
