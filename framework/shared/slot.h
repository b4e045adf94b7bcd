/* shared/slot.h: what each pool thread is running, kept where it outlives the process.
 *
 * The slots lie in memory shared with the supervisor. A pool thread fills its slot before it calls a handler
 * and empties it after; when the process dies, the supervisor reads who was running what. A fault (SIGSEGV,
 * abort, exit …) is noted in the slot of the very thread it happens on, so that its neighbours are not
 * blamed.
 *
 * Thread-safety: a slot is written by its thread (and by the fault handler on that thread), or by the intake
 * when it gives a thread up; it is read by another process after this one has ended. */
#ifndef BIDE_SHARED_SLOT_H
#define BIDE_SHARED_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/build_id.h"
#include "base/names.h"
#include "bide/error.h"
#include "bide/message.h"
#include "shared/dying.h"

enum bide_slot_state {
    BIDE_SLOT_IDLE,
    BIDE_SLOT_RUNNING, /* a handler is running */
    BIDE_SLOT_FAULTED, /* … and the process is dying of it */
    BIDE_SLOT_HUNG,    /* … and did not return after timeout + kill_after: the process is being replaced */
};

struct bide_slot {
    _Atomic int
        state; /* enum bide_slot_state; written last, so that the rest is whole when it says RUNNING */
    int attempt;
    int n;              /* how many messages run; of several the rest is about the first one */
    int64_t started_ms; /* Unix */
    char id[BIDE_ID_MAX + 1];
    char key[BIDE_CRASH_KEY];
    char type[BIDE_HANDLER_NAME_MAX + 1]; /* what its handler is called */
    char plugin[BIDE_NAME_MAX + 1];
    char build[BIDE_BUILD_ID_TEXT]; /* of the plugin */
};

/* n: messages of the call, of which `message` is the first. */
void bide_slot_begin(struct bide_slot *slot, const bide_message *message, size_t n, const char *handler,
    const char *plugin, const char *build, int64_t now_ms);
void bide_slot_end(struct bide_slot *slot);
/* Intake thread: the run has gone on for too long. False where it has just returned. */
bool bide_slot_give_up(struct bide_slot *slot);

/* For the calling thread, from now on: faults on it are noted in `slot`. Gives the thread a signal stack, so
 * that a stack overflow is noted as well. */
bide_code bide_slot_watch_thread(struct bide_slot *slot, bide_error *error);
/* Before the thread ends. */
void bide_slot_unwatch_thread(void);

/* Once a process, before its threads: installs the handlers of the fatal signals and of exit(). After noting,
 * the signal takes its default course (core dump and all); an exit() inside a handler ends the process at
 * once. The message is added to `dying`, which lives as long as the process. Only a supervised worker process
 * calls this. */
bide_code bide_slot_watch_faults(struct bide_dying *dying, bide_error *error);

#endif
