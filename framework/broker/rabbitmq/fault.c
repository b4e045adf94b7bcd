#include "broker/rabbitmq/fault.h"

/* Every reply code of AMQP 0-9-1 with which a broker closes a channel or a connection. BIDE_E_CONFIG: a
 * person must act; after the others bide tries again with growing pauses. What a closed channel means for the
 * other messages on it: docs/rabbitmq.md, "What the broker refuses". */
static const char in_log[] = "see the broker's log";
static const char by_vhost[] = "check the vhost in the URL (write %2F for '/') with 'rabbitmqctl "
                               "list_vhosts' and the user's permissions "
                               "there";
static const struct {
    uint16_t reply;
    bide_code code;
    const char *remedy;
} closes[] = {
    {AMQP_CONTENT_TOO_LARGE, BIDE_E_BROKER, in_log},
    {AMQP_NO_CONSUMERS, BIDE_E_BROKER, in_log},
    {AMQP_CONNECTION_FORCED, BIDE_E_BROKER, "the broker is stopping or an operator closed the connection"},
    {AMQP_INVALID_PATH, BIDE_E_CONFIG, by_vhost},
    {AMQP_ACCESS_REFUSED, BIDE_E_CONFIG,
        "check user and password in the URL, and what the user may do with 'rabbitmqctl "
        "list_user_permissions'"},
    {AMQP_NOT_FOUND, BIDE_E_BROKER, "it is declared again at the next connection"},
    {AMQP_RESOURCE_LOCKED, BIDE_E_CONFIG, "another connection owns it exclusively: use another namespace"},
    {AMQP_PRECONDITION_FAILED, BIDE_E_CONFIG,
        "what exists differs from what is wanted: use another namespace, or drain and delete it first "
        "('bide check' lists all differences)"},
    {AMQP_FRAME_ERROR, BIDE_E_BROKER, in_log},
    {AMQP_SYNTAX_ERROR, BIDE_E_BROKER, in_log},
    {AMQP_COMMAND_INVALID, BIDE_E_BROKER, in_log},
    {AMQP_CHANNEL_ERROR, BIDE_E_BROKER, in_log},
    {AMQP_UNEXPECTED_FRAME, BIDE_E_BROKER, in_log},
    {AMQP_RESOURCE_ERROR, BIDE_E_BROKER, in_log},
    {AMQP_NOT_ALLOWED, BIDE_E_CONFIG, by_vhost},
    {AMQP_NOT_IMPLEMENTED, BIDE_E_BROKER, in_log},
    {AMQP_INTERNAL_ERROR, BIDE_E_BROKER, in_log},
};

static bide_code fail_close(const struct bide_rmq_settings *settings, uint16_t reply_code,
    amqp_bytes_t reply_text, const char *doing, bide_error *error)
{
    bide_code code = BIDE_E_BROKER;
    const char *remedy = in_log;
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++)
        if (closes[i].reply == reply_code) {
            code = closes[i].code;
            remedy = closes[i].remedy;
        }
    return bide_fail(error, code, "%s: the broker refused %s: %.*s: %s", settings->redacted, doing,
        (int)reply_text.len, (const char *)reply_text.bytes, remedy);
}

uint16_t bide_rmq_reply_code(amqp_method_t method)
{
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD)
        return ((const amqp_channel_close_t *)method.decoded)->reply_code;
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD)
        return ((const amqp_connection_close_t *)method.decoded)->reply_code;
    return 0;
}

bide_code bide_rmq_fail_method(
    const struct bide_rmq_settings *settings, amqp_method_t method, const char *doing, bide_error *error)
{
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = method.decoded;
        return fail_close(settings, close->reply_code, close->reply_text, doing, error);
    }
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = method.decoded;
        return fail_close(settings, close->reply_code, close->reply_text, doing, error);
    }
    return bide_fail(error, BIDE_E_BROKER, "%s: unexpected answer %s while %s", settings->redacted,
        amqp_method_name(method.id), doing);
}

