/* worker/clerk/clerk.h: a thread that owns a worker's connection to the store, so that the intake never waits
 * for it.
 *
 * Gates write errands: a letter for the store, and the job that waits for its answer. Who has an errand when:
 *
 *   intake thread   bide_clerk_errand  a blank one; a gate fills it in
 *                   bide_clerk_hand    the errand, with its job, goes to the clerk
 *                   bide_clerk_wake    once a round: the thread sees all that was handed over
 *   clerk thread    applies whatever waits, at most BIDE_STORE_LETTERS_MAX letters a batch, lax ones first
 *   intake thread   bide_clerk_take    the errand comes back, answered or failed
 *                   bide_clerk_free
 *
 * Where the store is away, an errand that `must` be applied waits and is applied when the store is back; any
 * other comes back with the code of the failure. Applying a letter twice does no harm, so an answer that was
 * lost is asked for again.
 *
 * An errand may ask that the messages its run has sent are in the broker before its letter is applied
 * (`sends`). The clerk publishes them by a sender of its own, after the letters of the others. While the
 * broker blocks publishers, that holds the clerk up for SEND_TIMEOUT_MS at each try, at growing intervals.
 *
 * The thread starts with the first errand. Thread-safety: the intake thread's, where nothing else is said. */
#ifndef BIDE_WORKER_CLERK_CLERK_H
#define BIDE_WORKER_CLERK_CLERK_H

#include "base/wakeup.h"
#include "broker/configured.h"
#include "dispatch/job.h"
#include "outcome/decide.h"
#include "shared/metrics.h"
#include "store/store.h"

enum { BIDE_ERRAND_OPERATIONS = 4, BIDE_HOLDER_MAX = 96 };

struct bide_clerk;

struct bide_errand {
    struct bide_errand *next;
    struct bide_job *job; /* waits for the answer; NULL: nobody does. The clerk's as long as the errand is */
    bool must;            /* applied in the end, however long the store is away */
    bool sends;           /* not before the broker has confirmed what job->run sends, which is gone then */
    struct bide_store_letter letter; /* its code is the answer's; BIDE_E_BROKER: nothing is known */
    int64_t began_us, ended_us;      /* monotonic: the call to the store that answered it */
    struct bide_store_operation operations[BIDE_ERRAND_OPERATIONS];
    char key[BIDE_STORE_KEY_MAX + 1]; /* for what operations name: scopes, keys, holders … */
    char holder[BIDE_HOLDER_MAX];
    void *memory; /* … and for more of that: NULL, or freed with the errand */
    bool ends;    /* the job has been decided upon, and is settled so once this is answered: */
    struct bide_decision decision;
    enum bide_outcome_kind kind;
};

struct bide_clerk_options {
    struct bide_store_options store;             /* what it points to is borrowed until destroy */
    const struct bide_configured_broker *broker; /* for `sends`; NULL: nothing is sent */
    const struct bide_wakeup *done;              /* signalled when errands come back */
    struct bide_store_metrics *metrics;          /* NULL: not counted */
};

bide_code bide_clerk_create(
    const struct bide_clerk_options *options, struct bide_clerk **ret_clerk, bide_error *error);
/* Ends the thread, once the call to the store that is under way returns (its timeout bounds that). The
 * errands that it had come back by bide_clerk_take, failed unless they were answered. NULL is fine. */
void bide_clerk_stop(struct bide_clerk *clerk);
/* After stop; no errand may be out. NULL is fine. */
void bide_clerk_destroy(struct bide_clerk *clerk);

/* NULL: no memory. */
struct bide_errand *bide_clerk_errand(struct bide_clerk *clerk);
/* The next operation of its letter, zeroed but for what is given. */
struct bide_store_operation *bide_errand_add(
    struct bide_errand *errand, enum bide_store_kind kind, const char *scope, const char *key);
/* One that came back is as blank again, but for its `key`, `holder` and `memory`. Returns it. */
struct bide_errand *bide_errand_again(struct bide_errand *errand);
void bide_clerk_free(struct bide_clerk *clerk, struct bide_errand *errand);

/* Takes it over; bide_clerk_wake follows. */
void bide_clerk_hand(struct bide_clerk *clerk, struct bide_errand *errand);
/* Starts the thread if it does not run yet. Cheap where nothing was handed over. */
void bide_clerk_wake(struct bide_clerk *clerk);
/* All that have come back and have a job, as a list. Cheap where there are none. */
struct bide_errand *bide_clerk_take(struct bide_clerk *clerk);

/* How many jobs wait for an answer. */
size_t bide_clerk_jobs(const struct bide_clerk *clerk);
/* Is the store out of reach, as far as is known? Any thread. */
bool bide_clerk_is_away(const struct bide_clerk *clerk);
/* For how long it has been, at most: 0 when it is there. Any thread. */
int64_t bide_clerk_away_ms(const struct bide_clerk *clerk);
/* From now on nothing waits for the store to come back: this worker leaves. */
void bide_clerk_give_up(struct bide_clerk *clerk);
/* Finds out whether the store is there, before anybody needs it. */
void bide_clerk_begin(struct bide_clerk *clerk);

#endif
