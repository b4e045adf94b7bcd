#include "dispatch/handler.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dispatch/settings.h"

enum { UNKNOWN_RUN_US = 1000000 };

static bide_code open_states(struct bide_handler *handler, size_t n, bide_error *error)
{
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    handler->states = bide_calloc(n, sizeof *handler->states);
    if (!handler->states)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (; handler->n_states < n; handler->n_states++) {
        bide_error inner = {0};
        bide_code code = BIDE_OK;
        if (plugin->open)
            code = plugin->open(handler->settings, &handler->states[handler->n_states], &inner);
        if (code == BIDE_OK)
            continue;
        return bide_fail(error, code, "handler '%s' (plugin '%s') did not open: %s", handler->config->type,
            handler->config->plugin, inner.text[0] ? inner.text : bide_code_meaning(code));
    }
    return BIDE_OK;
}

static bide_code open_handler(
    struct bide_handler *handler, const struct bide_config *config, int n_threads, bide_error *error)
{
    handler->mean_us = UNKNOWN_RUN_US;
    const char *file = config->path ? config->path : "configuration";
    bide_code code = bide_plugin_load(config->plugin_dir, handler->config->plugin, &handler->plugin, error);
    if (code != BIDE_OK) {
        bide_fail_within(error, "%s:%d", file, handler->config->line);
        return code;
    }
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    handler->per_thread = (plugin->flags & BIDE_PLUGIN_STATE_PER_THREAD) != 0;
    code =
        bide_settings_create(handler->config, plugin->settings, file, config->dir, &handler->settings, error);
    if (code != BIDE_OK)
        return code;
    return open_states(handler, handler->per_thread ? (size_t)n_threads : 1, error);
}

static int by_type(const void *a, const void *b)
{
    const struct bide_handler *left = a, *right = b;
    return strcmp(left->config->type, right->config->type);
}

bide_code bide_handlers_open(
    const struct bide_config *config, int n_threads, struct bide_handlers *ret_handlers, bide_error *error)
{
    struct bide_handlers handlers = {bide_calloc(config->n_handlers + 1, sizeof *handlers.rows), 0};
    bide_code code = handlers.rows ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++) {
        handlers.rows[i].config = &config->handlers[i];
        handlers.n = i + 1;
        code = open_handler(&handlers.rows[i], config, n_threads, error);
    }
    if (code != BIDE_OK) {
        bide_handlers_close(&handlers);
        return code;
    }
    qsort(handlers.rows, handlers.n, sizeof *handlers.rows, by_type);
    *ret_handlers = handlers;
    return BIDE_OK;
}

static void close_handler(struct bide_handler *handler)
{
    while (handler->n_states > 0) {
        void *state = handler->states[--handler->n_states];
        if (handler->plugin->descriptor.close)
            handler->plugin->descriptor.close(state);
    }
    bide_free(handler->states);
    bide_settings_destroy(handler->settings);
    bide_plugin_unload(handler->plugin);
}

void bide_handlers_close(struct bide_handlers *handlers)
{
    for (size_t i = 0; i < handlers->n; i++)
        close_handler(&handlers->rows[i]);
    bide_free(handlers->rows);
    *handlers = (struct bide_handlers){0};
}

struct bide_handler *bide_handlers_find(const struct bide_handlers *handlers, const char *type)
{
    size_t low = 0, high = handlers->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(type, handlers->rows[middle].config->type);
        if (order == 0)
            return &handlers->rows[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
