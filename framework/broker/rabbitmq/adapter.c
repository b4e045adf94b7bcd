#include "broker/adapters.h"
#include "broker/rabbitmq/objects.h"

const struct bide_adapter bide_rabbitmq_adapter = {
    .name = "rabbitmq",
    .schemes = {"amqp", "amqps", NULL},
    .creates_queues = false,
    .open_sender = bide_rmq_open_sender,
    .open_receiver = bide_rmq_open_receiver,
    .open_admin = bide_rmq_open_admin,
    .explain = bide_rmq_explain,
};
