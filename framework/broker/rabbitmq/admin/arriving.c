/* A letter that arrives: from the broker's frames to the pile. */
#include "base/alloc.h"
#include "broker/rabbitmq/admin/fetch.h"
#include "broker/rabbitmq/fault.h"

/* ---- one letter ---- */

/* The queue's name behind the numbers that the ladder, or the old one, puts in front of it; empty where there
 * are none. */
static struct bide_slice after_numbers(amqp_bytes_t key)
{
    const char *text = key.bytes;
    size_t at = 0;
    for (int word = 0; word < BIDE_RMQ_WORDS; word++) {
        size_t begin = at;
        while (at < key.len && text[at] >= '0' && text[at] <= '9')
            at++;
        if (at == begin || at == key.len || text[at++] != '.')
            return (struct bide_slice){NULL, 0};
    }
    return (struct bide_slice){text + at, key.len - at};
}

/* A topic's key as its address: "@.logs", "@logs". */
static struct bide_slice address_of(struct bide_rmq_fetch *fetch, struct bide_slice name)
{
    const size_t word = strlen(BIDE_RMQ_TOPIC_WORD);
    if (name.size < word || name.size - word >= sizeof fetch->topic ||
        memcmp(name.bytes, BIDE_RMQ_TOPIC_WORD, word) != 0)
        return name;
    fetch->topic[0] = '@';
    memcpy(fetch->topic + 1, name.bytes + word, name.size - word);
    return (struct bide_slice){fetch->topic, name.size - word + 1};
}

/* The queue to which an unrouted message was sent: its routing key where it came from the work or the landing
 * exchange, or by dead-lettering from the later one. If it came through the ladder, that is the key without
 * its numbers. */
static struct bide_slice wanted_queue(struct bide_rmq_fetch *fetch, struct bide_slice said)
{
    const struct bide_rmq_settings *settings = fetch->admin->settings;
    amqp_bytes_t key = fetch->now.key;
    const char *name = fetch->admin->sources.items[fetch->source].name;
    if (name)
        return (struct bide_slice){name, strlen(name)};
    struct bide_slice queue = after_numbers(key);
    if (queue.size == 0 && (bide_rmq_bytes_are(fetch->now.exchange, settings->work_exchange) ||
                               bide_rmq_bytes_are(fetch->now.exchange, settings->landing_exchange) ||
                               bide_rmq_bytes_are(fetch->now.exchange, settings->topic_exchange) ||
                               bide_rmq_bytes_are(fetch->now.exchange, settings->unrouted)))
        queue = (struct bide_slice){key.bytes, key.len};
    return queue.size > 0 ? address_of(fetch, queue) : said;
}

/* A message that a worker declared dead says the reason and the number of its runs. Any other letter tells
 * both by where it is: in the unrouted queue. */
static void judge_dead(
    const struct bide_rmq_death *death, enum bide_rmq_source_kind kind, struct bide_rmq_letter *letter)
{
    char name[32] = "";
    bool is_buried = kind == BIDE_RMQ_DEAD || death->reason.size > 0;
    if (death->reason.size && death->reason.size < sizeof name)
        memcpy(name, death->reason.bytes, death->reason.size);
    letter->is_dead = true;
    letter->reason = is_buried ? BIDE_REASON_NONE : BIDE_REASON_UNROUTED;
    if (is_buried)
        bide_reason_parse(name, &letter->reason);
    letter->died_ms = death->died_ms ? death->died_ms : letter->message->sent_ms;
    letter->message->attempt = is_buried ? (int)death->attempts : letter->message->attempt - 1;
}

/* An export treats a message as a dead letter if a worker would find it malformed. */
static void judge_underway(
    const struct bide_rmq_admin *admin, const char *malformed, struct bide_rmq_letter *letter)
{
    if (!malformed)
        return;
    letter->is_dead = true;
    letter->reason = BIDE_REASON_MALFORMED;
    letter->died_ms = bide_wall_ms(admin->settings->clock);
    letter->message->error = malformed;
    letter->message->attempt = 0;
}

