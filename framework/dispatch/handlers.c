/* All handlers of a worker, with the processes that some of them run in. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dispatch/handler.h"
#include "dispatch/program/host.h"
#include "dispatch/sandbox/zygote.h"
#include "dispatch/settings.h"

enum { UNKNOWN_RUN_US = 1000000 };

static const struct bide_runner *runner_of(const struct bide_handler_config *config)
{
    if (config->program)
        return &bide_program_runner;
    return config->isolation == BIDE_ISOLATION_PROCESS ? &bide_sandbox_runner : &bide_thread_runner;
}

static const char *subscription_of(const struct bide_handler *handler)
{
    return handler->config->on ? handler->config->on : "";
}

/* Of one type, the one that is on no subscription comes first. */
static int by_type(const void *a, const void *b)
{
    const struct bide_handler *left = a, *right = b;
    int order = strcmp(left->config->type, right->config->type);
    return order ? order : strcmp(subscription_of(left), subscription_of(right));
}

static bide_code load_all(struct bide_handlers *handlers, const struct bide_config *config, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++) {
        struct bide_handler *handler = &handlers->rows[i];
        handler->config = &config->handlers[i];
        handler->runner = runner_of(handler->config);
        handler->mean_us = UNKNOWN_RUN_US;
        handlers->n = i + 1;
        code = handler->runner->load(handler, config, error);
    }
    qsort(handlers->rows, handlers->n, sizeof *handlers->rows, by_type);
    return code;
}

/* Starts the zygote after loading and before opening: so its children have all plugins, but no threads or
 * descriptors that open makes. */
static bide_code open_all(
    struct bide_handlers *handlers, const struct bide_config *config, size_t n_threads, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < handlers->n && code == BIDE_OK && !handlers->zygote; i++)
        if (handlers->rows[i].runner == &bide_sandbox_runner)
            code = bide_zygote_start(&handlers->zygote, error);
    if (code == BIDE_OK) /* after the zygote, because it starts a thread */
        code = bide_programs_start(config, bide_clock_system(), &handlers->programs, error);
    for (size_t i = 0; i < handlers->n && code == BIDE_OK; i++)
        code = handlers->rows[i].runner->open(handlers, &handlers->rows[i], n_threads, error);
    return code;
}

bide_code bide_handlers_open(
    const struct bide_config *config, int n_threads, struct bide_handlers *ret_handlers, bide_error *error)
{
    struct bide_handlers handlers = {.rows = bide_calloc(config->n_handlers + 1, sizeof *handlers.rows)};
    bide_code code = handlers.rows ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = load_all(&handlers, config, error);
    if (code == BIDE_OK)
        code = open_all(&handlers, config, (size_t)n_threads, error);
    if (code == BIDE_OK)
        *ret_handlers = handlers;
    else
        bide_handlers_close(&handlers);
    return code;
}

bide_code bide_handlers_builtin(const struct bide_config *config, const bide_plugin_descriptor *plugin,
    void *state, struct bide_handlers *ret_handlers, bide_error *error)
{
    struct bide_handlers handlers = {.rows = bide_calloc(1, sizeof *handlers.rows), .n = 1};
    struct bide_handler *handler = handlers.rows;
    if (!handler)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    handler->config = &config->handlers[0];
    handler->runner = &bide_thread_runner;
    handler->mean_us = UNKNOWN_RUN_US;
    handler->plugin = bide_calloc(1, sizeof *handler->plugin);
    handler->states = bide_calloc(1, sizeof *handler->states);
    if (!handler->plugin || !handler->states) {
        bide_handlers_close(&handlers);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    handler->plugin->descriptor = *plugin;
    handler->states[0] = state;
    handler->n_states = 1;
    *ret_handlers = handlers;
    return BIDE_OK;
}

void bide_handlers_close(struct bide_handlers *handlers)
{
    bide_programs_stop(handlers->programs);
    bide_programs_destroy(handlers->programs);
    for (size_t i = 0; i < handlers->n; i++)
        handlers->rows[i].runner->close(&handlers->rows[i]);
    bide_zygote_stop(handlers->zygote);
    for (size_t i = 0; i < handlers->n; i++) {
        bide_settings_destroy(handlers->rows[i].settings);
        bide_plugin_unload(handlers->rows[i].plugin);
    }
    bide_free(handlers->rows);
    *handlers = (struct bide_handlers){0};
}

bool bide_handlers_lost(const struct bide_handlers *handlers)
{
    return handlers->zygote && bide_zygote_is_lost(handlers->zygote);
}

/* The first of a type. */
static size_t find_type(const struct bide_handlers *handlers, const char *type)
{
    size_t low = 0, high = handlers->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(type, handlers->rows[middle].config->type) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct bide_handler *bide_handlers_find(
    const struct bide_handlers *handlers, const char *type, const char *queue)
{
    struct bide_handler *found = NULL;
    for (size_t i = find_type(handlers, type); i < handlers->n; i++) {
        struct bide_handler *handler = &handlers->rows[i];
        if (strcmp(handler->config->type, type) != 0)
            break;
        if (handler->config->on && strcmp(handler->config->on, queue) == 0)
            return handler;
        if (!handler->config->on)
            found = handler;
    }
    return found;
}
