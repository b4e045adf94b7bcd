#include "broker/rabbitmq/publisher.h"

#include <poll.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/topology.h"

/* Bounds for unconfirmed messages: enough to keep a quorum queue busy, but so few that their confirms never
 * fill a socket that nobody reads. */
enum {
    WINDOW = 4096,
    WINDOW_BYTES = 1 << 20,
    FIRST_SLOTS = 256,
    FLUSH_BYTES = 1 << 15,
    REFUSING_US = 1000000,
    BARREN_MAX = 3
};

void bide_rmq_publisher_init(struct bide_rmq_publisher *publisher, const struct bide_rmq_settings *settings,
    bide_rmq_outcome_sink *sink, void *owner)
{
    *publisher = (struct bide_rmq_publisher){
        .settings = settings, .sink = sink, .owner = owner, .first = 1, .next = 1, .link.fd = -1};
    bide_rmq_wire_init(&publisher->wire, &publisher->link);
    bide_rmq_draft_init(&publisher->draft);
}

void bide_rmq_publisher_release(struct bide_rmq_publisher *publisher)
{
    bide_rmq_publisher_close(publisher);
    bide_rmq_wire_release(&publisher->wire);
    bide_rmq_draft_release(&publisher->draft);
    bide_free(publisher->slots);
    publisher->slots = NULL;
}

bool bide_rmq_publisher_is_open(const struct bide_rmq_publisher *publisher)
{
    return publisher->link.amqp != NULL;
}

/* ---- what is in flight ---- */

static struct bide_rmq_in_flight *slot_of(struct bide_rmq_publisher *publisher, uint64_t tag)
{
    return &publisher->slots[tag & (publisher->n_slots - 1)];
}

static bool grow_slots(struct bide_rmq_publisher *publisher)
{
    size_t n = publisher->n_slots ? 2 * publisher->n_slots : FIRST_SLOTS;
    struct bide_rmq_in_flight *slots = bide_calloc(n, sizeof *slots);
    if (!slots)
        return false;
    for (uint64_t tag = publisher->first; tag < publisher->next; tag++)
        slots[tag & (n - 1)] = *slot_of(publisher, tag);
    bide_free(publisher->slots);
    publisher->slots = slots;
    publisher->n_slots = n;
    return true;
}

static void tell(struct bide_rmq_publisher *publisher, uint64_t tag, enum bide_rmq_outcome outcome)
{
    struct bide_rmq_in_flight *slot = slot_of(publisher, tag);
    void *item = slot->item;
    if (!item)
        return;
    slot->item = NULL;
    publisher->n_waiting--;
    if (outcome == BIDE_RMQ_DENIED && publisher->denies_exchange && publisher->n_denied < BIDE_RMQ_DENIALS)
        publisher->denied[publisher->n_denied++] = slot->exchange;
    publisher->sink(publisher->owner, item,
        outcome == BIDE_RMQ_CONFIRMED && slot->returned ? BIDE_RMQ_RETURNED : outcome);
}

static void tell_confirm(
    struct bide_rmq_publisher *publisher, uint64_t tag, bool multiple, enum bide_rmq_outcome outcome)
{
    if (tag >= publisher->next)
        tag = publisher->next - 1;
    for (uint64_t t = multiple ? publisher->first : tag; t >= publisher->first && t <= tag; t++)
        tell(publisher, t, outcome);
    while (publisher->first < publisher->next && !slot_of(publisher, publisher->first)->item)
        publisher->first++;
}

/* The outcome of the items in flight when their connection has ended. If connections end again and again
 * before any confirm, one of the items may be the reason. */
static enum bide_rmq_outcome outcome_of_loss(struct bide_rmq_publisher *publisher)
{
    if (publisher->n_waiting == 0)
        return BIDE_RMQ_UNKNOWN; /* no item is in flight */
    publisher->n_barren = publisher->has_heard ? 0 : publisher->n_barren + 1;
    if (!publisher->blames && publisher->n_barren < BARREN_MAX)
        return BIDE_RMQ_UNKNOWN;
    if (!publisher->blames)
        bide_fail(&publisher->denial, BIDE_E_BROKER,
            "%s: the connection ends whenever this is published, and the broker does not say why",
            publisher->settings->redacted);
    return publisher->n_waiting == 1 ? BIDE_RMQ_DENIED : BIDE_RMQ_SUSPECT;
}

