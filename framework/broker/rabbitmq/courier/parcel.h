/* broker/rabbitmq/courier/parcel.h: a job's item as an AMQP message with its address. Courier thread. */
#ifndef BIDE_BROKER_RABBITMQ_COURIER_PARCEL_H
#define BIDE_BROKER_RABBITMQ_COURIER_PARCEL_H

#include "broker/rabbitmq/courier/courier.h"
#include "broker/rabbitmq/publisher.h"

/* Puts the item into the publisher. BIDE_E_DATA: it can never be published. */
bide_code bide_rmq_parcel_put(
    struct bide_rmq_publisher *publisher, struct bide_rmq_item *item, bide_error *error);

#endif
