/* broker/rabbitmq/envelope/envelope.h: a message as AMQP properties and headers, there and back.
 *
 * The framework's own headers ("bide-…") stand in one table, from which both reading and writing come. All
 * else that a message carries survives a retry or a replay unchanged, of whatever AMQP type it is, but for
 * what would harm it: see bide_rmq_draft_again. Any thread, an object at a time. */
#ifndef BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H
#define BIDE_BROKER_RABBITMQ_ENVELOPE_ENVELOPE_H

#include "base/buffer.h"
#include "broker/broker.h"
#include "broker/rabbitmq/api.h"

/* The framework's headers; 0 and {NULL, 0} are absent. An absent sent_ms is that of the properties; an absent
 * due_ms is sent_ms. */
struct bide_rmq_marks {
    int64_t due_ms, sent_ms, expires_ms;
    int64_t attempt;           /* of the next run; not written for the first */
    int64_t attempts, died_ms; /* of a dead letter: how many runs there were, and when it died */
    int64_t cut;               /* of a dead letter: the size of the body of which it has the beginning only */
    struct bide_slice queue, error, failures, reason;
};

/* ---- writing ---- */

/* Properties being put together; borrows from what it was made of. Reuse one for many messages. */
struct bide_rmq_draft {
    amqp_basic_properties_t properties;
    amqp_table_entry_t *entries;
    size_t n_entries, room;
    amqp_pool_t pool; /* of what was decoded again */
};

/* Bytes of encoded properties that a worker takes: with what is added to them by us (an error, reason, times)
 * and by the broker, they still fit into a frame of 128 KiB, or the message could be neither retried nor read
 * again. */
enum { BIDE_RMQ_PROPERTIES_MAX = 98304 };

void bide_rmq_draft_init(struct bide_rmq_draft *draft);
void bide_rmq_draft_release(struct bide_rmq_draft *draft);
/* What a new message has to say in headers, beyond its properties. Borrows its texts. */
void bide_rmq_marks_of_new(const struct bide_message *message, struct bide_rmq_marks *ret_marks);
/* What a received message says about itself, its queue among it. Borrows its texts. */
void bide_rmq_marks_of(const struct bide_message *message, struct bide_rmq_marks *ret_marks);
/* A new message's properties. False where there is no memory. */
bool bide_rmq_draft_new(
    struct bide_rmq_draft *draft, const struct bide_message *message, const struct bide_rmq_marks *marks);
/* A received message's properties, once more, under `id` and with these marks only. Left out: what RabbitMQ
 * notes about dead-lettering (a message that carries it is dropped as a cycle), CC and BCC (it would be
 * delivered twice), user_id (another user's closes the channel), expiration; and all of the sender's headers
 * where the properties are larger than BIDE_RMQ_PROPERTIES_MAX. False: no memory. */
bool bide_rmq_draft_again(
    struct bide_rmq_draft *draft, struct bide_slice raw, const char *id, const struct bide_rmq_marks *marks);

/* ---- reading ---- */

/* Room for the texts of headers; reuse one for many messages. */
struct bide_rmq_scratch {
    struct bide_buffer text;
    struct bide_header headers[BIDE_HEADERS_MAX];
    char id[BIDE_ID_TEXT];
};

/* The parts of a received message (all but body and queue), borrowed from properties and scratch, and its
 * marks. Without an id it gets one; without a due time it is due when it was sent, or now. Returns NULL, or
 * what is malformed (static): due time and attempt are then as if absent. */
const char *bide_rmq_read(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_marks *ret_marks);

#endif
