/* broker/rabbitmq/envelope/envelope.h: a message as AMQP properties and headers, and back.
 *
 * The framework's own headers ("bide-…") stand in one table, which both reading and writing use. All other
 * headers and properties of a message survive a retry or a replay unchanged, whatever their AMQP type, except
 * harmful ones: see bide_rmq_draft_again. Any thread, an object at a time. */
#ifndef BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H
#define BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H

#include "base/buffer.h"
#include "broker/broker.h"
#include "broker/rabbitmq/api.h"

/* The framework's headers; 0 and {NULL, 0} mean absent. If sent_ms is absent, the properties say when the
 * message was sent; if due_ms is absent, it is sent_ms. */
struct bide_rmq_marks {
    int64_t due_ms, sent_ms, expires_ms;
    int64_t attempt;           /* of the next run; not written for the first */
    int64_t attempts, died_ms; /* of a dead letter: the number of its runs, and when it died */
    int64_t cut; /* of a dead letter with only the beginning of its body: the size of the whole body */
    struct bide_slice queue, error, failures, reason;
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
/* The headers of a new message: what its properties do not say. Borrows its texts. */
void bide_rmq_marks_of_new(const struct bide_message *message, struct bide_rmq_marks *ret_marks);
/* The headers of a received message, the queue included. Borrows its texts. */
void bide_rmq_marks_of(const struct bide_message *message, struct bide_rmq_marks *ret_marks);
/* Composes a new message's properties. False without memory. */
bool bide_rmq_draft_new(
    struct bide_rmq_draft *draft, const struct bide_message *message, const struct bide_rmq_marks *marks);
/* Composes a received message's properties again, under `id` and with these marks only. Leaves out what
 * RabbitMQ notes about dead-lettering (it drops a message that carries such notes as a cycle), CC and BCC
 * (the message would be delivered twice), user_id (another user's closes the channel) and expiration; and all
 * of the sender's headers if the properties are larger than BIDE_RMQ_PROPERTIES_MAX. False without memory. */
bool bide_rmq_draft_again(
    struct bide_rmq_draft *draft, struct bide_slice raw, const char *id, const struct bide_rmq_marks *marks);

/* ---- reading ---- */

/* Memory for the texts of headers. Reuse one for many messages. */
struct bide_rmq_scratch {
    struct bide_buffer text;
    struct bide_header headers[BIDE_HEADERS_MAX];
    char id[BIDE_ID_TEXT];
};

/* Reads the parts of a received message (all but body and queue) and its marks; they borrow from properties
 * and scratch. A message without an id gets one; one without a due time is due when it was sent, or now.
 * Returns NULL, or a static text that says what is malformed: due time and attempt are then as if absent. */
const char *bide_rmq_read(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_marks *ret_marks);

#endif
