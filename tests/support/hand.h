/* tests/support/hand.h: a receiver and the deliveries it has handed out: what an intake thread is in a
 * worker.
 *
 * hand_serve is the one step of the loop: receive, else wait. The rest loops over it with a deadline. All of
 * a hand's functions belong to one thread; hand_serve, hand_give and hand_unsettled assert nothing and may be
 * used by a thread that is not the test's. */
#ifndef TESTS_SUPPORT_HAND_H
#define TESTS_SUPPORT_HAND_H

#include "broker/broker.h"
#include "support/deadline.h"

struct fixture;

enum { HAND_LIMIT = 10000 }; /* of each queue, unless the case sets another */

struct held {
    struct bide_delivery *delivery;
    int64_t handed_ms; /* wall clock, when it was handed out */
};

struct hand {
    struct bide_receiver *receiver; /* NULL: closed */
    struct held *held;              /* in the order they were handed out */
    size_t n;
    size_t capacity;
    uint64_t waits; /* how often hand_serve went to sleep */
    int landing_ms; /* the adapter's landing window */
};

/* Opens a receiver with the fixture's options, limits set to HAND_LIMIT for each queue. */
struct hand *hand_open(struct fixture *fixture);
/* As hand_open with limits 0. */
struct hand *hand_open_shut(struct fixture *fixture);
/* Forgets what is held and destroys the receiver: the broker hands those out again. */
void hand_close(struct hand *hand);

/* Receives into `held`, without waiting; ret_n: how many came. */
bide_code hand_receive(struct hand *hand, size_t *ret_n, bide_error *error);
/* One step: receives; where nothing came, sleeps as wait() says, but not beyond the deadline. */
bide_code hand_serve(struct hand *hand, const struct deadline *until, bide_error *error);
/* Hands the index-th held delivery over to settle, with the rest of the settlement as given. */
void hand_give(struct hand *hand, size_t index, struct bide_settlement settlement);
size_t hand_unsettled(const struct hand *hand);

/* Serves until n are held, and asserts that this came within so long. */
void hand_take(struct hand *hand, size_t n, int64_t within_ms);
/* Serves for so long, whatever comes. */
void hand_serve_for(struct hand *hand, int64_t ms);
/* Serves for so long and asserts that nothing more is handed out. */
void hand_expect_none(struct hand *hand, int64_t ms);
/* Serves until all settlements are final; asserts that none was lost. */
void hand_flush(struct hand *hand);
/* Settles all that is held (the error is copied for each), then flushes. */
void hand_settle_all(struct hand *hand, const struct bide_settlement *like);
void hand_ack_all(struct hand *hand);
/* Where in hand->held the message with this id is; asserts that it is there. */
size_t hand_find(const struct hand *hand, const char *id);

#endif
