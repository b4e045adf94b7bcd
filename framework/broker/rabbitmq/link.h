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
    size_t frame_max;
    bool blocked; /* the broker has an alarm and does not read what we publish */
};

/* Connects to the host number `first` (modulo their number) and, failing that, to each of the others, until
 * one lets us in or says that nobody will (BIDE_E_CONFIG). Takes at most the connect timeout for each. `role`
 * is shown by the broker's management behind the client's name: "inbound". Without `beats` there are no
 * heartbeats: for a link whose thread may be away for long. */
bide_code bide_rmq_link_open(struct bide_rmq_link *link, const struct bide_rmq_settings *settings,
    size_t first, const char *role, bool beats, bide_error *error);
/* The end is near: no answer is waited for longer than a second from now on. */
void bide_rmq_link_hurry(struct bide_rmq_link *link);
/* Says good-bye where the broker listens, and frees everything. Also a closed or zeroed link. */
void bide_rmq_link_close(struct bide_rmq_link *link);
/* Without good-bye: for a connection known to be lost. */
void bide_rmq_link_drop(struct bide_rmq_link *link);

bide_code bide_rmq_link_open_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* After the broker has closed the channel. */
bide_code bide_rmq_link_reopen_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error);
/* How long the link may go without a library call: half of the heartbeat interval, in microseconds; -1: for
 * ever. */
int64_t bide_rmq_link_beat_us(const struct bide_rmq_link *link);

/* The earlier of two waits; negative ones last for ever. */
static inline int64_t bide_rmq_sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

#endif
