#include "dispatch/context.h"

#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "dispatch/handler.h"
#include "message/asking.h"
#include "message/trace.h"

enum { LOG_FIELDS_MAX = 24 };

void bide_context_init(struct bide_context *context, const struct bide_clock *clock)
{
    *context =
        (struct bide_context){.clock = clock, .deadline_us = INT64_MAX, .kill_us = INT64_MAX, .cancel = {-1}};
}

void bide_context_close(struct bide_context *context)
{
    bide_wakeup_close(&context->cancel);
}

void bide_context_begin(
    struct bide_context *context, struct bide_job *job, int64_t now_wall_us, int64_t now_mono_us)
{
    int64_t timeout_ms = job->handler->config->timeout_ms;
    context->job = job;
    context->run = &job->run;
    context->sends_capacity = 0;
    context->deadline_us = timeout_ms > 0 ? now_mono_us + timeout_ms * 1000 : INT64_MAX;
    context->kill_us = INT64_MAX;
    if (atomic_load_explicit(&context->cancelled, memory_order_relaxed)) {
        atomic_store(&context->cancelled, false);
        if (atomic_load(&context->has_cancel_fd))
            bide_wakeup_drain(&context->cancel);
    }
    job->run = (struct bide_run){
        .delay_ms = BIDE_BY_POLICY,
        .ran = true,
        .started_us = now_wall_us,
        .waited_us = now_mono_us - job->ready_us,
    };
}

static bide_outcome known_outcome(struct bide_context *context, bide_outcome outcome)
{
    if (outcome == BIDE_DONE || outcome == BIDE_RETRY || outcome == BIDE_DEAD)
        return outcome;
    return bide_retry(context, BIDE_BY_POLICY, "the handler returned %d, which is no outcome", (int)outcome);
}

static void drop_sends(struct bide_run *run)
{
    for (size_t i = 0; i < run->n_sends; i++)
        bide_message_destroy(run->sends[i]);
    bide_free(run->sends);
    run->sends = NULL;
    run->n_sends = 0;
}

int64_t bide_context_end(struct bide_context *context, struct bide_job *job, bide_outcome outcome)
{
    int64_t now_us = bide_mono_us(context->clock);
    struct bide_run *run = &job->run;
    run->outcome = known_outcome(context, outcome);
    run->took_us = now_us - job->ready_us - run->waited_us;
    run->timed_out = run->outcome != BIDE_DONE && now_us >= context->deadline_us;
    if (run->timed_out && !run->error)
        run->error = bide_asprintf(
            "cancelled after the timeout of %lld ms", (long long)job->handler->config->timeout_ms);
    if (run->outcome != BIDE_DONE)
        drop_sends(run);
    return now_us;
}

void bide_context_cancel(struct bide_context *context)
{
    if (atomic_exchange(&context->cancelled, true))
        return;
    if (atomic_load(&context->has_cancel_fd))
        bide_wakeup_signal(&context->cancel);
}

void bide_context_time_out(struct bide_context *context, int64_t now_mono_us)
{
    const struct bide_handler *handler = context->job->handler;
    if (context->kill_us == INT64_MAX && !handler->runner->kills)
        context->kill_us = now_mono_us + handler->config->kill_after_ms * 1000;
    bide_context_cancel(context);
}

void bide_run_release(struct bide_run *run)
{
    drop_sends(run);
    bide_free(run->error);
    bide_free(run->throttled);
    run->error = run->throttled = NULL;
}

/* ---- what handlers call ---- */

/* Keeps the end of the text, which says most: the last line of a traceback, the last words of a program.
 * Without memory the text is lost; the outcome stays. */
static void keep_text(struct bide_context *context, const char *format, va_list args)
{
    if (!format)
        return;
    bide_free(context->run->error);
    char *text = context->run->error = bide_vasprintf(format, args);
    const char *tail = text ? bide_utf8_tail(text, BIDE_ERROR_KEPT) : NULL;
    if (tail != text)
        memmove(text, tail, strlen(tail) + 1);
}

bide_outcome bide_retry(bide_context *context, int64_t delay_ms, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_text(context, format, args);
    va_end(args);
    context->run->delay_ms = delay_ms < 0 ? BIDE_BY_POLICY : delay_ms;
    return BIDE_RETRY;
}

