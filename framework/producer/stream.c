/* bide/stream.h. The last member is sent after the store knows how many there are, so that a worker completes
 * each set, and tells of it. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "producer/inside.h"
#include "streams/manage.h"

enum {
    BATCH = 500,
    BYTES_MAX = 4 * 1024 * 1024, /* of bodies waiting; the last two may be more */
    LOOK_EVERY_MS = 1000,        /* whether it was cancelled */
    DEFAULT_DEADLINE_MS = 24 * 3600 * 1000,
};
#define DEADLINE_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)

struct bide_stream {
    bide_producer *producer;
    struct bide_stream_info info;
    struct bide_buffer texts;  /* of the info: each with a NUL behind it */
    int64_t began_ms, look_ms; /* monotonic: when it began, when to look next */
    int64_t count;
    bool is_cancelled, is_ended;
    bool is_broken;               /* something is not confirmed */
    bide_message *waiting[BATCH]; /* to be sent */
    size_t n_waiting, bytes;      /* of their bodies */
};

/* ---- beginning ---- */

static bide_code check(const bide_stream_options *options, bide_error *error)
{
    if (!options->queue == !options->topic)
        return bide_fail(error, BIDE_E_USAGE, "a stream goes to a topic or to a queue: name one of the two");
    if (options->topic &&
        (options->n_subscriptions == 0 || options->n_subscriptions > BIDE_STREAM_QUEUES_MAX))
        return bide_fail(error, BIDE_E_USAGE, "name the 1 to %d subscriptions whose end is waited for",
            BIDE_STREAM_QUEUES_MAX);
    for (size_t i = 1; options->topic && i < options->n_subscriptions; i++)
        for (size_t other = 0; other < i; other++)
            if (strcmp(options->subscriptions[i], options->subscriptions[other]) == 0)
                return bide_fail(error, BIDE_E_USAGE, "'%.100s' is named twice", options->subscriptions[i]);
    if (options->on_end && !bide_name_valid(options->on_end))
        return bide_fail(error, BIDE_E_DATA, "'%.100s' is not a type: " BIDE_NAME_RULE, options->on_end);
    if (options->deadline_ms < 0 || options->deadline_ms > DEADLINE_MAX_MS)
        return bide_fail(error, BIDE_E_USAGE, "a deadline is at most 366 days away");
    return BIDE_OK;
}

static void add_text(struct bide_buffer *to, const char *text, const char *behind)
{
    bide_buffer_text(to, text);
    bide_buffer_text(to, behind);
    bide_buffer_char(to, '\0');
}

