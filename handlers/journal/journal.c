/* journal: appends one JSON line for each run of a message to a file, and is done. For ledgers, drills and
 * measurements. */
#include <bide/handler.h>

#include "../shared/journal_line.h"

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct journal *journal;
    bide_code code = journal_open(settings, &journal, error);
    if (code == BIDE_OK)
        *ret_state = journal;
    return code;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    bide_error error;
    if (journal_write(state, message, context, "done", &error) != BIDE_OK)
        return bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    return BIDE_DONE;
}

static void handle_batch(void *state, const bide_message *const messages[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    for (size_t i = 0; i < n; i++)
        outcomes[i] = handle(state, messages[i], contexts[i]);
}

static void close_handler(void *state)
{
    journal_close(state);
}

static const bide_setting_spec settings_table[] = {JOURNAL_PATH_SETTING, {0}};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "journal", .version = "1.0.0",
    .summary = "appends one JSON line a run to a file", .settings = settings_table, .open = open_handler,
    .handle = handle, .close = close_handler, .handle_batch = handle_batch};
