/* shared/crashes.h: what is known of messages that brought a worker process down.
 *
 * A table in memory shared by the supervisor and its worker processes. The supervisor notes a crash after a
 * death; the worker that gets the message again asks, counts the crashed run as a failed attempt, and lets
 * decide() say what becomes of it. Where none is known to be at fault (SIGKILL, out of memory), all that were
 * running are suspects: each is then run while no other suspect runs, and the more deaths it was near, the
 * longer alone (worker/gates/quarantine.h). Only deaths in which nothing else ran make it guilty, and none
 * that somebody caused by hand. Of a batch nobody is at fault yet: its messages run again apart (apart.h).
 *
 * Thread-safety: every call takes the table's robust, process-shared lock; with an empty table the questions
 * cost one atomic read. Bounded: the oldest record makes room for a new one. */
#ifndef BIDE_SHARED_CRASHES_H
#define BIDE_SHARED_CRASHES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "message/message.h"
#include "shared/apart.h"
#include "shared/dying.h"

enum { BIDE_CRASH_RECORDS = 1024, BIDE_CRASH_TEXT = 200, BIDE_CRASH_TYPES = 256 };

#define BIDE_CRASH_HUNG "did not return after its timeout"

struct bide_crash_record {
    char key[BIDE_CRASH_KEY]; /* "": free */
    char text[BIDE_CRASH_TEXT];
    uint64_t order; /* of the last change: the lowest makes room */
    int crashes;    /* runs known to have ended a process by this message's fault */
    int suspicions; /* deaths that it was near, but no run of its own is known to have caused */
    int alone;      /* … and in which nothing else ran that could have */
    int attempt;    /* of the last run that ended its process: met with it again, that is not yet settled */
    bool hung;      /* … because it did not return */
    int64_t end_ms; /* monotonic: since when it is settled as dead; 0: it is not */
};

struct bide_crashes {
    pthread_mutex_t lock;
    struct bide_dying dying; /* what is about to be noted */
    struct bide_apart apart; /* what ran, or runs, in a batch */
    _Atomic int n;
    _Atomic int types[BIDE_CRASH_TYPES]; /* by the hash of the type's name: deaths less successes, weighted */
    uint64_t next_order;
    uint32_t hashes[BIDE_CRASH_RECORDS]; /* of the records' keys */
    struct bide_crash_record records[BIDE_CRASH_RECORDS];
};

/* What a worker learns of a message it was handed. */
struct bide_crash {
    int crashes;
    bool uncounted; /* the crashed run is not settled yet: do it, as failed */
    bool hung;
    bool suspect;   /* run it in quarantine */
    int suspicions; /* the deaths it was near */
    char text[BIDE_CRASH_TEXT];
};

/* In zeroed shared memory, by the supervisor, before any fork. */
void bide_crashes_init(struct bide_crashes *crashes);

/* A run of this message, its attempt'th, ended (or hung) its process. */
void bide_crashes_note(
    struct bide_crashes *crashes, const char *key, int attempt, bool hung, const char *text);
/* It was running when a process died. alone: nothing else was, and nobody else ended the process. */
void bide_crashes_suspect(
    struct bide_crashes *crashes, const char *key, int attempt, bool alone, const char *text);

/* False where nothing is known of the message. Changes nothing that matters: a settlement lost with the next
 * crash is asked for again. now_ms: monotonic. */
bool bide_crashes_ask(struct bide_crashes *crashes, const struct bide_message *message,
    const struct bide_clock *clock, struct bide_crash *ret_crash);
static inline bool bide_crashes_any(const struct bide_crashes *crashes)
{
    return atomic_load_explicit(&crashes->n, memory_order_relaxed) > 0;
}
/* It is done: forgotten. */
void bide_crashes_forget(struct bide_crashes *crashes, const char *key);
/* It is settled as dead: forgotten soon, so that a replay starts anew. */
void bide_crashes_end(struct bide_crashes *crashes, const char *key, int64_t now_ms);

/* ---- types that keep crashing; no lock ---- */

/* A message of this type ended a process. True where that makes it a type in trouble. */
bool bide_crashes_type_died(struct bide_crashes *crashes, const char *type);
void bide_crashes_type_did_well(struct bide_crashes *crashes, const char *type);
/* 0: none; else the deaths its successes do not make up for, at most some twenty. Two types whose names have
 * the same hash share their trouble. */
int bide_crashes_type_trouble(const struct bide_crashes *crashes, const char *type);

#endif