static struct bide_rmq_letter *create_letter(struct bide_rmq_fetch *fetch)
{
    struct bide_rmq_admin *admin = fetch->admin;
    amqp_bytes_t raw = fetch->now.head.payload.properties.raw;
    struct bide_rmq_letter *letter = bide_malloc(sizeof *letter + raw.len);
    if (!letter)
        return NULL;
    struct bide_message_parts parts;
    struct bide_rmq_death death;
    enum bide_rmq_source_kind kind = admin->sources.items[fetch->source].kind;
    const char *malformed = (kind == BIDE_RMQ_UNPLANNED ? bide_rmq_read_later : bide_rmq_read)(
        fetch->now.head.payload.properties.decoded, admin->settings->clock, &admin->scratch, &parts, &death);
    parts.queue = wanted_queue(fetch, parts.queue);
    parts.body = (struct bide_slice){fetch->body.bytes, fetch->body.size};
    *letter = (struct bide_rmq_letter){.message = bide_message_from_parts(&parts),
        .tag = fetch->now.tag,
        .n_behind = fetch->now.n_behind,
        .source = fetch->source};
    if (!letter->message) {
        bide_free(letter);
        return NULL;
    }
    letter->is_cut = death.cut > 0;
    memcpy(letter + 1, raw.bytes, raw.len);
    letter->raw = (struct bide_slice){(const char *)(letter + 1), raw.len};
    if (kind == BIDE_RMQ_UNDERWAY || kind == BIDE_RMQ_UNPLANNED)
        judge_underway(admin, malformed, letter);
    else
        judge_dead(&death, kind, letter);
    return letter;
}

static bool matches(const struct bide_dead_filter *filter, const struct bide_rmq_letter *letter)
{
    return bide_dead_matches(
        filter, &(struct bide_dead_letter){letter->message, letter->reason, letter->died_ms});
}

static bide_code keep_letter(struct bide_rmq_fetch *fetch, bide_error *error)
{
    struct bide_rmq_letter *letter = fetch->body.failed ? NULL : create_letter(fetch);
    fetch->n_taken++;
    fetch->admin->n_letters[fetch->source]++;
    if (!letter)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory for a dead letter");
    if (!matches(fetch->filter, letter))
        bide_rmq_letter_destroy(letter);
    else if (!bide_rmq_pile_add(fetch->pile, letter, fetch->filter->limit))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory for dead letters");
    return BIDE_OK;
}

static bide_code finish_letter(struct bide_rmq_fetch *fetch, bide_error *error)
{
    amqp_connection_state_t amqp = fetch->admin->link.amqp;
    bide_code code = BIDE_OK;
    if (fetch->now.is_unwanted) {
        int status = amqp_basic_nack(amqp, fetch->channel, fetch->now.tag, 0, 1);
        code = status == AMQP_STATUS_OK ? BIDE_OK : bide_rmq_letters_failed(fetch->admin, status, error);
    } else {
        fetch->n_answered++;
        code = keep_letter(fetch, error);
    }
    amqp_maybe_release_buffers_on_channel(amqp, fetch->channel);
    return code;
}

/* ---- frames ---- */

bide_code bide_rmq_letters_failed(const struct bide_rmq_admin *admin, int status, bide_error *error)
{
    return bide_rmq_fail_status(admin->settings, status, "working on dead letters", error);
}

static bool wants_body(const struct bide_rmq_fetch *fetch)
{
    return !fetch->filter->without_bodies && !fetch->now.is_unwanted;
}

static bide_code on_head(struct bide_rmq_fetch *fetch, const amqp_frame_t *frame, bide_error *error)
{
    fetch->now.head = *frame;
    fetch->now.body_left = frame->payload.properties.body_size;
    if (fetch->now.body_left > fetch->largest)
        fetch->largest = (size_t)fetch->now.body_left;
    bide_buffer_clear(&fetch->body);
    if (wants_body(fetch))
        bide_buffer_reserve(&fetch->body, (size_t)fetch->now.body_left);
    return fetch->now.body_left == 0 ? finish_letter(fetch, error) : BIDE_OK;
}

