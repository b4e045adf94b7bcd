/* probe: does to itself what the body tells, and then appends the line of `journal`. For tests and drills.
 *
 * First what takes time (alloc_mb, spin_ms, sleep_ms, until), then what never returns (crash, exit, hang;
 * their line is written before), then the verdict: retry while attempt <= fail, else dead, else done, with
 * the answer to a check of a transaction. A batch does all the messages say before the first line is written,
 * as a handler does that writes once. */
#include <bide/handler.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../shared/journal_line.h"
#include "orders.h"

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the time is over or the run is cancelled. A worker that has no descriptor to offer is asked now and
 * then. */
static void sleep_for(int64_t ms, bide_context *context)
{
    struct pollfd cancel = {.fd = bide_cancel_fd(context), .events = POLLIN};
    int64_t longest = cancel.fd < 0 ? 20 : 60000;
    int64_t end_ms = now_ms(CLOCK_MONOTONIC) + ms;
    for (int64_t left = ms; left > 0 && !bide_cancelled(context); left = end_ms - now_ms(CLOCK_MONOTONIC)) {
        int64_t timeout_ms = bide_remaining_ms(context);
        int64_t nap = timeout_ms < longest ? timeout_ms + 1 : longest;
        poll(&cancel, 1, (int)(left < nap ? left : nap));
    }
}

/* Until there is such a file or the run is cancelled. */
static void wait_for_file(const char *path, bide_context *context)
{
    enum { LOOK_MS = 5 };
    while (path[0] != '\0' && access(path, F_OK) != 0 && !bide_cancelled(context))
        sleep_for(LOOK_MS, context);
}

static void spin_for(int64_t ms, const bide_context *context)
{
    int64_t end_ms = now_ms(CLOCK_THREAD_CPUTIME_ID) + ms;
    while (now_ms(CLOCK_THREAD_CPUTIME_ID) < end_ms && !bide_cancelled(context))
        for (volatile int i = 0; i < 100000; i++)
            ;
}

/* Memory in use, not only reserved; NULL where there is none (or none wanted). */
static void *take_memory(int64_t mb)
{
    if (mb == 0 || mb > INT64_C(1) << 30)
        return NULL;
    size_t size = (size_t)mb << 20;
    char *memory = malloc(size);
    if (memory)
        memset(memory, 0x5A, size);
    return memory;
}

static void leave_for_good(const struct orders *orders)
{
    if (orders->crash)
        raise(SIGSEGV);
    if (orders->exit)
        exit(1);
    while (orders->hang)
        pause();
}

static bide_outcome finish(
    struct journal *journal, const bide_message *message, bide_context *context, bide_outcome outcome)
{
    static const char *const names[] = {[BIDE_DONE] = "done", [BIDE_RETRY] = "retry", [BIDE_DEAD] = "dead"};
    bide_error error;
    if (journal_write(journal, message, context, names[outcome], &error) != BIDE_OK)
        return bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    return outcome;
}

static bide_outcome verdict(const struct orders *orders, const bide_message *message, bide_context *context)
{
    int attempt = bide_message_attempt(message);
    if (bide_cancelled(context))
        return bide_retry(context, BIDE_BY_POLICY, "probe: cancelled");
    if (attempt <= orders->fail)
        return bide_retry(context, orders->retry_after_ms, "probe: attempt %d of %lld that fail", attempt,
            (long long)orders->fail);
    if (orders->dead)
        return bide_dead(context, "probe: told to be dead");
    if (orders->commit)
        return bide_commit(context);
    return orders->abort ? bide_abort(context) : BIDE_DONE;
}

/* What the message says before the verdict. False: `ret_outcome` is the outcome. */
static bool obey(struct journal *journal, const bide_message *message, bide_context *context,
    struct orders *orders, bide_outcome *ret_outcome)
{
    bide_error error;
    size_t size;
    const void *body = bide_message_body(message, &size);
    if (orders_parse(body, size, orders, &error) != BIDE_OK) {
        *ret_outcome = bide_dead(context, "%s", error.text);
        return false;
    }
    void *memory = take_memory(orders->alloc_mb);
    if (orders->alloc_mb && !memory) {
        *ret_outcome =
            bide_retry(context, BIDE_BY_POLICY, "probe: no %lld MiB to be had", (long long)orders->alloc_mb);
        return false;
    }
    spin_for(orders->spin_ms, context);
    sleep_for(orders->sleep_ms, context);
    wait_for_file(orders->until, context);
    if (orders->crash || orders->exit || orders->hang) {
        journal_write(journal, message, context, "started", &error);
        leave_for_good(orders);
    }
    free(memory);
    return true;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct orders orders;
    bide_outcome outcome;
    if (obey(state, message, context, &orders, &outcome))
        outcome = verdict(&orders, message, context);
    return finish(state, message, context, outcome);
}

static void handle_batch(void *state, const bide_message *const messages[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    struct orders orders;
    for (size_t i = 0; i < n; i++)
        if (obey(state, messages[i], contexts[i], &orders, &outcomes[i]))
            outcomes[i] = verdict(&orders, messages[i], contexts[i]);
    for (size_t i = 0; i < n; i++)
        outcomes[i] = finish(state, messages[i], contexts[i], outcomes[i]);
}

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct journal *journal;
    bide_code code = journal_open(settings, &journal, error);
    if (code == BIDE_OK)
        *ret_state = journal;
    return code;
}

static void close_handler(void *state)
{
    journal_close(state);
}

static const bide_setting_spec settings_table[] = {JOURNAL_PATH_SETTING, {0}};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "probe", .version = "1.0.0",
    .summary = "does what its JSON body tells it: sleep, fail, crash, hang; for tests",
    .settings = settings_table, .open = open_handler, .handle = handle, .close = close_handler,
    .handle_batch = handle_batch};
