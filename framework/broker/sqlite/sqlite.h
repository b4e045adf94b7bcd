/* broker/sqlite/sqlite.h: the adapter's three objects, each in a file of its own; contract as in
 * broker/broker.h. */
#ifndef BIDE_BROKER_SQLITE_SQLITE_H
#define BIDE_BROKER_SQLITE_SQLITE_H

#include "broker/broker.h"

/* How early a delivery is handed out, so that it starts on its millisecond. MIN is enough to hide a commit
 * and a wake-up; when one message is that close, those due within MAX are claimed with it, so that a steady
 * stream needs few transactions. */
enum { BIDE_SQLITE_LEAD_MIN_MS = 60, BIDE_SQLITE_LEAD_MAX_MS = 250 };

bide_code bide_sqlite_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error);
bide_code bide_sqlite_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error);
bide_code bide_sqlite_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error);

#endif
