/* producer/spool.h: a sender that stores messages on this host while the broker is away (docs/spool.md).
 *
 * In the mode `fallback` it sends to the broker as long as nothing is in the spool. What the broker does not
 * confirm in time goes to the spool, in its order and with its ids; from then on everything does, until a
 * relay has carried all of it. In the mode `always` everything goes there. What the broker refuses is
 * refused.
 *
 * Its `send` returns when the broker or the spool has taken responsibility for each message. Thread-safety:
 * as any sender's. */
#ifndef BIDE_PRODUCER_SPOOL_H
#define BIDE_PRODUCER_SPOOL_H

#include "bide/producer.h"
#include "broker/broker.h"
#include "config/config.h"

/* Opens the spool's file, and the broker when it is first needed. `broker`: what its adapter is opened with;
 * takes over the URL's contents (*broker_url is empty then), also on failure, and copies all else. */
bide_code bide_spool_open(const bide_spool *spool, const struct bide_adapter *adapter,
    const struct bide_broker_options *broker, struct bide_url *broker_url, struct bide_sender **ret_sender,
    bide_error *error);

struct bide_spool_state {
    int64_t waiting, refused; /* refused by the broker: dead letters of the spool */
    int64_t oldest_ms;        /* for how long the oldest one has been ready; 0: none is */
    int64_t bytes;            /* of the file that are in use */
    int64_t room_bytes;       /* of messages, for which its disk has room; -1: not known */
    bool is_carried;          /* a relay is at work */
};
/* What is in the configuration's spool; zero where there is no file yet. Any thread. */
bide_code bide_spool_look(
    const struct bide_config *config, struct bide_spool_state *ret_state, bide_error *error);

#endif
