/* worker/connecting.h: how a worker comes to its broker. Thread-safety: the intake thread's. */
#ifndef BIDE_WORKER_CONNECTING_H
#define BIDE_WORKER_CONNECTING_H

#include "broker/configured.h"
#include "worker/intake.h"

/* Opens the receiver. wait: a broker that is out of reach is tried again, with growing pauses, until it
 * answers or somebody stops the worker: then it returns BIDE_OK and the receiver is NULL. What does not mend
 * itself (BIDE_E_CONFIG) ends it at once. */
bide_code bide_worker_connect(
    struct bide_intake *intake, const struct bide_configured_broker *broker, bool wait, bide_error *error);

#endif
