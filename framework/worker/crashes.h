/* worker/crashes.h: what is known of messages that brought a worker process down.
 *
 * A table in memory shared by the supervisor and its worker processes. The supervisor notes a crash after a
 * death; the worker that gets the message again asks, counts the crashed run as a failed attempt, and lets
 * decide() say what becomes of it. Where several messages were running and none is known to be at fault
 * (SIGKILL, out of memory), all are suspects: each is then run while no other suspect runs, so that the
 * guilty one is soon alone in the company of changing neighbours.
 *
 * Thread-safety: every call takes the table's robust, process-shared lock; with an empty table the questions
 * cost one atomic read. Bounded: the oldest record makes room for a new one. */
#ifndef BIDE_WORKER_CRASHES_H
#define BIDE_WORKER_CRASHES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bide/message.h"

enum { BIDE_CRASH_RECORDS = 1024, BIDE_CRASH_TEXT = 200 };

struct bide_crash_record {
    char id[BIDE_ID_MAX + 1]; /* "": free */
    char text[BIDE_CRASH_TEXT];
    uint64_t order; /* of the last change: the lowest makes room */
    int crashes;    /* runs known to have ended a process by this message's fault */
    int suspicions; /* deaths in which it was one of several */
    bool uncounted; /* a run ended the process and is not yet settled as a failed attempt */
    bool hung;      /* … because it did not return */
};

struct bide_crashes {
    pthread_mutex_t lock;
    _Atomic int n;
    uint64_t next_order;
    struct bide_crash_record records[BIDE_CRASH_RECORDS];
};

/* What a worker learns of a message it was handed. */
struct bide_crash {
    int crashes;
    bool uncounted; /* settle it as failed now; the flag is taken back by asking */
    bool hung;
    bool suspect; /* run it while no other suspect runs */
    char text[BIDE_CRASH_TEXT];
};

/* In zeroed shared memory, by the supervisor, before any fork. */
void bide_crashes_init(struct bide_crashes *crashes);

/* A run of this message ended (or hung) its process. */
void bide_crashes_note(struct bide_crashes *crashes, const char *id, bool hung, const char *text);
/* It was one of several running when a process died; becomes guilty with the `limit`th suspicion. */
void bide_crashes_suspect(struct bide_crashes *crashes, const char *id, int limit, const char *text);

/* False where nothing is known of the message. */
bool bide_crashes_ask(struct bide_crashes *crashes, const char *id, struct bide_crash *ret_crash);
/* It came to an end: forgotten. */
void bide_crashes_forget(struct bide_crashes *crashes, const char *id);

#endif
