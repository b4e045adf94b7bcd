/* The runner for handlers in other languages. */
#include "base/alloc.h"
#include "dispatch/handler.h"
#include "dispatch/program/host.h"

/* Gives the handler the program's name, which the log and the metrics show. */
static bide_code name_program(
    struct bide_handler *handler, const struct bide_config *config, bide_error *error)
{
    (void)config;
    handler->plugin = bide_calloc(1, sizeof *handler->plugin);
    if (!handler->plugin || !(handler->plugin->name = bide_strdup(handler->config->program)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    handler->plugin->descriptor.name = handler->plugin->name;
    handler->plugin->descriptor.version = "";
    return BIDE_OK;
}

/* Adds the handler to its program's share. Fails if the program did not announce its type. */
static bide_code join_program(
    struct bide_handlers *handlers, struct bide_handler *handler, size_t n_threads, bide_error *error)
{
    (void)n_threads;
    struct bide_program *program = bide_programs_find(handlers->programs, handler->config->program);
    if (!bide_program_announces(program, handler->config->type))
        return bide_fail(error, BIDE_E_CONFIG, "%s:%d: program '%s' has no handler for the type '%s'",
            handler->config->file, handler->config->line, handler->config->program, handler->config->type);
    handler->batches = bide_program_takes_batches(program, handler->config->type);
    bide_code code = bide_handler_check_batch(handler->config, handler->batches, error);
    if (code != BIDE_OK)
        return code;
    handler->where = program;
    handler->share = &program->share;
    handler->next_in_share = program->share.members;
    program->share.members = handler;
    return BIDE_OK;
}

static void begin(struct bide_handler *handler, struct bide_job *job)
{
    struct bide_program *program = handler->where;
    struct bide_programs *host = program->host;
    pthread_mutex_lock(&host->lock);
    bool first = program->backlog.n == 0;
    bide_job_append(&program->backlog, job);
    pthread_mutex_unlock(&host->lock);
    if (first) /* otherwise the host knows already, or no process has room */
        bide_wakeup_signal(&host->wakeup);
}

static bool is_down(const struct bide_handler *handler)
{
    const struct bide_program *program = handler->where;
    return atomic_load_explicit(&program->down, memory_order_relaxed);
}

static void nothing_to_close(struct bide_handler *handler)
{
    (void)handler; /* bide_programs_stop ends the processes of all programs */
}

const struct bide_runner bide_program_runner = {.load = name_program,
    .open = join_program,
    .close = nothing_to_close,
    .begin = begin,
    .is_down = is_down,
    .kills = true};
