#include "producer/configured.h"

#include <inttypes.h>

#include "base/clock.h"
#include "message/envelope.h"

static bide_code judge_size(const struct bide_config *config, const bide_message *message, bide_error *error)
{
    size_t size;
    bide_message_body(message, &size);
    if ((int64_t)size <= config->worker.max_body)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_DATA, "the body has %zu bytes: worker.max_body allows %" PRId64, size,
        config->worker.max_body);
}

static bide_code choose_queue(const struct bide_config *config, bide_message *message, bide_error *error)
{
    const char *address = bide_config_address(config, bide_message_type(message));
    if (*bide_message_queue(message) || !address)
        return BIDE_OK;
    return bide_message_set_queue(message, address, error);
}

bide_code bide_message_from_line(const struct bide_config *config, const char *text, size_t size,
    bide_message **ret_message, bide_error *error)
{
    bide_message *message;
    bide_code code = bide_envelope_parse(text, size, &message, error);
    if (code != BIDE_OK)
        return code;
    code = judge_size(config, message, error);
    if (code == BIDE_OK)
        code = choose_queue(config, message, error);
    if (code == BIDE_OK)
        code = bide_message_stamp(message, "default", bide_clock_system(), error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}
