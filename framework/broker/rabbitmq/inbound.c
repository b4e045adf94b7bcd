#include "broker/rabbitmq/inbound.h"

#include "base/alloc.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/topology.h"

enum { FLUSH_WAIT_MS = 5000 };

/* CUT_BYTES: how much is kept of a body larger than the whole budget. BUFFER_KEPT: a larger buffer is freed
 * after its message. */
enum { CUT_BYTES = 64 * 1024, BUFFER_KEPT = 1024 * 1024 };

/* Headers of a message in hand are kept as they came, and as texts. Few bytes of them do not count: the
 * number of messages in hand has a bound, too. */
enum { HEAD_FREE = 1024, HEAD_COPIES = 2 };

bide_code bide_rmq_inbound_init(struct bide_rmq_inbound *inbound, const struct bide_rmq_settings *settings,
    bide_rmq_delivery_sink *sink, void *owner, bide_error *error)
{
    size_t n = BIDE_RMQ_PARTS * settings->n_queues;
    *inbound = (struct bide_rmq_inbound){.settings = settings, .sink = sink, .owner = owner, .link.fd = -1};
    bide_rmq_wire_init(&inbound->wire, &inbound->link);
    bide_buffer_init(&inbound->scratch.text);
    inbound->channels = bide_calloc(n ? n : 1, sizeof *inbound->channels);
    if (!inbound->channels)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    inbound->n_channels = n;
    for (size_t i = 0; i < n; i++) {
        struct bide_rmq_channel *channel = &inbound->channels[i];
        bide_rmq_tags_init(&channel->tags);
        bide_buffer_init(&channel->coming.body);
    }
    return BIDE_OK;
}

void bide_rmq_inbound_release(struct bide_rmq_inbound *inbound)
{
    bide_rmq_link_close(&inbound->link);
    for (size_t i = 0; i < inbound->n_channels; i++) {
        bide_rmq_tags_release(&inbound->channels[i].tags);
        bide_buffer_release(&inbound->channels[i].coming.body);
    }
    bide_free(inbound->channels);
    bide_rmq_wire_release(&inbound->wire);
    bide_buffer_release(&inbound->scratch.text);
}

/* ---- the connection ---- */

static bide_code prepare(struct bide_rmq_link *link, struct bide_rmq_refused *refused, bide_error *error)
{
    size_t n = BIDE_RMQ_PARTS * link->settings->n_queues;
    bide_code code = bide_rmq_link_open_channel(link, bide_rmq_number_of(0), error);
    if (code == BIDE_OK)
        code = refused ? bide_rmq_topology_declare_possible(link, bide_rmq_number_of(0), true, refused, error)
                       : bide_rmq_topology_declare(link, bide_rmq_number_of(0), error);
    for (size_t i = 1; i < n && code == BIDE_OK; i++)
        code = bide_rmq_link_open_channel(link, bide_rmq_number_of(i), error);
    return code;
}

bide_code bide_rmq_inbound_connect(struct bide_rmq_link *ret_link, const struct bide_rmq_settings *settings,
    size_t host, struct bide_rmq_refused *refused, bide_error *error)
{
    struct bide_rmq_link link;
    bide_code code = bide_rmq_link_open(&link, settings, host, "intake", true, error);
    if (code != BIDE_OK)
        return code;
    code = prepare(&link, refused, error);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(&link);
        return code;
    }
    *ret_link = link;
    return BIDE_OK;
}

bool bide_rmq_inbound_is_open(const struct bide_rmq_inbound *inbound)
{
    return inbound->link.amqp != NULL;
}

void bide_rmq_inbound_take(struct bide_rmq_inbound *inbound, struct bide_rmq_link *link)
{
    bide_rmq_inbound_drop(inbound);
    inbound->link = *link;
    *link = (struct bide_rmq_link){.fd = -1};
    for (size_t i = 0; i < inbound->n_channels; i++)
        inbound->channels[i].generation = ++inbound->generations;
}

/* Deliveries of this channel can no longer be settled. */
static void end_generation(struct bide_rmq_inbound *inbound, struct bide_rmq_channel *channel)
{
    inbound->n_lost += channel->tags.n_done;
    channel->generation = 0;
    channel->n_consumers = 0;
    channel->begun_name = channel->last_name;
    channel->is_late = false;
    channel->limit = 0;
    channel->strikes = 0;
    channel->quiet_us = 0;
    bide_rmq_tags_release(&channel->tags);
    bide_buffer_clear(&channel->coming.body);
    channel->coming.has_head = false;
    inbound->in_flight -= channel->coming.charge;
    inbound->reading -= channel->coming.charge;
    channel->coming.charge = 0;
}

