/* broker/rabbitmq/envelope/marks.h: the table of the framework's own headers. For this folder; any
 * thread. */
#ifndef BIDE_BROKER_RABBITMQ_ENVELOPE_MARKS_H
#define BIDE_BROKER_RABBITMQ_ENVELOPE_MARKS_H

#include "broker/rabbitmq/envelope/envelope.h"

struct bide_rmq_mark_row {
    const char *name;
    const struct bide_field *field; /* NULL: a dead letter's own, at `offset` of struct bide_rmq_death */
    size_t offset;
    bool is_text;
    int64_t max; /* largest value of a number; the least is 0 */
    const char *malformed;
};

enum { BIDE_RMQ_DEATH_MARKS = 4, BIDE_RMQ_MARKS = BIDE_N_FIELDS + BIDE_RMQ_DEATH_MARKS };
extern const struct bide_rmq_mark_row bide_rmq_mark_rows[BIDE_RMQ_MARKS];

/* The Unix ms in an id that bide generated (UUID version 7), or 0. Together with the standard timestamp it
 * says when a message was sent, without a header: on a classic queue, each header costs the broker a third of
 * a message's handling. */
int64_t bide_rmq_id_ms(struct bide_slice id);

/* Is the header one of the framework's, or one that RabbitMQ would act upon if it were sent back? */
bool bide_rmq_header_is_own(amqp_bytes_t name);

/* An application's header that has such a name travels with this prefix. */
#define BIDE_RMQ_KEPT "bide-app-"

/* The priority of a message, while it is in a holding queue. */
#define BIDE_RMQ_PRIORITY "bide-priority"

#endif
