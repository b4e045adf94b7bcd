/* What runs a handler is down (a program whose processes do not start): its messages wait in the broker. */
#include "worker/gates/gate.h"

enum { LOOK_US = 100 * 1000 }; /* they may start at any moment */

static bool serves(const struct bide_site *site, const struct bide_handler *handler)
{
    (void)site;
    return handler && handler->runner->is_down;
}

static int64_t stops(struct bide_gate *gate, const struct bide_job *job)
{
    (void)gate;
    return bide_handler_is_down(job->handler) ? 0 : -1;
}

static size_t room(
    struct bide_gate *gate, const struct bide_handler *handler, size_t queue, struct bide_gate_round *round)
{
    (void)gate, (void)queue;
    if (!bide_handler_is_down(handler))
        return SIZE_MAX;
    round->waits = true;
    bide_gate_hurry(round, LOOK_US);
    return 0;
}

const struct bide_gate_kind bide_gate_runner = {
    .size = sizeof(struct bide_gate), .serves = serves, .stops = stops, .room = room};
