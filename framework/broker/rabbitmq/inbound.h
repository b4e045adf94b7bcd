/* broker/rabbitmq/inbound.h: the inbound connection, on which the receiver consumes: a channel for each of
 * a queue's parts.
 *
 * After consuming has begun, no call here waits for an answer: the library would throw away frames of other
 * channels meanwhile. Prefetch and consumers are set by methods whose answers are skipped when they arrive.
 *
 * The channels do not depend on each other: if a queue was deleted, may not be read, or had a delivery in
 * hand longer than the broker allows, the broker closes its channel only.
 *
 * Thread-safety: the intake thread alone. Failure: a failed call has dropped the connection; its deliveries
 * can no longer be settled (their generation is over). */
#ifndef BIDE_BROKER_RABBITMQ_INBOUND_H
#define BIDE_BROKER_RABBITMQ_INBOUND_H

#include "broker/rabbitmq/delivery.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/tags.h"
#include "broker/rabbitmq/topology.h"
#include "broker/rabbitmq/wire.h"

/* A message that is arriving, frame by frame. */
struct bide_rmq_assembly {
    uint64_t tag;
    unsigned consumer;
    bool is_redelivered;
    amqp_frame_t head; /* decoded into the channel's pool, which stays until the message is whole */
    bool has_head;
    struct bide_buffer body; /* of more than one frame */
    uint64_t left;           /* bytes of the body not yet read */
    size_t kept;             /* bytes of the body that are kept; those beyond are read and discarded */
    size_t charge;           /* its share of the budget: those, and the headers */
};

enum { BIDE_RMQ_CONSUMERS = 20 };

struct bide_rmq_channel {
    size_t limit;                        /* sum of the running consumers' prefetch; 0: none runs */
    size_t prefetch[BIDE_RMQ_CONSUMERS]; /* of each consumer */
    unsigned names[BIDE_RMQ_CONSUMERS];  /* of each consumer: its tag */
    size_t n_consumers;
    unsigned last_name;  /* the last tag used; none is used twice (see start_consumer) */
    unsigned begun_name; /* tag of the last consumer that the broker has confirmed */
    bool is_late;        /* a new limit waits for that: see bide_rmq_inbound_consume */
    int64_t quiet_us;    /* since when stalls.c has seen no delivery; 0: it has not looked yet */
    unsigned strikes;    /* how often in a row a message was ready but did not come */
    uint32_t generation; /* of the present deliveries; those of an earlier generation cannot be settled */
    bool consumes;       /* the broker has confirmed a consumer since the channel was down */
    bool is_down; /* the broker has ended its consumers, or closed the channel: see bide_rmq_inbound_revive */
    bool is_closed; /* closed: the deliveries in hand are lost too */
    bide_error why; /* why the channel is down */
    struct bide_rmq_tags tags;
    struct bide_rmq_assembly coming;
};

typedef void bide_rmq_delivery_sink(void *owner, struct bide_rmq_delivery *delivery);

struct bide_rmq_inbound {
    const struct bide_rmq_settings *settings;
    struct bide_rmq_link link;
    struct bide_rmq_wire wire;
    struct bide_rmq_channel *channels; /* as bide_rmq_queue_of_channel counts them */
    size_t n_channels;
    uint32_t generations; /* the last generation given to a channel */
    struct bide_rmq_scratch scratch;
    size_t n_down;              /* number of channels that are down */
    bool has_downed;            /* one more went down since the owner has looked */
    bool has_caught_up;         /* a late limit can be set now; the owner resets this */
    size_t n_returned;          /* deliveries returned, not yet written to the socket */
    size_t in_flight;           /* bytes of bodies and headers in hand or being read */
    size_t reading;             /* the part of in_flight that belongs to incomplete messages */
    size_t aside;               /* the part of in_flight that is stuck; it does not hold up other messages */
    bool is_crowded;            /* the next body is read when there is room for it */
    uint64_t n_settled, n_lost; /* over all connections */
    bide_rmq_delivery_sink *sink;
    void *owner;
};

/* The library's number of a channel: they begin at 1. */
static inline amqp_channel_t bide_rmq_number_of(size_t channel)
{
    return (amqp_channel_t)(channel + 1);
}

/* The broker's name of the queue that a channel reads. */
static inline const char *bide_rmq_queue_of(const struct bide_rmq_inbound *inbound, size_t channel)
{
    return bide_rmq_queue_of_channel(inbound->settings, channel);
}

bide_code bide_rmq_inbound_init(struct bide_rmq_inbound *inbound, const struct bide_rmq_settings *settings,
    bide_rmq_delivery_sink *sink, void *owner, bide_error *error);
void bide_rmq_inbound_release(struct bide_rmq_inbound *inbound);

/* Connects, declares what is missing and opens the channels; may wait. `refused`: NULL if everything must
 * be declared; otherwise receives what could not be. Any thread; bide_rmq_inbound_take then takes the link
 * over. */
bide_code bide_rmq_inbound_connect(struct bide_rmq_link *ret_link, const struct bide_rmq_settings *settings,
    size_t host, struct bide_rmq_refused *refused, bide_error *error);
/* Takes over a connection, which has no consumers yet. The link's content moves. */
void bide_rmq_inbound_take(struct bide_rmq_inbound *inbound, struct bide_rmq_link *link);
bool bide_rmq_inbound_is_open(const struct bide_rmq_inbound *inbound);
void bide_rmq_inbound_drop(struct bide_rmq_inbound *inbound);

/* Sets the channel's limit; 0: stops consuming. Takes effect with the next flush. */
void bide_rmq_inbound_consume(struct bide_rmq_inbound *inbound, size_t channel, size_t limit);
/* Opens a channel again that was down. It has no consumers yet. */
void bide_rmq_inbound_revive(struct bide_rmq_inbound *inbound, size_t channel);
/* Reads up to `most` messages, but no body without room in the budget, and gives each to the sink. */
bide_code bide_rmq_inbound_read(
    struct bide_rmq_inbound *inbound, size_t most, bool *ret_more, bide_error *error);

/* Reading has stopped until a delivery in hand is settled. The caller must then call beat: otherwise reading
 * sends the heartbeats. */
bool bide_rmq_inbound_is_full(struct bide_rmq_inbound *inbound);
bide_code bide_rmq_inbound_beat(struct bide_rmq_inbound *inbound, bide_error *error);

struct bide_rmq_channel *bide_rmq_inbound_channel(
    struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
bool bide_rmq_inbound_is_current(
    const struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
/* Does the consumer still run by which the delivery came? */
bool bide_rmq_inbound_consumes(
    const struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
/* Returns the delivery to its queue, with the next flush. */
void bide_rmq_inbound_return(struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
/* Writes all acknowledgements that are possible, and everything else that waits. */
bide_code bide_rmq_inbound_flush(struct bide_rmq_inbound *inbound, bide_error *error);
/* Called at the end, after the last flush: waits until the broker has made the acknowledgements final. Gives
 * up after 5 s, or where an answer takes that long. Messages that arrive meanwhile are discarded; the broker
 * takes them back when the connection ends. */
void bide_rmq_inbound_await_settled(struct bide_rmq_inbound *inbound);

#endif