static void forget_all(struct bide_rmq_publisher *publisher)
{
    tell_confirm(publisher, publisher->next - 1, true, outcome_of_loss(publisher));
    publisher->first = publisher->next = 1; /* a new channel counts from 1 */
    publisher->expects_return_head = publisher->is_asking = publisher->has_answer = false;
    publisher->blames = publisher->denies_exchange = publisher->has_heard = false;
    bide_rmq_wire_release(&publisher->wire);
    bide_rmq_wire_init(&publisher->wire, &publisher->link);
}

static uint32_t mark_more(uint32_t mark, amqp_bytes_t bytes)
{
    return bide_hash_more(mark, bytes.bytes, bytes.len);
}

static uint32_t mark_of_address(amqp_bytes_t exchange, amqp_bytes_t key)
{
    return mark_more(mark_more(BIDE_HASH_BEGIN, exchange), key);
}

/* ---- connecting ---- */

/* Before the first opening all declarations must succeed. Later, declares what it can; a missing exchange or
 * queue shows when a message is published to it. */
static bide_code declare(struct bide_rmq_publisher *publisher, bide_error *error)
{
    struct bide_rmq_link *link = &publisher->link;
    if (!publisher->was_open)
        return bide_rmq_topology_ensure(link, BIDE_RMQ_PUBLISH_CHANNEL, error);
    struct bide_rmq_refused ignored;
    return bide_rmq_topology_declare_possible(
        link, BIDE_RMQ_PUBLISH_CHANNEL, publisher->must_declare, &ignored, error);
}

static bide_code prepare(struct bide_rmq_publisher *publisher, bide_error *error)
{
    struct bide_rmq_link *link = &publisher->link;
    bide_code code = bide_rmq_link_open_channel(link, BIDE_RMQ_PUBLISH_CHANNEL, error);
    if (code == BIDE_OK)
        code = bide_rmq_link_open_channel(link, BIDE_RMQ_ASK_CHANNEL, error);
    if (code == BIDE_OK)
        code = declare(publisher, error);
    if (code != BIDE_OK)
        return code;
    publisher->was_open = true;
    publisher->must_declare = false;
    amqp_confirm_select(link->amqp, BIDE_RMQ_PUBLISH_CHANNEL);
    return bide_rmq_check(link->settings, amqp_get_rpc_reply(link->amqp), "asking for confirms", error);
}

bide_code bide_rmq_publisher_open(
    struct bide_rmq_publisher *publisher, const char *role, bool beats, bide_error *error)
{
    bide_rmq_publisher_close(publisher);
    publisher->refused_since_us = publisher->refused_us = 0;
    bide_code code =
        bide_rmq_link_open(&publisher->link, publisher->settings, publisher->host++, role, beats, error);
    if (code == BIDE_OK)
        code = prepare(publisher, error);
    if (code != BIDE_OK)
        bide_rmq_link_drop(&publisher->link);
    return code;
}

void bide_rmq_publisher_close(struct bide_rmq_publisher *publisher)
{
    if (bide_rmq_wire_waiting(&publisher->wire) == 0)
        bide_rmq_link_close(&publisher->link);
    bide_rmq_publisher_drop(publisher);
}

void bide_rmq_publisher_drop(struct bide_rmq_publisher *publisher)
{
    bide_rmq_link_drop(&publisher->link);
    forget_all(publisher);
}

/* ---- writing ---- */

bool bide_rmq_publisher_is_full(const struct bide_rmq_publisher *publisher)
{
    return publisher->link.blocked || publisher->next - publisher->first >= WINDOW ||
           bide_rmq_wire_waiting(&publisher->wire) >= WINDOW_BYTES;
}

bide_code bide_rmq_publisher_put(struct bide_rmq_publisher *publisher, const struct bide_rmq_address *address,
    struct bide_slice body, void *item, bide_error *error)
{
    for (size_t i = 0; i < publisher->n_denied; i++)
        if (strcmp(publisher->denied[i], address->exchange) == 0)
            return bide_fail(error, BIDE_E_BROKER, "%s", publisher->denial.text);
    if (publisher->next - publisher->first == publisher->n_slots && !grow_slots(publisher))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    struct bide_rmq_draft *draft = &publisher->draft;
    amqp_basic_publish_t publish = {.exchange = bide_rmq_text(address->exchange),
        .routing_key = bide_rmq_text(address->key),
        .mandatory = 1};
    bide_code code = bide_rmq_wire_publish(&publisher->wire, BIDE_RMQ_PUBLISH_CHANNEL, &publish,
        &draft->properties, bide_rmq_bytes(body.bytes, body.size), error);
    if (code != BIDE_OK)
        return code;
    *slot_of(publisher, publisher->next++) = (struct bide_rmq_in_flight){.item = item,
        .exchange = address->exchange,
        .mark =
            mark_more(mark_of_address(publish.exchange, publish.routing_key), draft->properties.message_id)};
    publisher->n_waiting++;
    if (bide_rmq_wire_waiting(&publisher->wire) >= FLUSH_BYTES)
        bide_rmq_wire_flush(&publisher->wire, 0); /* a lost connection shows in the next call of serve */
    return BIDE_OK;
}

