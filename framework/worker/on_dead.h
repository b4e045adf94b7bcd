/* worker/on_dead.h: the message that tells of a dead letter, where its handler has `on_dead`. Intake thread.
 *
 * It goes to the broker with the settlement of the dead one, which every adapter makes final only once the
 * message is safe: whoever finds a dead letter knows that it was sent, twice at worst. It carries the header
 * BIDE_ON_DEAD_HEADER; the death of a message that has this header tells nobody, so there are no chains. */
#ifndef BIDE_WORKER_ON_DEAD_H
#define BIDE_WORKER_ON_DEAD_H

#include "dispatch/handler.h"

#define BIDE_ON_DEAD_HEADER "on-dead-of" /* its value: the dead one's id */

/* Adds the message to a settlement with BIDE_VERDICT_DEAD. Where it cannot be made (no memory), that is
 * logged and the settlement stays as it is. */
void bide_tell_of_death(const struct bide_config *config, const struct bide_clock *clock,
    const struct bide_handler *handler, struct bide_settlement *settlement);

#endif
