/* broker/rabbitmq/envelope/marks.h: the table of the framework's own headers. For this folder; any
 * thread. */
#ifndef BIDE_BROKER_RABBITMQ_ENVELOPE_MARKS_H
#define BIDE_BROKER_RABBITMQ_ENVELOPE_MARKS_H

#include "broker/rabbitmq/envelope/envelope.h"

struct bide_rmq_mark_row {
    const char *name;
    bool is_text;
    size_t offset; /* in struct bide_rmq_marks */
    int64_t max;   /* of a number; the least is 0 */
    const char *malformed;
};

enum { BIDE_RMQ_MARKS = 11 };
extern const struct bide_rmq_mark_row bide_rmq_mark_rows[BIDE_RMQ_MARKS];

/* The Unix ms in an id generated here (UUID version 7), or 0: together with the standard timestamp it says
 * when a message was sent, at no cost. Each header costs the broker a third of a message's handling on a
 * classic queue. */
int64_t bide_rmq_id_ms(struct bide_slice id);

/* Is it a header of the framework, or one with a meaning to RabbitMQ that must not get back? */
bool bide_rmq_header_is_own(amqp_bytes_t name);

/* An application's header with such a name travels under this prefix. */
#define BIDE_RMQ_KEPT "bide-app-"

#endif