void bide_rmq_inbound_drop(struct bide_rmq_inbound *inbound)
{
    bide_rmq_link_drop(&inbound->link);
    bide_rmq_wire_release(&inbound->wire);
    bide_rmq_wire_init(&inbound->wire, &inbound->link);
    inbound->has_downed = false;
    inbound->n_down = 0;
    inbound->n_lost += inbound->n_returned;
    inbound->n_returned = 0;
    for (size_t i = 0; i < inbound->n_channels; i++) {
        struct bide_rmq_channel *channel = &inbound->channels[i];
        end_generation(inbound, channel);
        channel->is_down = channel->is_closed = false;
    }
}

bool bide_rmq_inbound_is_current(
    const struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery)
{
    return delivery->generation == inbound->channels[bide_rmq_delivery_channel(delivery)].generation;
}

struct bide_rmq_channel *bide_rmq_inbound_channel(
    struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery)
{
    return &inbound->channels[bide_rmq_delivery_channel(delivery)];
}

/* ---- writing ---- */

static void go_down(struct bide_rmq_inbound *inbound, struct bide_rmq_channel *channel)
{
    inbound->n_down += !channel->is_down;
    channel->is_down = inbound->has_downed = true;
    channel->consumes = false;
    channel->limit = channel->n_consumers = 0;
    channel->begun_name = channel->last_name;
    channel->is_late = false;
}

void bide_rmq_inbound_revive(struct bide_rmq_inbound *inbound, size_t index)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    amqp_channel_open_t open = {0};
    inbound->n_down -= channel->is_down;
    channel->is_down = false;
    if (!channel->is_closed)
        return;
    channel->is_closed = false;
    channel->generation = ++inbound->generations;
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_CHANNEL_OPEN_METHOD, &open);
}

void bide_rmq_inbound_return(struct bide_rmq_inbound *inbound, const struct bide_rmq_delivery *delivery)
{
    size_t index = bide_rmq_delivery_channel(delivery);
    amqp_basic_nack_t nack = {.delivery_tag = delivery->tag, .requeue = 1};
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_BASIC_NACK_METHOD, &nack);
    bide_rmq_tags_gone(&inbound->channels[index].tags, delivery->tag);
    inbound->n_returned++;
}

/* Returns how many settlements it acknowledges. */
static size_t acknowledge(struct bide_rmq_inbound *inbound, size_t index)
{
    struct bide_rmq_tags *tags = &inbound->channels[index].tags;
    amqp_basic_ack_t ack = {0};
    bool multiple;
    size_t n = tags->n_done;
    while (bide_rmq_tags_take(tags, &ack.delivery_tag, &multiple)) {
        ack.multiple = multiple;
        bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_BASIC_ACK_METHOD, &ack);
    }
    return n;
}

bide_code bide_rmq_inbound_flush(struct bide_rmq_inbound *inbound, bide_error *error)
{
    size_t n = inbound->n_returned;
    inbound->n_returned = 0;
    for (size_t i = 0; i < inbound->n_channels; i++)
        n += acknowledge(inbound, i);
    if (bide_rmq_wire_flush(&inbound->wire, FLUSH_WAIT_MS) == BIDE_RMQ_FLOWED) {
        inbound->n_settled += n;
        return BIDE_OK;
    }
    inbound->n_lost += n;
    bide_rmq_inbound_drop(inbound);
    return bide_rmq_fail_status(inbound->settings, AMQP_STATUS_SOCKET_CLOSED, "acknowledging", error);
}

/* ---- reading ---- */

/* The message is complete: hands it to the sink. */
static bide_code finish_message(
    struct bide_rmq_inbound *inbound, size_t index, amqp_bytes_t body, bide_error *error)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    struct bide_rmq_assembly *coming = &channel->coming;
    struct bide_rmq_delivery *delivery = NULL;
    uint64_t whole = coming->head.payload.properties.body_size;
    coming->has_head = false;
    channel->quiet_us = 0;
    channel->strikes = 0;
    if (bide_rmq_tags_add(&channel->tags, coming->tag))
        delivery = bide_rmq_delivery_create(
            inbound->settings, index, &coming->head, body, body.len < whole ? whole : 0, &inbound->scratch);
    if (!delivery)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    delivery->tag = coming->tag;
    delivery->generation = channel->generation;
    delivery->consumer = coming->consumer;
    delivery->is_redelivered = coming->is_redelivered;
    delivery->in_flight = &inbound->in_flight;
    delivery->charge = coming->charge;
    inbound->reading -= coming->charge;
    coming->charge = 0;
    if (coming->body.capacity > BUFFER_KEPT)
        bide_buffer_release(&coming->body);
    bide_buffer_clear(&coming->body);
    inbound->sink(inbound->owner, delivery);
    return BIDE_OK;
}

