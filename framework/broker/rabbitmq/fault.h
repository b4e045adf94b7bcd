/* broker/rabbitmq/fault.h: turns an answer of the broker or of rabbitmq-c into a code and a text with a
 * remedy.
 *
 * BIDE_E_BROKER and BIDE_E_TIMEOUT: trying again may help. BIDE_E_CONFIG: a person must act (password, vhost,
 * permission, arguments). Any thread. */
#ifndef BIDE_BROKER_RABBITMQ_FAULT_H
#define BIDE_BROKER_RABBITMQ_FAULT_H

#include "bide/error.h"
#include "broker/rabbitmq/api.h"
#include "broker/rabbitmq/settings.h"

/* BIDE_OK for a normal reply. `doing` ends a sentence: "declaring queue 'bide.mail'". */
bide_code bide_rmq_check(
    const struct bide_rmq_settings *settings, amqp_rpc_reply_t reply, const char *doing, bide_error *error);
/* Did the broker close the channel, and not the connection? */
bool bide_rmq_is_refusal(amqp_rpc_reply_t reply);
/* Did it close the channel because the exchange or queue does not exist? */
bool bide_rmq_is_not_found(amqp_rpc_reply_t reply);
/* Did it close the channel because the queue is exclusive to another connection? */
bool bide_rmq_is_locked(amqp_rpc_reply_t reply);
/* The reply code of a channel.close or connection.close; 0 for another method. */
uint16_t bide_rmq_reply_code(amqp_method_t method);
/* For a status of rabbitmq-c, which is negative. */
bide_code bide_rmq_fail_status(
    const struct bide_rmq_settings *settings, int status, const char *doing, bide_error *error);
/* For a channel.close or connection.close. */
bide_code bide_rmq_fail_method(
    const struct bide_rmq_settings *settings, amqp_method_t method, const char *doing, bide_error *error);

#endif
