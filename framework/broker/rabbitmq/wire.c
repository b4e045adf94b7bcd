#include "broker/rabbitmq/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
    FRAME_HEAD = 7, /* type, channel, size */
    FRAME_EXTRA = 8,
    CONTENT_HEAD = 12, /* class, weight, body size */
    METHOD_ROOM = 2048,
    ROOM_KEPT = 4 * 1024 * 1024,
    PATIENCE_MS = 10000, /* how long to wait for the rest of a frame that was begun */
};

void bide_rmq_wire_init(struct bide_rmq_wire *wire, struct bide_rmq_link *link)
{
    *wire = (struct bide_rmq_wire){.link = link};
    bide_buffer_init(&wire->out);
}

void bide_rmq_wire_release(struct bide_rmq_wire *wire)
{
    bide_buffer_release(&wire->out);
    wire->written = 0;
}

size_t bide_rmq_wire_waiting(const struct bide_rmq_wire *wire)
{
    return wire->out.size - wire->written;
}

/* ---- encoding ---- */

static void put_u32(char *to, uint32_t value)
{
    uint32_t big = htonl(value);
    memcpy(to, &big, sizeof big);
}

static void put_head(char *to, int type, amqp_channel_t channel, size_t size)
{
    uint16_t big = htons(channel);
    to[0] = (char)type;
    memcpy(to + 1, &big, sizeof big);
    put_u32(to + 3, (uint32_t)size);
}

/* Adds a frame: its payload of `size` bytes already stands behind the buffer's content. */
static void finish_frame(struct bide_rmq_wire *wire, int type, amqp_channel_t channel, size_t size)
{
    char *frame = wire->out.bytes + wire->out.size;
    put_head(frame, type, channel, size);
    frame[FRAME_HEAD + size] = (char)AMQP_FRAME_END;
    wire->out.size += FRAME_EXTRA + size;
}

static bool encode_method(
    struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_method_number_t method, void *decoded)
{
    char *frame = bide_buffer_reserve(&wire->out, METHOD_ROOM);
    if (!frame)
        return false;
    put_u32(frame + FRAME_HEAD, method);
    int size = amqp_encode_method(
        method, decoded, bide_rmq_bytes(frame + FRAME_HEAD + 4, METHOD_ROOM - FRAME_EXTRA - 4));
    if (size < 0)
        return false;
    finish_frame(wire, AMQP_FRAME_METHOD, channel, (size_t)size + 4);
    return true;
}

static bool encode_content_head(
    struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_basic_properties_t *properties, size_t body_size)
{
    size_t room = wire->link->frame_max;
    char *frame = bide_buffer_reserve(&wire->out, room);
    if (!frame)
        return false;
    uint16_t class_id = htons(AMQP_BASIC_CLASS);
    char *payload = frame + FRAME_HEAD;
    memcpy(payload, &class_id, sizeof class_id);
    memset(payload + 2, 0, 2);
    put_u32(payload + 4, (uint32_t)((uint64_t)body_size >> 32));
    put_u32(payload + 8, (uint32_t)body_size);
    int size = amqp_encode_properties(AMQP_BASIC_CLASS, properties,
        bide_rmq_bytes(payload + CONTENT_HEAD, room - FRAME_EXTRA - CONTENT_HEAD));
    if (size < 0)
        return false;
    finish_frame(wire, AMQP_FRAME_HEADER, channel, (size_t)size + CONTENT_HEAD);
    return true;
}

static bool encode_body(struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_bytes_t body)
{
    size_t most = wire->link->frame_max - FRAME_EXTRA;
    for (size_t at = 0; at < body.len; at += most) {
        size_t size = body.len - at < most ? body.len - at : most;
        char *frame = bide_buffer_reserve(&wire->out, size + FRAME_EXTRA);
        if (!frame)
            return false;
        memcpy(frame + FRAME_HEAD, (const char *)body.bytes + at, size);
        finish_frame(wire, AMQP_FRAME_BODY, channel, size);
    }
    return true;
}

/* ---- the socket ---- */

