/* broker/rabbitmq/receiver.h: the structure behind a receiver, and its parts. Only the intake thread uses
 * them. */
#ifndef BIDE_BROKER_RABBITMQ_RECEIVER_H
#define BIDE_BROKER_RABBITMQ_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/wakeup.h"
#include "broker/rabbitmq/acked.h"
#include "broker/rabbitmq/courier/courier.h"
#include "broker/rabbitmq/inbound.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/topology.h"
#include "broker/reconnect.h"

/* ---- connector.c ---- */

/* Makes the next inbound connection on a thread of its own: connecting, logging in and declaring may take
 * seconds, and the intake thread must not wait.
 *
 * One try at a time. Thread-safety: the intake thread calls; the connector starts and joins its own thread.
 */

struct bide_rmq_connector {
    const struct bide_rmq_settings *settings;
    const struct bide_wakeup *done;
    bool is_busy;      /* from start until finish */
    bool declare_only; /* the connection only declares what is missing and is then closed */
    pthread_t thread;
    atomic_bool has_ended;
    size_t host;
    /* belongs to the connector's thread until has_ended */
    struct bide_rmq_link link;
    bide_code code;
    bide_error error;
    struct bide_rmq_refused refused; /* what the broker refused to declare, where the code is BIDE_OK */
};

/* `done` is signalled when a try ends. */
void bide_rmq_connector_init(struct bide_rmq_connector *connector, const struct bide_rmq_settings *settings,
    const struct bide_wakeup *done);
/* Waits for a try in progress (at most the connect timeout for each host) and discards its result. */
void bide_rmq_connector_release(struct bide_rmq_connector *connector);
bide_code bide_rmq_connector_start(
    struct bide_rmq_connector *connector, bool declare_only, bide_error *error);
/* False while a try is in progress, or when none was started. Otherwise returns the result of the try, once;
 * the link then belongs to the caller. */
bool bide_rmq_connector_finish(struct bide_rmq_connector *connector, struct bide_rmq_link *ret_link,
    bide_code *ret_code, bide_error *ret_error);

/* A channel that the broker took down, because it refuses to let us consume there or a settlement of its
 * deliveries. */
struct bide_rmq_down {
    struct bide_reconnect again; /* when to try the channel again */
    bool is_told;                /* the log says that it is down, and not yet that it consumes again */
    size_t stuck;                /* room added to the limit for stuck postings */
};

/* Early messages of a channel: see early.c. */
struct bide_rmq_early {
    size_t n;                /* postings of early messages that the courier has */
    size_t room;             /* added to the limit for them */
    int64_t closed_until_us; /* no room is given before; 0: it was never closed */
};

/* How many workers share a landing queue: see sharing.c. */
enum { BIDE_RMQ_SHARING_PARTS = 2 }; /* the queues that are asked about it */
struct bide_rmq_sharing {
    int64_t ask_us;                     /* not before */
    bool is_asking;                     /* answers have not all come */
    size_t own[BIDE_RMQ_SHARING_PARTS]; /* our consumers when it was asked; 0: not all had begun */
    size_t n_workers;                   /* 0: not known */
};

struct bide_rmq_receiver {
    struct bide_receiver base;
    struct bide_rmq_settings *settings;
    struct bide_wakeup wakeup;    /* the courier has a posting to give back */
    struct bide_wakeup connected; /* the connector has ended a try */
    struct bide_rmq_courier *courier;
    struct bide_rmq_connector connector;
    struct bide_rmq_inbound inbound;
    struct bide_reconnect reconnect;
    size_t *limits;  /* by queue, as the user wants them */
    bool *has_begun; /* by queue: it once had a limit; from then on landing messages are taken in */
    struct bide_rmq_down *downs;                   /* by channel */
    struct bide_rmq_early *early;                  /* by channel */
    struct bide_rmq_sharing *sharing;              /* by queue */
    size_t early_bytes;                            /* bodies of early messages that the courier has */
    size_t n_told;                                 /* channels with is_told */
    char refusal[sizeof(((bide_error *)0)->text)]; /* the log's last text about what could not be declared */
    struct bide_rmq_delivery *ready, **ready_end;  /* deliveries that were read but not handed out */
    bool has_more;                                 /* reading stopped before all was read */
    bool has_handed; /* postings were handed over, and the courier not woken yet */
    bool stopping;
    int64_t ack_since_us;  /* since when acknowledgements wait; 0: none do */
    int64_t acked_us;      /* when they were last written */
    int64_t flow_since_us; /* start of the present measurement, and arrivals in it: */
    size_t flow_n;
    bool floods, rests; /* many messages arrive; the next wait ignores the connection */
    bool has_settled;   /* the last unsettled delivery was settled: the user is called once more to see it */
    int64_t beat_us;    /* the last heartbeat while nothing was read */
    int64_t stalls_us;  /* when to look at quiet channels next */
    size_t n_postings;
    size_t n_stuck;  /* stuck postings when the limits were last set */
    uint64_t n_lost; /* postings and settlements lost with connections; `inbound` counts more */
    uint64_t n_reconnects;
    struct bide_rmq_acked acked;
};