static bide_code on_body(
    struct bide_rmq_inbound *inbound, size_t index, amqp_bytes_t piece, bide_error *error)
{
    struct bide_rmq_assembly *coming = &inbound->channels[index].coming;
    if (!coming->has_head)
        return BIDE_OK;
    if (piece.len == coming->left && coming->body.size == 0 && piece.len <= coming->kept)
        return finish_message(inbound, index, piece, error);
    size_t room = coming->kept - coming->body.size;
    if (coming->body.size == 0)
        bide_buffer_reserve(&coming->body, coming->kept);
    bide_buffer_add(&coming->body, piece.bytes, piece.len < room ? piece.len : room);
    if (coming->body.failed)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory for a body of %zu bytes", coming->kept);
    coming->left -= piece.len < coming->left ? piece.len : coming->left;
    if (coming->left > 0)
        return BIDE_OK;
    return finish_message(inbound, index, bide_rmq_bytes(coming->body.bytes, coming->body.size), error);
}

static size_t head_charge(size_t size)
{
    return size > HEAD_FREE ? HEAD_COPIES * size : 0;
}

/* The header says the size before the body comes. A body larger than the whole budget is oversized for
 * certain: only its beginning is kept, for the dead letter. Any other body stays in the socket until there is
 * room. */
static bide_code on_head(
    struct bide_rmq_inbound *inbound, size_t index, const amqp_frame_t *frame, bide_error *error)
{
    struct bide_rmq_assembly *coming = &inbound->channels[index].coming;
    uint64_t size = frame->payload.properties.body_size, most = inbound->settings->max_in_flight;
    coming->head = *frame;
    coming->has_head = true;
    coming->left = size;
    coming->kept = (size_t)(most && size > most ? CUT_BYTES : size);
    coming->charge = coming->kept + head_charge(frame->payload.properties.raw.len);
    inbound->in_flight += coming->charge;
    inbound->reading += coming->charge;
    inbound->is_crowded = most && inbound->in_flight - inbound->aside > most;
    if (size > 0)
        return BIDE_OK;
    return finish_message(inbound, index, amqp_empty_bytes, error);
}

/* True only while other bytes than those being read are in hand and can be settled: settling them makes
 * room. */
bool bide_rmq_inbound_is_full(struct bide_rmq_inbound *inbound)
{
    size_t held = inbound->in_flight - inbound->aside;
    if (inbound->is_crowded)
        inbound->is_crowded = held > inbound->settings->max_in_flight && held > inbound->reading;
    return inbound->is_crowded;
}

bide_code bide_rmq_inbound_beat(struct bide_rmq_inbound *inbound, bide_error *error)
{
    const amqp_frame_t beat = {.frame_type = AMQP_FRAME_HEARTBEAT};
    int status = amqp_send_frame(inbound->link.amqp, &beat);
    if (status == AMQP_STATUS_OK)
        return BIDE_OK;
    bide_rmq_inbound_drop(inbound);
    return bide_rmq_fail_status(inbound->settings, status, "consuming", error);
}

/* The broker has cancelled the channel's consumers: the queue was deleted, or has lost its leader, or
 * (RabbitMQ 4.3) a delivery was in hand longer than the broker's consumer_timeout. The channel goes on. */
static void on_cancel(struct bide_rmq_inbound *inbound, size_t index)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    bide_fail(&channel->why, BIDE_E_BROKER,
        "%s: the broker has ended the consumer of '%s': was the queue deleted, or a message in hand longer "
        "than its consumer_timeout?",
        inbound->settings->redacted, bide_rmq_queue_of(inbound, index));
    go_down(inbound, channel);
}

/* The broker has closed only this channel: the queue is missing or refused, or a delivery was in hand longer
 * than the broker's consumer_timeout. */
