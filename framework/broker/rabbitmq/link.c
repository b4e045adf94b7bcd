#include "broker/rabbitmq/link.h"

#include <stdio.h>

#include <openssl/ssl.h>

#include "broker/rabbitmq/fault.h"

enum { FRAME_MAX = 131072, CHANNELS = 2047, GOOD_BYE_MS = 1000, TEXT_SIZE = 600 };

static const char system_cafile[] = "/etc/ssl/certs/ca-certificates.crt";

/* ---- the socket ---- */

/* Has OpenSSL compare an IP address with those of the certificate, as part of its verification: some versions
 * of rabbitmq-c look for the host among the certificate's DNS names only. False: the host is no address. */
static bool expect_address(amqp_socket_t *socket, const char *host)
{
    SSL_CTX *context = amqp_ssl_socket_get_context(socket);
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), host) == 1;
}

static bide_code trust(
    const struct bide_rmq_settings *settings, const char *host, amqp_socket_t *socket, bide_error *error)
{
    const char *cafile = settings->cafile ? settings->cafile : system_cafile;
    if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) != AMQP_STATUS_OK)
        return bide_fail(
            error, BIDE_E_CONFIG, "%s: TLS 1.2 or newer cannot be asked for", settings->redacted);
    amqp_ssl_socket_set_verify_peer(socket, settings->verify);
    amqp_ssl_socket_set_verify_hostname(socket, settings->verify && !expect_address(socket, host));
    if ((settings->verify || settings->cafile) &&
        amqp_ssl_socket_set_cacert(socket, cafile) != AMQP_STATUS_OK)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: '%s' cannot be read as certificates of a CA (PEM): give cacertfile=…", settings->redacted,
            cafile);
    if (settings->certfile &&
        amqp_ssl_socket_set_key(socket, settings->certfile, settings->keyfile) != AMQP_STATUS_OK)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: '%s' and '%s' cannot be read as a certificate and its key (PEM)", settings->redacted,
            settings->certfile, settings->keyfile);
    return BIDE_OK;
}

static bide_code open_socket(struct bide_rmq_link *link, const struct bide_rmq_host *host, bide_error *error)
{
    const struct bide_rmq_settings *settings = link->settings;
    struct timeval timeout = bide_rmq_timeval(settings->connect_timeout_ms);
    amqp_socket_t *socket = settings->tls ? amqp_ssl_socket_new(link->amqp) : amqp_tcp_socket_new(link->amqp);
    if (!socket)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = settings->tls ? trust(settings, host->name, socket, error) : BIDE_OK;
    if (code != BIDE_OK)
        return code;
    int status = amqp_socket_open_noblock(socket, host->name, host->port, &timeout);
    if (status != AMQP_STATUS_OK) {
        char doing[TEXT_SIZE];
        snprintf(doing, sizeof doing, "connecting to %s:%d", host->name, host->port);
        return bide_rmq_fail_status(settings, status, doing, error);
    }
    link->fd = amqp_socket_get_sockfd(socket);
    amqp_set_handshake_timeout(link->amqp, &timeout);
    return BIDE_OK;
}

/* ---- logging in ---- */

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
    return (amqp_table_entry_t){.key = bide_rmq_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text(text)}};
}

/* Asks for the capabilities with which the broker reports a cancelled consumer, an alarm, and why it refuses
 * a login. */
static bide_code log_in(struct bide_rmq_link *link, const char *role, bool beats, bide_error *error)
{
    static const char *const capabilities[] = {"consumer_cancel_notify", "connection.blocked", "basic.nack",
        "publisher_confirms", "authentication_failure_close", "exchange_exchange_bindings"};
    enum { N = sizeof capabilities / sizeof capabilities[0] };
    const struct bide_rmq_settings *settings = link->settings;
    amqp_table_entry_t able[N];
    for (size_t i = 0; i < N; i++)
        able[i] = (amqp_table_entry_t){.key = bide_rmq_text(capabilities[i]),
            .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    char name[TEXT_SIZE];
    snprintf(name, sizeof name, "%s (%s)", settings->client_name, role);
    amqp_table_entry_t entries[] = {text_entry("product", "bide"), text_entry("connection_name", name),
        {.key = bide_rmq_text("capabilities"),
            .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {N, able}}}};
    amqp_table_t properties = {sizeof entries / sizeof entries[0], entries};
    amqp_rpc_reply_t reply = amqp_login_with_properties(link->amqp, settings->vhost, CHANNELS, FRAME_MAX,
        beats ? settings->heartbeat_s : 0, &properties, AMQP_SASL_METHOD_PLAIN, settings->user,
        settings->password);
    char doing[TEXT_SIZE];
    snprintf(doing, sizeof doing, "the login of '%s' to vhost '%s'", settings->user, settings->vhost);
    bide_code code = bide_rmq_check(settings, reply, doing, error);
    if (code == BIDE_OK)
        link->frame_max = (size_t)amqp_get_frame_max(link->amqp);
    return code;
}

static bide_code open_host(struct bide_rmq_link *link, const struct bide_rmq_host *host, const char *role,
    bool beats, bide_error *error)
{
    link->amqp = amqp_new_connection();
    if (!link->amqp)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = open_socket(link, host, error);
    if (code == BIDE_OK)
        code = log_in(link, role, beats, error);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(link);
        return code;
    }
    struct timeval timeout = bide_rmq_timeval(link->settings->timeout_ms);
    amqp_set_rpc_timeout(link->amqp, &timeout);
    return BIDE_OK;
}

bide_code bide_rmq_link_open(struct bide_rmq_link *link, const struct bide_rmq_settings *settings,
    size_t first, const char *role, bool beats, bide_error *error)
{
    *link = (struct bide_rmq_link){.settings = settings, .fd = -1};
    bide_code code = BIDE_E_BROKER;
    for (size_t i = 0; i < settings->n_hosts; i++) {
        code = open_host(link, &settings->hosts[(first + i) % settings->n_hosts], role, beats, error);
        if (code == BIDE_OK || code == BIDE_E_CONFIG)
            break;
    }
    return code;
}

void bide_rmq_link_drop(struct bide_rmq_link *link)
{
    if (link->amqp)
        amqp_destroy_connection(link->amqp);
    link->amqp = NULL;
    link->fd = -1;
    link->blocked = false;
}

void bide_rmq_link_hurry(struct bide_rmq_link *link, int64_t within_ms)
{
    struct timeval timeout = bide_rmq_timeval(within_ms);
    amqp_set_rpc_timeout(link->amqp, &timeout);
}

void bide_rmq_link_close(struct bide_rmq_link *link)
{
    if (link->amqp && !link->blocked) {
        bide_rmq_link_hurry(link, GOOD_BYE_MS);
        amqp_connection_close(link->amqp, AMQP_REPLY_SUCCESS);
    }
    bide_rmq_link_drop(link);
}

bide_code bide_rmq_link_open_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error)
{
    amqp_channel_open(link->amqp, channel);
    return bide_rmq_check(link->settings, amqp_get_rpc_reply(link->amqp), "opening a channel", error);
}

bide_code bide_rmq_link_reopen_channel(struct bide_rmq_link *link, amqp_channel_t channel, bide_error *error)
{
    amqp_channel_close_ok_t close_ok = {0};
    amqp_send_method(link->amqp, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    return bide_rmq_link_open_channel(link, channel, error);
}

int64_t bide_rmq_link_beat_us(const struct bide_rmq_link *link)
{
    int heartbeat_s = link->amqp ? amqp_get_heartbeat(link->amqp) : 0;
    return heartbeat_s > 0 ? heartbeat_s * INT64_C(500000) : -1;
}
