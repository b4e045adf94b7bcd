/* broker/rabbitmq/publisher.h: publishes with confirms on a connection of its own.
 *
 * The owner puts each message in as an item, and is told the outcome of each item once, in whatever order and
 * grouping the broker confirms. No call waits longer than its argument says.
 *
 * Thread-safety: one thread at a time. Ownership: items are never touched, only handed back. Failure: if
 * the connection is lost, the owner is told UNKNOWN, SUSPECT or DENIED for every item in flight; then open
 * again. */
#ifndef BIDE_BROKER_RABBITMQ_PUBLISHER_H
#define BIDE_BROKER_RABBITMQ_PUBLISHER_H

#include "broker/rabbitmq/envelope/envelope.h"
#include "broker/rabbitmq/link.h"
#include "broker/rabbitmq/wire.h"

enum bide_rmq_outcome {
    BIDE_RMQ_CONFIRMED,
    BIDE_RMQ_REFUSED,  /* nacked: the broker could not take it now */
    BIDE_RMQ_RETURNED, /* there is no such queue */
    BIDE_RMQ_UNKNOWN,  /* the connection was lost first */
    BIDE_RMQ_SUSPECT,  /* the broker closed the channel because of an item in flight: publish this one */
                       /* alone; otherwise all of them are published again and again */
    BIDE_RMQ_DENIED,   /* it was in flight alone, and the broker does not take it; see `denial` */
};

/* The sink must not publish. */
typedef void bide_rmq_outcome_sink(void *owner, void *item, enum bide_rmq_outcome outcome);

struct bide_rmq_in_flight {
    void *item; /* NULL: the owner knows its outcome */
    const char *exchange;
    uint32_t mark; /* by which a returned message finds its item */
    bool returned;
};

enum { BIDE_RMQ_DENIALS = BIDE_RMQ_RUNGS + 5 }; /* exchanges that are published to */

struct bide_rmq_publisher {
    const struct bide_rmq_settings *settings;
    struct bide_rmq_link link;
    struct bide_rmq_wire wire;
    struct bide_rmq_draft draft;
    struct bide_rmq_in_flight *slots; /* a ring with index tag % n_slots, for tags first … next-1 */
    size_t n_slots;
    uint64_t first, next;
    size_t n_waiting; /* items whose outcome the owner does not know */
    bool expects_return_head;
    uint32_t return_mark;     /* of the address of the message whose head is expected */
    bool is_asking;           /* a question about a queue waits for its answer */
    bool has_answer;          /* the last question was answered: */
    int64_t answer;           /* messages ready, or -1: there is no such queue */
    int64_t consumers;        /* of that queue */
    size_t host;              /* which host to try first */
    int64_t refused_since_us; /* the first of a row of refusals with no longer pause between */
    int64_t refused_us;       /* the last refusal */
    bool was_open;            /* from now on a failed declaration does not prevent publishing */
    bool must_declare;        /* the next opening must declare everything: something is missing */
    bool blames;              /* the broker has closed because of an item in flight */
    bool denies_exchange;     /* because of its exchange, not because of the message */
    bool has_heard;           /* a confirm has come on this connection */
    unsigned n_barren; /* connections in a row that were lost with items in flight and without any confirm */
    bide_error denial; /* why the last item was denied */
    const char *denied[BIDE_RMQ_DENIALS]; /* exchanges that deny every message, as far as known */
    size_t n_denied;
    bide_rmq_outcome_sink *sink;
    void *owner;
};

enum { BIDE_RMQ_PUBLISH_CHANNEL = 1, BIDE_RMQ_ASK_CHANNEL = 2 };

/* Where a message goes. */
struct bide_rmq_address {
    const char *exchange;
    const char *key;
};

void bide_rmq_publisher_init(struct bide_rmq_publisher *publisher, const struct bide_rmq_settings *settings,
    bide_rmq_outcome_sink *sink, void *owner);
void bide_rmq_publisher_release(struct bide_rmq_publisher *publisher);

/* Connects, declares what is missing, and asks for confirms. A failed declaration is a failure only at the
 * first opening. */
bide_code bide_rmq_publisher_open(
    struct bide_rmq_publisher *publisher, const char *role, bool beats, bide_error *error);
bool bide_rmq_publisher_is_open(const struct bide_rmq_publisher *publisher);
/* Items in flight become UNKNOWN. close tells the broker if nothing waits to be written; drop does not. */
void bide_rmq_publisher_close(struct bide_rmq_publisher *publisher);
void bide_rmq_publisher_drop(struct bide_rmq_publisher *publisher);

/* Encodes the message in `draft`, as mandatory; the next flush sends it. On an error (BIDE_E_DATA, NOMEM;
 * BIDE_E_BROKER: its exchange denies everything) nothing was put in and the item stays the caller's. The
 * address's exchange must outlive the item. */
bide_code bide_rmq_publisher_put(struct bide_rmq_publisher *publisher, const struct bide_rmq_address *address,
    struct bide_slice body, void *item, bide_error *error);
/* Writes what it can and reads what has arrived; waits at most wait_ms for the first frame, and not if one is
 * there. A failure has
 * dropped the connection. A broker that has been refusing for a while is a failure too
 * (docs/decisions/0018). */
bide_code bide_rmq_publisher_serve(struct bide_rmq_publisher *publisher, int wait_ms, bide_error *error);
/* Asks how many messages are ready in a queue, and how many consumers it has, one question at a time; a later
 * serve sets has_answer. */
void bide_rmq_publisher_ask(struct bide_rmq_publisher *publisher, const char *queue);
/* Lets messages be put to exchanges again that denied one. */
void bide_rmq_publisher_forget_denials(struct bide_rmq_publisher *publisher);
/* True while no more should be put in: enough is in flight, or the broker has an alarm. */
bool bide_rmq_publisher_is_full(const struct bide_rmq_publisher *publisher);

#endif