static void on_channel_close(struct bide_rmq_inbound *inbound, size_t index, amqp_method_t method)
{
    struct bide_rmq_channel *channel = &inbound->channels[index];
    amqp_channel_close_ok_t close_ok = {0};
    bide_error why;
    bide_rmq_fail_method(inbound->settings, method, "consuming", &why);
    bide_fail(&channel->why, why.code, "'%s': %s", bide_rmq_queue_of(inbound, index), why.text);
    end_generation(inbound, channel);
    go_down(inbound, channel);
    channel->is_closed = true;
    bide_rmq_wire_method(&inbound->wire, bide_rmq_number_of(index), AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
}

static unsigned number_in(amqp_bytes_t tag)
{
    unsigned number = 0;
    for (size_t i = 0; i < tag.len; i++)
        number = number * 10 + (unsigned)(((const char *)tag.bytes)[i] - '0');
    return number;
}

static void on_begun(
    struct bide_rmq_inbound *inbound, struct bide_rmq_channel *channel, const amqp_basic_consume_ok_t *begun)
{
    unsigned name = number_in(begun->consumer_tag);
    channel->consumes = true;
    if (name > channel->begun_name)
        channel->begun_name = name;
    if (channel->is_late && channel->begun_name == channel->last_name)
        inbound->has_caught_up = true;
}

static void on_deliver(struct bide_rmq_assembly *coming, const amqp_basic_deliver_t *deliver)
{
    coming->tag = deliver->delivery_tag;
    coming->is_redelivered = deliver->redelivered;
    coming->consumer = number_in(deliver->consumer_tag);
}

static bide_code on_method(
    struct bide_rmq_inbound *inbound, size_t index, amqp_method_t method, bide_error *error)
{
    switch (method.id) {
    case AMQP_BASIC_DELIVER_METHOD:
        on_deliver(&inbound->channels[index].coming, method.decoded);
        return BIDE_OK;
    case AMQP_BASIC_CONSUME_OK_METHOD:
        on_begun(inbound, &inbound->channels[index], method.decoded);
        return BIDE_OK;
    case AMQP_BASIC_CANCEL_METHOD:
        on_cancel(inbound, index);
        return BIDE_OK;
    case AMQP_CHANNEL_CLOSE_METHOD:
        on_channel_close(inbound, index, method);
        return BIDE_OK;
    case AMQP_CONNECTION_CLOSE_METHOD:
        return bide_rmq_fail_method(inbound->settings, method, "consuming", error);
    default: /* answers that are not awaited */
        return BIDE_OK;
    }
}

static bide_code on_frame(struct bide_rmq_inbound *inbound, const amqp_frame_t *frame, bide_error *error)
{
    size_t index = frame->channel ? frame->channel - 1u : 0;
    if (index >= inbound->n_channels)
        return BIDE_OK;
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        return on_method(inbound, index, frame->payload.method, error);
    case AMQP_FRAME_HEADER:
        return on_head(inbound, index, frame, error);
    case AMQP_FRAME_BODY:
        return on_body(inbound, index, frame->payload.body_fragment, error);
    default:
        return BIDE_OK;
    }
}

/* Frees the channel's pool between two messages. The library never keeps frames for later, because no call
 * waits for an answer. */
static void release_pool(struct bide_rmq_inbound *inbound, const amqp_frame_t *frame)
{
    bool is_inside =
        frame->frame_type == AMQP_FRAME_METHOD && frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD;
    size_t index = frame->channel ? frame->channel - 1u : 0;
    if (is_inside || (index < inbound->n_channels && inbound->channels[index].coming.has_head))
        return;
    amqp_maybe_release_buffers_on_channel(inbound->link.amqp, frame->channel);
}

/* May the library hold bytes that it has not handed out? Bytes in the socket wake the next poll, but bytes
 * inside the TLS layer do not. */
static bool may_hold_more(const struct bide_rmq_inbound *inbound)
{
    return inbound->settings->tls || amqp_data_in_buffer(inbound->link.amqp);
}

bide_code bide_rmq_inbound_read(
    struct bide_rmq_inbound *inbound, size_t most, bool *ret_more, bide_error *error)
{
    struct timeval at_once = {0};
    bide_code code = BIDE_OK;
    size_t n = 0;
    while (code == BIDE_OK && n < most) {
        amqp_frame_t frame;
        if (bide_rmq_inbound_is_full(inbound)) {
            *ret_more = true;
            return BIDE_OK;
        }
        int status = amqp_simple_wait_frame_noblock(inbound->link.amqp, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT) {
            *ret_more = false;
            return BIDE_OK;
        }
        if (status != AMQP_STATUS_OK) {
            code = bide_rmq_fail_status(inbound->settings, status, "consuming", error);
            break;
        }
        code = on_frame(inbound, &frame, error);
        n += frame.frame_type == AMQP_FRAME_METHOD;
        release_pool(inbound, &frame);
        if (code == BIDE_OK && !may_hold_more(inbound)) {
            *ret_more = false;
            return BIDE_OK;
        }
    }
    if (code != BIDE_OK)
        bide_rmq_inbound_drop(inbound);
    *ret_more = code == BIDE_OK;
    return code;
}
