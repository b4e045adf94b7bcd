/* tests/support/sandbox_rig.h: a sandbox around functions of the test program itself, without a plugin's
 * file.
 *
 * Thread-safety: opened and closed by the test's thread before and after all others; sandbox_run by any
 * thread, with a context of its own. */
#ifndef TESTS_SUPPORT_SANDBOX_RIG_H
#define TESTS_SUPPORT_SANDBOX_RIG_H

#include "dispatch/context.h"
#include "dispatch/handler.h"
#include "dispatch/sandbox/zygote.h"

struct sandbox_rig {
    struct bide_handler_config config; /* set what differs from 0 before sandbox_open */
    struct bide_plugin plugin;         /* the same for descriptor.open, handle, close */
    struct bide_handler handler;
    struct bide_zygote *zygote;
};

/* Type and plugin are "test"; timeouts are none, kill_after is 5 s. */
void sandbox_rig_init(
    struct sandbox_rig *rig, bide_outcome (*handle)(void *, const bide_message *, bide_context *));
bide_code sandbox_open(struct sandbox_rig *rig, bide_error *error);
void sandbox_close(struct sandbox_rig *rig);

/* As a pool thread runs a message. What the run carries is the caller's: bide_run_release. */
struct bide_run sandbox_run(
    struct sandbox_rig *rig, struct bide_context *context, struct bide_message *message);

#endif
