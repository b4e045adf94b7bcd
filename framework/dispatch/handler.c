#include "dispatch/handler.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "dispatch/call.h"
#include "dispatch/settings.h"
#include "shared/slot.h"

bide_code bide_handler_open_state(const struct bide_handler *handler, void **ret_state, bide_error *error)
{
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    bide_error inner = {0};
    bide_code code = plugin->open ? plugin->open(handler->settings, ret_state, &inner) : BIDE_OK;
    if (code == BIDE_OK)
        return BIDE_OK;
    return bide_fail(error, code, "handler '%s' (plugin '%s') did not open: %s", handler->config->type,
        handler->config->plugin, inner.text[0] ? inner.text : bide_code_meaning(code));
}

static bide_code open_states(
    struct bide_handlers *handlers, struct bide_handler *handler, size_t n_threads, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t n = handler->per_thread ? n_threads : 1;
    (void)handlers;
    handler->states = bide_calloc(n, sizeof *handler->states);
    if (!handler->states)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    while (code == BIDE_OK && handler->n_states < n) {
        code = bide_handler_open_state(handler, &handler->states[handler->n_states], error);
        handler->n_states += code == BIDE_OK;
    }
    return code;
}

bide_code bide_handler_check_batch(
    const struct bide_handler_config *config, bool takes_batches, bide_error *error)
{
    if (config->batch <= 1 || takes_batches)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s:%d: %s '%s' takes no batches of the type '%s': remove `batch`, or give it a batch handler "
        "(docs/batches.md)",
        config->file, config->line, config->program ? "program" : "plugin", config->plugin, config->type);
}

bide_code bide_handler_load_plugin(
    struct bide_handler *handler, const struct bide_config *config, bide_error *error)
{
    bide_code code =
        bide_plugin_load(handler->config->plugin_path, config->allow_unsafe_plugins, &handler->plugin, error);
    if (code != BIDE_OK) {
        bide_fail_within(error, "%s:%d", handler->config->file, handler->config->line);
        return code;
    }
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    code = bide_handler_check_batch(handler->config, plugin->handle_batch, error);
    if (code != BIDE_OK)
        return code;
    handler->batches = handler->config->batch > 1 || !plugin->handle;
    handler->per_thread = (plugin->flags & BIDE_PLUGIN_STATE_PER_THREAD) != 0;
    return bide_settings_create(
        handler->config, plugin->settings, handler->config->file, config->dir, &handler->settings, error);
}

static void close_states(struct bide_handler *handler)
{
    while (handler->n_states > 0) {
        void *state = handler->states[--handler->n_states];
        if (handler->plugin->descriptor.close)
            handler->plugin->descriptor.close(state);
    }
    bide_free(handler->states);
}

static bide_outcome run_here(const struct bide_handler *handler, size_t thread,
    const struct bide_message *message, struct bide_context *context, struct bide_slot *slot)
{
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    if (slot)
        bide_slot_begin(slot, message, 1, bide_handler_name(handler->config), plugin->name,
            handler->plugin->build, bide_started_us(context) / 1000);
    bide_outcome outcome =
        plugin->handle(handler->states[handler->per_thread ? thread : 0], message, context);
    if (slot)
        bide_slot_end(slot);
    BIDE_KILL_POINT("worker/ran");
    return outcome;
}

/* Notes the messages of a batch, in case it ends this process, or that they are done with. */
static void note_batch(const struct bide_call *call, bool begins)
{
    int pid = getpid();
    char text[BIDE_CRASH_KEY];
    for (size_t i = 0; call->apart && call->n > 1 && i < call->n; i++)
        (begins ? bide_apart_add : bide_apart_remove)(
            call->apart, bide_crash_key(call->messages[i], text), pid);
}

static void run_batch_here(
    const struct bide_handler *handler, size_t thread, struct bide_call *call, struct bide_slot *slot)
{
    const bide_plugin_descriptor *plugin = &handler->plugin->descriptor;
    if (slot) {
        note_batch(call, true);
        bide_slot_begin(slot, call->messages[0], call->n, bide_handler_name(handler->config), plugin->name,
            handler->plugin->build, bide_started_us(call->contexts[0]) / 1000);
    }
    plugin->handle_batch(handler->states[handler->per_thread ? thread : 0], call->messages, call->contexts,
        call->n, call->outcomes);
    if (slot) {
        bide_slot_end(slot);
        note_batch(call, false);
    }
    BIDE_KILL_POINT("worker/ran");
}

const struct bide_runner bide_thread_runner = {.load = bide_handler_load_plugin,
    .open = open_states,
    .close = close_states,
    .run = run_here,
    .run_batch = run_batch_here};
