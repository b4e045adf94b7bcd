#include "producer/configured.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "broker/configured.h"
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

bide_code bide_message_read_line(const struct bide_config *config, const char *text, size_t size,
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
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}

bide_code bide_message_from_line(const struct bide_config *config, const char *text, size_t size,
    bide_message **ret_message, bide_error *error)
{
    bide_message *message;
    bide_code code = bide_message_read_line(config, text, size, &message, error);
    if (code != BIDE_OK)
        return code;
    code = bide_message_stamp(message, "default", bide_clock_system(), error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}

static bide_code join_all(struct bide_admin *admin, const char *topic, const char *const *subscriptions,
    size_t n, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < n && code == BIDE_OK; i++) {
        char name[2 * BIDE_NAME_MAX];
        snprintf(name, sizeof name, "%s@%s", subscriptions[i], topic);
        code = bide_subscription_valid(name)
                   ? admin->ops->join(admin, name, error)
                   : bide_fail(error, BIDE_E_DATA,
                         "'%.100s' is not a subscription SUB@TOPIC: " BIDE_TOPIC_RULE, name);
    }
    return code;
}

bide_code bide_join_configured(const struct bide_config *config, const char *topic,
    const char *const *subscriptions, size_t n, bide_error *error)
{
    struct bide_configured_broker broker;
    struct bide_admin *admin;
    bide_code code = bide_broker_configure(config, "producer", &broker, error);
    if (code != BIDE_OK)
        return code;
    code = broker.adapter->open_admin(&broker.options, &admin, error);
    if (code == BIDE_OK) {
        code = join_all(admin, topic, subscriptions, n, error);
        bide_admin_destroy(admin);
    }
    bide_configured_broker_clear(&broker);
    return code;
}