static const char *next_text(const char **at)
{
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

/* The info's texts, in one buffer: it moves while it grows. */
static bide_code fill_in(struct bide_stream *stream, const bide_stream_options *options, bide_error *error)
{
    struct bide_stream_info *info = &stream->info;
    struct bide_buffer *texts = &stream->texts;
    char topic[BIDE_NAME_MAX + 2] = "";
    info->n_queues = options->topic ? options->n_subscriptions : 1;
    if (options->topic)
        snprintf(topic, sizeof topic, "@%s", options->topic);
    add_text(texts, options->name ? options->name : "", "");
    add_text(texts, options->topic ? "" : options->queue, topic);
    add_text(texts, options->on_end ? options->on_end : "", "");
    for (size_t i = 0; i < info->n_queues; i++)
        add_text(texts, options->topic ? options->subscriptions[i] : options->queue, topic);
    if (texts->failed)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    const char *at = texts->bytes;
    info->name = next_text(&at);
    info->target = next_text(&at);
    info->on_end = next_text(&at);
    info->on_end = *info->on_end ? info->on_end : NULL;
    for (size_t i = 0; i < info->n_queues; i++)
        info->queues[i] = next_text(&at);
    info->deadline_ms = options->deadline_ms ? options->deadline_ms : DEFAULT_DEADLINE_MS;
    info->sent_ms = bide_wall_ms(stream->producer->clock);
    stream->began_ms = stream->look_ms = bide_mono_ms(stream->producer->clock);
    bide_stream_id_generate(info->id, stream->producer->clock);
    return BIDE_OK;
}

/* A message of the stream that is no member. */
static bide_code send_other(struct bide_stream *stream, bide_message *message, bide_error *error)
{
    bide_code code = bide_producer_send(stream->producer, message, error);
    bide_message_destroy(message);
    return code;
}

/* To be found by whoever serves the queue, a little after the deadline: workers look at what they get, and
 * brokers hand it out early. */
static bide_code send_deadline(struct bide_stream *stream, const char *queue, bide_error *error)
{
    char id[BIDE_STREAM_MESSAGE_ID];
    bide_message *message;
    bide_code code = bide_message_create(stream->info.on_end, &message, error);
    if (code != BIDE_OK)
        return code;
    bide_stream_message_id(stream->info.id, "deadline", queue, id);
    code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_queue(message, queue, error);
    if (code == BIDE_OK)
        code = bide_message_set_delay_ms(message, stream->info.deadline_ms + BIDE_LANDING_MAX_MS, error);
    if (code == BIDE_OK)
        return send_other(stream, message, error);
    bide_message_destroy(message);
    return code;
}

static bide_code begin(struct bide_stream *stream, const bide_stream_options *options, bide_error *error)
{
    bide_producer *producer = stream->producer;
    bide_code code = fill_in(stream, options, error);
    for (size_t i = 0; i < stream->info.n_queues && code == BIDE_OK; i++)
        if (!bide_queue_name_valid(stream->info.queues[i]))
            code = bide_fail(
                error, BIDE_E_DATA, "'%.100s' is not a queue: " BIDE_NAME_RULE, stream->info.queues[i]);
    if (code != BIDE_OK)
        return code;
    pthread_mutex_lock(&producer->lock);
    code = bide_stream_record(producer->store, &stream->info, error);
    pthread_mutex_unlock(&producer->lock);
    for (size_t i = 0; i < stream->info.n_queues && code == BIDE_OK && stream->info.on_end; i++)
        code = send_deadline(stream, stream->info.queues[i], error);
    return code;
}

static bide_code has_store(const bide_producer *producer, bide_error *error)
{
    return producer->store ? BIDE_OK
                           : bide_fail(error, producer->no_store.code, "%s", producer->no_store.text);
}

bide_code bide_stream_begin(
    bide_producer *producer, const bide_stream_options *options, bide_stream **ret_stream, bide_error *error)
{
    bide_code code = has_store(producer, error);
    if (code == BIDE_OK)
        code = check(options, error);
    if (code != BIDE_OK)
        return code;
    struct bide_stream *stream = bide_calloc(1, sizeof *stream);
    if (!stream)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    stream->producer = producer;
    bide_buffer_init(&stream->texts);
    code = begin(stream, options, error);
    if (code == BIDE_OK)
        *ret_stream = stream;
    else
        bide_stream_close(stream);
    return code;
}

const char *bide_stream_id(const bide_stream *stream)
{
    return stream->info.id;
}

int64_t bide_stream_count(const bide_stream *stream)
{
    return stream->count;
}

bool bide_stream_is_cancelled(const bide_stream *stream)
{
    return stream->is_cancelled;
}

/* ---- members ---- */

static size_t body_size(const bide_message *message)
{
    size_t size;
    bide_message_body(message, &size);
    return size;
}

/* The first n of those that wait. */
static bide_code flush(struct bide_stream *stream, size_t n, bide_error *error)
{
    bide_code code = bide_producer_send_many(stream->producer, stream->waiting, n, NULL, error);
    if (code != BIDE_OK) {
        stream->is_broken = true;
        return code;
    }
    for (size_t i = 0; i < n; i++) {
        stream->bytes -= body_size(stream->waiting[i]);
        bide_message_destroy(stream->waiting[i]);
    }
    stream->n_waiting -= n;
    memmove(stream->waiting, stream->waiting + n, stream->n_waiting * sizeof *stream->waiting);
    return BIDE_OK;
}

static bide_code look_if_cancelled(struct bide_stream *stream, bide_error *error)
{
    enum bide_stream_state state;
    int64_t now_ms = bide_mono_ms(stream->producer->clock);
    if (now_ms < stream->look_ms)
        return BIDE_OK;
    pthread_mutex_lock(&stream->producer->lock);
    bide_code code = bide_stream_read_state(stream->producer->store, stream->info.id, &state, error);
    pthread_mutex_unlock(&stream->producer->lock);
    stream->look_ms = now_ms + LOOK_EVERY_MS;
    if (code == BIDE_OK)
        stream->is_cancelled = state == BIDE_STREAM_CANCELLED;
    return code;
}

/* Its number is given to a message that nothing is wrong with any more. */
static bide_code prepare(struct bide_stream *stream, bide_message *message, bide_error *error)
{
    char id[BIDE_STREAM_MESSAGE_ID];
    snprintf(id, sizeof id, "%s:%lld", stream->info.id, (long long)stream->count + 1);
    if (stream->is_broken)
        return bide_fail(
            error, BIDE_E_BROKER, "stream %s has members that were not confirmed", stream->info.id);
    if (stream->is_ended)
        return bide_fail(
            error, BIDE_E_USAGE, "stream %s has been ended: it takes no more members", stream->info.id);
    if (stream->count == BIDE_STORE_MEMBERS_MAX)
        return bide_fail(error, BIDE_E_DATA, "a stream has at most %d members", BIDE_STORE_MEMBERS_MAX);
    if (*bide_message_unique(message))
        return bide_fail(error, BIDE_E_DATA, "a member of a stream has no unique key");
    bide_code code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_queue(message, stream->info.target, error);
    return code == BIDE_OK ? bide_producer_prepare(stream->producer, message, error) : code;
}

bide_code bide_stream_add(bide_stream *stream, bide_message *message, bide_error *error)
{
    bide_code code = prepare(stream, message, error);
    if (code != BIDE_OK) {
        bide_message_destroy(message);
        return code;
    }
    stream->count++;
    stream->waiting[stream->n_waiting++] = message;
    stream->bytes += body_size(message);
    if (stream->n_waiting < BATCH && (stream->n_waiting == 1 || stream->bytes < BYTES_MAX))
        return BIDE_OK;
    code = flush(stream, stream->n_waiting - 1, error);
    return code == BIDE_OK ? look_if_cancelled(stream, error) : code;
}

/* ---- the end ---- */

static bide_code send_empty_ends(struct bide_stream *stream, bide_error *error)
{
    const struct bide_stream_info *info = &stream->info;
    const struct bide_stream_counts none = {.end = BIDE_STREAM_COMPLETE};
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < info->n_queues && info->on_end && code == BIDE_OK; i++) {
        bide_message *message;
        code = bide_stream_end_message(
            info, info->queues[i], "complete", &none, stream->producer->clock, &message, error);
        if (code == BIDE_OK)
            code = send_other(stream, message, error);
    }
    return code;
}

