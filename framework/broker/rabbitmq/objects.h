/* broker/rabbitmq/objects.h: the functions that open the adapter's three objects. Ownership and threads as in
 * broker/broker.h. */
#ifndef BIDE_BROKER_RABBITMQ_OBJECTS_H
#define BIDE_BROKER_RABBITMQ_OBJECTS_H

#include "broker/broker.h"

bide_code bide_rmq_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error);
bide_code bide_rmq_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error);
bide_code bide_rmq_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error);
bide_code bide_rmq_explain(const struct bide_broker_options *options, int64_t delay_ms,
    struct bide_plan *ret_plan, bide_error *error);
const char *bide_rmq_risk(const struct bide_url *url);

#endif
