/* broker/sqlite/receiver.h: the inside of a receiver, shared by receiver.c, claim.c, settle.c and watch.c.
 *
 * One transaction settles all that was handed over and claims what there is room for: a worker with work
 * waits for the disk once a batch. Thread-safety: one thread (the intake). */
#ifndef BIDE_BROKER_SQLITE_RECEIVER_H
#define BIDE_BROKER_SQLITE_RECEIVER_H

#include "base/buffer.h"
#include "base/heap.h"
#include "bide/error.h"
#include "broker/reconnect.h"
#include "broker/sqlite/file.h"

/* ---- watch.c ---- */

/* What wakes a receiver: inotify on the side file (see lock.h) and the database file.
 *
 * The log (FILE-wal) is not watched: it is written before its commit can be seen, and at every page.
 * Thread-safety: one thread at a time. */

struct bide_sqlite_watch {
    int fd;             /* to be polled; -1 when closed */
    int database, lock; /* watch descriptors; -1: none */
};

enum {
    BIDE_SQLITE_RANG = 1,    /* something new may be there to claim */
    BIDE_SQLITE_LEFT = 2,    /* a process has closed the side file: perhaps a worker that died */
    BIDE_SQLITE_TOUCHED = 4, /* one of the files may have been removed or replaced */
};

bide_code bide_sqlite_watch_open(struct bide_sqlite_watch *watch, bide_error *error);
void bide_sqlite_watch_close(struct bide_sqlite_watch *watch);
/* Watches these files instead of those before. */
bide_code bide_sqlite_watch_files(
    struct bide_sqlite_watch *watch, const char *database, const char *lock, bide_error *error);
/* What has happened since the last call: flags as above. */
unsigned bide_sqlite_watch_read(struct bide_sqlite_watch *watch);

/* What is handed out early is bounded by number and by the size of its bodies; and in each queue, together
 * with what is held, by the queue's limit: what another worker could run in time must not lie here. */
enum { BIDE_SQLITE_EARLY_MAX = 4096, BIDE_SQLITE_EARLY_BYTES = 8 * 1024 * 1024 };

#define BIDE_SQLITE_NEVER INT64_MAX

struct bide_sqlite_delivery {
    struct bide_delivery base;
    struct bide_heap_node early; /* in `early` until due; from then on it counts among the queue's held */
    int64_t seq;
    uint64_t generation;               /* of the file it came from */
    struct bide_settlement settlement; /* once settled */
    struct bide_sqlite_delivery *next; /* among the settled */
};

struct bide_sqlite_queue {
    char *name;
    size_t limit;
    size_t held;         /* in the user's hands and due */
    size_t early;        /* in the user's hands and not yet due */
    bool stale;          /* next_due_ms may be too late by now */
    int64_t next_due_ms; /* of the first that waits, or NEVER */
};

struct bide_sqlite_receiver {
    struct bide_receiver base;
    struct bide_sqlite_file file;
    struct bide_sqlite_watch watch;
    char *name;
    int64_t worker;      /* our number in the file */
    uint64_t generation; /* counts up when what was claimed before is not ours any more */
    struct bide_sqlite_queue *queues;
    size_t n_queues;
    size_t max_body;
    struct bide_heap early;
    size_t early_bytes;
    size_t in_flight, max_in_flight; /* bytes of bodies in the user's hands */
    struct bide_sqlite_delivery *first_settled, *last_settled;
    size_t n_settled;
    struct bide_buffer scratch;
    int64_t check_us; /* monotonic: when to look after dead workers and the file next */
    int rechecks;     /* so many more soon: a closing process drops its locks after the event */
    int64_t dead;     /* a worker to be freed by the next transaction; 0: none */
    bool stopped;
    bool waits;               /* the last transaction made something wait that others may claim */
    int64_t failing_since_us; /* 0: all is well */
    bool reported;            /* the log knows that it fails */
    struct bide_reconnect retry;
    struct bide_receiver_stats stats;
};

/* ---- claim.c ---- */

/* Is something there that should be claimed now? Looks into the file only where what is known is stale. */
bide_code bide_sqlite_claim_look(struct bide_sqlite_receiver *receiver, bool *ret_any, bide_error *error);
/* Within a transaction: claims up to max for all queues. The deliveries are not yet counted as held; after
 * a failure too, ret_n says how many were made. */
bide_code bide_sqlite_claim(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries,
    size_t max, size_t *ret_n, bide_error *error);
/* The transaction is committed: they are the user's. */
void bide_sqlite_claim_hand_out(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries, size_t n);
/* It is no longer the user's: counts it out. */
void bide_sqlite_claim_take_back(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery);
/* What was early and is due now counts among the held. */
void bide_sqlite_claim_land(struct bide_sqlite_receiver *receiver);
/* How long nothing will be claimable, as far as is known, in us; at most `longest_us`. */
int64_t bide_sqlite_claim_wait_us(const struct bide_sqlite_receiver *receiver, int64_t longest_us);
void bide_sqlite_claim_forget_queues(struct bide_sqlite_receiver *receiver); /* all are stale */
void bide_sqlite_delivery_destroy(struct bide_sqlite_delivery *delivery);

/* ---- settle.c ---- */

/* Takes over a settlement, for the next transaction. */
void bide_sqlite_settle_add(struct bide_sqlite_receiver *receiver, const struct bide_settlement *settlement);
/* Within a transaction: carries out all that was handed over. */
bide_code bide_sqlite_settle_apply(struct bide_sqlite_receiver *receiver, bide_error *error);
/* The transaction is committed (or, `lost`, never will be): frees them. */
void bide_sqlite_settle_finish(struct bide_sqlite_receiver *receiver, bool lost);

#endif
