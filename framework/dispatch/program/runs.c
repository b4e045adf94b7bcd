/* The runs in the processes of a program: how they begin, are answered, are cancelled, and are judged when a
 * process ends. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ending.h"
#include "base/units.h"
#include "base/utf8.h"
#include "base/visible.h"
#include "bide/log.h"
#include "dispatch/handler.h"
#include "dispatch/pool.h"
#include "dispatch/program/host.h"
#include "dispatch/program/protocol.h"
#include "message/envelope.h"

enum { FIELDS_MAX = 12, FIELD_NAME = 64, SHOWN_BYTES = 100 };

/* ---- its beginning ---- */

/* Hands back a job of a call. */
static void give_back(struct bide_program *program, struct bide_job *job, bool call_goes_on)
{
    job->call_goes_on = call_goes_on;
    bide_pool_finish(program->host->pool, job);
}

/* Hands the jobs back as ones that never ran. */
static void return_unrun(struct bide_program *program, struct bide_job *job)
{
    struct bide_job_list all = job->mates;
    job->mates = (struct bide_job_list){0};
    bide_job_prepend(&all, job);
    while ((job = bide_job_pop(&all))) {
        job->run = (struct bide_run){.outcome = BIDE_RETRY, .delay_ms = BIDE_BY_POLICY};
        give_back(program, job, all.n > 0);
    }
}

/* The process with fewest runs; for a suspect, a process without any. NULL: no process has room. */
static struct bide_instance *choose(const struct bide_program *program, const struct bide_job *job)
{
    struct bide_instance *best = NULL;
    for (struct bide_instance *process = program->processes; process; process = process->next) {
        bool has_room = process->state == BIDE_INSTANCE_SERVING && !process->killed && !process->exclusive &&
                        bide_instance_hears(process) && process->n_calls < (job->suspect ? 1 : process->most);
        if (has_room && (!best || process->n_calls < best->n_calls))
            best = process;
    }
    return best;
}

static struct bide_program_run *new_run(
    const struct bide_clock *clock, struct bide_program_call *call, struct bide_job *job, int64_t now_us)
{
    struct bide_program_run *run = bide_calloc(1, sizeof *run);
    if (!run)
        return NULL;
    bide_context_init(&run->context, clock);
    bide_context_begin(&run->context, job, bide_wall_us(clock), now_us);
    run->job = job;
    run->call = call;
    call->n++;
    call->left++;
    return run;
}

static void free_runs(struct bide_program_call *call, struct bide_program_run *runs)
{
    for (struct bide_program_run *next; runs; runs = next) {
        next = runs->next;
        bide_context_close(&runs->context);
        bide_free(runs);
    }
    bide_free(call);
}

/* The runs of a job and its mates, in order; NULL without memory. */
static struct bide_program_run *new_runs(
    const struct bide_clock *clock, struct bide_job *job, int64_t now_us, struct bide_program_run **ret_last)
{
    struct bide_program_call *call = bide_calloc(1, sizeof *call);
    struct bide_program_run *first = call ? new_run(clock, call, job, now_us) : NULL, *last = first;
    for (struct bide_job *mate = job->mates.first; mate && last; mate = mate->next)
        last = last->next = new_run(clock, call, mate, now_us);
    if (!last) {
        free_runs(call, first);
        return NULL;
    }
    *ret_last = last;
    return first;
}

static void say_runs(struct bide_instance *process, struct bide_program_run *first)
{
    const struct bide_handler *handler = first->job->handler;
    for (struct bide_program_run *run = first; run; run = run->next) {
        size_t batch = run == first && handler->batches ? (size_t)run->call->n : 0;
        run->number = ++process->last_run;
        bide_program_say_run(&process->to, run->number, batch, run->job->delivery->message,
            bide_attempts(&run->context), handler->config->timeout_ms);
    }
    if (process->to.failed) /* no memory: lines to be written before are lost too */
        bide_instance_kill(process, NULL);
}

static bool begin(struct bide_instance *process, struct bide_job *job, int64_t now_us)
{
    struct bide_program_run *last;
    struct bide_program_run *first = new_runs(process->program->host->clock, job, now_us, &last);
    if (!first)
        return false;
    job->mates = (struct bide_job_list){0};
    say_runs(process, first);
    last->next = process->runs; /* in order: the answers mostly come so, too */
    process->runs = first;
    process->n_runs += first->call->n;
    process->n_calls++;
    process->exclusive = job->suspect;
    return true;
}

