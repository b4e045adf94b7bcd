/* shared/ring.h: the last settled runs of one worker process, for whoever follows them.
 *
 * Written only while somebody listens (controls.h). A reader keeps its own position; what it is too slow for
 * is overwritten, and it is told how many it missed. Thread-safety: one writer, any number of readers in any
 * process; a reader never makes the writer wait. A zeroed ring is empty. */
#ifndef BIDE_SHARED_RING_H
#define BIDE_SHARED_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bide/message.h"

enum { BIDE_RING_EVENTS = 2048, BIDE_EVENT_TEXT = 240, BIDE_EVENT_TRACE = 64 };

enum bide_outcome_kind {
    BIDE_COUNT_DONE,
    BIDE_COUNT_RETRIED,
    BIDE_COUNT_DEAD,
    BIDE_COUNT_EXPIRED,
    BIDE_COUNT_DUPLICATE,  /* done without a run: it had been done before */
    BIDE_COUNT_SUPERSEDED, /* a newer message of its unique key stands in for it */
    BIDE_COUNT_CANCELLED,  /* by its unique key; RabbitMQ: or by its id */
    BIDE_COUNT_RELEASED,   /* handed back without having been run to its end */
    BIDE_COUNTS,
};

/* "done", "retried" … */
const char *bide_outcome_kind_name(enum bide_outcome_kind kind);

/* Texts that are too long are cut off (between two characters). */
struct bide_event {
    int64_t time_ms;     /* when it was settled; Unix */
    int64_t took_us;     /* the run; -1: it did not run */
    int64_t lateness_us; /* start - due of what was delayed or retried; -1: it was neither */
    int attempt;
    enum bide_outcome_kind outcome;
    char id[BIDE_ID_MAX + 1];
    char type[BIDE_NAME_MAX + 1];
    char queue[BIDE_NAME_MAX + 1];
    char error[BIDE_EVENT_TEXT];  /* "": none */
    char trace[BIDE_EVENT_TRACE]; /* its traceparent; "": none */
};

struct bide_ring {
    _Atomic uint64_t written; /* events ever */
    struct bide_ring_row {
        _Atomic uint64_t version; /* 2 n + 2 once event n is whole, odd while it is being written */
        struct bide_event event;
    } rows[BIDE_RING_EVENTS];
};

void bide_ring_write(struct bide_ring *ring, const struct bide_event *event);

/* The event at *position, which moves on; false where there is none yet. Missed ones are added to *ret_missed
 * and skipped. Begin with a position of bide_ring_end. */
bool bide_ring_read(
    const struct bide_ring *ring, uint64_t *position, struct bide_event *ret_event, uint64_t *ret_missed);
uint64_t bide_ring_end(const struct bide_ring *ring);

/* Copies a text (NULL: "") into a field of an event. */
void bide_event_text(char *to, size_t size, const char *text);

#endif
