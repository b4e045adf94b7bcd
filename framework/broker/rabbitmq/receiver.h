/* broker/rabbitmq/receiver.h: the receiver's own struct, and what it consists of. Everything here belongs to
 * the intake thread. */
#ifndef BIDE_BROKER_RABBITMQ_RECEIVER_H
#define BIDE_BROKER_RABBITMQ_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/wakeup.h"
#include "broker/rabbitmq/courier/courier.h"
#include "broker/rabbitmq/inbound.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/topology.h"
#include "broker/reconnect.h"

/* ---- connector.c ---- */

/* Makes the next inbound connection on a thread of its own, because connecting,
 * logging in and declaring may take seconds and the intake thread waits for nobody.
 *
 * One try at a time. Thread-safety: the intake thread calls; the thread in between is the connector's matter.
 */

struct bide_rmq_connector {
    const struct bide_rmq_settings *settings;
    const struct bide_wakeup *done;
    bool is_busy;      /* from start to finish */
    bool declare_only; /* the connection is made to declare what is missing, and not kept */
    pthread_t thread;
    atomic_bool has_ended;
    size_t host;
    /* the thread's, until has_ended */
    struct bide_rmq_link link;
    bide_code code;
    bide_error error;
    struct bide_rmq_refused refused; /* what could not be declared, where the code is BIDE_OK */
};

/* `done` is signalled when a try has ended. */
void bide_rmq_connector_init(struct bide_rmq_connector *connector, const struct bide_rmq_settings *settings,
    const struct bide_wakeup *done);
/* Waits for a try in progress (at most the connect timeout for each host) and throws its result away. */
void bide_rmq_connector_release(struct bide_rmq_connector *connector);
bide_code bide_rmq_connector_start(
    struct bide_rmq_connector *connector, bool declare_only, bide_error *error);
/* False while a try is in progress, or when none was started. Otherwise its result, once; the link is then
 * the caller's. */
bool bide_rmq_connector_finish(struct bide_rmq_connector *connector, struct bide_rmq_link *ret_link,
    bide_code *ret_code, bide_error *ret_error);

/* What the broker refuses on a channel: to consume there, or to take what became of what was delivered. */
struct bide_rmq_down {
    struct bide_reconnect again; /* it is down, and tried then */
    bool is_told;                /* in the log, until it consumes again */
    size_t stuck;                /* room given for postings that are stuck */
};

struct bide_rmq_receiver {
    struct bide_receiver base;
    struct bide_rmq_settings *settings;
    struct bide_wakeup wakeup;    /* the courier has something */
    struct bide_wakeup connected; /* the connector has */
    struct bide_rmq_courier *courier;
    struct bide_rmq_connector connector;
    struct bide_rmq_inbound inbound;
    struct bide_reconnect reconnect;
    size_t *limits;  /* wanted, by queue */
    bool *has_begun; /* the queue is served: what lands is taken in, whatever the limit is at the moment */
    struct bide_rmq_down *downs;                   /* by channel */
    size_t n_told;                                 /* of these */
    char refusal[sizeof(((bide_error *)0)->text)]; /* what could not be declared, as it was told */
    struct bide_rmq_delivery *ready, **ready_end;  /* read, not handed out */
    bool has_more;                                 /* reading stopped before the end */
    bool has_handed;                               /* postings the courier was not woken for */
    bool stopping;
    int64_t ack_since_us;  /* acknowledgements wait since then; 0: none do */
    int64_t acked_us;      /* when they were last written */
    int64_t flow_since_us; /* what arrived since then: */
    size_t flow_n;
    bool floods, rests; /* much arrives; the next wait does not look at the connection */
    bool has_settled;   /* the last that was unsettled: the user is called back once to see it */
    int64_t beat_us;    /* the last sign of life while nothing was read */
    int64_t stalls_us;  /* the next look at quiet channels */
    size_t n_postings;
    size_t n_stuck;  /* of these, when the limits were set */
    uint64_t n_lost; /* postings and settlements of lost connections; see also the inbound */
    uint64_t n_reconnects;
};

/* ---- receiver.c ---- */

/* Consumes as the user, the connection and the broker allow. */
void bide_rmq_receiver_apply_limits(struct bide_rmq_receiver *receiver);
/* What was read and not handed out, of a connection or a channel that has ended: the broker hands it out
 * again. */
void bide_rmq_receiver_drop_stale(struct bide_rmq_receiver *receiver);

/* ---- receiver_connect.c ---- */

/* How long until a connection has to be made, to consume on or to declare on for a channel that is down; -1:
 * none has. */
int64_t bide_rmq_receiver_needs_connection_us(const struct bide_rmq_receiver *receiver);
/* Takes one that has been made, and begins to make one where it is needed. */
void bide_rmq_receiver_connect_again(struct bide_rmq_receiver *receiver);
void bide_rmq_receiver_note_lost(struct bide_rmq_receiver *receiver, const bide_error *error);
/* After inbound.has_downed. The others go on; told once, until it consumes again. */
void bide_rmq_receiver_note_downed(struct bide_rmq_receiver *receiver);
void bide_rmq_receiver_note_revived(struct bide_rmq_receiver *receiver);
/* The courier gives up what can no longer be settled. */
void bide_rmq_receiver_tell_generations(struct bide_rmq_receiver *receiver);

/* ---- receiver_settle.c ---- */

/* Hands a settlement to the courier; where there is no memory the delivery goes back to its queue. */
void bide_rmq_receiver_publish(struct bide_rmq_receiver *receiver, const struct bide_settlement *settlement);
void bide_rmq_receiver_settle(
    struct bide_receiver *base, const struct bide_settlement *settlements, size_t n);
/* What the courier brings back becomes an acknowledgement. */
void bide_rmq_receiver_collect(struct bide_rmq_receiver *receiver);
/* Writes acknowledgements where enough of them add up, or they have waited long enough. */
bide_code bide_rmq_receiver_acknowledge(struct bide_rmq_receiver *receiver, bide_error *error);
/* How long acknowledgements may still wait; -1: there are none. */
int64_t bide_rmq_receiver_ack_wait_us(const struct bide_rmq_receiver *receiver);
size_t bide_rmq_receiver_unsettled(const struct bide_rmq_receiver *receiver);

/* ---- stalls.c ---- */

/* Connected but not consuming, a known disease after reconnects: nothing arrives
 * although messages are ready, and no error tells. Intake thread. */

/* Looks after channels that were quiet for long though they could take more. True: one of them has messages
 * and gets none, twice in a row: the connection should be made anew. */
bool bide_rmq_has_stalled(struct bide_rmq_receiver *receiver);
/* When to call that again; -1: no channel is quiet. */
int64_t bide_rmq_stalls_wait_us(const struct bide_rmq_receiver *receiver);

#endif
