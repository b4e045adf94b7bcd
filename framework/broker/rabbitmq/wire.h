/* broker/rabbitmq/wire.h: frames on their way out, many in one write.
 *
 * rabbitmq-c writes each frame by itself (three writes a message) and waits for ever where the broker does
 * not read. Here frames are encoded one behind the other and leave in one write; a write that does not get
 * through stops between two frames, where the library may be called (its heartbeats must not cut a frame in
 * two). On a TLS connection the socket is the library's alone: there each frame goes through it as soon as
 * the socket has room. Thread-safety: the link's thread. */
#ifndef BIDE_BROKER_RABBITMQ_WIRE_H
#define BIDE_BROKER_RABBITMQ_WIRE_H

#include "base/buffer.h"
#include "broker/rabbitmq/link.h"

enum bide_rmq_flow {
    BIDE_RMQ_FLOWED, /* nothing is left */
    BIDE_RMQ_FULL,   /* the broker does not read: the rest waits, at a frame's beginning */
    BIDE_RMQ_LOST,   /* the connection is of no use any more */
};

struct bide_rmq_wire {
    struct bide_rmq_link *link; /* borrowed; open */
    struct bide_buffer out;
    size_t written;
    bool lost;
};

void bide_rmq_wire_init(struct bide_rmq_wire *wire, struct bide_rmq_link *link);
void bide_rmq_wire_release(struct bide_rmq_wire *wire);

/* A method without a table. A failure shows in the next flush. */
void bide_rmq_wire_method(
    struct bide_rmq_wire *wire, amqp_channel_t channel, amqp_method_number_t method, void *decoded);
/* A whole message. BIDE_E_DATA: its headers do not fit into a frame; nothing was written then. */
bide_code bide_rmq_wire_publish(struct bide_rmq_wire *wire, amqp_channel_t channel,
    amqp_basic_publish_t *publish, amqp_basic_properties_t *properties, amqp_bytes_t body, bide_error *error);
/* Bytes that wait. */
size_t bide_rmq_wire_waiting(const struct bide_rmq_wire *wire);
/* Writes what it can, waiting for room at most wait_ms. */
enum bide_rmq_flow bide_rmq_wire_flush(struct bide_rmq_wire *wire, int wait_ms);

#endif