bide_outcome bide_throttled(
    bide_context *context, const char *limit, int64_t after_ms, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_text(context, format, args);
    va_end(args);
    context->run->delay_ms = after_ms < 0 ? BIDE_BY_POLICY : after_ms;
    bide_free(context->run->throttled);
    context->run->throttled = bide_strdup(limit ? limit : "");
    return BIDE_RETRY;
}

bide_outcome bide_dead(bide_context *context, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_text(context, format, args);
    va_end(args);
    return BIDE_DEAD;
}

static bide_outcome answer(bide_context *context, enum bide_answer answer)
{
    context->run->answer = answer;
    return BIDE_DONE;
}

bide_outcome bide_commit(bide_context *context)
{
    return answer(context, BIDE_ANSWER_COMMIT);
}

bide_outcome bide_abort(bide_context *context)
{
    return answer(context, BIDE_ANSWER_ABORT);
}

int bide_attempts(const bide_context *context)
{
    int checks = bide_asking_checks(context->job->delivery->message);
    return checks > 0 ? checks : context->job->handler->config->retry.attempts;
}

int64_t bide_started_us(const bide_context *context)
{
    return context->run->started_us;
}

int64_t bide_remaining_ms(const bide_context *context)
{
    if (context->deadline_us == INT64_MAX)
        return INT64_MAX;
    int64_t left_us = context->deadline_us - bide_mono_us(context->clock);
    return left_us > 0 ? left_us / 1000 : 0;
}

bool bide_cancelled(const bide_context *context)
{
    if (context->first)
        context = context->first;
    return atomic_load(&context->cancelled) || bide_mono_us(context->clock) >= context->deadline_us ||
           (context->sandboxed && bide_wakeup_is_signalled(&context->cancel));
}

int bide_cancel_fd(bide_context *context)
{
    if (context->first)
        context = context->first;
    if (!atomic_load(&context->has_cancel_fd)) {
        if (bide_wakeup_init(&context->cancel, NULL) != BIDE_OK)
            return -1;
        atomic_store(&context->has_cancel_fd, true);
        if (atomic_load(&context->cancelled)) /* the intake may have cancelled before it saw the descriptor */
            bide_wakeup_signal(&context->cancel);
    }
    return context->cancel.fd;
}

static bide_code make_room(struct bide_context *context, bide_error *error)
{
    struct bide_run *run = context->run;
    if (run->n_sends < context->sends_capacity)
        return BIDE_OK;
    if (run->n_sends >= BIDE_CONTEXT_SENDS_MAX)
        return bide_fail(error, BIDE_E_DATA, "a run may send at most %d messages", BIDE_CONTEXT_SENDS_MAX);
    size_t capacity = context->sends_capacity ? context->sends_capacity * 2 : 8;
    bide_message **sends = bide_realloc(run->sends, capacity * sizeof *sends);
    if (!sends)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    run->sends = sends;
    context->sends_capacity = capacity;
    return BIDE_OK;
}

bide_code bide_context_send(bide_context *context, bide_message *message, bide_error *error)
{
    bide_code code = make_room(context, error);
    if (code == BIDE_OK && *message->unique)
        code = bide_fail(error, BIDE_E_DATA,
            "a handler cannot send a message with a unique key: send it by a producer (docs/unique.md)");
    if (code == BIDE_OK)
        bide_trace_pass_on(context->job->delivery->message, message);
    if (code == BIDE_OK)
        code = bide_message_stamp(message, context->job->delivery->message->queue, context->clock, error);
    if (code == BIDE_OK)
        context->run->sends[context->run->n_sends++] = message;
    else
        bide_message_destroy(message);
    return code;
}

void bide_context_log(
    bide_context *context, bide_log_level level, const char *text, const bide_log_field *fields)
{
    if (!bide_log_enabled(level))
        return;
    const struct bide_message *message = context->job->delivery->message;
    char trace[BIDE_TRACE_ID_TEXT];
    bide_log_field all[LOG_FIELDS_MAX + 5] = {
        BIDE_STR("id", message->id), BIDE_STR("type", message->type), BIDE_INT("attempt", message->attempt)};
    all[3] = bide_trace_field(message, trace);
    size_t first = all[3].kind == BIDE_LOG_END ? 3 : 4, n = first;
    while (fields && fields->kind != BIDE_LOG_END && n < LOG_FIELDS_MAX + first)
        all[n++] = *fields++;
    bide_log_write(level, text, all);
}