void bide_rmq_publisher_forget_denials(struct bide_rmq_publisher *publisher)
{
    publisher->n_denied = 0;
}

void bide_rmq_publisher_ask(struct bide_rmq_publisher *publisher, const char *queue)
{
    amqp_queue_declare_t declare = {.queue = bide_rmq_text(queue), .passive = 1};
    bide_rmq_wire_method(&publisher->wire, BIDE_RMQ_ASK_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare);
    publisher->is_asking = true;
    publisher->has_answer = false;
}

/* ---- reading ---- */

/* The broker returns a message before it confirms it, so the item is still in flight. Copies of a message
 * that was sent to a topic have one id, and their dead letters different addresses. */
static void note_returned(struct bide_rmq_publisher *publisher, const amqp_basic_properties_t *properties)
{
    uint32_t mark = mark_more(publisher->return_mark, properties->message_id);
    for (uint64_t tag = publisher->first; tag < publisher->next; tag++) {
        struct bide_rmq_in_flight *slot = slot_of(publisher, tag);
        if (slot->item && !slot->returned && slot->mark == mark) {
            slot->returned = true;
            return;
        }
    }
}

static void note_refusal(struct bide_rmq_publisher *publisher)
{
    int64_t now = bide_mono_us(publisher->settings->clock);
    if (now - publisher->refused_us > REFUSING_US)
        publisher->refused_since_us = now;
    publisher->refused_us = now;
}

/* RabbitMQ 3.10: if a channel first publishes to a quorum queue while the node of the last leader is down, it
 * is refused until that node is back, even though the other nodes elect a new leader. A new channel is not
 * refused. */
static bool is_stale(const struct bide_rmq_publisher *publisher)
{
    return publisher->n_waiting == 0 && publisher->refused_us - publisher->refused_since_us >= REFUSING_US;
}

static void note_answer(struct bide_rmq_publisher *publisher, int64_t ready, int64_t consumers)
{
    publisher->is_asking = false;
    publisher->has_answer = true;
    publisher->answer = ready;
    publisher->consumers = consumers;
}

/* Asking about a queue that does not exist closes the channel for questions. That is an answer too. */
static void reopen_asking(struct bide_rmq_publisher *publisher)
{
    amqp_channel_close_ok_t close_ok = {0};
    amqp_channel_open_t open = {0};
    bide_rmq_wire_method(&publisher->wire, BIDE_RMQ_ASK_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &close_ok);
    bide_rmq_wire_method(&publisher->wire, BIDE_RMQ_ASK_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &open);
    note_answer(publisher, -1, 0);
}

/* The broker has closed the channel or connection because it refuses something that was published, unless an
 * operator closed it or the broker stops. The items in flight learn the reason from `denial`; the connection
 * can be made again. */
static bide_code on_close(struct bide_rmq_publisher *publisher, amqp_method_t method, bide_error *error)
{
    uint16_t reply = bide_rmq_reply_code(method);
    bide_rmq_fail_method(publisher->settings, method, "publishing", &publisher->denial);
    if (reply == AMQP_PRECONDITION_FAILED || reply == AMQP_CONTENT_TOO_LARGE) /* the message itself */
        publisher->denial.code = BIDE_E_DATA;
    publisher->blames = reply != AMQP_CONNECTION_FORCED;
    publisher->must_declare |= reply == AMQP_NOT_FOUND;
    publisher->denies_exchange = reply == AMQP_NOT_FOUND || reply == AMQP_ACCESS_REFUSED;
    return bide_fail(error, BIDE_E_BROKER, "%s", publisher->denial.text);
}

