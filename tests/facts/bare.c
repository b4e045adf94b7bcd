#include "facts/bare.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 131072, STEP_MS = 10 };

static const struct bare_urls *used;

void bare_use(const struct bare_urls *urls)
{
    used = urls;
}

const struct bare_urls *bare_used(void)
{
    return used;
}

bool bare_is_from(const struct bare *bare, int major, int minor)
{
    return bare->major > major || (bare->major == major && bare->minor >= minor);
}

int64_t bare_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- connections ---- */

static amqp_connection_state_t connect_to(const char *broker, const amqp_table_t *capabilities)
{
    char url[512];
    struct amqp_connection_info info;
    snprintf(url, sizeof url, "%s", broker);
    assert_int_equal(amqp_parse_url(url, &info), AMQP_STATUS_OK);
    amqp_connection_state_t amqp = amqp_new_connection();
    assert_int_equal(amqp_socket_open(amqp_tcp_socket_new(amqp), info.host, info.port), AMQP_STATUS_OK);
    amqp_table_entry_t entry = {.key = bide_rmq_text("capabilities"),
        .value = {
            .kind = AMQP_FIELD_KIND_TABLE, .value.table = capabilities ? *capabilities : amqp_empty_table}};
    amqp_table_t properties = {1, &entry};
    amqp_rpc_reply_t reply = capabilities ? amqp_login_with_properties(amqp, info.vhost, 0, FRAME_MAX, 0,
                                                &properties, AMQP_SASL_METHOD_PLAIN, info.user, info.password)
                                          : amqp_login(amqp, info.vhost, 0, FRAME_MAX, 0,
                                                AMQP_SASL_METHOD_PLAIN, info.user, info.password);
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(amqp, BARE_CHANNEL));
    return amqp;
}

amqp_connection_state_t bare_connect(const amqp_table_t *capabilities)
{
    return connect_to(used->url, capabilities);
}

amqp_connection_state_t bare_connect_as(const char *url)
{
    amqp_connection_state_t amqp = connect_to(url, NULL);
    assert_non_null(amqp_channel_open(amqp, BARE_OTHER));
    return amqp;
}

static void read_version(struct bare *bare)
{
    const amqp_table_t *properties = amqp_get_server_properties(bare->amqp);
    for (int i = 0; i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        char text[32], *rest;
        if (!bide_rmq_bytes_are(entry->key, "version"))
            continue;
        snprintf(text, sizeof text, "%.*s", (int)entry->value.value.bytes.len,
            (const char *)entry->value.value.bytes.bytes);
        bare->major = (int)strtol(text, &rest, 10);
        bare->minor = (int)strtol(rest + 1, NULL, 10);
    }
}

int bare_setup(void **state)
{
    static unsigned count;
    struct bare *bare = calloc(1, sizeof *bare);
    assert_non_null(bare);
    bare->amqp = bare_connect(NULL);
    assert_non_null(amqp_channel_open(bare->amqp, BARE_OTHER));
    read_version(bare);
    snprintf(bare->prefix, sizeof bare->prefix, "facts%d.%u", (int)getpid(), ++count);
    *state = bare;
    return 0;
}

int bare_teardown(void **state)
{
    struct bare *bare = *state;
    amqp_connection_close(bare->amqp, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(bare->amqp);
    free(bare);
    return 0;
}

/* ---- names and tables ---- */

const char *bare_name(struct bare *bare, const char *end)
{
    char *name = bare->names[bare->turn++ % 8];
    snprintf(name, sizeof bare->names[0], "%s.%s", bare->prefix, end);
    return name;
}

void bare_put_text(struct bare_table *table, const char *key, const char *text)
{
    table->entries[table->n++] = (amqp_table_entry_t){.key = bide_rmq_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text(text)}};
}

void bare_put_number(struct bare_table *table, const char *key, int64_t number)
{
    table->entries[table->n++] = (amqp_table_entry_t){
        .key = bide_rmq_text(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = number}};
}

struct bare_table bare_queue(const char *type, int64_t ttl_ms, const char *exchange, const char *key)
{
    struct bare_table table = {.n = 0};
    bare_put_text(&table, "x-queue-type", type);
    if (ttl_ms)
        bare_put_number(&table, "x-message-ttl", ttl_ms);
    if (exchange)
        bare_put_text(&table, "x-dead-letter-exchange", exchange);
    if (key)
        bare_put_text(&table, "x-dead-letter-routing-key", key);
    return table;
}

struct bare_table bare_holding(int64_t ttl_ms, const char *exchange, const char *key, const char *overflow)
{
    struct bare_table table = bare_queue("quorum", ttl_ms, exchange, key);
    bare_put_text(&table, "x-dead-letter-strategy", "at-least-once");
    bare_put_text(&table, "x-overflow", overflow);
    return table;
}

/* ---- declaring and looking ---- */

