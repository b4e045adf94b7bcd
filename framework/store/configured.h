/* store/configured.h: from a configuration to what a store is opened with. Thread-safety: one thread at a
 * time. */
#ifndef BIDE_STORE_CONFIGURED_H
#define BIDE_STORE_CONFIGURED_H

#include "config/config.h"
#include "store/store.h"

struct bide_configured_store {
    struct bide_url url;
    const struct bide_store_type
        *type; /* NULL: there is no store: none is named, and the broker cannot be one */
    char client_name[320];
    struct bide_store_options options; /* point to what stands above: do not copy this struct */
};

/* Finds the configuration's store (`store`, else the broker if it can be one) and fills the options: its
 * namespace, ten seconds for a call, the system's clock. Opens nothing: bide_store_open(&ret->options, …).
 * The configuration is borrowed until clear. who: for the name that a server shows, "bide WHO host:pid".
 * BIDE_E_CONFIG: `store` is an URL that no store has. */
bide_code bide_store_configure(const struct bide_config *config, const char *who,
    struct bide_configured_store *ret_store, bide_error *error);
void bide_configured_store_clear(struct bide_configured_store *store); /* also a zeroed one */

/* Opens the store that store_url names, or (NULL) the broker as its own store; the rest as in `given`.
 * Connects to nothing. BIDE_E_CONFIG: there is none; the text says what feature it was for, as
 * bide_store_refuse. */
bide_code bide_store_open_for(const char *broker_url, const char *store_url,
    const struct bide_store_options *given, const char *feature, struct bide_store **ret_store,
    bide_error *error);

/* The first feature of the configuration that needs a store, if there is none: its failure. BIDE_OK: all that
 * is asked for can be had. ret_needs: is a store needed at all? May be NULL. */
bide_code bide_store_require(const struct bide_config *config, const struct bide_configured_store *store,
    bool *ret_needs, bide_error *error);

/* The failure of a feature that needs a store where there is none: BIDE_E_CONFIG, with what to add. feature:
 * as people call it, "`once` of handler 'mail'". */
bide_code bide_store_refuse(const char *feature, bide_error *error);

#endif
