/* broker/redis/settings.h: what the three Redis objects are opened with, as copies of their own.
 *
 * Made from the broker options and the URL: redis://[user:password@]host[:port][,host…][/db], rediss:// (TLS)
 * and redis+unix:///path?db=N; options: connect_timeout, timeout (seconds, fractions allowed), wait (replicas
 * that must have a sent message), db, and for TLS cacert, cert, key, sni. Never changed once made: any thread
 * may read them. */
#ifndef BIDE_REDIS_SETTINGS_H
#define BIDE_REDIS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/url.h"
#include "bide/error.h"
#include "broker/broker.h"

enum { BIDE_REDIS_PORT = 6379 };

struct bide_redis_script_set;

struct bide_redis_settings {
    const struct bide_redis_script_set
        *scripts; /* the broker's, until whoever made the settings sets others */
    struct bide_url_host hosts[BIDE_URL_HOSTS_MAX]; /* tried in turn; a replica is left for the next */
    size_t n_hosts;
    char *unix_path; /* instead of hosts */
    bool tls;
    char *cacert, *cert, *key, *sni;
    char *user, *password; /* NULL: not given */
    int db;
    int64_t connect_timeout_ms;
    int64_t timeout_ms; /* for one answer */
    int64_t until_us;   /* monotonic: nothing that waits does so for longer, as its call ends then; 0: no such
                           end */
    int wait_replicas;
    char *shown; /* the URL without its password */

    char *name_space;
    char *client_name;
    char **queues;
    size_t n_queues;
    char **joins;            /* of a receiver: subscriptions, ended by NULL; else NULL */
    int64_t call_timeout_ms; /* for one send or admin call */
    size_t max_body;
    size_t max_in_flight;
    const struct bide_clock *clock;
};

/* Copies; BIDE_E_CONFIG for an option that is unknown, out of range or not built in. */
bide_code bide_redis_settings_create(
    const struct bide_broker_options *options, struct bide_redis_settings **ret_settings, bide_error *error);
void bide_redis_settings_destroy(struct bide_redis_settings *settings);

#endif
