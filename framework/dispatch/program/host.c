#include "dispatch/program/host.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/alloc.h"
#include "dispatch/handler.h"

/* The longest line: a body of max_body bytes takes at most six times as much as a JSON string; headers and
 * the rest come on top. */
enum { LINE_FACTOR = 6, LINE_REST = 1024 * 1024 };

/* how long a process may go on after it has closed its channel */
enum { CLOSED_US = 500 * 1000 };

static int64_t now_us(const struct bide_programs *host)
{
    return bide_mono_us(host->clock);
}

/* ---- calls by other threads ---- */

struct bide_program *bide_programs_find(const struct bide_programs *programs, const char *name)
{
    for (size_t i = 0; programs && i < programs->n; i++)
        if (strcmp(programs->rows[i].config->name, name) == 0)
            return &programs->rows[i];
    return NULL;
}

static bool contains(const json_t *types, const char *type)
{
    size_t i;
    json_t *name;
    json_array_foreach(types, i, name)
    {
        const char *text = json_string_value(name);
        if (text && strcmp(text, type) == 0)
            return true;
    }
    return false;
}

bool bide_program_announces(const struct bide_program *program, const char *type)
{
    pthread_mutex_lock(&program->host->lock);
    bool found = contains(program->types, type);
    pthread_mutex_unlock(&program->host->lock);
    return found;
}

bool bide_program_takes_batches(const struct bide_program *program, const char *type)
{
    pthread_mutex_lock(&program->host->lock);
    bool found = contains(program->batch_types, type);
    pthread_mutex_unlock(&program->host->lock);
    return found;
}

static void tell(struct bide_programs *host, bool *what)
{
    pthread_mutex_lock(&host->lock);
    *what = true;
    pthread_mutex_unlock(&host->lock);
    bide_wakeup_signal(&host->wakeup);
}

void bide_programs_cancel(struct bide_programs *programs)
{
    if (programs)
        tell(programs, &programs->cancels);
}

void bide_programs_attach(
    struct bide_programs *programs, struct bide_pool *pool, struct bide_metrics *metrics)
{
    if (!programs)
        return;
    pthread_mutex_lock(&programs->lock);
    programs->attached = pool;
    programs->metrics = metrics;
    pthread_mutex_unlock(&programs->lock);
    bide_wakeup_signal(&programs->wakeup);
}

/* Of a call that loses only some of its messages the others stay. */
static void withdraw_calls(
    struct bide_job_list *backlog, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    struct bide_job_list calls = *backlog;
    struct bide_job *call;
    *backlog = (struct bide_job_list){0};
    while ((call = bide_job_pop(&calls))) {
        struct bide_job_list picked = {0};
        if ((call = bide_job_pick_from_call(call, test, user, &picked)))
            bide_job_append(backlog, call);
        for (struct bide_job *job = picked.first; job; job = job->next)
            job->call_goes_on = call || job->next;
        bide_job_append_all(to, &picked);
    }
}

void bide_programs_withdraw(
    struct bide_programs *programs, bide_job_test *test, const void *user, struct bide_job_list *to)
{
    if (!programs)
        return;
    pthread_mutex_lock(&programs->lock);
    for (size_t i = 0; i < programs->n; i++)
        withdraw_calls(&programs->rows[i].backlog, test, user, to);
    pthread_mutex_unlock(&programs->lock);
}

/* ---- the thread ---- */

struct round {
    bool cancels, stops;
    int64_t next_us;
};

static void look_at_wishes(struct bide_programs *host, struct round *round)
{
    pthread_mutex_lock(&host->lock);
    bool is_new = host->pool != host->attached;
    host->pool = host->attached;
    struct bide_metrics *metrics = host->metrics;
    round->cancels = host->cancels;
    round->stops = host->stops;
    pthread_mutex_unlock(&host->lock);
    for (size_t i = 0; is_new && i < host->n; i++) {
        host->rows[i].metrics = bide_metrics_program(metrics, host->rows[i].config->name);
        bide_program_tell_processes(&host->rows[i]);
    }
}

