/* The runner of isolation = "process": a handler that runs in child processes, one call at a time.
 *
 * A pool thread hands the message to a child, waits for the answer, and passes on cancellation. If a child
 * dies or does not return, only its own message fails; the next message gets another child. Children are kept
 * for many messages; there are never more children than runs at once.
 *
 *   pool thread ──RUN──> child (forked by the zygote, dispatch/sandbox/zygote.h)
 *               <──LOG, ANSWER──
 *
 * Thread-safety: run is for any pool thread, many at once. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/ending.h"
#include "base/units.h"
#include "dispatch/call.h"
#include "dispatch/handler.h"
#include "dispatch/sandbox/inside.h"

struct bide_sandbox {
    struct bide_zygote *zygote;
    const struct bide_handler *handler;
    pthread_mutex_t lock;
    struct bide_cell *idle; /* the one used last comes first: the others may be paged out */
};

/* ---- the idle ones ---- */

static struct bide_cell *pop_idle(struct bide_sandbox *sandbox)
{
    pthread_mutex_lock(&sandbox->lock);
    struct bide_cell *cell = sandbox->idle;
    if (cell)
        sandbox->idle = cell->next;
    pthread_mutex_unlock(&sandbox->lock);
    return cell;
}

static void push_idle(struct bide_sandbox *sandbox, struct bide_cell *cell)
{
    bide_cell_rest(cell);
    pthread_mutex_lock(&sandbox->lock);
    cell->next = sandbox->idle;
    sandbox->idle = cell;
    pthread_mutex_unlock(&sandbox->lock);
}

/* Takes an idle child. Buries those that died while they were idle (killed from outside, or by a plugin's
 * thread): no message is to blame for that. */
static struct bide_cell *find_idle(struct bide_sandbox *sandbox)
{
    struct bide_cell *cell;
    int status;
    while ((cell = pop_idle(sandbox)) && !bide_cell_is_alive(cell))
        bide_cell_bury(cell, sandbox->zygote, &status);
    return cell;
}

/* ---- getting a child ready ---- */

static struct bide_errand errand_of(const struct bide_sandbox *sandbox, struct bide_context *context)
{
    return (struct bide_errand){
        .context = context,
        .kill_us = INT64_MAX,
        .kill_after_us = sandbox->handler->config->kill_after_ms * 1000,
    };
}

/* Buries the cell and says why the handler could not be opened. */
static bide_code fail_to_open(
    struct bide_sandbox *sandbox, struct bide_cell *cell, enum bide_cell_ending ending, bide_error *error)
{
    const char *type = sandbox->handler->config->type;
    char how[BIDE_ENDING_TEXT];
    int status;
    bool known = bide_cell_bury(cell, sandbox->zygote, &status);
    if (ending == BIDE_CELL_HUNG)
        return bide_fail(error, BIDE_E_INTERNAL, "handler '%s' did not open in time", type);
    if (ending != BIDE_CELL_DIED || !known)
        return bide_fail(error, BIDE_E_INTERNAL, "the sandbox of handler '%s' did not start", type);
    return bide_fail(error, BIDE_E_INTERNAL, "handler '%s' ended its sandbox while it opened: %s", type,
        bide_ending(status, how));
}

static bide_code open_cell(struct bide_sandbox *sandbox, struct bide_errand *errand, bide_error *error)
{
    struct bide_frame frame;
    const char *said;
    bide_code code = bide_cell_start(sandbox->zygote, sandbox->handler, &errand->cell, error);
    if (code != BIDE_OK)
        return code;
    enum bide_cell_ending ending = bide_cell_await(errand, BIDE_FRAME_READY, &frame);
    if (ending != BIDE_CELL_SAID || !bide_frame_read_ready(&frame, &code, &said))
        return fail_to_open(sandbox, errand->cell, ending, error);
    if (code == BIDE_OK)
        return BIDE_OK;
    int status;
    bide_fail(error, code, "%s", said);
    bide_cell_bury(errand->cell, sandbox->zygote, &status);
    return code;
}

/* Tells idle children to end; bide_zygote_stop waits for them. */
static void close_sandbox(struct bide_handler *handler)
{
    struct bide_cell *cell;
    struct bide_sandbox *sandbox = handler->where;
    if (!sandbox)
        return;
    while ((cell = pop_idle(sandbox)))
        bide_cell_close(cell);
    pthread_mutex_destroy(&sandbox->lock);
    bide_free(sandbox);
    handler->where = NULL;
}

/* Starts the first child and waits until it has opened the handler; fails if that fails. The handler's row
 * must be older than the zygote. */
