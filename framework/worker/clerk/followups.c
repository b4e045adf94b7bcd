/* What a run has sent is in the broker before the store says that it is done: a crash between the two then
 * sends it twice, and does not lose it. */
#include "base/alloc.h"
#include "base/killpoint.h"
#include "bide/log.h"
#include "dispatch/context.h"
#include "worker/clerk/inside.h"

enum {
    MESSAGES_MAX = BIDE_CONTEXT_SENDS_MAX + 1, /* all of one run, and the message that its answer commits */
    SEND_TIMEOUT_MS = 3 * 1000,
};

bool bide_clerk_is_ready(const struct bide_errand *errand)
{
    return !errand->sends || errand->job->run.n_sends == 0;
}

static void failed(struct bide_clerk *clerk, const bide_error *error)
{
    if (clerk->sending.failures == 0)
        bide_log(BIDE_LOG_WARN, "follow-up messages cannot be sent: their runs wait with them",
            BIDE_STR("error", error->text));
    bide_reconnect_failed(&clerk->sending, bide_mono_us(clerk->options.store.clock));
}

static bool open_sender(struct bide_clerk *clerk)
{
    bide_error error = {0};
    struct bide_broker_options options = clerk->options.broker->options;
    options.timeout_ms = SEND_TIMEOUT_MS;
    if (!clerk->sender &&
        clerk->options.broker->adapter->open_sender(&options, &clerk->sender, &error) != BIDE_OK)
        failed(clerk, &error);
    return clerk->sender != NULL;
}

/* Takes out of the run what the broker has. False: something was refused for good, and run->error says why.
 */
static bool keep_unsent(struct bide_run *run, const enum bide_sent *results, const bide_error *error)
{
    size_t kept = 0;
    bool taken = true;
    for (size_t i = 0; i < run->n_sends; i++) {
        taken &= results[i] != BIDE_SENT_REFUSED;
        if (results[i] == BIDE_SENT_OK)
            bide_message_destroy(run->sends[i]);
        else
            run->sends[kept++] = run->sends[i];
    }
    run->n_sends = kept;
    if (!taken) {
        bide_free(run->error);
        run->error = bide_strdup(error->text);
    }
    if (kept == 0) {
        bide_free(run->sends);
        run->sends = NULL;
    }
    return taken;
}

/* Messages of as many errands as go into one call; at least of one. */
static size_t gather(struct bide_clerk *clerk, struct bide_message **messages, size_t *ret_errands)
{
    size_t n = 0, errands = 0;
    for (struct bide_errand *errand = clerk->waiting.first; errand; errand = errand->next) {
        if (bide_clerk_is_ready(errand)) /* it may have no job */
            continue;
        const struct bide_run *run = &errand->job->run;
        if (n + run->n_sends > MESSAGES_MAX)
            break;
        for (size_t i = 0; i < run->n_sends; i++)
            messages[n++] = run->sends[i];
        clerk->batch[errands++] = errand;
    }
    *ret_errands = errands;
    return n;
}

/* A message that is refused for good goes the way of all others, which is the receiver's to know. */
static void note_results(
    struct bide_clerk *clerk, const enum bide_sent *results, size_t errands, const bide_error *error)
{
    for (size_t i = 0; i < errands; i++) {
        struct bide_run *run = &clerk->batch[i]->job->run;
        size_t n = run->n_sends;
        if (!keep_unsent(run, results, error))
            clerk->batch[i]->must = false;
        results += n;
    }
}

void bide_clerk_send(struct bide_clerk *clerk)
{
    struct bide_message *messages[MESSAGES_MAX];
    enum bide_sent results[MESSAGES_MAX] = {0};
    size_t errands;
    bide_error error = {0};
    if (!bide_reconnect_is_due(&clerk->sending, bide_mono_us(clerk->options.store.clock)))
        return;
    size_t n = gather(clerk, messages, &errands);
    if (n == 0 || !open_sender(clerk))
        return;
    bide_code code = bide_sender_send(clerk->sender, messages, n, results, &error);
    note_results(clerk, results, errands, &error);
    BIDE_KILL_POINT("worker/once-sent");
    if (code == BIDE_OK)
        bide_reconnect_succeeded(&clerk->sending);
    else
        failed(clerk, &error);
}