static const struct {
    int status;
    bide_code code;
    const char *text;
} statuses[] = {
    {AMQP_STATUS_NO_MEMORY, BIDE_E_NOMEM, "out of memory"},
    {AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED, BIDE_E_BROKER,
        "the host name is unknown: check the URL and the name service"},
    {AMQP_STATUS_SOCKET_ERROR, BIDE_E_BROKER,
        "nobody answers there in AMQP: is RabbitMQ running, are host and port right, and does that port want "
        "TLS (amqps)?"},
    {AMQP_STATUS_TIMEOUT, BIDE_E_TIMEOUT,
        "no answer in time: is something else listening there, a firewall between, or has the broker no file "
        "handle "
        "left (LimitNOFILE)?"},
    {AMQP_STATUS_HEARTBEAT_TIMEOUT, BIDE_E_BROKER, "no sign of life from the broker (heartbeat)"},
    {AMQP_STATUS_CONNECTION_CLOSED, BIDE_E_BROKER,
        "the connection was closed by the other side (a plain port asked for TLS, or the reverse?)"},
    {AMQP_STATUS_SOCKET_CLOSED, BIDE_E_BROKER, "the connection was closed"},
    {AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION, BIDE_E_BROKER, "what answers there does not speak AMQP 0-9-1"},
    {AMQP_STATUS_BAD_AMQP_DATA, BIDE_E_BROKER, "what answers there does not speak AMQP 0-9-1"},
    {AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD, BIDE_E_CONFIG,
        "the broker does not accept a password here (mechanism PLAIN)"},
    {AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED, BIDE_E_BROKER,
        "TLS: the certificate is for another host name than the URL's"},
    {AMQP_STATUS_SSL_PEER_VERIFY_FAILED, BIDE_E_BROKER,
        "TLS: the certificate cannot be verified: give its CA with cacertfile=…, check that it is not "
        "expired, and, where the URL has an IP address, that the certificate is for this address"},
    {AMQP_STATUS_SSL_CONNECTION_FAILED, BIDE_E_BROKER,
        "TLS handshake failed: give the certificate's CA with cacertfile=…, check that it is not expired and "
        "that the port speaks TLS"},
    {AMQP_STATUS_SSL_ERROR, BIDE_E_BROKER,
        "TLS: the other side broke off: does it want a client's certificate, from a CA that it trusts "
        "(certfile=…&keyfile=…)?"},
};

bide_code bide_rmq_fail_status(
    const struct bide_rmq_settings *settings, int status, const char *doing, bide_error *error)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return bide_fail(
                error, statuses[i].code, "%s: %s: %s", settings->redacted, doing, statuses[i].text);
    return bide_fail(
        error, BIDE_E_BROKER, "%s: %s: %s", settings->redacted, doing, amqp_error_string2(status));
}

bide_code bide_rmq_check(
    const struct bide_rmq_settings *settings, amqp_rpc_reply_t reply, const char *doing, bide_error *error)
{
    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return BIDE_OK;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return bide_rmq_fail_status(settings, reply.library_error, doing, error);
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        return bide_rmq_fail_method(settings, reply.reply, doing, error);
    case AMQP_RESPONSE_NONE:
        break;
    }
    return bide_fail(error, BIDE_E_BROKER, "%s: no answer while %s", settings->redacted, doing);
}

bool bide_rmq_is_refusal(amqp_rpc_reply_t reply)
{
    return reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD;
}

bool bide_rmq_is_not_found(amqp_rpc_reply_t reply)
{
    return bide_rmq_is_refusal(reply) && bide_rmq_reply_code(reply.reply) == AMQP_NOT_FOUND;
}

bool bide_rmq_is_locked(amqp_rpc_reply_t reply)
{
    return bide_rmq_is_refusal(reply) && bide_rmq_reply_code(reply.reply) == AMQP_RESOURCE_LOCKED;
}
