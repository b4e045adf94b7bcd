/* relay/relay.h: carries messages from a source to a broker, without an end.
 *
 * A message is removed from the source only after the target has confirmed it. Whatever ends the relay in
 * between, its messages are carried again, with the same ids: at most BIDE_RELAY_BATCH of them twice. One
 * that the target refuses for good stays behind, marked, and the others go on. While an end is away the relay
 * waits, and says so in the log, once.
 *
 * Thread-safety: one thread at a time. */
#ifndef BIDE_RELAY_RELAY_H
#define BIDE_RELAY_RELAY_H

#include "relay/source.h"
#include "shared/relays.h"

/* All but the source is borrowed until destroy. */
struct bide_relay_options {
    const char *name;                   /* for the log */
    struct bide_source *source;         /* the relay's from now on, also where create fails */
    const struct bide_adapter *adapter; /* of the target */
    const struct bide_broker_options *target;
    const struct bide_clock *clock;
    struct bide_relay_metrics *metrics; /* NULL: nobody keeps count */
};

struct bide_relay;

/* Opens nothing yet. BIDE_E_NOMEM. */
bide_code bide_relay_create(
    const struct bide_relay_options *options, struct bide_relay **ret_relay, bide_error *error);
/* Settles what is confirmed, for which it may wait five seconds, and gives back what else it has in hand.
 * Returns how many it has carried. NULL is fine. */
uint64_t bide_relay_destroy(struct bide_relay *relay);

/* One round: takes, sends, settles what there is. It may take as long as the target's timeout. ret_wait: what
 * to wait for before the next one. Does not fail: what goes wrong is logged, and tried again. */
void bide_relay_step(struct bide_relay *relay, struct bide_wait *ret_wait);

#endif
