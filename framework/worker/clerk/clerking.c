/* The clerk thread: applies what waits, tends the store, and notices when it goes away and comes back. */
#include <poll.h>
#include <time.h>

#include "base/killpoint.h"
#include "bide/log.h"
#include "worker/clerk/inside.h"

enum { PROBE_LASTS_MS = 1000 };
_Static_assert(BIDE_STORE_CLOSE + 1 == BIDE_METRICS_STORE_KINDS, "each kind of operation is counted");

static int64_t now_us(const struct bide_clerk *clerk)
{
    return bide_mono_us(clerk->options.store.clock);
}

static void take_inbox(struct bide_clerk *clerk)
{
    pthread_mutex_lock(&clerk->lock);
    errands_add_all(&clerk->waiting, &clerk->inbox);
    pthread_mutex_unlock(&clerk->lock);
}

static void deliver(struct bide_clerk *clerk, struct errands *answered)
{
    if (!answered->first)
        return;
    pthread_mutex_lock(&clerk->lock);
    errands_add_all(&clerk->outbox, answered);
    pthread_mutex_unlock(&clerk->lock);
    atomic_store(&clerk->has_outbox, true);
    bide_wakeup_signal(clerk->options.done);
}

/* ---- is the store there? ---- */

bool bide_clerk_is_away(const struct bide_clerk *clerk)
{
    return atomic_load_explicit(&clerk->is_away, memory_order_relaxed);
}

int64_t bide_clerk_away_ms(const struct bide_clerk *clerk)
{
    return bide_clerk_is_away(clerk) ? (now_us(clerk) - atomic_load(&clerk->away_since_us)) / 1000 : 0;
}

static void set_away(struct bide_clerk *clerk, bool away)
{
    struct bide_store_metrics *metrics = clerk->options.metrics;
    atomic_store(&clerk->away_since_us, now_us(clerk));
    atomic_store(&clerk->is_away, away);
    if (metrics)
        atomic_store_explicit(&metrics->away, away, memory_order_relaxed);
    bide_wakeup_signal(clerk->options.done); /* the gates take in more, or no more */
}

static void went_away(struct bide_clerk *clerk, const bide_error *error)
{
    if (clerk->options.metrics)
        bide_metrics_add(&clerk->options.metrics->errors, 1);
    if (!bide_clerk_is_away(clerk)) {
        bide_log(BIDE_LOG_ERROR, "the store is away: messages that need it wait in the broker",
            BIDE_STR("store", clerk->options.store.url->redacted), BIDE_STR("error", error->text));
        set_away(clerk, true);
    }
    bide_reconnect_failed(&clerk->reconnect, now_us(clerk));
}

static void is_there(struct bide_clerk *clerk)
{
    bide_reconnect_succeeded(&clerk->reconnect);
    if (!bide_clerk_is_away(clerk))
        return;
    bide_log(BIDE_LOG_INFO, "the store is back", BIDE_STR("store", clerk->options.store.url->redacted));
    set_away(clerk, false);
}

/* ---- a batch ---- */

static void count(struct bide_clerk *clerk, size_t n, int64_t took_us)
{
    struct bide_store_metrics *metrics = clerk->options.metrics;
    if (!metrics)
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < clerk->letters[i].n; j++)
            bide_metrics_add(&metrics->operations[clerk->letters[i].operations[j].kind], 1);
    bide_metrics_add(&metrics->letters, n);
    bide_metrics_add(&metrics->batches, 1);
    bide_histogram_add(&metrics->latency, took_us);
}

/* Takes the next ones that may be applied out of those that wait: those that are lax, or the others. */
static size_t gather(struct bide_clerk *clerk, bool lax)
{
    struct errands rest;
    size_t n = 0;
    errands_init(&rest);
    while (clerk->waiting.first) {
        struct bide_errand *errand = errands_take(&clerk->waiting);
        if (n == BIDE_STORE_LETTERS_MAX || errand->letter.lax != lax || !bide_clerk_is_ready(errand)) {
            errands_add(&rest, errand);
            continue;
        }
        errand->letter.code = BIDE_E_BROKER;
        clerk->letters[n] = errand->letter;
        clerk->batch[n++] = errand;
    }
    errands_add_all(&clerk->waiting, &rest);
    return n;
}

static bool is_final(bide_code code)
{
    return code == BIDE_OK || code == BIDE_E_DATA;
}

/* True where each letter of the batch has its answer. */
static bool take_answers(struct bide_clerk *clerk, size_t n, int64_t began_us, struct errands *answered)
{
    int64_t ended_us = now_us(clerk);
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        struct bide_errand *errand = clerk->batch[i];
        errand->letter.code = clerk->letters[i].code;
        errand->began_us = began_us;
        errand->ended_us = ended_us;
        bool final = is_final(errand->letter.code);
        all &= final;
        errands_add(final || !errand->must ? answered : &clerk->waiting, errand);
    }
    return all;
}

