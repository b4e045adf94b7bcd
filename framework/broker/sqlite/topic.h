/* broker/sqlite/topic.h: topics and their subscriptions, in the table `subscription`.
 *
 * A message for a topic is copied in the transaction that sends it: one row a subscription, each a message
 * like any other. The transaction holds the write lock, so it sees every subscription whose join has
 * returned. Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_TOPIC_H
#define BIDE_BROKER_SQLITE_TOPIC_H

#include "broker/sqlite/row.h"

/* Within a transaction: stores a message for its queue or, addressed to a topic, a copy for each
 * subscription. Where there is none, stores it as an unrouted dead letter. */
bide_code bide_sqlite_send(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error);
/* Of a message to a topic: the copies. *ret_n: how many. */
bide_code bide_sqlite_fan_out(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, size_t *ret_n, bide_error *error);

/* In a transaction of its own. joins: ended by NULL; with none, nothing happens. */
bide_code bide_sqlite_join(
    struct bide_sqlite_file *file, char *const *joins, int64_t wait_us, bide_error *error);
bide_code bide_sqlite_unjoin(
    struct bide_sqlite_file *file, const char *subscription, int64_t wait_us, bide_error *error);

#endif