/* ---- receiver_limits.c ---- */

/* Sets the consumers' limits as the user, the connection and the broker allow. */
void bide_rmq_receiver_apply_limits(struct bide_rmq_receiver *receiver);
/* Do stuck deliveries fill the whole budget already? Then messages of a channel that has stuck ones are
 * returned to the broker; the other channels still have the whole budget. */
bool bide_rmq_receiver_is_glutted(const struct bide_rmq_receiver *receiver, size_t channel);

/* ---- receiver_ready.c ---- */

void bide_rmq_receiver_add_ready(struct bide_rmq_receiver *receiver, struct bide_rmq_delivery *delivery);
/* The oldest, which the caller owns then; NULL: there are none. */
struct bide_rmq_delivery *bide_rmq_receiver_take_ready(struct bide_rmq_receiver *receiver);
/* Returns them to the broker; drops those of lost connections. */
void bide_rmq_receiver_return_ready(struct bide_rmq_receiver *receiver);
/* Drops those of a connection or channel that has ended: the broker hands them out again. */
void bide_rmq_receiver_drop_stale(struct bide_rmq_receiver *receiver);

/* ---- receiver_connect.c ---- */

/* How long until a connection is needed, to consume, or to declare for a channel that is down; -1: none
 * is. */
int64_t bide_rmq_receiver_needs_connection_us(const struct bide_rmq_receiver *receiver);
/* Takes over a connection that was made, and starts making one where it is needed. */
void bide_rmq_receiver_connect_again(struct bide_rmq_receiver *receiver);
void bide_rmq_receiver_note_lost(struct bide_rmq_receiver *receiver, const bide_error *error);
/* Called when inbound.has_downed. Logs a channel that went down, once until it consumes again. Other channels
 * go on. */
void bide_rmq_receiver_note_downed(struct bide_rmq_receiver *receiver);
void bide_rmq_receiver_note_revived(struct bide_rmq_receiver *receiver);
/* Tells the courier the present generations, so that it gives up postings whose deliveries can no longer be
 * settled. */
void bide_rmq_receiver_tell_generations(struct bide_rmq_receiver *receiver);

/* ---- receiver_settle.c ---- */

/* Hands a settlement to the courier. Without memory the delivery returns to its queue, and false. */
bool bide_rmq_receiver_publish(struct bide_rmq_receiver *receiver, const struct bide_settlement *settlement);
void bide_rmq_receiver_settle(
    struct bide_receiver *base, const struct bide_settlement *settlements, size_t n);
/* Takes postings back from the courier and marks their deliveries for acknowledgement. */
void bide_rmq_receiver_collect(struct bide_rmq_receiver *receiver);
/* Writes the acknowledgements if there are enough of them or they have waited long enough. */
bide_code bide_rmq_receiver_acknowledge(struct bide_rmq_receiver *receiver, bide_error *error);
/* How long acknowledgements may still wait; -1: there are none. */
int64_t bide_rmq_receiver_ack_wait_us(const struct bide_rmq_receiver *receiver);
size_t bide_rmq_receiver_unsettled(const struct bide_rmq_receiver *receiver);

/* ---- early.c ---- */

enum { BIDE_RMQ_LATER_FIRST = 16 };

/* An early message was handed to the courier: gives its channel more places where it needs them. */
void bide_rmq_early_begun(struct bide_rmq_receiver *receiver, size_t channel, size_t bytes);
/* The courier has given it back. */
void bide_rmq_early_ended(struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery);
/* Should a delivery go back because it came only by the room for others? Closes the room then. */
bool bide_rmq_early_is_surplus(
    struct bide_rmq_receiver *receiver, const struct bide_rmq_delivery *delivery, bool is_early);

/* ---- sharing.c ---- */

/* Called when a landed message arrives: asks how many workers consume, if that was not asked lately. */
void bide_rmq_receiver_ask_workers(struct bide_rmq_receiver *receiver, size_t queue);
/* Takes the answers. True: the share of some queue may be another one now (receiver_limits.c). */
bool bide_rmq_receiver_note_workers(struct bide_rmq_receiver *receiver);

/* ---- stalls.c ---- */

/* Notices a connection that does not consume: messages are ready, none arrive, and there is no error. This
 * can happen after reconnects. Intake thread. */

/* Looks at the channels that were quiet for long though they have room. True if one of them got no message
 * twice in a row though some were ready: the caller should reconnect. */
bool bide_rmq_has_stalled(struct bide_rmq_receiver *receiver);
/* How long until the next call; -1: no channel is quiet. */
int64_t bide_rmq_stalls_wait_us(const struct bide_rmq_receiver *receiver);

#endif
