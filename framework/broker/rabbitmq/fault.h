/* broker/rabbitmq/fault.h: what the broker or its library answered, as a code and a text with a remedy.
 *
 * What trying again may mend is BIDE_E_BROKER (or BIDE_E_TIMEOUT); what only a person mends (password, vhost,
 * permission, arguments) is BIDE_E_CONFIG. Any thread. */
#ifndef BIDE_BROKER_RABBITMQ_FAULT_H
#define BIDE_BROKER_RABBITMQ_FAULT_H

#include "bide/error.h"
#include "broker/rabbitmq/api.h"
#include "broker/rabbitmq/settings.h"

/* BIDE_OK for a normal reply. `doing` ends a sentence: "declaring queue 'bide.mail'". */
bide_code bide_rmq_check(
    const struct bide_rmq_settings *settings, amqp_rpc_reply_t reply, const char *doing, bide_error *error);
/* Was the channel closed, while the connection lives? */
bool bide_rmq_is_refusal(amqp_rpc_reply_t reply);
/* Was the channel closed because what was named does not exist? */
bool bide_rmq_is_not_found(amqp_rpc_reply_t reply);
/* The same for a queue that is another connection's own. */
bool bide_rmq_is_locked(amqp_rpc_reply_t reply);
/* Why a channel.close or connection.close closes; 0: it is neither. */
uint16_t bide_rmq_reply_code(amqp_method_t method);
/* A status of the library, negative. */
bide_code bide_rmq_fail_status(
    const struct bide_rmq_settings *settings, int status, const char *doing, bide_error *error);
/* A channel.close or connection.close. */
bide_code bide_rmq_fail_method(
    const struct bide_rmq_settings *settings, amqp_method_t method, const char *doing, bide_error *error);

#endif