/* 0, or the code of a closed channel, which is opened again. */
static int outcome(struct bare *bare, amqp_channel_t channel)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(bare->amqp);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_SERVER_EXCEPTION);
    assert_int_equal(reply.reply.id, AMQP_CHANNEL_CLOSE_METHOD);
    const amqp_channel_close_t *close = reply.reply.decoded;
    int code = close->reply_code;
    snprintf(bare->last_error, sizeof bare->last_error, "%.*s", (int)close->reply_text.len,
        (const char *)close->reply_text.bytes);
    amqp_channel_close_ok_t close_ok = {0};
    amqp_send_method(bare->amqp, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    assert_non_null(amqp_channel_open(bare->amqp, channel));
    return code;
}

int bare_try_declare(struct bare *bare, const char *queue, struct bare_table table)
{
    amqp_queue_declare(
        bare->amqp, BARE_OTHER, bide_rmq_text(queue), 0, 1, 0, 0, (amqp_table_t){table.n, table.entries});
    return outcome(bare, BARE_OTHER);
}

void bare_declare(struct bare *bare, const char *queue, struct bare_table table)
{
    int code = bare_try_declare(bare, queue, table);
    if (code)
        fail_msg("declaring %s: %d %s", queue, code, bare->last_error);
}

void bare_exchange(struct bare *bare, const char *exchange, const char *alternate)
{
    struct bare_table table = {.n = 0};
    if (alternate)
        bare_put_text(&table, "alternate-exchange", alternate);
    amqp_exchange_declare(bare->amqp, BARE_OTHER, bide_rmq_text(exchange), bide_rmq_text("direct"), 0, 1, 0,
        0, (amqp_table_t){table.n, table.entries});
    assert_int_equal(outcome(bare, BARE_OTHER), 0);
}

void bare_bind(struct bare *bare, const char *queue, const char *exchange, const char *key)
{
    amqp_queue_bind(bare->amqp, BARE_OTHER, bide_rmq_text(queue), bide_rmq_text(exchange), bide_rmq_text(key),
        amqp_empty_table);
    assert_int_equal(outcome(bare, BARE_OTHER), 0);
}

int bare_try_look(struct bare *bare, const char *queue)
{
    amqp_queue_declare(bare->amqp, BARE_OTHER, bide_rmq_text(queue), 1, 1, 0, 0, amqp_empty_table);
    return outcome(bare, BARE_OTHER);
}

int64_t bare_depth(struct bare *bare, const char *queue)
{
    const amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(bare->amqp, BARE_OTHER, bide_rmq_text(queue), 1, 1, 0, 0, amqp_empty_table);
    int64_t depth = ok ? (int64_t)ok->message_count : -1;
    int code = outcome(bare, BARE_OTHER);
    assert_true(code == 0 || code == AMQP_NOT_FOUND);
    return depth;
}

int64_t bare_await(struct bare *bare, const char *queue, int64_t depth, int64_t ms)
{
    int64_t began = bare_now_ms();
    while (bare_depth(bare, queue) != depth) {
        if (bare_now_ms() - began > ms)
            return -1;
        poll(NULL, 0, STEP_MS);
    }
    return bare_now_ms() - began;
}

/* ---- messages ---- */

void bare_publish(struct bare *bare, const char *exchange, const char *key, const char *expiration,
    const amqp_table_t *headers)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    if (expiration) {
        properties._flags |= AMQP_BASIC_EXPIRATION_FLAG;
        properties.expiration = bide_rmq_text(expiration);
    }
    if (headers) {
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        properties.headers = *headers;
    }
    assert_int_equal(amqp_basic_publish(bare->amqp, BARE_CHANNEL, bide_rmq_text(exchange), bide_rmq_text(key),
                         1, 0, &properties, bide_rmq_text("body")),
        AMQP_STATUS_OK);
}

uint64_t bare_get(struct bare *bare, const char *queue, amqp_message_t *ret_message)
{
    amqp_message_t message;
    amqp_maybe_release_buffers(bare->amqp);
    amqp_rpc_reply_t reply = amqp_basic_get(bare->amqp, BARE_OTHER, bide_rmq_text(queue), 0);
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
        return 0;
    uint64_t tag = ((const amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
    reply = amqp_read_message(bare->amqp, BARE_OTHER, &message, 0);
    assert_int_equal(reply.reply_type, AMQP_RESPONSE_NORMAL);
    if (ret_message)
        *ret_message = message;
    else
        amqp_destroy_message(&message);
    return tag;
}

void bare_requeue(struct bare *bare, uint64_t tag)
{
    assert_int_equal(amqp_basic_nack(bare->amqp, BARE_OTHER, tag, 0, 1), AMQP_STATUS_OK);
}

amqp_method_number_t bare_next(struct bare *bare, int64_t ms, amqp_method_t *ret_method)
{
    struct timeval patience = bide_rmq_timeval(ms);
    amqp_frame_t frame;
    do {
        int status = amqp_simple_wait_frame_noblock(bare->amqp, &frame, &patience);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        assert_int_equal(status, AMQP_STATUS_OK);
    } while (frame.frame_type != AMQP_FRAME_METHOD);
    if (ret_method)
        *ret_method = frame.payload.method;
    return frame.payload.method.id;
}
