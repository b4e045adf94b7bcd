/* shared/apart.h: which messages run, or ran, in a batch that may be the end of its process.
 *
 * A worker process notes the messages of a batch before its handler is called, and forgets them when that has
 * returned. What a process leaves noted when it dies was in a batch then: nobody knows which of them is to
 * blame. A worker that meets such a message runs it in a call of its own (worker/gates/apart.c); if the
 * process dies again, that message is to blame. A batch that a sandbox or a program has died of is noted by
 * the worker.
 *
 * In memory that all processes of a worker share. Where two keys (bide_crash_key) have the same hash, or so
 * many are noted that one takes the other's place, a message runs apart for nothing, or in a batch that may
 * end a process again.
 *
 * Thread-safety: all calls, from every process. */
#ifndef BIDE_SHARED_APART_H
#define BIDE_SHARED_APART_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { BIDE_APART_WAYS = 8, BIDE_APART_SETS = 8 * 1024 };

enum { BIDE_APART_ANYBODY = -1 };

/* Begins as zeroes. A cell: the key's hash, and in the low half who noted it (a process, or 0). */
struct bide_apart {
    _Atomic uint32_t next; /* which cell of a full set makes room */
    _Atomic uint64_t cells[BIDE_APART_SETS][BIDE_APART_WAYS];
};

/* pid: of the process that may end; 0: it has ended. */
void bide_apart_add(struct bide_apart *apart, const char *key, int pid);
/* What this process, or ANYBODY, has noted. */
void bide_apart_remove(struct bide_apart *apart, const char *key, int pid);
bool bide_apart_has(const struct bide_apart *apart, const char *key);
/* The process has ended by nobody's fault: forgets what it had noted. */
void bide_apart_forget(struct bide_apart *apart, int pid);

#endif
