/* What others must know of a program's processes: the pool, the metrics, who waits for the start, the log. */

#include "bide/log.h"
#include "dispatch/pool.h"
#include "dispatch/program/host.h"

enum { LONGEST_PAUSE_US = 60 * 1000 * 1000 };

/* Lists the pids of processes that serve, and of those that finish their last runs. */
static void list_pids(struct bide_program_metrics *metrics, const struct bide_instance *process)
{
    for (size_t at = 0; at < BIDE_METRICS_PROGRAM_PIDS; at++) {
        while (process && process->state == BIDE_INSTANCE_STARTING)
            process = process->next;
        atomic_store_explicit(&metrics->pids[at], process ? process->pid : 0, memory_order_relaxed);
        process = process ? process->next : NULL;
    }
}

void bide_program_tell_processes(struct bide_program *program)
{
    int room = 0;
    for (const struct bide_instance *process = program->processes; process; process = process->next)
        if (process->state == BIDE_INSTANCE_SERVING && !process->killed)
            room += process->most;
    atomic_store(&program->room, room);
    atomic_store(&program->down, room == 0 && program->failures > 0);
    if (program->host->pool)
        bide_pool_set_share(program->host->pool, &program->share, 2 * room);
    if (program->metrics)
        list_pids(program->metrics, program->processes);
}

static void announce_change(struct bide_programs *host)
{
    pthread_mutex_lock(&host->lock);
    pthread_cond_broadcast(&host->changed);
    pthread_mutex_unlock(&host->lock);
}

void bide_program_serves(struct bide_instance *process)
{
    struct bide_program *program = process->program;
    bide_log(BIDE_LOG_DEBUG, "program serves", BIDE_STR("program", program->config->name),
        BIDE_INT("pid", process->pid), BIDE_STR("sdk", program->sdk), BIDE_INT("concurrency", process->most));
    program->failures = 0;
    bide_program_tell_processes(program);
    announce_change(program->host);
}

void bide_program_start_failed(struct bide_program *program, const bide_error *error, int64_t now_us)
{
    int64_t pause_us = BIDE_PROGRAM_PAUSE_US;
    for (int i = 0; i < program->failures && pause_us < LONGEST_PAUSE_US; i++)
        pause_us *= 2;
    if (pause_us > LONGEST_PAUSE_US)
        pause_us = LONGEST_PAUSE_US;
    program->failures++;
    program->start_us = now_us + pause_us;
    pthread_mutex_lock(&program->host->lock);
    program->last_error = *error;
    program->refused = true;
    pthread_mutex_unlock(&program->host->lock);
    bide_log(BIDE_LOG_ERROR, "program does not start: its messages wait",
        BIDE_STR("program", program->config->name), BIDE_STR("error", error->text),
        BIDE_INT("again_in_ms", pause_us / 1000));
    bide_program_tell_processes(program);
    announce_change(program->host);
}