static bide_code open_sandbox(
    struct bide_handlers *handlers, struct bide_handler *handler, size_t n_threads, bide_error *error)
{
    (void)n_threads;
    struct bide_sandbox *sandbox = handler->where = bide_calloc(1, sizeof *sandbox);
    if (!sandbox)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sandbox->zygote = handlers->zygote;
    sandbox->handler = handler;
    pthread_mutex_init(&sandbox->lock, NULL);
    struct bide_errand errand = errand_of(sandbox, NULL);
    bide_code code = open_cell(sandbox, &errand, error);
    if (code == BIDE_OK)
        push_idle(sandbox, errand.cell);
    return code;
}

/* ---- a run ---- */

/* The child is idle again. */
static void rest(struct bide_sandbox *sandbox, struct bide_errand *errand)
{
    if (errand->told) /* the next message must not be cancelled */
        bide_wakeup_drain(&errand->cell->cancel);
    push_idle(sandbox, errand->cell);
}

static bide_outcome after_answer(
    struct bide_sandbox *sandbox, struct bide_errand *errand, const struct bide_frame *frame)
{
    bide_outcome outcome;
    int status;
    if (!bide_frame_read_answer(frame, &outcome, errand->context->run)) {
        bide_cell_bury(errand->cell, sandbox->zygote, &status);
        return bide_retry(errand->context, BIDE_BY_POLICY, "the sandbox gave an answer that cannot be read");
    }
    rest(sandbox, errand);
    return outcome;
}

/* What the signal probably means here. */
static const char *hint(int status)
{
    if (!WIFSIGNALED(status))
        return "";
    if (WTERMSIG(status) == SIGXCPU)
        return " (it had used up limits.cpu)";
    return WTERMSIG(status) == SIGKILL ? " (out of memory, killed by hand, or far beyond limits.cpu)" : "";
}

static bide_outcome never_ran(struct bide_context *context)
{
    context->run->ran = false;
    return BIDE_RETRY;
}

static bide_outcome after_death(struct bide_sandbox *sandbox, struct bide_errand *errand)
{
    char how[BIDE_ENDING_TEXT];
    int status;
    bool known = bide_cell_bury(errand->cell, sandbox->zygote, &status);
    if (!known && bide_zygote_is_lost(sandbox->zygote))
        return never_ran(errand->context);
    errand->context->run->crashed = true;
    if (!known)
        return bide_retry(errand->context, BIDE_BY_POLICY,
            "its sandbox stopped answering and does not end, not even by SIGKILL, while plugin '%s' ran it",
            sandbox->handler->config->plugin);
    return bide_retry(errand->context, BIDE_BY_POLICY, "%s%s while plugin '%s' ran it",
        bide_ending(status, how), hint(status), sandbox->handler->config->plugin);
}

static bide_outcome after_hang(struct bide_sandbox *sandbox, struct bide_errand *errand)
{
    char after[BIDE_DURATION_TEXT];
    int status;
    bide_cell_bury(errand->cell, sandbox->zygote, &status);
    return bide_retry(errand->context, BIDE_BY_POLICY,
        "killed: it did not return within %s of its cancellation",
        bide_format_duration(errand->kill_after_us / 1000, after));
}

static bide_outcome after_nonsense(struct bide_sandbox *sandbox, struct bide_errand *errand)
{
    int status;
    bide_cell_bury(errand->cell, sandbox->zygote, &status);
    return bide_retry(errand->context, BIDE_BY_POLICY,
        "the sandbox sent data that cannot be read: its memory is damaged, or the worker has none left");
}

/* Processes, descriptors or memory are lacking: the message is not to blame, and its attempt does not
 * count. */
static bide_outcome spare(struct bide_context *context, const char *error)
{
    context->run->spared = true;
    return bide_retry(context, BIDE_BY_POLICY, "%s", error);
}

/* No child could be made, or the child could not open the handler. */
static bide_outcome fail_to_start(
    const struct bide_sandbox *sandbox, struct bide_errand *errand, const bide_error *error)
{
    if (bide_zygote_is_lost(sandbox->zygote))
        return never_ran(errand->context);
    if (!errand->cell)
        return spare(errand->context, error->text);
    return bide_retry(errand->context, BIDE_BY_POLICY, "%s", error->text);
}

/* The child did not answer. */
static bide_outcome after_end(
    struct bide_sandbox *sandbox, struct bide_errand *errand, enum bide_cell_ending ending)
{
    if (ending == BIDE_CELL_DIED)
        return after_death(sandbox, errand);
    return ending == BIDE_CELL_HUNG ? after_hang(sandbox, errand) : after_nonsense(sandbox, errand);
}

/* Finds or makes a child and writes the frames of the call. False: `ret_outcome` is that of the first
 * message, and of all others. */
