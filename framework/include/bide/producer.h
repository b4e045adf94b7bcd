/* bide/producer.h: send messages from any C program.
 *
 *     bide_producer *producer;
 *     bide_message *message;
 *     bide_error error;
 *     if (bide_producer_open("sqlite:bide.db", NULL, &producer, &error) != BIDE_OK)
 *         errx(1, "%s", error.text);
 *     if (bide_message_create("receipt", &message, &error) != BIDE_OK ||
 *         bide_message_set_body(message, "{\"order\":42}", 12, &error) != BIDE_OK ||
 *         bide_message_set_delay_ms(message, 90 * 1000, &error) != BIDE_OK ||
 *         bide_producer_send(producer, message, &error) != BIDE_OK)
 *         errx(1, "%s", error.text);
 *     puts(bide_message_id(message));
 *     bide_message_destroy(message);
 *     bide_producer_close(producer);
 *
 * Sending returns when the broker has taken responsibility (commit, confirm, reply). On a failure the broker
 * may still have taken a message whose confirmation was lost: send it again under the same id.
 *
 * Thread-safety: a producer may be used by several threads; each call then waits for its turn. Sending many
 * at once is much faster than one at a time. A connection lost meanwhile is made again by the next call. */
#ifndef BIDE_PRODUCER_H
#define BIDE_PRODUCER_H

#include <bide/message.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_producer bide_producer;

typedef struct bide_producer_options {
    const char *name_space;    /* NULL: "bide" */
    const char *default_queue; /* for messages without one; NULL: "default" */
    const char *queue_type; /* RabbitMQ: as queue_type=… in the URL, which it must not contradict; or NULL */
    const char *base_dir;   /* relative paths in the URL start here; NULL: the working directory */
    size_t max_body;        /* bytes; larger bodies are refused; 0: 1 MiB */
    int64_t timeout_ms;     /* for one call, reconnecting included; 0: 10 s */
    /* To be declared where missing: RabbitMQ parks messages for others as unrouted. */
    const char *const *queues;
    size_t n_queues;
} bide_producer_options;

/* What is stored on this host instead of being sent. */
typedef enum bide_spool_mode {
    BIDE_SPOOL_FALLBACK, /* what the broker does not take, because it is away, and what follows */
    BIDE_SPOOL_ALWAYS,   /* everything */
} bide_spool_mode;

/* A file of this host from which a relay carries messages to the broker (docs/spool.md). */
typedef struct bide_spool {
    const char *url; /* sqlite:FILE; of this broker and namespace alone */
    bide_spool_mode mode;
    int64_t max_bytes; /* a message that would exceed them is not stored; 0: 1 GiB */
} bide_spool;

/* What became of one message of a batch. */
typedef enum bide_sent {
    BIDE_SENT_UNKNOWN,   /* not confirmed: the broker may or may not have it */
    BIDE_SENT_OK,        /* confirmed, by the broker or by the spool */
    BIDE_SENT_REFUSED,   /* refused for good (too large, bad name); the broker does not have it */
    BIDE_SENT_DUPLICATE, /* not sent: another message has its unique key (bide_message_duplicate_of) */
} bide_sent;

/* options: NULL for all defaults; copied. */
BIDE_API bide_code bide_producer_open(const char *url, const bide_producer_options *options,
    bide_producer **ret_producer, bide_error *error) BIDE_MUST_USE;
/* The same, with the URL of a store for messages with a unique key; NULL: the broker itself, where it is
 * SQLite or Redis. It must be the store of the workers. */
BIDE_API bide_code bide_producer_open_with_store(const char *url, const char *store_url,
    const bide_producer_options *options, bide_producer **ret_producer, bide_error *error) BIDE_MUST_USE;
/* The same, with a spool (NULL: none): while the broker is away, a message is confirmed once it is safe in
 * the spool. Opens although the broker is away. */
BIDE_API bide_code bide_producer_open_with_spool(const char *url, const char *store_url,
    const bide_producer_options *options, const bide_spool *spool, bide_producer **ret_producer,
    bide_error *error) BIDE_MUST_USE;
BIDE_API void bide_producer_close(bide_producer *producer); /* NULL is fine */

/* Sends one, or n. The messages stay the caller's; id, queue, due and sent are filled in where unset.
 * results: NULL, or n entries that say what became of each. BIDE_OK only if all were confirmed, or
 * are duplicates. A failure of the broker comes before a refusal (BIDE_E_DATA: all that was not refused was
 * confirmed), of several refusals the first one is told. */
BIDE_API bide_code bide_producer_send(bide_producer *producer, bide_message *message, bide_error *error);
BIDE_API bide_code bide_producer_send_many(
    bide_producer *producer, bide_message *const *messages, size_t n, bide_sent *results, bide_error *error);

#ifdef __cplusplus
}
#endif

#endif
