/* broker/rabbitmq/envelope/envelope.h: a message as AMQP properties and headers, and back.
 *
 * The framework's own headers ("bide-…") come from message/fields.h, for reading and writing alike. All other
 * headers and properties of a message survive a retry or a replay unchanged, whatever their AMQP type, except
 * harmful ones: see bide_rmq_draft_again. Any thread, an object at a time. */
#ifndef BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H
#define BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H

#include "base/buffer.h"
#include "broker/broker.h"
#include "broker/rabbitmq/api.h"

/* What the headers of a dead letter say beside the message. 0 and {NULL, 0} mean absent. */
struct bide_rmq_death {
    int64_t attempts; /* the number of its runs; writing takes it from the message's attempt */
    int64_t died_ms;
    int64_t cut; /* of one with only the beginning of its body: the size of the whole body */
    struct bide_slice reason;
};

/* ---- writing ---- */

/* Properties being composed. Borrows from what they are made of. Reuse one draft for many messages. */
struct bide_rmq_draft {
    amqp_basic_properties_t properties;
    amqp_table_entry_t *entries;
    size_t n_entries, room;
    amqp_pool_t pool; /* memory of properties that were decoded again */
};

/* A worker takes at most so many bytes of encoded properties. The framework (an error, a reason, times) and
 * the broker add to them, and all must still fit into a frame of 128 KiB: otherwise the message could neither
 * be retried nor read again. */
enum { BIDE_RMQ_PROPERTIES_MAX = 98304 };

void bide_rmq_draft_init(struct bide_rmq_draft *draft);
void bide_rmq_draft_release(struct bide_rmq_draft *draft);
/* Composes a new message's properties, or those of a dead letter that comes from elsewhere (death: not NULL).
 * False without memory. */
bool bide_rmq_draft_new(
    struct bide_rmq_draft *draft, const struct bide_message *message, const struct bide_rmq_death *death);
/* Composes a received message's properties again, with the attributes that `message` has now. Leaves out what
 * RabbitMQ notes about dead-lettering (it drops a message that carries such notes as a cycle), CC and BCC
 * (the message would be delivered twice), user_id (another user's closes the channel) and expiration; and all
 * of the sender's headers if the properties are larger than BIDE_RMQ_PROPERTIES_MAX. death: of a dead letter,
 * else NULL. is_held: it goes to a holding queue, where a header stands for its priority, because a message
 * of a higher priority there holds up the others (RabbitMQ 4.0 to 4.2). False without memory. */
bool bide_rmq_draft_again(struct bide_rmq_draft *draft, struct bide_slice raw,
    const struct bide_message *message, const struct bide_rmq_death *death, bool is_held);

/* ---- reading ---- */

/* Memory for the texts of headers. Reuse one for many messages. */
struct bide_rmq_scratch {
    struct bide_buffer text;
    struct bide_header headers[BIDE_HEADERS_MAX];
    char id[BIDE_ID_TEXT];
};

/* Reads the parts of a received message (all but the body; the queue only if a header says it) and what a
 * dead letter says besides; they borrow from properties and scratch. A message without an id gets one; one
 * without a due time is due when it was sent, or now. Returns NULL, or a static text that says what is
 * malformed: due time and attempt are then as if absent. */
const char *bide_rmq_read(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_death *ret_death);
/* The same for a message from a later queue: without the header bide-due, its expiration is its delay. It
 * counts from now, because nothing says for how long the message has waited: it may be late, and is never
 * early (docs/decisions/0034). */
const char *bide_rmq_read_later(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_death *ret_death);

#endif
