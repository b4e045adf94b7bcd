/* dispatch/sandbox/sandbox.h: isolation = "process": a handler that runs in child processes, one message at a
 * time.
 *
 * For a pool thread a sandbox is one more way to call a handler: it hands the message to a child, waits for
 * the answer, and passes on cancellation. A child that dies or does not return takes its own message with it
 * and nothing else; the next message gets another child. Children are kept for many messages; there are never
 * more than runs at once.
 *
 *   pool thread ──RUN──> child (forked by the zygote, dispatch/sandbox/zygote.h)
 *               <──LOG, ANSWER──
 *
 * Thread-safety: run is for any pool thread, many at once; create and destroy for the thread that owns the
 * worker. */
#ifndef BIDE_DISPATCH_SANDBOX_SANDBOX_H
#define BIDE_DISPATCH_SANDBOX_SANDBOX_H

#include "bide/handler.h"

struct bide_handler;
struct bide_sandbox;
struct bide_zygote;

/* Starts the first child and waits until it has opened the handler: fails where that fails. The handler is a
 * row that was there when the zygote started; it and the zygote are borrowed. */
bide_code bide_sandbox_create(struct bide_zygote *zygote, const struct bide_handler *handler,
    struct bide_sandbox **ret_sandbox, bide_error *error);
/* No run may be under way. Idle children are told to end; bide_zygote_stop waits for them. NULL is fine. */
void bide_sandbox_destroy(struct bide_sandbox *sandbox);

/* Runs the message in a child, between bide_context_begin and bide_context_end. A child that died: the run is
 * `crashed`. One that did not return kill_after after its timeout (or its cancellation) is killed. Where no
 * child can be had any more (bide_handlers_lost), the run is given back as one that never was. */
bide_outcome bide_sandbox_run(
    struct bide_sandbox *sandbox, const bide_message *message, bide_context *context);

#endif
