/* config/compare.h: in what two configurations differ, option by option of the table.
 *
 * Thread-safety: any thread. */
#ifndef BIDE_CONFIG_COMPARE_H
#define BIDE_CONFIG_COMPARE_H

#include "config/config.h"

enum bide_change { BIDE_CHANGED, BIDE_ADDED, BIDE_REMOVED };

/* One difference. option: "worker.threads", "handlers[receipt].retry.attempts"; a row of a list that was
 * added or removed: "queues[slow]"; rows in another order: "queues". before and after: as in the file,
 * without quotes; NULL where they are no single values, or may hold secrets, as all strings but names and all
 * `settings` may. All are valid during the call. */
typedef void bide_config_difference(
    void *user, enum bide_change change, const char *option, const char *before, const char *after);

/* Visits them in the order of the table; rows of lists are matched by their names. Returns their number. */
int bide_config_compare(const struct bide_config *before, const struct bide_config *after,
    bide_config_difference *visit, void *user);

#endif
