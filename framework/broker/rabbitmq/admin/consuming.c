/* Letters by a consumer. It begins with a prefetch of as many as are wanted and ends when they are there. So
 * the broker hands out no more than those, in one piece, where a get for each costs a passage through the
 * queue's log: 800 a second.
 *
 * All that was acknowledged before is applied when the consumer begins, because that passes through the log,
 * too. */
#include <stdio.h>

#include "broker/rabbitmq/admin/fetch.h"

enum { PORTION = 1000, QUIET_MS = 100 };

/* As many as fit if they are as large as the largest seen lately; `largest` begins high. */
static size_t portion(const struct bide_rmq_fetch *fetch)
{
    size_t fits = BIDE_RMQ_ENOUGH_BYTES / (fetch->admin->largest + 1);
    size_t most = fetch->most < PORTION ? fetch->most : PORTION;
    if (fetch->filter->without_bodies || fits > most)
        return most;
    return fits > 1 ? fits : 1;
}

static void note_largest(struct bide_rmq_fetch *fetch)
{
    size_t faded = fetch->admin->largest / 16;
    fetch->admin->largest = fetch->largest > faded ? fetch->largest : faded;
}

static bide_code send(const struct bide_rmq_fetch *fetch, amqp_channel_t channel, amqp_method_number_t method,
    void *decoded, bide_error *error)
{
    int status = amqp_send_method(fetch->admin->link.amqp, channel, method, decoded);
    return status == AMQP_STATUS_OK ? BIDE_OK : bide_rmq_letters_failed(fetch->admin, status, error);
}

/* No tag is used twice on a channel, as with a worker's consumers. */
static bide_code begin(struct bide_rmq_fetch *fetch, bide_error *error)
{
    amqp_basic_qos_t qos = {.prefetch_count = (uint16_t)fetch->most};
    amqp_basic_consume_t consume = {
        .queue = bide_rmq_text(bide_rmq_queue_of_source(fetch->admin, fetch->source)),
        .consumer_tag = bide_rmq_text(fetch->tag)};
    bide_code code = send(fetch, fetch->channel, AMQP_BASIC_QOS_METHOD, &qos, error);
    return code == BIDE_OK ? send(fetch, fetch->channel, AMQP_BASIC_CONSUME_METHOD, &consume, error) : code;
}

static bool is_done(const struct bide_rmq_fetch *fetch)
{
    return fetch->n_taken >= fetch->most || fetch->is_empty || bide_rmq_fetch_is_full(fetch);
}

static bool is_over(const struct bide_rmq_fetch *fetch)
{
    return fetch->has_ended && !fetch->asks_depth;
}

/* Nothing has come for a while: another consumer may have been faster, or the queue's messages have expired.
 */
static bide_code ask_depth(struct bide_rmq_fetch *fetch, bide_error *error)
{
    amqp_queue_declare_t declare = {
        .queue = bide_rmq_text(bide_rmq_queue_of_source(fetch->admin, fetch->source)), .passive = 1};
    fetch->asks_depth = true;
    return send(fetch, BIDE_RMQ_QUESTIONS, AMQP_QUEUE_DECLARE_METHOD, &declare, error);
}

/* Ends the consumer when it has brought enough. It is not ended before the broker has confirmed that it began
 * (see bide_rmq_inbound_consume). */
static bide_code end_when_done(struct bide_rmq_fetch *fetch, bide_error *error)
{
    if (!fetch->has_begun || fetch->is_ending || !is_done(fetch))
        return BIDE_OK;
    amqp_basic_cancel_t cancel = {.consumer_tag = bide_rmq_text(fetch->tag)};
    fetch->is_ending = true;
    return send(fetch, fetch->channel, AMQP_BASIC_CANCEL_METHOD, &cancel, error);
}

static bide_code await_frame(struct bide_rmq_fetch *fetch, int64_t *heard_ms, bide_error *error)
{
    const struct bide_rmq_settings *settings = fetch->admin->settings;
    struct timeval quiet = bide_rmq_timeval(QUIET_MS);
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(fetch->admin->link.amqp, &frame, &quiet);
    if (status == AMQP_STATUS_OK) {
        bool tells_depth = frame.frame_type == AMQP_FRAME_METHOD && frame.channel == BIDE_RMQ_QUESTIONS;
        if (!tells_depth)
            *heard_ms = bide_mono_ms(settings->clock);
        return bide_rmq_fetch_frame(fetch, &frame, error);
    }
    if (status != AMQP_STATUS_TIMEOUT)
        return bide_rmq_letters_failed(fetch->admin, status, error);
    if (bide_mono_ms(settings->clock) > *heard_ms + settings->timeout_ms)
        return bide_fail(error, BIDE_E_TIMEOUT, "%s: the broker hands out nothing of queue '%s' in time",
            settings->redacted, bide_rmq_queue_of_source(fetch->admin, fetch->source));
    return fetch->has_begun && !fetch->is_ending && !fetch->asks_depth ? ask_depth(fetch, error) : BIDE_OK;
}

bide_code bide_rmq_fetch_consume(struct bide_rmq_fetch *fetch, bide_error *error)
{
    int64_t heard_ms = bide_mono_ms(fetch->admin->settings->clock);
    snprintf(fetch->tag, sizeof fetch->tag, "%llu", (unsigned long long)++fetch->admin->n_consumers);
    fetch->most = portion(fetch);
    bide_code code = begin(fetch, error);
    while (code == BIDE_OK && !is_over(fetch)) {
        code = await_frame(fetch, &heard_ms, error);
        if (code == BIDE_OK)
            code = end_when_done(fetch, error);
    }
    note_largest(fetch);
    return code;
}