static bool hand_over(struct bide_sandbox *sandbox, struct bide_errand *errand,
    const struct bide_message *const *messages, size_t n, bide_outcome *ret_outcome)
{
    bide_error error = {0};
    struct bide_context *context = errand->context;
    struct bide_cell *cell = errand->cell = find_idle(sandbox);
    if (!cell && open_cell(sandbox, errand, &error) != BIDE_OK) {
        *ret_outcome = fail_to_start(sandbox, errand, &error);
        return false;
    }
    cell = errand->cell;
    bide_buffer_clear(&cell->out);
    cell->out_sent = 0;
    for (size_t i = 0; i < n; i++)
        bide_frame_add_run(&cell->out, messages[i],
            &(struct bide_frame_times){context->run->started_us, context->deadline_us, (int64_t)(n - 1 - i)});
    if (!cell->out.failed)
        return true;
    push_idle(sandbox, cell);
    *ret_outcome = spare(context, "out of memory");
    return false;
}

/* If the child dies, the run is `crashed`. If it does not return within kill_after after its timeout (or
 * cancellation), it is killed. If no more children can be made (bide_handlers_lost), the run is handed back
 * as one that never ran. The slot stays empty: the run cannot end this process. */
static bide_outcome run_in_child(const struct bide_handler *handler, size_t thread,
    const struct bide_message *message, struct bide_context *context, struct bide_slot *slot)
{
    (void)thread;
    (void)slot;
    struct bide_sandbox *sandbox = handler->where;
    struct bide_errand errand = errand_of(sandbox, context);
    struct bide_frame frame;
    bide_outcome outcome;
    if (!hand_over(sandbox, &errand, &message, 1, &outcome))
        return outcome;
    enum bide_cell_ending ending = bide_cell_await(&errand, BIDE_FRAME_ANSWER, &frame);
    if (ending != BIDE_CELL_SAID)
        return after_end(sandbox, &errand, ending);
    return after_answer(sandbox, &errand, &frame);
}

/* ---- a batch ---- */

/* None of them has run. */
static void follow_first(struct bide_call *call, bide_outcome outcome)
{
    const struct bide_run *first = call->contexts[0]->run;
    call->outcomes[0] = outcome;
    for (size_t i = 1; i < call->n; i++) {
        struct bide_run *run = call->contexts[i]->run;
        call->outcomes[i] =
            bide_retry(call->contexts[i], BIDE_BY_POLICY, "%s", first->error ? first->error : "");
        run->ran = first->ran;
        run->spared = first->spared;
    }
}

/* The child ended, or was killed, before it answered for message `from` and those after it. Nobody knows
 * which of them is to blame: each runs again apart. */
static void after_end_in_batch(struct bide_sandbox *sandbox, struct bide_errand *errand,
    struct bide_call *call, size_t from, enum bide_cell_ending ending)
{
    errand->context = call->contexts[from];
    call->outcomes[from] = after_end(sandbox, errand, ending);
    const struct bide_run *died = call->contexts[from]->run;
    if (call->n == 1)
        return;
    bide_log(BIDE_LOG_ERROR, "handler crashed in a batch: each of its messages runs again apart",
        BIDE_STR("first", call->messages[from]->id), BIDE_INT("messages", call->n - from),
        BIDE_STR("type", sandbox->handler->config->type),
        BIDE_STR("plugin", sandbox->handler->config->plugin), BIDE_STR("how", died->error));
    for (size_t i = from; i < call->n; i++) {
        struct bide_run *run = call->contexts[i]->run;
        run->ran = died->ran;
        run->crashed = false;
        run->batch_died = true;
        call->outcomes[i] = BIDE_RETRY;
    }
}

static void run_batch_in_child(
    const struct bide_handler *handler, size_t thread, struct bide_call *call, struct bide_slot *slot)
{
    (void)thread;
    (void)slot;
    struct bide_sandbox *sandbox = handler->where;
    struct bide_errand errand = errand_of(sandbox, call->contexts[0]);
    struct bide_frame frame;
    bide_outcome outcome;
    if (!hand_over(sandbox, &errand, call->messages, call->n, &outcome)) {
        follow_first(call, outcome);
        return;
    }
    for (size_t i = 0; i < call->n; i++) {
        enum bide_cell_ending ending = bide_cell_await(&errand, BIDE_FRAME_ANSWER, &frame);
        if (ending == BIDE_CELL_SAID &&
            !bide_frame_read_answer(&frame, &call->outcomes[i], call->contexts[i]->run))
            ending = BIDE_CELL_GARBLED;
        if (ending != BIDE_CELL_SAID) {
            after_end_in_batch(sandbox, &errand, call, i, ending);
            return;
        }
    }
    rest(sandbox, &errand);
}

const struct bide_runner bide_sandbox_runner = {.load = bide_handler_load_plugin,
    .open = open_sandbox,
    .close = close_sandbox,
    .run = run_in_child,
    .run_batch = run_batch_in_child,
    .kills = true};
