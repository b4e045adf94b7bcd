/* parent: sends one message of type "probe" with its own id and body, and is done. A plugin for tests. */
#include <bide/handler.h>

static bide_code make_child(const bide_message *parent, bide_message *child, bide_error *error)
{
    size_t size;
    const void *body = bide_message_body(parent, &size);
    bide_code code = bide_message_set_id(child, bide_message_id(parent), error);
    return code == BIDE_OK ? bide_message_set_body(child, body, size, error) : code;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    bide_message *child = NULL;
    bide_error error;
    (void)state;
    bide_code code = bide_message_create("probe", &child, &error);
    if (code == BIDE_OK)
        code = make_child(message, child, &error);
    if (code == BIDE_OK)
        return bide_context_send(context, child, &error) == BIDE_OK
                   ? BIDE_DONE
                   : bide_retry(context, 0, "%s", error.text);
    bide_message_destroy(child);
    return bide_retry(context, 0, "%s", error.text);
}

const bide_plugin_descriptor bide_plugin = {
    BIDE_PLUGIN_HEAD, .name = "parent", .version = "1", .handle = handle};