/* The first waiting job, if a process has room for it. */
static struct bide_job *next_job(struct bide_program *program, struct bide_instance **ret_process)
{
    pthread_mutex_lock(&program->host->lock);
    struct bide_job *job = program->backlog.first;
    *ret_process = job ? choose(program, job) : NULL;
    job = *ret_process ? bide_job_pop(&program->backlog) : NULL;
    pthread_mutex_unlock(&program->host->lock);
    return job;
}

/* Gives back what expired, or whose permit's time passed, while it waited for a process. Returns the first
 * job of what is left of the call; NULL: nothing. */
static struct bide_job *drop_some(struct bide_program *program, struct bide_job *job)
{
    struct bide_job_list dropped = {0};
    const struct bide_clock *clock = program->host->clock;
    struct bide_job *left = bide_pool_drop(job, clock, bide_wall_us(clock), &dropped);
    while ((job = bide_job_pop(&dropped)))
        give_back(program, job, left || dropped.n > 0);
    return left;
}

void bide_program_feed(struct bide_program *program, int64_t now_us)
{
    struct bide_instance *process;
    struct bide_job *job;
    while ((job = next_job(program, &process)))
        if ((job = drop_some(program, job)) && !begin(process, job, now_us))
            return_unrun(program, job);
}

/* ---- its end ---- */

static void finish(struct bide_instance *process, struct bide_program_run *run)
{
    struct bide_program *program = process->program;
    bool call_goes_on = --run->call->left > 0;
    if (!call_goes_on) {
        process->n_calls--;
        bide_free(run->call);
    }
    bide_instance_remove(process, run);
    if (program->metrics)
        bide_metrics_add(&program->metrics->runs, 1);
    give_back(program, run->job, call_goes_on);
    bide_context_close(&run->context);
    bide_free(run->send_error);
    bide_free(run);
}

static void end(struct bide_instance *process, struct bide_program_run *run, bide_outcome outcome)
{
    if (outcome == BIDE_DONE && run->lost_send)
        outcome = bide_retry(&run->context, BIDE_BY_POLICY, "a message that it sent is none: %s",
            run->send_error ? run->send_error : "out of memory");
    bide_context_end(&run->context, run->job, outcome);
    process->n_ended++;
    finish(process, run);
}

/* Keeps the error's text, and its trace below it. */
static bide_outcome failed(struct bide_program_run *run, const struct bide_program_said *said)
{
    const char *trace = said->trace && *said->trace ? said->trace : NULL;
    if (said->kind == BIDE_SAID_DEAD)
        return trace ? bide_dead(&run->context, "%s\n%s", trace, said->text)
                     : bide_dead(&run->context, "%s", said->text);
    if (said->limit)
        return bide_throttled(&run->context, said->limit, said->after_ms, trace ? "%s\n%s" : "%s",
            trace ? trace : said->text, said->text);
    return trace ? bide_retry(&run->context, said->after_ms, "%s\n%s", trace, said->text)
                 : bide_retry(&run->context, said->after_ms, "%s", said->text);
}

/* ---- lines ---- */