static bide_code on_method(struct bide_rmq_publisher *publisher, const amqp_frame_t *frame, bide_error *error)
{
    amqp_method_t method = frame->payload.method;
    switch (method.id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method.decoded;
        publisher->has_heard = true;
        tell_confirm(publisher, ack->delivery_tag, ack->multiple, BIDE_RMQ_CONFIRMED);
        return BIDE_OK;
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method.decoded;
        publisher->has_heard = true;
        note_refusal(publisher);
        tell_confirm(publisher, nack->delivery_tag, nack->multiple, BIDE_RMQ_REFUSED);
        return BIDE_OK;
    }
    case AMQP_BASIC_RETURN_METHOD: {
        const amqp_basic_return_t *returned = method.decoded;
        publisher->expects_return_head = true;
        publisher->return_mark = mark_of_address(returned->exchange, returned->routing_key);
        return BIDE_OK;
    }
    case AMQP_CONNECTION_BLOCKED_METHOD:
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        publisher->link.blocked = method.id == AMQP_CONNECTION_BLOCKED_METHOD;
        return BIDE_OK;
    case AMQP_QUEUE_DECLARE_OK_METHOD: {
        const amqp_queue_declare_ok_t *queue = method.decoded;
        note_answer(publisher, queue->message_count, queue->consumer_count);
        return BIDE_OK;
    }
    case AMQP_CHANNEL_CLOSE_METHOD:
        if (frame->channel == BIDE_RMQ_ASK_CHANNEL) {
            reopen_asking(publisher);
            return BIDE_OK;
        }
        return on_close(publisher, method, error);
    case AMQP_CONNECTION_CLOSE_METHOD:
        return on_close(publisher, method, error);
    default:
        return BIDE_OK;
    }
}

static bide_code on_frame(struct bide_rmq_publisher *publisher, const amqp_frame_t *frame, bide_error *error)
{
    switch (frame->frame_type) {
    case AMQP_FRAME_METHOD:
        return on_method(publisher, frame, error);
    case AMQP_FRAME_HEADER:
        if (publisher->expects_return_head)
            note_returned(publisher, frame->payload.properties.decoded);
        publisher->expects_return_head = false;
        return BIDE_OK;
    default: /* the body of a returned message */
        return BIDE_OK;
    }
}

static bide_code read_frames(struct bide_rmq_publisher *publisher, bool *ret_any, bide_error *error)
{
    amqp_connection_state_t amqp = publisher->link.amqp;
    struct timeval at_once = {0};
    for (*ret_any = false;; *ret_any = true) {
        amqp_frame_t frame;
        amqp_maybe_release_buffers(amqp); /* safe: no call here waits, so the library keeps no frames */
        int status = amqp_simple_wait_frame_noblock(amqp, &frame, &at_once);
        if (status == AMQP_STATUS_TIMEOUT)
            return BIDE_OK;
        if (status != AMQP_STATUS_OK)
            return bide_rmq_fail_status(publisher->settings, status, "publishing", error);
        bide_code code = on_frame(publisher, &frame, error);
        if (code != BIDE_OK)
            return code;
    }
}

/* Does not wait after a frame has come: it may have been the last one that was awaited. Where writing fails,
 * it still reads what came before: what is confirmed there must not be published again. */
static bide_code write_and_read(struct bide_rmq_publisher *publisher, int wait_ms, bide_error *error)
{
    enum bide_rmq_flow flow = bide_rmq_wire_flush(&publisher->wire, 0);
    bool any;
    bide_code code = read_frames(publisher, &any, error);
    if (code == BIDE_OK && flow == BIDE_RMQ_LOST)
        code = bide_rmq_fail_status(publisher->settings, AMQP_STATUS_SOCKET_CLOSED, "publishing", error);
    if (code != BIDE_OK || any || wait_ms == 0)
        return code;
    short events = flow == BIDE_RMQ_FULL ? POLLIN | POLLOUT : POLLIN;
    struct pollfd fd = {.fd = publisher->link.fd, .events = events};
    if (poll(&fd, 1, wait_ms) <= 0)
        return BIDE_OK;
    return write_and_read(publisher, 0, error);
}

bide_code bide_rmq_publisher_serve(struct bide_rmq_publisher *publisher, int wait_ms, bide_error *error)
{
    bide_code code = write_and_read(publisher, wait_ms, error);
    if (code == BIDE_OK && is_stale(publisher))
        code = bide_fail(error, BIDE_E_BROKER,
            "%s: the broker refuses what is published: a queue's nodes may be down",
            publisher->settings->redacted);
    if (code != BIDE_OK)
        bide_rmq_publisher_drop(publisher);
    return code;
}
