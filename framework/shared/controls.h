/* shared/controls.h: what an operator has told all processes of a worker, in memory they share.
 *
 * A pause holds a queue, a type or a handler by its name; quiet holds everything. Both mean: nothing new is
 * begun, what runs finishes. They outlive a crashed process and end with the supervisor.
 *
 * How it is obeyed: whoever sets something calls bide_shared_wake (memory.h) afterwards. Each worker process
 * compares `changes` with what it saw last, once a round of its intake; where it differs, it asks again.
 *
 * Thread-safety: set by one process at a time under a robust lock, so by several threads or processes; asked
 * by any thread of any process without one. An answer that is being changed at that moment may be the old
 * one; `changes` grows afterwards. */
#ifndef BIDE_SHARED_CONTROLS_H
#define BIDE_SHARED_CONTROLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"

enum { BIDE_PAUSED_MAX = 256 };

struct bide_controls {
    pthread_mutex_t lock;
    _Atomic uint32_t changes; /* grows with each call below that changed something */
    _Atomic int quiet;
    _Atomic int listeners; /* followers of the event rings: set by the console, which is alone in that */
    _Atomic int n_paused;
    struct {
        _Atomic int used;
        char name[BIDE_HANDLER_NAME_MAX + 1];
    } paused[BIDE_PAUSED_MAX];
};

/* In zeroed shared memory, before any fork. */
void bide_controls_init(struct bide_controls *controls);

void bide_controls_set_quiet(struct bide_controls *controls, bool quiet);

/* True also where it was paused before. False: too many are, or the name is empty or too long. */
bool bide_controls_pause(struct bide_controls *controls, const char *name);
/* False where it was not paused. */
bool bide_controls_resume(struct bide_controls *controls, const char *name);

/* Of a queue, a type or a handler. With nothing paused it costs one read. */
bool bide_controls_is_paused(const struct bide_controls *controls, const char *name);
/* The paused name at a place below BIDE_PAUSED_MAX, copied to `to`; false where that place is free. */
bool bide_controls_paused_name(
    const struct bide_controls *controls, size_t place, char to[BIDE_HANDLER_NAME_MAX + 1]);

static inline bool bide_controls_is_quiet(const struct bide_controls *controls)
{
    return atomic_load_explicit(&controls->quiet, memory_order_relaxed) != 0;
}

static inline bool bide_controls_is_followed(const struct bide_controls *controls)
{
    return atomic_load_explicit(&controls->listeners, memory_order_relaxed) > 0;
}

static inline uint32_t bide_controls_changes(const struct bide_controls *controls)
{
    return atomic_load_explicit(&controls->changes, memory_order_acquire);
}

#endif
