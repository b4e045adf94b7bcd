/* noop: does nothing, and writes at the end how many messages it ran and when:
 * {"runs":N,"first_us":…,"last_us":…}. For measurements of everything but the handler. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <bide/handler.h>

struct noop {
    const char *path;
    atomic_llong runs;
    _Atomic int64_t first_us, last_us; /* Unix time */
};

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct noop *noop = calloc(1, sizeof *noop);
    if (!noop)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    noop->path = bide_settings_string(settings, "path");
    *ret_state = noop;
    return BIDE_OK;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct noop *noop = state;
    int64_t now_us = bide_started_us(context);
    (void)message;
    if (atomic_fetch_add_explicit(&noop->runs, 1, memory_order_relaxed) == 0)
        noop->first_us = now_us;
    atomic_store_explicit(&noop->last_us, now_us, memory_order_relaxed);
    return BIDE_DONE;
}

static void close_handler(void *state)
{
    struct noop *noop = state;
    FILE *file = fopen(noop->path, "w");
    if (file) {
        fprintf(file, "{\"runs\":%lld,\"first_us\":%lld,\"last_us\":%lld}\n", (long long)noop->runs,
            (long long)noop->first_us, (long long)noop->last_us);
        fclose(file);
    }
    free(noop);
}

static const bide_setting_spec settings_table[] = {
    {"path", BIDE_SETTING_STRING, NULL, "the file the figures go to: an absolute path"}, {0}};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "noop", .version = "1.0.0",
    .summary = "does nothing, and counts", .settings = settings_table, .open = open_handler, .handle = handle,
    .close = close_handler};
