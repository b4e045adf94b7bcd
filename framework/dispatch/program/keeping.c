/* Keeps the number of a program's processes: starts, replaces and retires them. */
#include <unistd.h>

#include "base/ending.h"
#include "base/resident.h"
#include "bide/log.h"
#include "dispatch/program/host.h"
#include "dispatch/program/protocol.h"

enum {
    LEAVE_US = 5 * 1000 * 1000, /* for a process that was told to leave, after its last run */
    LOOK_US = 1000 * 1000,      /* how often its memory is checked */
};

static void start_one(struct bide_program *program, int64_t now_us)
{
    struct bide_instance *process;
    bide_error error = {0};
    if (bide_instance_start(program, now_us, &process, &error) != BIDE_OK) {
        bide_program_start_failed(program, &error, now_us);
        return;
    }
    process->next = program->processes;
    program->processes = process;
    program->n_processes++;
}

/* ---- its end ---- */

static const char *last_words(const struct bide_instance *process)
{
    const char *text = process->tail.bytes;
    size_t size = process->tail.size;
    return size > 300 ? text + size - 300 : text;
}

/* A process that ended before its greeting is a failed start. */
static void count_bad_start(struct bide_instance *process, int status, int64_t now_us)
{
    char how[BIDE_ENDING_TEXT];
    bide_error error;
    const char *words = last_words(process);
    bide_fail(&error, BIDE_E_CONFIG, "program '%s' ended before its first line: %s%s%s",
        process->program->config->name, process->why[0] ? process->why : bide_ending(status, how),
        *words ? ": " : "", words);
    bide_program_start_failed(process->program, &error, now_us);
}

void bide_program_bury(struct bide_instance *process, int status, int64_t now_us)
{
    struct bide_program *program = process->program;
    struct bide_instance **at = &program->processes;
    char how[BIDE_ENDING_TEXT];
    bool left = process->state == BIDE_INSTANCE_LEAVING;
    if (process->state == BIDE_INSTANCE_STARTING)
        count_bad_start(process, status, now_us);
    else if (!left)
        bide_log(BIDE_LOG_WARN, "program process ended", BIDE_STR("program", program->config->name),
            BIDE_INT("pid", process->pid),
            BIDE_STR("how", process->why[0] ? process->why : bide_ending(status, how)),
            BIDE_INT("runs", process->n_runs));
    if (process->state == BIDE_INSTANCE_SERVING && process->n_ended == 0)
        program->start_us = now_us + BIDE_PROGRAM_PAUSE_US; /* do not restart in a loop */
    bide_program_blame(process, status);
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    if (!left) {
        program->n_processes--;
        if (program->metrics)
            bide_metrics_add(&program->metrics->restarts, 1);
    }
    bide_instance_destroy(process);
    bide_program_tell_processes(program);
}

/* ---- processes to be retired ---- */

static void tell_to_leave(struct bide_instance *process, int64_t now_us)
{
    bide_program_say_leave(&process->to);
    process->state = BIDE_INSTANCE_LEAVING;
    process->ends_us = now_us + LEAVE_US;
    process->program->n_processes--;
    bide_program_tell_processes(process->program);
}

static bool is_too_large(struct bide_instance *process, int64_t now_us)
{
    int64_t most = process->program->config->max_memory;
    if (most == 0 || now_us - process->looked_us < LOOK_US)
        return false;
    process->looked_us = now_us;
    return bide_resident_bytes(process->pid) > most;
}

static bool has_had_its_day(struct bide_instance *process, int64_t now_us)
{
    const struct bide_program_config *config = process->program->config;
    if (process->state != BIDE_INSTANCE_SERVING || process->killed)
        return false;
    return (config->max_runs > 0 && process->last_run >= (uint64_t)config->max_runs) ||
           is_too_large(process, now_us);
}

/* Why a process is killed that is beyond its time; NULL: its runs are not to blame. */
static const char *const late_reasons[] = {
    [BIDE_INSTANCE_STARTING] = "its first line did not come in time",
    [BIDE_INSTANCE_SERVING] = "its process was killed: it closed its channel to bide and went on",
    [BIDE_INSTANCE_LEAVING] = NULL,
};

/* Returns when to look at the process again. */
static int64_t watch_one(struct bide_instance *process, bool stops, int64_t now_us)
{
    if (process->killed)
        return INT64_MAX;
    if (stops ? process->state != BIDE_INSTANCE_LEAVING : has_had_its_day(process, now_us))
        tell_to_leave(process, now_us);
    if (stops && process->n_runs > 0) {
        bide_instance_kill(process, NULL); /* the worker ends: its messages go back to the broker */
        return INT64_MAX;
    }
    if (process->state == BIDE_INSTANCE_LEAVING && process->n_runs > 0 && bide_instance_hears(process))
        process->ends_us = now_us + LEAVE_US; /* its runs end by their own timeouts */
    if (now_us >= process->ends_us) {
        bide_instance_kill(process, late_reasons[process->state]);
        return INT64_MAX;
    }
    return process->ends_us;
}

int64_t bide_program_keep(struct bide_program *program, bool stops, int64_t now_us)
{
    int64_t next_us = program->config->max_memory > 0 ? now_us + LOOK_US : INT64_MAX;
    for (struct bide_instance *process = program->processes, *next; process; process = next) {
        next = process->next;
        int64_t then_us = watch_one(process, stops, now_us);
        next_us = then_us < next_us ? then_us : next_us;
    }
    if (stops)
        return next_us;
    while (program->n_processes < program->config->processes && now_us >= program->start_us)
        start_one(program, now_us);
    if (program->n_processes < program->config->processes && program->start_us < next_us)
        next_us = program->start_us;
    return next_us;
}