static bide_code on_body(struct bide_rmq_fetch *fetch, amqp_bytes_t piece, bide_error *error)
{
    if (wants_body(fetch))
        bide_buffer_add(&fetch->body, piece.bytes, piece.len);
    fetch->now.body_left -= piece.len < fetch->now.body_left ? piece.len : fetch->now.body_left;
    return fetch->now.body_left == 0 ? finish_letter(fetch, error) : BIDE_OK;
}

static void on_got(struct bide_rmq_fetch *fetch, const amqp_basic_get_ok_t *got)
{
    fetch->admin->last_tag = got->delivery_tag;
    fetch->now = (struct bide_rmq_arrival){.exchange = got->exchange,
        .key = got->routing_key,
        .tag = got->delivery_tag,
        .n_behind = got->message_count};
}

static void on_delivery(struct bide_rmq_fetch *fetch, const amqp_basic_deliver_t *delivery)
{
    bool is_late = !bide_rmq_bytes_are(delivery->consumer_tag, fetch->tag); /* of a consumer that has ended */
    fetch->now = (struct bide_rmq_arrival){.exchange = delivery->exchange,
        .key = delivery->routing_key,
        .tag = delivery->delivery_tag,
        .is_unwanted = is_late || fetch->n_taken >= fetch->most || bide_rmq_fetch_is_full(fetch)};
}

static bide_code on_method(struct bide_rmq_fetch *fetch, amqp_method_t method, bide_error *error)
{
    const amqp_queue_declare_ok_t *found = method.decoded;
    switch (method.id) {
    case AMQP_BASIC_GET_OK_METHOD:
        on_got(fetch, method.decoded);
        return BIDE_OK;
    case AMQP_BASIC_GET_EMPTY_METHOD:
        fetch->n_answered++;
        fetch->is_empty = true;
        return BIDE_OK;
    case AMQP_BASIC_DELIVER_METHOD:
        on_delivery(fetch, method.decoded);
        return BIDE_OK;
    case AMQP_BASIC_QOS_OK_METHOD:
        return BIDE_OK;
    case AMQP_BASIC_CONSUME_OK_METHOD:
        fetch->has_begun = true;
        return BIDE_OK;
    case AMQP_BASIC_CANCEL_OK_METHOD:
        fetch->has_ended = true;
        return BIDE_OK;
    case AMQP_QUEUE_DECLARE_OK_METHOD:
        fetch->asks_depth = false;
        fetch->is_empty = found->message_count == 0;
        return BIDE_OK;
    default:
        return bide_rmq_fail_method(fetch->admin->settings, method, "fetching dead letters", error);
    }
}

/* A delivery on another channel has come too late for an earlier fetch. It goes back at once: it would be
 * acknowledged with all that is taken there next. */
static bide_code return_stranger(struct bide_rmq_fetch *fetch, const amqp_frame_t *frame, bide_error *error)
{
    const amqp_basic_deliver_t *delivery = frame->payload.method.decoded;
    int status = amqp_basic_nack(fetch->admin->link.amqp, frame->channel, delivery->delivery_tag, 0, 1);
    return status == AMQP_STATUS_OK ? BIDE_OK : bide_rmq_letters_failed(fetch->admin, status, error);
}

bide_code bide_rmq_fetch_frame(struct bide_rmq_fetch *fetch, const amqp_frame_t *frame, bide_error *error)
{
    bool is_mine = frame->channel == fetch->channel;
    if (frame->frame_type == AMQP_FRAME_METHOD)
        return is_mine || frame->payload.method.id != AMQP_BASIC_DELIVER_METHOD
                   ? on_method(fetch, frame->payload.method, error)
                   : return_stranger(fetch, frame, error);
    if (frame->frame_type == AMQP_FRAME_HEADER && is_mine)
        return on_head(fetch, frame, error);
    if (frame->frame_type == AMQP_FRAME_BODY && is_mine)
        return on_body(fetch, frame->payload.body_fragment, error);
    return BIDE_OK;
}

bool bide_rmq_fetch_is_full(const struct bide_rmq_fetch *fetch)
{
    return fetch->filter->limit == 0 && fetch->pile->bytes - fetch->bytes_before >= BIDE_RMQ_ENOUGH_BYTES;
}