static void keep_send(struct bide_program_run *run, const struct bide_program_said *said)
{
    bide_message *message;
    bide_error error = {0};
    char *text = json_dumps(said->send, JSON_COMPACT);
    bide_code code = text ? bide_envelope_parse(text, strlen(text), &message, &error)
                          : bide_fail(&error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = bide_context_send(&run->context, message, &error);
    if (code != BIDE_OK && !run->lost_send)
        run->send_error = bide_strdup(error.text);
    run->lost_send |= code != BIDE_OK;
    bide_free(text);
}

/* Writes a program's line to the log, with those of its fields that are texts or whole numbers. */
static void log_said(
    const struct bide_instance *process, struct bide_program_run *run, const struct bide_program_said *said)
{
    bide_log_field fields[FIELDS_MAX + 3];
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach(said->fields, key, value)
    {
        if (n == FIELDS_MAX)
            break;
        if (json_is_string(value))
            fields[n++] = (bide_log_field)BIDE_STR(key, json_string_value(value));
        else if (json_is_integer(value))
            fields[n++] = (bide_log_field)BIDE_INT(key, json_integer_value(value));
    }
    if (!run) {
        fields[n++] = (bide_log_field)BIDE_STR("program", process->program->config->name);
        fields[n++] = (bide_log_field)BIDE_INT("pid", process->pid);
    }
    fields[n] = (bide_log_field){0};
    if (run)
        bide_context_log(&run->context, said->level, said->text, fields);
    else
        bide_log_write(said->level, said->text, fields);
}

/* Kills a process that broke the protocol; the log and the message's failure show the line. */
static void break_off(struct bide_instance *process, const char *line, size_t size, const char *what)
{
    struct bide_buffer shown, text;
    bide_buffer_init(&shown);
    bide_buffer_init(&text);
    bide_visible_add(&shown, line, size < SHOWN_BYTES ? size : SHOWN_BYTES, false);
    bide_buffer_format(&text, "its process was killed: it wrote a line that is not the protocol's (%s): %s%s",
        what, shown.bytes, size > SHOWN_BYTES ? "…" : "");
    bide_log(BIDE_LOG_ERROR, "program broke the protocol: its process is replaced",
        BIDE_STR("program", process->program->config->name), BIDE_INT("pid", process->pid),
        BIDE_STR("what", what), BIDE_STR("line", shown.bytes));
    bide_instance_kill(process, text.failed ? what : text.bytes);
    bide_buffer_release(&shown);
    bide_buffer_release(&text);
}

/* The line names a run that is not under way: it has ended, or it never began. */
static void obey_without_run(
    struct bide_instance *process, const struct bide_program_said *said, const char *line, size_t size)
{
    if (said->run > process->last_run)
        break_off(process, line, size, "it names a run that was never begun");
    else
        bide_log(BIDE_LOG_WARN, "program wrote about a run that has ended: ignored",
            BIDE_STR("program", process->program->config->name), BIDE_INT("pid", process->pid),
            BIDE_INT("run", (int64_t)said->run));
}

static void obey_said(
    struct bide_instance *process, const struct bide_program_said *said, const char *line, size_t size)
{
    struct bide_program_run *run = said->run ? bide_instance_find(process, said->run) : NULL;
    if (said->kind != BIDE_SAID_NONSENSE && said->run && !run) {
        obey_without_run(process, said, line, size);
        return;
    }
    switch (said->kind) {
    case BIDE_SAID_NONSENSE:
        break_off(process, line, size, said->text);
        break;
    case BIDE_SAID_HELLO:
        if (process->state != BIDE_INSTANCE_LEAVING) /* it was told to leave before its greeting came */
            break_off(process, line, size, "it greets a second time");
        break;
    case BIDE_SAID_DONE:
        run->job->run.answer = said->answer;
        end(process, run, BIDE_DONE);
        break;
    case BIDE_SAID_RETRY:
    case BIDE_SAID_DEAD:
        end(process, run, failed(run, said));
        break;
    case BIDE_SAID_SEND:
        keep_send(run, said);
        break;
    case BIDE_SAID_LOG:
        log_said(process, run, said);
        break;
    case BIDE_SAID_PROGRESS:
    case BIDE_SAID_OTHER:
        break;
    }
}

static void greet(
    struct bide_instance *process, const struct bide_program_said *said, const char *line, size_t size)
{
    struct bide_program *program = process->program;
    if (said->kind != BIDE_SAID_HELLO) {
        break_off(process, line, size,
            said->kind == BIDE_SAID_NONSENSE ? said->text : "its first line is no greeting");
        return;
    }
    int most = program->config->concurrency;
    process->most = said->concurrency < most ? said->concurrency : most;
    process->state = BIDE_INSTANCE_SERVING;
    process->ends_us = INT64_MAX;
    snprintf(program->sdk, sizeof program->sdk, "%s", said->text);
    pthread_mutex_lock(&program->host->lock);
    json_decref(program->types);
    json_decref(program->batch_types);
    program->types = json_incref(said->types);
    program->batch_types = json_incref(said->batch_types);
    program->refused = false;
    pthread_mutex_unlock(&program->host->lock);
    bide_program_serves(process);
}

void bide_program_obey(struct bide_instance *process, const char *line, size_t size)
{
    struct bide_program_said said;
    if (process->killed && process->why[0]) /* the rest of its output after it broke the protocol */
        return;
    bide_program_read(&said, line, size);
    if (process->state == BIDE_INSTANCE_STARTING)
        greet(process, &said, line, size);
    else
        obey_said(process, &said, line, size);
    bide_program_said_release(&said);
}

/* ---- when it does not end by itself ---- */

/* It was one of several runs, of which nobody knows which is to blame: each runs again apart. */
static void set_apart(struct bide_instance *process, struct bide_program_run *run)
{
    bide_context_end(&run->context, run->job, BIDE_RETRY);
    run->job->run.batch_died = true;
    finish(process, run);
}

/* All of a batch, of which some may have been answered. */
static void set_batch_apart(struct bide_instance *process, const struct bide_program_call *call)
{
    for (struct bide_program_run *run = process->runs, *next; run; run = next) {
        next = run->next;
        if (run->call == call)
            set_apart(process, run);
    }
}

/* The run, and a batch that it is in, is to end with its process. */
static void give_up(struct bide_instance *process, struct bide_program_run *run)
{
    char after[BIDE_DURATION_TEXT];
    bide_log(BIDE_LOG_ERROR, "program does not end a run: its process is replaced",
        BIDE_STR("program", process->program->config->name), BIDE_INT("pid", process->pid),
        BIDE_STR("id", run->job->delivery->message->id), BIDE_STR("type", run->job->delivery->message->type),
        BIDE_INT("messages", run->call->left));
    if (run->call->n > 1) {
        set_batch_apart(process, run->call);
    } else {
        bide_outcome outcome = bide_retry(&run->context, BIDE_BY_POLICY,
            "killed: it did not return within %s of its cancellation",
            bide_format_duration(run->job->handler->config->kill_after_ms, after));
        bide_context_end(&run->context, run->job, outcome);
        finish(process, run);
    }
    bide_instance_kill(process, NULL);
}

static void tell(struct bide_instance *process, struct bide_program_run *run, int64_t now_us)
{
    run->told = true;
    run->context.kill_us = now_us + run->job->handler->config->kill_after_ms * 1000;
    bide_program_say_cancel(&process->to, run->number);
}

int64_t bide_program_watch_runs(struct bide_instance *process, bool all, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (struct bide_program_run *run = process->runs; run; run = run->next) {
        if (!run->told && (all || now_us >= run->context.deadline_us))
            tell(process, run, now_us);
        int64_t then_us = run->told ? run->context.kill_us : run->context.deadline_us;
        if (run->told && now_us >= then_us && !process->killed) {
            give_up(process, run);
            return next_us; /* the process is killed, and the other runs with it */
        }
        if (then_us < next_us && !process->killed)
            next_us = then_us;
    }
    return next_us;
}

/* ---- when its process ends ---- */

static void describe(const struct bide_instance *process, int status, char *to, size_t room)
{
    char how[BIDE_ENDING_TEXT];
    if (process->why[0])
        snprintf(to, room, "%s", process->why);
    else
        snprintf(to, room, "program '%s' ended: %s, while it ran this", process->program->config->name,
            bide_ending(status, how));
}

/* It was the only run, so it is to blame. */
static void blame_one(struct bide_instance *process, struct bide_program_run *run, const char *how)
{
    struct bide_buffer *printed = &process->tail;
    while (printed->size > 0 && printed->bytes[printed->size - 1] == '\n')
        printed->bytes[--printed->size] = '\0';
    const char *tail = bide_utf8_tail(printed->bytes, BIDE_ERROR_KEPT - sizeof process->why);
    bide_outcome outcome = *tail ? bide_retry(&run->context, BIDE_BY_POLICY, "%s\n%s", tail, how)
                                 : bide_retry(&run->context, BIDE_BY_POLICY, "%s", how);
    bide_context_end(&run->context, run->job, outcome);
    run->job->run.crashed = true;
    finish(process, run);
}

/* It was one of several runs, and nobody knows which is to blame: each runs again, alone. */
static void suspect(struct bide_instance *process, struct bide_program_run *run, const char *how)
{
    bide_retry(&run->context, BIDE_BY_POLICY, "%s", how);
    bide_context_end(&run->context, run->job, BIDE_RETRY);
    run->job->run.near_death = true;
    finish(process, run);
}

/* The process was killed because of another run, or of none: the run is handed back as if it had not run. */
static void spare(struct bide_instance *process, struct bide_program_run *run)
{
    bide_run_release(&run->job->run);
    run->job->run = (struct bide_run){.outcome = BIDE_RETRY, .delay_ms = BIDE_BY_POLICY};
    finish(process, run);
}

void bide_program_blame(struct bide_instance *process, int status)
{
    char how[sizeof process->why];
    bool nobody = process->killed && !process->why[0];
    bool one = process->n_runs == 1;
    describe(process, status, how, sizeof how);
    while (process->runs) {
        struct bide_program_run *run = process->runs;
        if (nobody)
            spare(process, run);
        else if (run->call->n > 1)
            set_apart(process, run);
        else if (one)
            blame_one(process, run, how);
        else
            suspect(process, run, how);
    }
}
