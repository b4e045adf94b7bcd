/* worker/clerk/inside.h: the clerk's struct, for this folder. The comments say which thread may use what. */
#ifndef BIDE_WORKER_CLERK_INSIDE_H
#define BIDE_WORKER_CLERK_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/reconnect.h"
#include "worker/clerk/clerk.h"

struct errands {
    struct bide_errand *first, **end;
    size_t n;
};

struct bide_clerk {
    struct bide_clerk_options options;
    struct bide_wakeup wakeup; /* signalled for errands in the inbox, and for the end */
    atomic_bool ending, gives_up, is_away, has_outbox;
    atomic_llong away_since_us; /* monotonic; while is_away */
    pthread_mutex_t lock;       /* for inbox and outbox */
    struct errands inbox, outbox;
    /* the intake thread's */
    pthread_t thread;
    bool runs, cannot_start;
    struct errands handed; /* since the last wake */
    struct bide_errand *blank;
    size_t jobs;
    /* the clerk thread's */
    struct bide_store *store;
    struct bide_reconnect reconnect;
    int64_t tend_us; /* monotonic; 0: not yet */
    struct errands waiting;
    struct bide_sender *sender;
    struct bide_reconnect sending;
    struct bide_store_letter letters[BIDE_STORE_LETTERS_MAX]; /* of the batch under way, */
    struct bide_errand *batch[BIDE_STORE_LETTERS_MAX];        /* and whose they are */
};

static inline void errands_init(struct errands *list)
{
    list->first = NULL;
    list->end = &list->first;
    list->n = 0;
}

static inline void errands_add(struct errands *list, struct bide_errand *errand)
{
    errand->next = NULL;
    *list->end = errand;
    list->end = &errand->next;
    list->n++;
}

static inline void errands_add_all(struct errands *list, struct errands *from)
{
    if (!from->first)
        return;
    *list->end = from->first;
    list->end = from->end;
    list->n += from->n;
    errands_init(from);
}

static inline struct bide_errand *errands_take(struct errands *list)
{
    struct bide_errand *errand = list->first;
    list->first = errand->next;
    list->n--;
    if (!list->first)
        list->end = &list->first;
    return errand;
}

/* ---- clerking.c: the clerk thread ---- */

void *bide_clerk_run(void *clerk);

/* ---- followups.c: the clerk thread ---- */

/* Publishes what waiting errands want to be sent before they are applied. Some may be ready then. */
void bide_clerk_send(struct bide_clerk *clerk);
bool bide_clerk_is_ready(const struct bide_errand *errand);

#endif