static void obey_lines(struct bide_instance *process)
{
    const char *line;
    size_t size;
    while ((line = bide_instance_next_line(process, &size)))
        bide_program_obey(process, line, size);
}

static void obey_and_judge(struct bide_instance *process)
{
    obey_lines(process);
    if (process->in.size - process->taken > process->program->host->max_line && !process->killed)
        bide_instance_kill(process, "its process was killed: it wrote a line longer than max_line");
}

/* A process that has closed its channel is about to end; if it does not, it is killed after CLOSED_US. */
static void judge_channel(struct bide_instance *process, int64_t now)
{
    if (!bide_instance_hears(process) && process->ends_us == INT64_MAX)
        process->ends_us = now + CLOSED_US;
}

/* Reads everything that the process has written, then buries it. */
static void conclude(struct bide_instance *process, int64_t now)
{
    short all[BIDE_INSTANCE_FDS] = {POLLIN, POLLIN, POLLIN, 0};
    int status;
    kill(-process->pid, SIGKILL); /* its descendants; before the reap, which frees the pid */
    if (!bide_instance_reap(process, &status))
        return;
    /* Until all descriptors are empty or closed. The number of rounds is bounded: a descendant that has left
     * the group may hold them open and write for ever. */
    bool more = true;
    for (size_t left = bide_instance_rounds_left(process); more && left > 0; left--) {
        for (size_t i = 0; i < BIDE_INSTANCE_END; i++)
            all[i] = process->fds[i] >= 0 ? POLLIN : 0;
        more = bide_instance_read(process, all);
        obey_lines(process);
    }
    bide_program_bury(process, status, now);
}

static void serve_process(struct bide_instance *process, const struct pollfd *fds, int64_t now)
{
    short ready[BIDE_INSTANCE_FDS];
    for (size_t i = 0; i < BIDE_INSTANCE_FDS; i++)
        ready[i] = fds[i].revents;
    if (ready[BIDE_INSTANCE_END]) {
        conclude(process, now);
        return;
    }
    bide_instance_read(process, ready);
    obey_and_judge(process);
}

static void keep_program(struct bide_program *program, struct round *round, int64_t now)
{
    int64_t then = bide_program_keep(program, round->stops, now);
    round->next_us = then < round->next_us ? then : round->next_us;
    bide_program_feed(program, now);
    for (struct bide_instance *process = program->processes; process; process = process->next) {
        then = bide_program_watch_runs(process, round->cancels, now);
        round->next_us = then < round->next_us ? then : round->next_us;
        bide_instance_write(process);
        judge_channel(process, now);
        if (!process->killed && process->ends_us < round->next_us)
            round->next_us = process->ends_us;
    }
}

static size_t count_processes(const struct bide_programs *host)
{
    size_t n = 0;
    for (size_t i = 0; i < host->n; i++)
        for (const struct bide_instance *process = host->rows[i].processes; process; process = process->next)
            n++;
    return n;
}

static void fill(struct pollfd *fds, const struct bide_instance *process)
{
    for (size_t i = 0; i < BIDE_INSTANCE_FDS; i++)
        fds[i] = (struct pollfd){.fd = process->fds[i], .events = POLLIN};
    if (process->sent < process->to.size)
        fds[BIDE_INSTANCE_CHANNEL].events |= POLLOUT;
}

static void sleep_until(struct bide_programs *host, struct pollfd *fds, size_t n, int64_t next_us)
{
    int64_t left_us = next_us == INT64_MAX ? 0 : next_us - now_us(host);
    left_us = left_us > 0 ? left_us : 0;
    struct timespec timeout = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
    ppoll(fds, n, next_us == INT64_MAX ? NULL : &timeout, NULL);
    if (fds[0].revents)
        bide_wakeup_drain(&host->wakeup);
}

