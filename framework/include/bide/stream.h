/* bide/stream.h: streams with an end: many messages, and one answer to "are all of them done?"
 *
 *     bide_stream_options options = {.topic = "logs", .subscriptions = (const char *[]){"geo", "errors"},
 *         .n_subscriptions = 2, .name = path};
 *     if (bide_stream_begin(producer, &options, &stream, &error) != BIDE_OK)
 *         errx(1, "%s", error.text);
 *     while (read_line(file, &line))                               // each line is a member
 *         if (bide_message_create("line", &message, &error) != BIDE_OK ||
 *             bide_message_set_body(message, line.bytes, line.size, &error) != BIDE_OK ||
 *             bide_stream_add(stream, message, &error) != BIDE_OK)
 *             break;
 *     if (bide_stream_end(stream, &error) != BIDE_OK)              // no more members
 *         errx(1, "%s", error.text);
 *     bide_stream_close(stream);
 *
 * The subscriptions have to be there already (docs/topics.md). For each of them, each member ends done, dead,
 * or dropped (expired, cancelled). A store counts that, so a stream needs the store of the workers
 * (bide_producer_open_with_store). docs/streams.md tells all.
 *
 * A sender that dies before bide_stream_end leaves a stream that fails at its deadline. Thread-safety: a
 * stream by one thread at a time; its producer may be used by others meanwhile. */
#ifndef BIDE_STREAM_H
#define BIDE_STREAM_H

#include <stdbool.h>

#include <bide/producer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_stream bide_stream;

typedef struct bide_stream_options {
    const char *queue;                /* members go to this queue; or: */
    const char *topic;                /* to each subscription of this topic, … */
    const char *const *subscriptions; /* … of which these are waited for: 1 to 32 names without "@TOPIC" */
    size_t n_subscriptions;
    const char *name;    /* for people, such as a file; NULL: "" */
    const char *on_end;  /* type of the message that tells each subscription of its end; NULL: none */
    int64_t deadline_ms; /* how long it may take, up to 366 days; 0: 24 h */
} bide_stream_options;

BIDE_API bide_code bide_stream_begin(bide_producer *producer, const bide_stream_options *options,
    bide_stream **ret_stream, bide_error *error) BIDE_MUST_USE;
BIDE_API const char *bide_stream_id(const bide_stream *stream);

/* Takes the message over, also when it fails, and gives it its id and queue. Sends some hundred together. A
 * body that is too large is refused (BIDE_E_DATA) and is no member. After another failure the stream cannot
 * be completed: cancel it, or leave it to its deadline. */
BIDE_API bide_code bide_stream_add(bide_stream *stream, bide_message *message, bide_error *error);
BIDE_API int64_t bide_stream_count(const bide_stream *stream); /* members so far */
/* Somebody has cancelled it (looked at now and then): add no more, but end it. */
BIDE_API bool bide_stream_is_cancelled(const bide_stream *stream);
/* No more members: none is taken after it. Returns when the broker has all of them and the store knows how
 * many. */
BIDE_API bide_code bide_stream_end(bide_stream *stream, bide_error *error);
BIDE_API void bide_stream_close(bide_stream *stream); /* NULL is fine */

/* ---- looking, cancelling ---- */

typedef struct bide_stream_part { /* of one subscription, or of the queue */
    const char *queue;            /* "SUB@TOPIC" */
    int64_t total;                /* -1: not known yet */
    int64_t done, dead, dropped;  /* how members ended first: a replay of a dead letter changes nothing */
    bool is_complete;
    int64_t took_ms; /* from the beginning to the end; -1: it has not ended */
} bide_stream_part;

typedef struct bide_stream_view {
    const char *id, *name;
    const char *state;  /* "sending", "running", "complete", "failed" (at its deadline), "cancelling",
                           "cancelled" */
    const char *on_end; /* NULL: none */
    int64_t sent_ms;    /* Unix ms: when it began */
    int64_t left_ms;    /* until its deadline */
    const bide_stream_part *parts;
    size_t n_parts;
} bide_stream_view;

/* What it points to lives until the callback returns. */
typedef void bide_stream_visit(void *user, const bide_stream_view *view);

/* BIDE_E_NOT_FOUND: there is none of this id; it is forgotten seven days after its deadline. */
BIDE_API bide_code bide_stream_show(
    bide_producer *producer, const char *id, bide_stream_visit *visit, void *user, bide_error *error);
BIDE_API bide_code bide_stream_list(
    bide_producer *producer, bide_stream_visit *visit, void *user, bide_error *error);
/* Members that have not begun to run are acknowledged without a run, within about a second; those that a
 * worker has in hand may still run. */
BIDE_API bide_code bide_stream_cancel(bide_producer *producer, const char *id, bide_error *error);

#ifdef __cplusplus
}
#endif

#endif
