#include "worker/clerk/inside.h"

#include <signal.h>

#include "base/alloc.h"
#include "bide/log.h"

/* ---- errands (intake thread) ---- */

struct bide_errand *bide_clerk_errand(struct bide_clerk *clerk)
{
    struct bide_errand *errand = clerk->blank;
    if (errand)
        clerk->blank = errand->next;
    else if (!(errand = bide_malloc(sizeof *errand)))
        return NULL;
    errand->memory = NULL;
    errand->letter.n = 0;
    return bide_errand_again(errand);
}

struct bide_errand *bide_errand_again(struct bide_errand *errand)
{
    bide_store_letter_clear(&errand->letter);
    errand->letter = (struct bide_store_letter){.operations = errand->operations};
    errand->job = NULL;
    errand->must = errand->sends = errand->ends = false;
    return errand;
}

struct bide_store_operation *bide_errand_add(
    struct bide_errand *errand, enum bide_store_kind kind, const char *scope, const char *key)
{
    struct bide_store_operation *operation = &errand->operations[errand->letter.n++];
    *operation = (struct bide_store_operation){.kind = kind, .scope = scope, .key = key};
    return operation;
}

void bide_clerk_free(struct bide_clerk *clerk, struct bide_errand *errand)
{
    bide_store_letter_clear(&errand->letter);
    bide_free(errand->memory);
    errand->next = clerk->blank;
    clerk->blank = errand;
}

void bide_clerk_hand(struct bide_clerk *clerk, struct bide_errand *errand)
{
    clerk->jobs += errand->job != NULL;
    errand->letter.code = BIDE_E_BROKER;
    errands_add(&clerk->handed, errand);
}

/* All signals are blocked in the thread, so that the intake thread gets them. */
static void start(struct bide_clerk *clerk)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    clerk->runs = pthread_create(&clerk->thread, NULL, bide_clerk_run, clerk) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!clerk->runs && !clerk->cannot_start)
        bide_log(BIDE_LOG_ERROR, "the thread for the store cannot be started: messages that need it wait");
    clerk->cannot_start = !clerk->runs;
}

void bide_clerk_wake(struct bide_clerk *clerk)
{
    if (!clerk->handed.first)
        return;
    pthread_mutex_lock(&clerk->lock);
    errands_add_all(&clerk->inbox, &clerk->handed);
    pthread_mutex_unlock(&clerk->lock);
    bide_clerk_begin(clerk);
    bide_wakeup_signal(&clerk->wakeup);
}

void bide_clerk_begin(struct bide_clerk *clerk)
{
    if (!clerk->runs)
        start(clerk);
}

struct bide_errand *bide_clerk_take(struct bide_clerk *clerk)
{
    struct errands came, with_job;
    errands_init(&came);
    errands_init(&with_job);
    if (!atomic_load_explicit(&clerk->has_outbox, memory_order_acquire))
        return NULL;
    atomic_store(&clerk->has_outbox, false);
    pthread_mutex_lock(&clerk->lock);
    errands_add_all(&came, &clerk->outbox);
    pthread_mutex_unlock(&clerk->lock);
    while (came.first) {
        struct bide_errand *errand = errands_take(&came);
        if (errand->job)
            errands_add(&with_job, errand);
        else
            bide_clerk_free(clerk, errand);
    }
    clerk->jobs -= with_job.n;
    return with_job.first;
}

size_t bide_clerk_jobs(const struct bide_clerk *clerk)
{
    return clerk->jobs;
}

void bide_clerk_give_up(struct bide_clerk *clerk)
{
    atomic_store(&clerk->gives_up, true);
    bide_wakeup_signal(&clerk->wakeup);
}

/* ---- its life ---- */

bide_code bide_clerk_create(
    const struct bide_clerk_options *options, struct bide_clerk **ret_clerk, bide_error *error)
{
    struct bide_clerk *clerk = bide_calloc(1, sizeof *clerk);
    if (!clerk)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    clerk->options = *options;
    pthread_mutex_init(&clerk->lock, NULL);
    struct errands *const lists[] = {&clerk->inbox, &clerk->outbox, &clerk->handed, &clerk->waiting};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        errands_init(lists[i]);
    bide_code code = bide_wakeup_init(&clerk->wakeup, error);
    if (code == BIDE_OK)
        code = bide_store_open(&options->store, &clerk->store, error);
    if (code != BIDE_OK) {
        bide_clerk_destroy(clerk);
        return code;
    }
    *ret_clerk = clerk;
    return BIDE_OK;
}

void bide_clerk_stop(struct bide_clerk *clerk)
{
    if (!clerk)
        return;
    atomic_store(&clerk->ending, true);
    bide_wakeup_signal(&clerk->wakeup);
    if (clerk->runs)
        pthread_join(clerk->thread, NULL);
    clerk->runs = false;
    errands_add_all(&clerk->outbox, &clerk->waiting);
    errands_add_all(&clerk->outbox, &clerk->inbox);
    errands_add_all(&clerk->outbox, &clerk->handed);
    atomic_store(&clerk->has_outbox, true);
}

void bide_clerk_destroy(struct bide_clerk *clerk)
{
    if (!clerk)
        return;
    for (struct bide_errand *errand = clerk->blank, *next; errand; errand = next) {
        next = errand->next;
        bide_free(errand);
    }
    bide_sender_destroy(clerk->sender);
    bide_store_destroy(clerk->store);
    bide_wakeup_close(&clerk->wakeup);
    pthread_mutex_destroy(&clerk->lock);
    bide_free(clerk);
}
