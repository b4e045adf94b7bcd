/* broker/rabbitmq/ladder.h: how long a message stays on which rung. Pure arithmetic; any thread.
 *
 * The ladder has seven rungs, which a message passes in the order of their numbers: tenths of a second (rung
 * 0), then the five decimal digits of the minutes from 10 000 min down to 1 min (rungs 1 to 5), then the
 * seconds 1 to 59 (rung 6). Its share of the delay on a rung is a number: that many units. The number sends
 * it into the holding queue of number × unit, and a 0 past the rung. One pass holds up to 69 days; longer
 * delays are held again on arrival.
 *
 * Each hop costs the broker as much as a message sent, so there are as few as possible: the worker lands what
 * is left below a second. Only large bodies pass the tenths, so that few bytes are in the workers' hands, and
 * messages that a worker holds back, so that they do not come again at once.
 *
 * A holding queue has one TTL for all its messages: its nominal time minus the cost of a hop. The messages
 * have no TTL of their own: if a rung was deleted, they go to the unrouted queue, and with a TTL they would
 * expire there. So a message arrives early, by at most BIDE_RMQ_EARLY_MS: always within the landing window.
 *
 * A rung may be spread over shards: each holding queue exists once for each shard, and the hash of its id
 * sends a message to one of them. The first ladder was another one:
 * see old_ladder.h. */
#ifndef BIDE_BROKER_RABBITMQ_LADDER_H
#define BIDE_BROKER_RABBITMQ_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BIDE_RMQ_RUNGS = 7,
    BIDE_RMQ_TENTHS = 0,        /* the first rung */
    BIDE_RMQ_SMALL_BODY = 4096, /* bytes; a larger one is large */
    BIDE_RMQ_SHARDS = 8,        /* at most */
    BIDE_RMQ_WORDS = 8,         /* of a routing key, before the queue's name: the shard and the numbers */
    BIDE_RMQ_TRIM_MS = 70,      /* subtracted from a TTL for the cost of a hop */
    BIDE_RMQ_SLACK_MS = 30,     /* a delay that lacks so little of a rung still takes it: see the plan */
    BIDE_RMQ_AHEAD_MS = 400,    /* a message leaves the seconds' rung so early at least, if the broker is not
                                   slow: else those of whole seconds would be late first */
    /* How early a message leaves the ladder at most: that, a second, and a trim for each rung but the tenths.
     * A shorter delay goes straight to the landing queue. */
    BIDE_RMQ_EARLY_MS = BIDE_RMQ_AHEAD_MS + 1000 + (BIDE_RMQ_RUNGS - 1) * BIDE_RMQ_TRIM_MS,
    /* What arrives at a worker earlier than that is held again. It is more than EARLY_MS, because the clocks
     * of the machines differ. */
    BIDE_RMQ_LANDING_MS = 2000,
};

enum { BIDE_RMQ_PATH = 24 };

/* What is for the topic T has "@.T" in its routing key where other messages have their queue's name. */
#define BIDE_RMQ_TOPIC_WORD "@."

struct bide_rmq_climb {
    int first; /* the first rung, or BIDE_RMQ_RUNGS: so short that it goes straight to the landing queue */
    int numbers[BIDE_RMQ_RUNGS]; /* by rung */
    char path[BIDE_RMQ_PATH];    /* the routing key's beginning: shard, numbers: "1.0.0.0.0.0.5.0." */
    int64_t held_ms;             /* nominal time of the whole pass, before the trims */
};

int64_t bide_rmq_rung_unit_ms(int rung);
/* How many holding queues the rung has for each shard: one for each number from 1 on. */
int bide_rmq_rung_numbers(int rung);
/* TTL of the holding queue of number × unit. */
int64_t bide_rmq_rung_ttl_ms(int rung, int number);
/* "300ms", "5s", "40min": part of the names of a holding queue and an exchange (number 1). Returns `to`. */
enum { BIDE_RMQ_RUNG_TEXT = 24 };
char *bide_rmq_rung_text(int rung, int number, char to[BIDE_RMQ_RUNG_TEXT]);

/* Plans the (first) pass of a delay. `tenths`: to the tenth of a second. `shard` is from 1 on. A delay of 10
 * min is some milliseconds shorter by the time it is planned; it still takes one hop of 10 min, not those of
 * 9 min and 59 s, because the trim is longer than the slack. If the delay is too long for one pass, the
 * message stays on the rung of 10 000 minutes as long as one number allows: this pass has one hop instead of
 * six. */
void bide_rmq_climb_plan(int64_t delay_ms, bool tenths, int shard, struct bide_rmq_climb *ret_climb);

#endif