/* False without memory for the list of descriptors. */
static bool wait_and_serve(struct bide_programs *host, int64_t next_us)
{
    size_t n = count_processes(host), at = 0;
    struct pollfd *fds = bide_calloc(1 + n * BIDE_INSTANCE_FDS, sizeof *fds);
    struct bide_instance **processes = bide_calloc(n + 1, sizeof(struct bide_instance *));
    if (fds && processes) {
        fds[0] = (struct pollfd){.fd = host->wakeup.fd, .events = POLLIN};
        for (size_t i = 0; i < host->n; i++)
            for (struct bide_instance *process = host->rows[i].processes; process; process = process->next) {
                fill(&fds[1 + at * BIDE_INSTANCE_FDS], process);
                processes[at++] = process;
            }
        sleep_until(host, fds, 1 + n * BIDE_INSTANCE_FDS, next_us);
        for (size_t i = 0; i < n; i++)
            serve_process(processes[i], &fds[1 + i * BIDE_INSTANCE_FDS], now_us(host));
    }
    bool had = fds && processes;
    bide_free(fds);
    bide_free(processes);
    return had;
}

static void *run(void *user)
{
    struct bide_programs *host = user;
    struct round round;
    pthread_setname_np(pthread_self(), "bide-programs");
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    for (;;) {
        round = (struct round){.next_us = INT64_MAX};
        look_at_wishes(host, &round);
        for (size_t i = 0; i < host->n; i++)
            keep_program(&host->rows[i], &round, now_us(host));
        if (round.stops && count_processes(host) == 0)
            return NULL;
        if (!wait_and_serve(host, round.next_us))
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); /* wait for memory */
    }
}

/* ---- its life ---- */

static bide_code start_thread(struct bide_programs *host, bide_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&host->thread, NULL, run, host);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    host->started = !failed;
    return failed ? bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread: %s", strerror(failed))
                  : BIDE_OK;
}

/* Waits until each program serves or has failed once. */
static bide_code await_all(struct bide_programs *host, bide_error *error)
{
    bide_code code = BIDE_OK;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < host->n && code == BIDE_OK; i++) {
        struct bide_program *program = &host->rows[i];
        while (atomic_load(&program->room) == 0 && !program->refused)
            pthread_cond_wait(&host->changed, &host->lock);
        if (atomic_load(&program->room) == 0)
            code = bide_fail(error, BIDE_E_CONFIG, "%s", program->last_error.text);
    }
    pthread_mutex_unlock(&host->lock);
    return code;
}

static struct bide_programs *create(const struct bide_config *config, const struct bide_clock *clock)
{
    struct bide_programs *host = bide_calloc(1, sizeof *host);
    if (!host || !(host->rows = bide_calloc(config->n_programs, sizeof *host->rows))) {
        bide_free(host);
        return NULL;
    }
    host->n = config->n_programs;
    host->dir = config->dir;
    host->max_line = (size_t)config->worker.max_body * LINE_FACTOR + LINE_REST;
    host->clock = clock;
    host->wakeup.fd = -1;
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
    for (size_t i = 0; i < host->n; i++) {
        host->rows[i].config = &config->programs[i];
        host->rows[i].host = host;
    }
    return host;
}

bide_code bide_programs_start(const struct bide_config *config, const struct bide_clock *clock,
    struct bide_programs **ret_programs, bide_error *error)
{
    *ret_programs = NULL;
    if (config->n_programs == 0)
        return BIDE_OK;
    struct bide_programs *host = create(config, clock);
    bide_code code =
        host ? bide_wakeup_init(&host->wakeup, error) : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = start_thread(host, error);
    if (code == BIDE_OK)
        code = await_all(host, error);
    if (code == BIDE_OK) {
        *ret_programs = host;
    } else if (host) {
        bide_programs_stop(host);
        bide_programs_destroy(host);
    }
    return code;
}

void bide_programs_stop(struct bide_programs *programs)
{
    if (!programs || !programs->started)
        return;
    tell(programs, &programs->stops);
    pthread_join(programs->thread, NULL);
    programs->started = false;
}

void bide_programs_destroy(struct bide_programs *programs)
{
    if (!programs)
        return;
    for (size_t i = 0; i < programs->n; i++)
        json_decref(programs->rows[i].types), json_decref(programs->rows[i].batch_types);
    bide_wakeup_close(&programs->wakeup);
    pthread_cond_destroy(&programs->changed);
    pthread_mutex_destroy(&programs->lock);
    bide_free(programs->rows);
    bide_free(programs);
}
