#include "shared/relays.h"

#include <stdio.h>
#include <string.h>

void bide_relay_metrics_begin(struct bide_relay_metrics *metrics, const char *name)
{
    if (strcmp(metrics->name, name) != 0) {
        memset(metrics, 0, sizeof *metrics);
        snprintf(metrics->name, sizeof metrics->name, "%s", name);
    }
    atomic_store(&metrics->active, 0);
    atomic_store(&metrics->source_away, 0);
    atomic_store(&metrics->target_away, 0);
    atomic_store(&metrics->oldest_ms, 0);
}
