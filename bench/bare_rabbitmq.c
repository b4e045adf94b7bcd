/* bare_rabbitmq HOST PORT quorum|classic MESSAGES SEND_BATCH PREFETCH ACK_EVERY: the yardstick for the
 * RabbitMQ adapter.
 *
 * The plainest C there is over rabbitmq-c: publishes persistent 256-byte messages through a direct exchange
 * and waits for the confirms of each batch; then consumes them and acknowledges every so many with
 * `multiple`. Nothing else: no headers, no message objects, no copies. Prints rates and CPU time a message.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include "bare.h"

enum { BODY = 256, CHANNEL = 1 };

static const char exchange[] = "bare", key[] = "default";

struct arguments {
    const char *host, *type;
    int port;
    long messages, batch, prefetch, ack_every;
    char queue[64];
};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bare_rabbitmq: %s failed\n", what);
    exit(69);
}

static void check_reply(amqp_connection_state_t amqp, const char *what)
{
    check(amqp_get_rpc_reply(amqp).reply_type == AMQP_RESPONSE_NORMAL, what);
}

static amqp_connection_state_t connect_to(const struct arguments *arguments)
{
    amqp_connection_state_t amqp = amqp_new_connection();
    amqp_socket_t *socket = amqp ? amqp_tcp_socket_new(amqp) : NULL;
    check(
        socket && amqp_socket_open(socket, arguments->host, arguments->port) == AMQP_STATUS_OK, "connecting");
    check(amqp_login(amqp, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type ==
              AMQP_RESPONSE_NORMAL,
        "login");
    amqp_channel_open(amqp, CHANNEL);
    check_reply(amqp, "opening a channel");
    return amqp;
}

static void declare(amqp_connection_state_t amqp, const struct arguments *arguments)
{
    amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(arguments->type)}};
    amqp_table_t table = {1, &type};
    amqp_exchange_declare(amqp, CHANNEL, amqp_cstring_bytes(exchange), amqp_cstring_bytes("direct"), 0, 1, 0,
        0, amqp_empty_table);
    check_reply(amqp, "declaring the exchange");
    amqp_queue_declare(amqp, CHANNEL, amqp_cstring_bytes(arguments->queue), 0, 1, 0, 0, table);
    check_reply(amqp, "declaring the queue");
    amqp_queue_bind(amqp, CHANNEL, amqp_cstring_bytes(arguments->queue), amqp_cstring_bytes(exchange),
        amqp_cstring_bytes(arguments->queue), amqp_empty_table);
    check_reply(amqp, "binding");
}

/* Waits until the broker has confirmed all up to `last`. */
static void wait_confirms(amqp_connection_state_t amqp, long n)
{
    amqp_frame_t frame;
    static long before; /* tags of earlier batches */
    long confirmed = 0, highest = before;
    while (confirmed < n) {
        amqp_maybe_release_buffers(amqp);
        check(amqp_simple_wait_frame(amqp, &frame) == AMQP_STATUS_OK, "waiting for a confirm");
        check(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        if (!ack->multiple) {
            confirmed++;
        } else if ((long)ack->delivery_tag > highest) {
            confirmed += (long)ack->delivery_tag - highest; /* one queue: confirms come in order */
        }
        if ((long)ack->delivery_tag > highest)
            highest = (long)ack->delivery_tag;
    }
    before += n;
}

static void publish_all(const struct arguments *arguments)
{
    amqp_connection_state_t amqp = connect_to(arguments);
    declare(amqp, arguments);
    amqp_confirm_select(amqp, CHANNEL);
    check_reply(amqp, "asking for confirms");
    char body[BODY];
    memset(body, 'x', sizeof body);
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long sent = 0, n; sent < arguments->messages; sent += n) {
        for (n = 0; n < arguments->batch && sent + n < arguments->messages; n++)
            check(amqp_basic_publish(amqp, CHANNEL, amqp_cstring_bytes(exchange),
                      amqp_cstring_bytes(arguments->queue), 1, 0, &properties,
                      (amqp_bytes_t){sizeof body, body}) == AMQP_STATUS_OK,
                "publishing");
        wait_confirms(amqp, n);
    }
    report("send", arguments->messages, wall, cpu);
    amqp_connection_close(amqp, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(amqp);
}

static void consume_all(const struct arguments *arguments)
{
    amqp_connection_state_t amqp = connect_to(arguments);
    amqp_basic_qos(amqp, CHANNEL, 0, (uint16_t)arguments->prefetch, 0);
    check_reply(amqp, "setting the prefetch");
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    amqp_basic_consume(
        amqp, CHANNEL, amqp_cstring_bytes(arguments->queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check_reply(amqp, "consuming");
    for (long n = 1; n <= arguments->messages; n++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(amqp);
        check(
            amqp_consume_message(amqp, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "a delivery");
        if (n % arguments->ack_every == 0 || n == arguments->messages)
            check(amqp_basic_ack(amqp, CHANNEL, envelope.delivery_tag, 1) == AMQP_STATUS_OK, "acknowledging");
        amqp_destroy_envelope(&envelope);
    }
    report("drain", arguments->messages, wall, cpu);
    amqp_connection_close(amqp, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(amqp);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fputs(
            "usage: bare_rabbitmq HOST PORT quorum|classic MESSAGES SEND_BATCH PREFETCH ACK_EVERY\n", stderr);
        return 64;
    }
    struct arguments arguments = {.host = argv[1],
        .port = atoi(argv[2]),
        .type = argv[3],
        .messages = strtol(argv[4], NULL, 10),
        .batch = strtol(argv[5], NULL, 10),
        .prefetch = strtol(argv[6], NULL, 10),
        .ack_every = strtol(argv[7], NULL, 10)};
    snprintf(arguments.queue, sizeof arguments.queue, "bare.%s.%s", arguments.type, key);
    publish_all(&arguments);
    consume_all(&arguments);
    return 0;
}
