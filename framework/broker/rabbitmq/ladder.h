/* broker/rabbitmq/ladder.h: how long a message stays on which rung. Pure arithmetic; any thread.
 *
 * The delay in ticks of 100 ms, written with eight decimal digits, is a message's way down: the digit d at
 * the place of unit u sends it into the holding queue of d × u, and a 0 past that rung. Rung 0 is 100 ms,
 * rung 7 is 1 000 000 s. One pass holds up to 115 days; longer delays are held again on arrival.
 *
 * A holding queue has one TTL for all its messages: its nominal time minus the cost of a hop. The messages
 * have no TTL of their own: if a rung was deleted, they go to the unrouted queue, and with a TTL they would
 * expire there. So a message arrives early, by at most a tick and one trim a hop: always within the landing
 * window. */
#ifndef BIDE_BROKER_RABBITMQ_LADDER_H
#define BIDE_BROKER_RABBITMQ_LADDER_H

#include <stddef.h>
#include <stdint.h>

enum {
    BIDE_RMQ_RUNGS = 8,
    BIDE_RMQ_TICK_MS = 100, /* the unit of rung 0 */
    BIDE_RMQ_TRIM_MS = 40,  /* subtracted from a TTL for the cost of a hop */
};

struct bide_rmq_climb {
    int first; /* the first rung, or -1: so short that it goes straight to the landing queue */
    int digits[BIDE_RMQ_RUNGS];        /* by rung */
    char path[2 * BIDE_RMQ_RUNGS + 1]; /* the routing key's beginning: "0.0.0.0.0.5.0.0." */
    int64_t held_ms;                   /* nominal time of the whole pass */
};

int64_t bide_rmq_rung_unit_ms(int rung);
/* TTL of the holding queue of digit × unit. */
int64_t bide_rmq_rung_ttl_ms(int rung, int digit);
/* "300ms", "5s", "600s": the end of a holding queue's (digit 1…9) and exchange's (digit 1) name. Returns
 * `to`. */
enum { BIDE_RMQ_RUNG_TEXT = 24 };
char *bide_rmq_rung_text(int rung, int digit, char to[BIDE_RMQ_RUNG_TEXT]);

/* Plans the (first) pass of a delay. If the delay is too long for one pass, the message stays on the top rung
 * as long as one digit allows: this pass has one hop instead of eight. */
void bide_rmq_climb_plan(int64_t delay_ms, struct bide_rmq_climb *ret_climb);

#endif
