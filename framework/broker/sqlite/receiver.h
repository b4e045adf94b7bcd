/* broker/sqlite/receiver.h: the structure behind a receiver, for receiver.c, claim.c, settle.c and watch.c.
 *
 * One transaction stores all settlements handed over so far and claims as much as there is room for: a busy
 * worker waits for the disk once a batch. Thread-safety: one thread (the intake). */
#ifndef BIDE_BROKER_SQLITE_RECEIVER_H
#define BIDE_BROKER_SQLITE_RECEIVER_H

#include "base/buffer.h"
#include "base/heap.h"
#include "bide/error.h"
#include "broker/reconnect.h"
#include "broker/sqlite/file.h"

/* ---- watch.c ---- */

/* Wakes a receiver, by inotify on the side file (see lock.h) and the database file.
 *
 * The log (FILE-wal) is not watched: it changes with every page written, before the commit can be seen.
 * Thread-safety: one thread at a time. */

struct bide_sqlite_watch {
    int fd;             /* to be polled; -1 when closed */
    int database, lock; /* watch descriptors; -1: none */
};

enum {
    BIDE_SQLITE_RANG = 1,    /* there may be a new message to claim */
    BIDE_SQLITE_LEFT = 2,    /* a process has closed the side file: perhaps a worker died */
    BIDE_SQLITE_TOUCHED = 4, /* one of the files may have been removed or replaced */
};

bide_code bide_sqlite_watch_open(struct bide_sqlite_watch *watch, bide_error *error);
void bide_sqlite_watch_close(struct bide_sqlite_watch *watch);
/* Watches these files instead of those before. */
bide_code bide_sqlite_watch_files(
    struct bide_sqlite_watch *watch, const char *database, const char *lock, bide_error *error);
/* Returns what has happened since the last call, as the flags above. */
unsigned bide_sqlite_watch_read(struct bide_sqlite_watch *watch);

/* Bounds for all early deliveries together, by number and by bytes of bodies. In each queue the early and the
 * held ones together are also bounded by the queue's limit: what another worker could run in time must not
 * wait here. */
enum { BIDE_SQLITE_EARLY_MAX = 4096, BIDE_SQLITE_EARLY_BYTES = 8 * 1024 * 1024 };

#define BIDE_SQLITE_NEVER INT64_MAX

struct bide_sqlite_delivery {
    struct bide_delivery base;
    struct bide_heap_node early; /* in the heap `early` until due; then the delivery counts as held */
    int64_t seq;
    uint64_t generation;               /* of the receiver when it was claimed */
    struct bide_settlement settlement; /* once settled */
    struct bide_sqlite_delivery *next; /* next in the list of settled ones */
};

struct bide_sqlite_queue {
    char *name;
    size_t limit;
    size_t held;         /* in the user's hands and due */
    size_t early;        /* in the user's hands and not yet due */
    bool stale;          /* next_due_ms may be too late now */
    int64_t next_due_ms; /* due time of the first waiting message, or NEVER */
};

struct bide_sqlite_receiver {
    struct bide_receiver base;
    struct bide_sqlite_file file;
    struct bide_sqlite_watch watch;
    char *name;
    char **joins;        /* subscriptions, ended by NULL */
    int64_t worker;      /* this worker's number in the file */
    uint64_t generation; /* counts up when the earlier claims are no longer this worker's */
    struct bide_sqlite_queue *queues;
    size_t n_queues;
    size_t turn; /* the queue with which the next claim begins, modulo n_queues */
    size_t max_body;
    struct bide_heap early;
    size_t early_bytes;
    size_t in_flight, max_in_flight; /* bytes of bodies in the user's hands */
    struct bide_sqlite_delivery *first_settled, *last_settled;
    size_t n_settled;
    struct bide_buffer scratch;
    int64_t check_us; /* monotonic: when to look for dead workers and at the file next */
    int rechecks;     /* so many more checks soon: a killed process drops its locks after the event */
    int64_t dead;     /* number of a dead worker, whose claims the next transaction gives back; 0: none */
    bool ahead;       /* as in the options */
    bool stopped;
    bool waits;               /* the last transaction made messages wait that other workers may claim */
    int64_t failing_since_us; /* 0: all is well */
    bool reported;            /* the log says that it fails */
    struct bide_reconnect retry;
    struct bide_receiver_stats stats;
};

/* ---- claim.c ---- */

/* Is there something to claim now? Reads the file only where the receiver's knowledge is stale. */
bide_code bide_sqlite_claim_look(struct bide_sqlite_receiver *receiver, bool *ret_any, bide_error *error);
/* Within a transaction: claims up to max for all queues. The deliveries do not count as held yet. ret_n says
 * how many were made, after a failure too. */
bide_code bide_sqlite_claim(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries,
    size_t max, size_t *ret_n, bide_error *error);
/* After the commit: counts the deliveries as the user's. */
void bide_sqlite_claim_hand_out(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries, size_t n);
/* The user no longer has the delivery: counts it out. */
void bide_sqlite_claim_take_back(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery);
/* Counts early deliveries that are due now as held. */
void bide_sqlite_claim_land(struct bide_sqlite_receiver *receiver);
/* How long nothing can be claimed, as far as the receiver knows, in us; at most `longest_us`. */
int64_t bide_sqlite_claim_wait_us(const struct bide_sqlite_receiver *receiver, int64_t longest_us);
void bide_sqlite_claim_forget_queues(struct bide_sqlite_receiver *receiver); /* marks all as stale */
void bide_sqlite_delivery_destroy(struct bide_sqlite_delivery *delivery);

/* ---- settle.c ---- */

/* Takes over a settlement; the next transaction stores it. */
void bide_sqlite_settle_add(struct bide_sqlite_receiver *receiver, const struct bide_settlement *settlement);
/* Within a transaction: stores all settlements handed over. */
bide_code bide_sqlite_settle_apply(struct bide_sqlite_receiver *receiver, bide_error *error);
/* After the commit, or with `lost` when the settlements can never be stored: frees them. */
void bide_sqlite_settle_finish(struct bide_sqlite_receiver *receiver, bool lost);

#endif