static bool has_room(const struct bide_rmq_wire *wire, int wait_ms)
{
    struct pollfd fd = {.fd = wire->link->fd, .events = POLLOUT};
    int ready = poll(&fd, 1, wait_ms);
    return ready > 0;
}

/* The end of the frame that contains byte `at` (`at` itself between two frames). */
static size_t frame_end(const struct bide_rmq_wire *wire, size_t at)
{
    size_t end = 0;
    while (end < at) {
        uint32_t size;
        memcpy(&size, wire->out.bytes + end + 3, sizeof size);
        end += FRAME_EXTRA + ntohl(size);
    }
    return end;
}

/* Writes up to byte `end`; false without room now, or when the connection is lost. */
static bool write_until(struct bide_rmq_wire *wire, size_t end)
{
    while (wire->written < end) {
        ssize_t n = send(wire->link->fd, wire->out.bytes + wire->written, end - wire->written,
            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            wire->lost |= errno != EAGAIN && errno != EWOULDBLOCK;
            return false;
        }
        wire->written += (size_t)n;
    }
    return true;
}

/* Finishes a frame that was begun: otherwise the library could write its heartbeat into the middle. */
static void end_frame(struct bide_rmq_wire *wire)
{
    size_t end = frame_end(wire, wire->written);
    while (!wire->lost && !write_until(wire, end))
        if (!wire->lost && !has_room(wire, PATIENCE_MS))
            wire->lost = true;
}

enum bide_rmq_flow bide_rmq_wire_flush(struct bide_rmq_wire *wire, int wait_ms)
{
    wire->lost |= wire->out.failed;
    while (!wire->lost && !write_until(wire, wire->out.size)) {
        end_frame(wire);
        if (!wire->lost && bide_rmq_wire_waiting(wire) && !has_room(wire, wait_ms))
            return BIDE_RMQ_FULL;
    }
    if (wire->lost)
        return BIDE_RMQ_LOST;
    if (wire->out.capacity > ROOM_KEPT)
        bide_buffer_release(&wire->out);
    bide_buffer_clear(&wire->out);
    wire->written = 0;
    return BIDE_RMQ_FLOWED;
}

/* ---- methods and messages ---- */

void bide_rmq_wire_method(
    struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_method_number_t method, void *decoded)
{
    if (!wire->link->settings->tls)
        wire->lost |= !encode_method(wire, channel, method, decoded);
    else if (!wire->lost)
        wire->lost = !has_room(wire, PATIENCE_MS) ||
                     amqp_send_method(wire->link->amqp, channel, method, decoded) != AMQP_STATUS_OK;
}

static bide_code publish_by_library(struct bide_rmq_wire *wire, amqp_channel_t channel,
    const amqp_basic_publish_t *publish, const amqp_basic_properties_t *properties, amqp_bytes_t body)
{
    if (!wire->lost)
        wire->lost = !has_room(wire, PATIENCE_MS) ||
                     amqp_basic_publish(wire->link->amqp, channel, publish->exchange, publish->routing_key,
                         publish->mandatory, 0, properties, body) != AMQP_STATUS_OK;
    return BIDE_OK;
}

bide_code bide_rmq_wire_publish(struct bide_rmq_wire *wire, amqp_channel_t channel,
    amqp_basic_publish_t *publish, amqp_basic_properties_t *properties, amqp_bytes_t body, bide_error *error)
{
    if (wire->link->settings->tls)
        return publish_by_library(wire, channel, publish, properties, body);
    size_t before = wire->out.size;
    if (encode_method(wire, channel, AMQP_BASIC_PUBLISH_METHOD, publish) &&
        encode_content_head(wire, channel, properties, body.len) && encode_body(wire, channel, body))
        return BIDE_OK;
    bool hungry = wire->out.failed;
    wire->out.size = before; /* nothing of this message is written; a later one may have room */
    wire->out.failed = false;
    if (hungry)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return bide_fail(error, BIDE_E_DATA, "the message's headers do not fit into a frame of %zu bytes",
        wire->link->frame_max);
}
