/* broker/rabbitmq/link.h: one connection to the broker, logged in.
 *
 * Thread-safety: one thread at a time; it may be opened by one and handed to another. A failed call leaves
 * the link closed. The settings outlive the link. */
#ifndef BIDE_BROKER_RABBITMQ_LINK_H
#define BIDE_BROKER_RABBITMQ_LINK_H

#include "broker/rabbitmq/api.h"
#include "broker/rabbitmq/settings.h"

struct bide_rmq_link {
    const struct bide_rmq_settings *settings;
    amqp_connection_state_t amqp; /* NULL: closed */
    int fd;
    size_t frame_max; /* 0: the broker has not let us in */
    bool blocked;     /* the broker has an alarm and does not read published messages */
};

/* Connects to host number `first` (modulo their number), then tries each of the others, until one accepts the
 * login or says that none will (BIDE_E_CONFIG). Each takes at most the connect timeout. The broker's
 * management shows `role` ("intake") behind the client's name. Without `beats` there are no heartbeats: for
 * a thread that may leave the link alone for long. */
bide_code bide_rmq_link_open(struct bide_rmq_link *link, const struct bide_rmq_settings *settings,
    size_t first, const char *role, bool beats, bide_error *error);
/* From now on no call waits longer for an answer: the process is about to end. */
void bide_rmq_link_hurry(struct bide_rmq_link *link, int64_t within_ms);
/* Tells the broker if it still reads, closes the connection and frees everything. Also for a closed or zeroed
 * link. */
void bide_rmq_link_close(struct bide_rmq_link *link);
/* Closes without telling the broker: for a connection that is lost. */
void bide_rmq_link_drop(struct bide_rmq_link *link);

bide_code bide_rmq_link_open_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* For a channel that the broker has closed. */
bide_code bide_rmq_link_reopen_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* How long the link may go without a library call: half of the heartbeat interval, in microseconds; -1: any
 * time. */
int64_t bide_rmq_link_beat_us(const struct bide_rmq_link *link);

/* The earlier of two waits; a negative one never ends. */
static inline int64_t bide_rmq_sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

#endif
