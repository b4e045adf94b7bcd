/* broker/rabbitmq/publisher.h: publishing with confirms on a connection of its own.
 *
 * Each message put in is an item of the owner's; the owner is told once what became of it, in whatever order
 * and however bundled the broker confirms. Nothing here waits longer than it is asked to.
 *
 * Thread-safety: one thread at a time. Ownership: items are never touched, only handed back. Failure: a lost
 * connection hands back every item in flight as LOST; then open again. */
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
    BIDE_RMQ_SUSPECT,  /* the broker closed the channel because of one of those in flight: publish this one */
                       /* alone, with nothing else in flight, or all of them are published over and over */
    BIDE_RMQ_DENIED,   /* it was alone: the broker does not take it; see `denial` */
};

/* Must not publish. */
typedef void bide_rmq_outcome_sink(void *owner, void *item, enum bide_rmq_outcome outcome);

struct bide_rmq_in_flight {
    void *item; /* NULL: told */
    const char *exchange;
    uint32_t id_hash; /* by which a return finds it */
    bool returned;
};

enum { BIDE_RMQ_DENIALS = BIDE_RMQ_RUNGS + 3 }; /* exchanges that are published to */

struct bide_rmq_publisher {
    const struct bide_rmq_settings *settings;
    struct bide_rmq_link link;
    struct bide_rmq_wire wire;
    struct bide_rmq_draft draft;
    struct bide_rmq_in_flight *slots; /* a ring: tag % n_slots, for tags first … next-1 */
    size_t n_slots;
    uint64_t first, next;
    size_t n_waiting; /* items not told */
    bool expects_return_head;
    bool is_asking;           /* a question about a queue is out */
    bool has_answer;          /* to the last one: */
    int64_t answer;           /* messages ready, or -1: there is no such queue */
    size_t host;              /* which to try first */
    int64_t refused_since_us; /* the first refusal of a row without a longer pause */
    int64_t refused_us;       /* and the last */
    bool was_open;            /* what cannot be declared is no reason any more not to publish */
    bool must_declare;        /* everything, at the next opening: something is missing */
    bool blames;              /* the broker has closed, because of something that is in flight */
    bool denies_exchange;     /* and it was not the message, but where it goes */
    bool has_heard;           /* a confirm, since the connection was made */
    unsigned n_barren; /* connections in a row that were lost with items in flight before any confirm */
    bide_error denial; /* why the last item was denied */
    const char *denied[BIDE_RMQ_DENIALS]; /* exchanges that deny everything, as far as is known */
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

/* Connects, declares what is missing, and asks for confirms. What cannot be declared fails the first opening
 * only. */
bide_code bide_rmq_publisher_open(
    struct bide_rmq_publisher *publisher, const char *role, bool beats, bide_error *error);
bool bide_rmq_publisher_is_open(const struct bide_rmq_publisher *publisher);
/* Items in flight are UNKNOWN. close says good-bye to the broker where nothing waits to be written; drop does
 * not. */
void bide_rmq_publisher_close(struct bide_rmq_publisher *publisher);
void bide_rmq_publisher_drop(struct bide_rmq_publisher *publisher);

/* Encodes what stands in `draft`, mandatory; it leaves with the next flush. An error (BIDE_E_DATA, NOMEM;
 * BIDE_E_BROKER: its exchange denies everything) means that nothing was put in and the item stays the
 * caller's. The address's exchange must outlive the item. */
bide_code bide_rmq_publisher_put(struct bide_rmq_publisher *publisher, const struct bide_rmq_address *address,
    struct bide_slice body, void *item, bide_error *error);
/* Writes what it can and reads what there is, waiting at most wait_ms for the first. A failure has dropped
 * the connection; it is one, too, when the broker has been refusing for a while (docs/decisions/0018). */
bide_code bide_rmq_publisher_serve(struct bide_rmq_publisher *publisher, int wait_ms, bide_error *error);
/* Asks how many messages are ready in a queue, one question at a time; see has_answer after a later serve. */
void bide_rmq_publisher_ask(struct bide_rmq_publisher *publisher, const char *queue);
/* Puts to exchanges that denied something are tried again. */
void bide_rmq_publisher_forget_denials(struct bide_rmq_publisher *publisher);
/* No more should be put in for now: enough is on its way, or the broker has an alarm. */
bool bide_rmq_publisher_is_full(const struct bide_rmq_publisher *publisher);

#endif
