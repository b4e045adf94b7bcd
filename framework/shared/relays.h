/* shared/relays.h: what the relays of a worker tell of themselves, in memory that others read.
 *
 * Each row is written by one process at a time: the relay of that number in the configuration. Relaxed
 * atomics; any thread of any process reads. */
#ifndef BIDE_SHARED_RELAYS_H
#define BIDE_SHARED_RELAYS_H

#include <stdatomic.h>
#include <stdint.h>

#include "bide/message.h"
#include "shared/histogram.h"

struct bide_relay_metrics {
    char name[BIDE_NAME_MAX + 1]; /* "": none has run yet */
    _Atomic uint64_t carried, refused;
    struct bide_histogram lag; /* of what was carried: from when it could have been to the confirm */
    _Atomic int active;        /* gauges. 1: it carries; 0: it does not run, or another one carries */
    _Atomic int source_away, target_away;
    _Atomic int64_t oldest_ms; /* Unix ms: since when the oldest message in hand waits; 0: none does */
};

/* A relay of this name begins in the row: counters of another one end. */
void bide_relay_metrics_begin(struct bide_relay_metrics *metrics, const char *name);

#endif