static void apply(struct bide_clerk *clerk, bool lax, struct errands *answered)
{
    bide_error error = {0};
    size_t n = bide_clerk_is_away(clerk) ? 0 : gather(clerk, lax);
    if (n == 0)
        return;
    int64_t began_us = now_us(clerk);
    bide_store_apply(clerk->store, clerk->letters, n, &error);
    count(clerk, n, now_us(clerk) - began_us);
    BIDE_KILL_POINT("worker/once-applied");
    if (!take_answers(clerk, n, began_us, answered))
        went_away(clerk, &error);
}

/* ---- rounds ---- */

/* Registers this process with the store, as it must be done every so often. */
static bide_code tend(struct bide_clerk *clerk, bide_error *error)
{
    int64_t wait_ms = 0;
    bide_code code = bide_store_tend(clerk->store, &wait_ms, error);
    if (code == BIDE_OK)
        clerk->tend_us = now_us(clerk) + wait_ms * 1000;
    return code;
}

static bide_code write_fact(struct bide_clerk *clerk, bide_error *error)
{
    int64_t now = now_us(clerk); /* as data that were not there before: else nothing might be written */
    struct bide_store_operation write = {.kind = BIDE_STORE_TURN,
        .scope = "bide",
        .key = "is it there?",
        .lasts_ms = PROBE_LASTS_MS,
        .turn = {.from = BIDE_STORE_ANY, .to = 1, .data = {(const char *)&now, sizeof now}}};
    struct bide_store_letter letter = {.operations = &write, .n = 1};
    bide_code code = bide_store_apply(clerk->store, &letter, 1, error);
    bide_store_letter_clear(&letter);
    return code;
}

/* Is it there again? It has to take all that is written: one that is full, or a replica, still answers what
 * it can read, and would come back and go away by turns. */
static void probe(struct bide_clerk *clerk)
{
    bide_error error = {0};
    if (write_fact(clerk, &error) == BIDE_OK && tend(clerk, &error) == BIDE_OK)
        is_there(clerk);
    else
        went_away(clerk, &error);
}

static void tend_when_due(struct bide_clerk *clerk)
{
    bide_error error = {0};
    if (now_us(clerk) >= clerk->tend_us && tend(clerk, &error) != BIDE_OK)
        went_away(clerk, &error);
}

/* False: it comes back failed. One that must be applied and need not any more had its messages refused. */
static bool may_wait(const struct bide_clerk *clerk, const struct bide_errand *errand)
{
    if (atomic_load(&clerk->gives_up))
        return false;
    return errand->must || !(errand->sends || bide_clerk_is_away(clerk));
}

static void fail_some(struct bide_clerk *clerk, struct errands *answered)
{
    struct errands all;
    errands_init(&all);
    errands_add_all(&all, &clerk->waiting);
    while (all.first) {
        struct bide_errand *errand = errands_take(&all);
        errands_add(may_wait(clerk, errand) ? &clerk->waiting : answered, errand);
    }
}

static void work(struct bide_clerk *clerk, struct errands *answered)
{
    if (bide_reconnect_is_due(&clerk->reconnect, now_us(clerk))) {
        if (bide_clerk_is_away(clerk) || clerk->tend_us == 0)
            probe(clerk);
        apply(clerk, true, answered); /* no disk is waited for: what asks may begin to run meanwhile */
        deliver(clerk, answered);
        apply(clerk, false, answered);
        deliver(clerk, answered);
        if (!bide_clerk_is_away(clerk))
            tend_when_due(clerk);
    }
    bide_clerk_send(clerk);
    fail_some(clerk, answered);
    deliver(clerk, answered);
}

/* How long nothing needs to be done; -1: until something is handed over. */
static int64_t rest_us(const struct bide_clerk *clerk)
{
    int64_t now = now_us(clerk);
    if (bide_clerk_is_away(clerk))
        return bide_reconnect_wait_us(&clerk->reconnect, now);
    int64_t rest = clerk->tend_us > now ? clerk->tend_us - now : 0;
    for (const struct bide_errand *errand = clerk->waiting.first; errand; errand = errand->next) {
        int64_t wait = bide_clerk_is_ready(errand) ? 0 : bide_reconnect_wait_us(&clerk->sending, now);
        rest = wait < rest ? wait : rest;
    }
    return rest;
}

static void sleep_until_needed(struct bide_clerk *clerk)
{
    struct pollfd fd = {.fd = clerk->wakeup.fd, .events = POLLIN};
    int64_t rest = rest_us(clerk);
    struct timespec timeout = {.tv_sec = rest / 1000000, .tv_nsec = rest % 1000000 * 1000};
    ppoll(&fd, 1, &timeout, NULL);
    if (fd.revents)
        bide_wakeup_drain(&clerk->wakeup);
}

void *bide_clerk_run(void *user)
{
    struct bide_clerk *clerk = user;
    struct errands answered;
    errands_init(&answered);
    while (!atomic_load(&clerk->ending)) {
        take_inbox(clerk);
        work(clerk, &answered);
        sleep_until_needed(clerk);
    }
    return NULL;
}