bide_code bide_stream_end(bide_stream *stream, bide_error *error)
{
    const struct bide_clock *clock = stream->producer->clock;
    bide_code code = BIDE_OK;
    stream->is_ended = true;
    if (stream->is_broken)
        return bide_fail(
            error, BIDE_E_BROKER, "stream %s has members that were not confirmed", stream->info.id);
    if (stream->n_waiting > 1)
        code = flush(stream, stream->n_waiting - 1, error);
    if (code == BIDE_OK && stream->count == 0)
        code = send_empty_ends(stream, error);
    if (code != BIDE_OK)
        return code;
    pthread_mutex_lock(&stream->producer->lock);
    code = bide_stream_record_total(stream->producer->store, &stream->info, stream->count,
        bide_mono_ms(clock) - stream->began_ms, bide_wall_ms(clock), error);
    pthread_mutex_unlock(&stream->producer->lock);
    BIDE_KILL_POINT("send/stream-total");
    return code == BIDE_OK ? flush(stream, stream->n_waiting, error) : code;
}

void bide_stream_close(bide_stream *stream)
{
    if (!stream)
        return;
    for (size_t i = 0; i < stream->n_waiting; i++)
        bide_message_destroy(stream->waiting[i]);
    bide_buffer_release(&stream->texts);
    bide_free(stream);
}

/* ---- looking, cancelling ---- */

bide_code bide_stream_show(
    bide_producer *producer, const char *id, bide_stream_visit *visit, void *user, bide_error *error)
{
    bide_code code = has_store(producer, error);
    if (code != BIDE_OK)
        return code;
    pthread_mutex_lock(&producer->lock);
    code = bide_stream_see(producer->store, id, visit, user, error);
    pthread_mutex_unlock(&producer->lock);
    return code;
}

bide_code bide_stream_list(bide_producer *producer, bide_stream_visit *visit, void *user, bide_error *error)
{
    bide_code code = has_store(producer, error);
    if (code != BIDE_OK)
        return code;
    pthread_mutex_lock(&producer->lock);
    code = bide_stream_see_all(producer->store, visit, user, error);
    pthread_mutex_unlock(&producer->lock);
    return code;
}

bide_code bide_stream_cancel(bide_producer *producer, const char *id, bide_error *error)
{
    bide_code code = has_store(producer, error);
    if (code != BIDE_OK)
        return code;
    pthread_mutex_lock(&producer->lock);
    code = bide_stream_record_cancel(producer->store, id, error);
    pthread_mutex_unlock(&producer->lock);
    return code;
}
