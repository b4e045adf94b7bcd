#include "worker/intake.h"

#include <sys/random.h>
#include <time.h>

enum { LONGEST_SLEEP_US = 5 * 1000000 }; /* a bound, so that the supervisor sees it is awake */

bide_code bide_intake_init(struct bide_intake *intake, const struct bide_config *config,
    const struct bide_handlers *handlers, const struct bide_clock *clock, bide_error *error)
{
    struct bide_site site = {.config = config, .clock = clock, .handlers = handlers};
    *intake = (struct bide_intake){.wakeup = {-1}};
    if (getrandom(site.random, sizeof site.random, 0) != (ssize_t)sizeof site.random)
        site.random[0] = (unsigned short)bide_mono_us(clock); /* jitter needs no more than a difference */
    bide_code code = bide_passage_init(&intake->passage, &site, error);
    return code == BIDE_OK ? bide_wakeup_init(&intake->wakeup, error) : code;
}

void bide_intake_supervised_by(struct bide_intake *intake, const struct bide_supervised *supervised)
{
    intake->passage.site.supervised = supervised;
    bide_measure_handlers(intake->passage.site.handlers, supervised->metrics);
}

void bide_intake_clear(struct bide_intake *intake)
{
    bide_wakeup_close(&intake->wakeup);
    bide_passage_clear(&intake->passage);
}

void bide_intake_stop(struct bide_intake *intake)
{
    atomic_fetch_add(&intake->ending.stops, 1);
    bide_wakeup_signal(&intake->wakeup);
}

/* ---- waiting ---- */

static void shorten(int64_t *timeout_us, int64_t wanted_us)
{
    if (wanted_us >= 0 && wanted_us < *timeout_us)
        *timeout_us = wanted_us;
}

static void wait_for_something(struct bide_intake *intake, int64_t now_us)
{
    struct bide_receiver *receiver = intake->passage.settling.receiver;
    struct bide_wait wait = {.timeout_us = -1};
    receiver->ops->wait(receiver, &wait);
    struct pollfd fds[BIDE_WAIT_FDS + 1];
    for (size_t i = 0; i < wait.n_fds; i++)
        fds[i] = wait.fds[i];
    fds[wait.n_fds] = (struct pollfd){.fd = intake->wakeup.fd, .events = POLLIN};
    int64_t timeout_us = bide_passage_wait_us(&intake->passage, LONGEST_SLEEP_US);
    shorten(&timeout_us, wait.timeout_us);
    shorten(&timeout_us, bide_ending_wait_us(&intake->ending, now_us));
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000};
    ppoll(fds, wait.n_fds + 1, &timeout, NULL);
    if (fds[wait.n_fds].revents)
        bide_wakeup_drain(&intake->wakeup);
}

/* ---- the loop ---- */

static bide_code begin(struct bide_intake *intake, bide_error *error)
{
    bide_code code = bide_passage_begin(&intake->passage, error);
    if (code != BIDE_OK)
        return code;
    bide_passage_ask_gates(&intake->passage, bide_mono_us(intake->passage.site.clock));
    bide_ending_begin(&intake->ending, &intake->passage);
    return BIDE_OK;
}

bide_code bide_intake_run(struct bide_intake *intake, bide_error *error)
{
    struct bide_passage *passage = &intake->passage;
    const struct bide_site *site = &passage->site;
    bide_code code = begin(intake, error);
    while (code == BIDE_OK) {
        size_t received;
        bide_passage_collect(passage);
        code = bide_passage_receive(passage, &received, error);
        if (code != BIDE_OK)
            return code;
        if (bide_handlers_lost(site->handlers))
            return bide_fail(
                error, BIDE_E_INTERNAL, "the process that forks sandboxes has ended, or does not answer");
        int64_t now_us = bide_mono_us(site->clock);
        if (site->supervised)
            atomic_store_explicit(&site->supervised->process->beat_ms, now_us / 1000, memory_order_relaxed);
        bide_passage_adapt(passage, now_us);
        bide_ending_advance(&intake->ending, passage, received, now_us);
        if (intake->ending.stage == BIDE_STAGE_ENDED)
            return BIDE_OK;
        bide_measure(&intake->measuring, passage, now_us);
        if (received < BIDE_BATCH)
            wait_for_something(intake, now_us);
    }
    return code;
}
