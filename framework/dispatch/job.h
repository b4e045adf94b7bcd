/* dispatch/job.h: a delivery on its way through the pool, and lists of them.
 *
 * Ownership moves with the job: intake -> pool (submit) -> intake (collect). Jobs come from the intake's free
 * list. */
#ifndef BIDE_DISPATCH_JOB_H
#define BIDE_DISPATCH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "bide/handler.h"
#include "broker/broker.h"

struct bide_errand;
struct bide_gate_list;
struct bide_handler;
struct bide_limit_pass;

/* What became of a transaction (bide_commit, bide_abort). */
enum bide_answer { BIDE_ANSWER_NONE, BIDE_ANSWER_COMMIT, BIDE_ANSWER_ABORT };

/* What a run has produced. The pool thread writes it, the intake reads it. */
struct bide_run {
    bide_outcome outcome;
    int64_t delay_ms;     /* RETRY: the handler's own, or BIDE_BY_POLICY */
    char *error;          /* owned; NULL where none was given */
    bide_message **sends; /* owned, with the messages */
    size_t n_sends;
    bool timed_out;
    bool crashed;    /* the run ended its sandbox or program (a signal, exit …); `error` says how */
    bool near_death; /* its process ended while it ran several: a suspect; the attempt does not count */
    bool batch_died; /* its process ended, or it did not return, in a call of several messages: nobody is to
                        blame yet; the attempt does not count, and it runs again apart */
    bool spared; /* RETRY, but this process lacked memory or the like to run it: the attempt does not count */
    bool ran;    /* false: handed back without a run */
    bool expired;            /* its expiry passed before it could run */
    bool late;               /* it did not run: its permit's time was over (bide_job.begin_from_us) */
    enum bide_answer answer; /* to a message that asks (message/asking.h) */
    char *throttled;         /* owned; RETRY, by bide_throttled: the limit's name, "" for all; else NULL */
    int64_t started_us;      /* wall */
    int64_t waited_us;       /* monotonic: from when it could have run (submitted and due) to the start */
    int64_t took_us;
};

struct bide_job_list {
    struct bide_job *first, *last;
    size_t n;
};

struct bide_job {
    struct bide_heap_node landing; /* due_us: wall; `place` says whether it is in the landing heap */
    struct bide_job *next;
    struct bide_delivery *delivery;
    struct bide_handler *handler;
    int64_t ready_us;  /* monotonic: when it was submitted or fell due, the later of the two */
    bool suspect;      /* it was running when a process crashed: see shared/crashes.h */
    int deaths;        /* of a suspect: in how many crashes it was running */
    bool apart;        /* it runs in a call of its own, because a batch that it was in ended its process */
    bool call_goes_on; /* (program) it has ended, and others of its call have not */
    struct bide_job_list mates; /* of the first job of a call: the others */
    bool probe;                 /* of a circuit that is half-open: see outcome/breaker.h */
    bool early;         /* (intake) not due when it was submitted: does not count toward the queue's limit */
    bool submitted;     /* (intake) counted as in the pool's hands */
    bool landed;        /* (board) it waited in the landing heap and fell due there */
    unsigned asked;     /* (intake) how many of its gates have answered */
    unsigned committed; /* (intake) how many of its gates have nothing more to write before it is settled */
    bool uncommitted;   /* (intake) what its end needs in the store cannot be had: it is handed back */
    bool refused;       /* (intake) the broker refuses what its run has sent: that goes with the settlement */
    bool waited;        /* (intake) counted as in hand while the clerk has it */
    unsigned char transaction; /* (intake) how far the end of its transaction is, … */
    uint64_t claim; /* … and what tells this worker's decision from others: gates/transaction.c */
    const struct bide_gate_list *gates;
    struct bide_errand *errand; /* (intake) the answer that it waited for; NULL: none */
    struct bide_errand *permit; /* (intake) what asked for the one that it holds (gates/once.c); NULL: none */
    /* (intake) A run with permits of limits begins between these two (monotonic); the pool gives back what
     * cannot (bide_run.late). begin_by_us 0: at any time. start_us: wall; it lands then, if that is later
     * than its due time. */
    int64_t start_us, begin_from_us, begin_by_us;
    struct bide_limit_pass *limits; /* (intake) its way past the limits (gates/limit.c); NULL: none */
    struct bide_run run;
};

static inline struct bide_job *bide_job_of_landing(struct bide_heap_node *node)
{
    return (struct bide_job *)node; /* `landing` is the first member */
}

/* First in, first out. A zeroed list is empty. */
static inline void bide_job_append(struct bide_job_list *list, struct bide_job *job)
{
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

static inline void bide_job_prepend(struct bide_job_list *list, struct bide_job *job)
{
    job->next = list->first;
    list->first = job;
    if (!list->last)
        list->last = job;
    list->n++;
}

static inline struct bide_job *bide_job_pop(struct bide_job_list *list)
{
    struct bide_job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    list->n--;
    return job;
}

/* Moves all of `from` behind `to`. */
static inline void bide_job_append_all(struct bide_job_list *to, struct bide_job_list *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->n += from->n;
    *from = (struct bide_job_list){0};
}

typedef bool bide_job_test(const void *user, const struct bide_job *job);

/* Moves the jobs that pass the test behind `to`; the others keep their order. Returns how many were moved. */
static inline size_t bide_job_pick(
    struct bide_job_list *from, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    struct bide_job_list others = {0};
    struct bide_job *job;
    size_t before = to->n;
    while ((job = bide_job_pop(from)))
        bide_job_append(test(user, job) ? to : &others, job);
    *from = others;
    return to->n - before;
}

/* The same for the jobs of a call, its first job and that one's mates. Returns the first of what is left;
 * NULL: nothing. */
static inline struct bide_job *bide_job_pick_from_call(
    struct bide_job *first, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    struct bide_job_list left = first->mates;
    first->mates = (struct bide_job_list){0};
    if (left.n > 0)
        bide_job_pick(&left, test, user, to);
    if (test(user, first))
        bide_job_append(to, first);
    else
        bide_job_prepend(&left, first);
    first = bide_job_pop(&left);
    if (first)
        first->mates = left;
    return first;
}

#endif
