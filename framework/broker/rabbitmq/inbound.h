/* broker/rabbitmq/inbound.h: the inbound connection, on which the receiver consumes: two channels a queue,
 * work and landing.
 *
 * After consuming has begun no call here waits for an answer: the library would then throw away frames of
 * other channels. Prefetch and consumers are set by methods whose answers are skipped as they come by.
 *
 * Each channel is for itself: a queue that is gone, that we may not read, or whose delivery was held longer
 * than the broker allows, takes its channel down and no other.
 *
 * Thread-safety: the intake thread alone. Failure: calls that fail have dropped the connection; deliveries of
 * it can then no longer be settled (their generation is over). */
#ifndef BIDE_BROKER_RABBITMQ_INBOUND_H
#define BIDE_BROKER_RABBITMQ_INBOUND_H

#include "broker/rabbitmq/delivery.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/tags.h"
#include "broker/rabbitmq/topology.h"
#include "broker/rabbitmq/wire.h"

/* A message on its way in, frame by frame. */
struct bide_rmq_assembly {
    uint64_t tag;
    amqp_frame_t head; /* decoded into the channel's pool, which stays until the message is whole */
    bool has_head;
    struct bide_buffer body; /* of more than one frame */
    uint64_t left;           /* of the body, not yet read */
    size_t charge;           /* its share of the budget; what is beyond is read and thrown away */
};

enum { BIDE_RMQ_CONSUMERS = 20 };

struct bide_rmq_channel {
    size_t queue;
    bool landing;
    size_t limit;                        /* of all running consumers together; 0: none */
    size_t prefetch[BIDE_RMQ_CONSUMERS]; /* of each */
    unsigned names[BIDE_RMQ_CONSUMERS];  /* of each: its tag */
    size_t n_consumers;
    unsigned last_name;  /* given to a consumer; never twice (see start_consumer) */
    unsigned begun_name; /* of the last consumer that the broker has said to have begun */
    bool is_late;        /* a limit waits for that: see bide_rmq_inbound_consume */
    int64_t quiet_us;    /* since when nothing has come, as stalls.c saw it; 0: it has not looked since */
    unsigned strikes;    /* how often in a row something was ready and did not come */
    uint32_t generation; /* of the deliveries of now; those of an earlier one can no longer be settled */
    bool consumes;       /* the broker has said so since it was down */
    bool is_down;        /* the broker has ended its consumers, or closed it: see bide_rmq_inbound_revive */
    bool is_closed;      /* … and with it, what was in hand */
    bide_error why;      /* it is down */
    struct bide_rmq_tags tags;
    struct bide_rmq_assembly coming;
};

typedef void bide_rmq_delivery_sink(void *owner, struct bide_rmq_delivery *delivery);

struct bide_rmq_inbound {
    const struct bide_rmq_settings *settings;
    struct bide_rmq_link link;
    struct bide_rmq_wire wire;
    struct bide_rmq_channel *channels; /* 2 × queue: work; 2 × queue + 1: landing */
    size_t n_channels;
    uint32_t generations; /* given out so far */
    struct bide_rmq_scratch scratch;
    size_t n_down;              /* channels */
    bool has_downed;            /* one more, since the owner has looked */
    bool has_caught_up;         /* a limit that was late can be set now; the owner takes it back */
    size_t n_returned;          /* settlements by return, not yet written */
    size_t in_flight;           /* bytes of bodies that are in hand, or being read */
    size_t reading;             /* of these, of messages that are not whole */
    size_t aside;               /* of in_flight, what is stuck: it must not hold up what is not */
    bool is_crowded;            /* the next body is read once there is room for it */
    uint64_t n_settled, n_lost; /* so far, over all connections */
    bide_rmq_delivery_sink *sink;
    void *owner;
};

/* The library's: from 1. */
static inline amqp_channel_t bide_rmq_number_of(size_t channel)
{
    return (amqp_channel_t)(channel + 1);
}

/* The broker's name of the queue that a channel reads. */
static inline const char *bide_rmq_queue_of(const struct bide_rmq_inbound *inbound, size_t channel)
{
    const struct bide_rmq_queue *queue = &inbound->settings->queues[channel / 2];
    return channel % 2 ? queue->landing : queue->work;
}

bide_code bide_rmq_inbound_init(struct bide_rmq_inbound *inbound, const struct bide_rmq_settings *settings,
    bide_rmq_delivery_sink *sink, void *owner, bide_error *error);
void bide_rmq_inbound_release(struct bide_rmq_inbound *inbound);

/* Connects, declares what is missing and opens the channels: what may wait. `refused`: NULL where everything
 * has to be declared, else what could not be. Any thread; the link is then handed over by
 * bide_rmq_inbound_take. */
bide_code bide_rmq_inbound_connect(struct bide_rmq_link *ret_link, const struct bide_rmq_settings *settings,
    size_t host, struct bide_rmq_refused *refused, bide_error *error);
/* A connection takes effect, with no consumers yet. The link's content moves. */
void bide_rmq_inbound_take(struct bide_rmq_inbound *inbound, struct bide_rmq_link *link);
bool bide_rmq_inbound_is_open(const struct bide_rmq_inbound *inbound);
void bide_rmq_inbound_drop(struct bide_rmq_inbound *inbound);

/* Consumes with this limit from now on; 0: not any more. Takes effect with the next flush. */
void bide_rmq_inbound_consume(struct bide_rmq_inbound *inbound, size_t channel, size_t limit);
/* A channel that is down can be tried again: it has no consumers yet. */
void bide_rmq_inbound_revive(struct bide_rmq_inbound *inbound, size_t channel);
/* Reads what there is, up to `most` messages, and no body that there is no room for; each goes to the sink.
 */
bide_code bide_rmq_inbound_read(
    struct bide_rmq_inbound *inbound, size_t most, bool *ret_more, bide_error *error);

/* Reading stands still until something in hand is settled. The connection then needs a sign of life from us,
 * which reading gives otherwise. */
bool bide_rmq_inbound_is_full(struct bide_rmq_inbound *inbound);
bide_code bide_rmq_inbound_beat(struct bide_rmq_inbound *inbound, bide_error *error);

struct bide_rmq_channel *bide_rmq_inbound_channel(
    struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
bool bide_rmq_inbound_is_current(
    const struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
/* Back into the queue it came from; leaves with the next flush. */
void bide_rmq_inbound_return(struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery);
/* Writes the acknowledgements that add up, and all else. */
bide_code bide_rmq_inbound_flush(struct bide_rmq_inbound *inbound, bide_error *error);
/* Before the end, after the last flush: waits until the broker has made the acknowledgements final, a second
 * at most for each answer. What arrives meanwhile is thrown away and goes back with the connection. */
void bide_rmq_inbound_await_settled(struct bide_rmq_inbound *inbound);

#endif
