/* broker/configured.h: from a configuration to what an adapter is opened with. Thread-safety: one thread at a
 * time. */
#ifndef BIDE_BROKER_CONFIGURED_H
#define BIDE_BROKER_CONFIGURED_H

#include "broker/broker.h"
#include "config/config.h"

struct bide_configured_broker {
    struct bide_url url;
    const struct bide_adapter *adapter;
    const char **queues; /* the names are the configuration's */
    char client_name[320];
    struct bide_broker_options options; /* point to what stands above: do not copy this struct */
};

/* Finds the adapter of the configuration's broker and fills the options: its namespace, queues and limits,
 * ten seconds for a call, the system's clock. The configuration is borrowed until clear. who: for the name
 * that the broker shows, "bide WHO host:pid". `queue_type` and `ladder_shards` of the configuration count
 * as options of the URL. */
bide_code bide_broker_configure(const struct bide_config *config, const char *who,
    struct bide_configured_broker *ret_broker, bide_error *error);
void bide_configured_broker_clear(struct bide_configured_broker *broker); /* also a zeroed one */

/* `url` takes the place of the configuration's broker, as --broker asks for, also for the spool's relay.
 * Where it says queue_type or ladder_shards itself, that of the configuration, which was meant for the other
 * URL, is dropped. */
bide_code bide_broker_override(struct bide_config *config, const char *url, bide_error *error);

#endif
