/* config/compare.h: the differences between two configurations, option by option of the table.
 *
 * Thread-safety: any thread. */
#ifndef BIDE_CONFIG_COMPARE_H
#define BIDE_CONFIG_COMPARE_H

#include "config/config.h"

enum bide_change { BIDE_CHANGED, BIDE_ADDED, BIDE_REMOVED };

/* One difference. option: "worker.threads", "handlers[receipt].retry.attempts"; "queues[slow]" for a row of a
 * list that was added or removed; "queues" for rows in another order. before and after: as in the file,
 * without quotes. NULL if they are not single values, or may hold secrets: all strings except names, and all
 * `settings`. All are valid during the call. */
typedef void bide_config_difference(
    void *user, enum bide_change change, const char *option, const char *before, const char *after);

/* Visits the differences in the order of the table. Rows of lists are matched by their names. Returns the
 * number of differences. */
int bide_config_compare(const struct bide_config *before, const struct bide_config *after,
    bide_config_difference *visit, void *user);

#endif
