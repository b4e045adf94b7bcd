/* broker/rabbitmq/wire.h: outgoing frames, many in one write.
 *
 * rabbitmq-c writes each frame by itself (three writes a message) and waits for ever if the broker does not
 * read. Here frames are encoded one behind the other and written together. If the socket has no room, writing
 * stops between two frames, because the library may then write a heartbeat of its own, which must not be in
 * the middle of a frame. On a TLS connection only the library may use the socket: there each frame is given
 * to it as soon as the socket has room. Thread-safety: the link's thread. */
#ifndef BIDE_BROKER_RABBITMQ_WIRE_H
#define BIDE_BROKER_RABBITMQ_WIRE_H

#include "base/buffer.h"
#include "broker/rabbitmq/link.h"

enum bide_rmq_flow {
    BIDE_RMQ_FLOWED, /* nothing is left to write */
    BIDE_RMQ_FULL,   /* the broker does not read: the rest waits, and begins with a frame */
    BIDE_RMQ_LOST,   /* the connection is lost */
};

struct bide_rmq_wire {
    struct bide_rmq_link *link; /* borrowed; open */
    struct bide_buffer out;
    size_t written;
    bool lost;
};

void bide_rmq_wire_init(struct bide_rmq_wire *wire, struct bide_rmq_link *link);
void bide_rmq_wire_release(struct bide_rmq_wire *wire);

/* Adds a method that has no table. A failure shows in the next flush. */
void bide_rmq_wire_method(
    struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_method_number_t method, void *decoded);
/* Adds a whole message. BIDE_E_DATA: its headers do not fit into a frame; nothing was added. */
bide_code bide_rmq_wire_publish(struct bide_rmq_wire *wire, amqp_channel_t channel,
    amqp_basic_publish_t *publish, amqp_basic_properties_t *properties, amqp_bytes_t body, bide_error *error);
/* Bytes that are not written yet. */
size_t bide_rmq_wire_waiting(const struct bide_rmq_wire *wire);
/* Writes what it can and waits for room at most wait_ms. */
enum bide_rmq_flow bide_rmq_wire_flush(struct bide_rmq_wire *wire, int wait_ms);

#endif
