/* broker/rabbitmq/admin/fetch.h: how letters come in, between the files behind letters.h. One thread at a
 * time. */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_FETCH_H
#define BIDE_BROKER_RABBITMQ_ADMIN_FETCH_H

#include "broker/rabbitmq/admin/letters.h"

enum { BIDE_RMQ_ENOUGH_BYTES = 8 * 1024 * 1024 }; /* of bodies, in the pile and arriving */

enum { BIDE_RMQ_TAG = 24 };

/* One fetch: from one source into a pile, until it has enough. */
struct bide_rmq_fetch {
    struct bide_rmq_admin *admin;
    size_t source;
    amqp_channel_t channel;
    char tag[BIDE_RMQ_TAG]; /* of the consumer; empty: none */
    const struct bide_dead_filter *filter;
    struct bide_rmq_pile *pile;
    size_t most;
    size_t n_asked, n_answered; /* gets */
    size_t n_taken;
    size_t largest;      /* the largest body so far */
    size_t bytes_before; /* bytes in the pile at the beginning */
    bool is_empty;
    /* the letter that is arriving */
    struct bide_rmq_arrival {
        amqp_bytes_t exchange, key;
        uint64_t tag;
        uint64_t n_behind; /* of a get only */
        bool is_unwanted;  /* goes back at once */
        amqp_frame_t head;
        uint64_t body_left;
    } now;
    char topic[BIDE_NAME_MAX]; /* the address of the letter's topic */
    struct bide_buffer body;   /* stays empty for a filter without bodies */
    /* the consumer */
    bool has_begun, is_ending, has_ended; /* the broker's answers, and what was sent */
    bool asks_depth;                      /* the answer is on its way */
};

/* Takes the next frame. A frame that belongs to no letter is a failure. */
bide_code bide_rmq_fetch_frame(struct bide_rmq_fetch *fetch, const amqp_frame_t *frame, bide_error *error);
/* Are there enough bytes in the pile? With a limit never: the pile keeps only the newest letters. */
bool bide_rmq_fetch_is_full(const struct bide_rmq_fetch *fetch);
/* Consumes until `most` letters are there, or the source has no more, or enough bytes have come. */
bide_code bide_rmq_fetch_consume(struct bide_rmq_fetch *fetch, bide_error *error);
/* For a status of rabbitmq-c. */
bide_code bide_rmq_letters_failed(const struct bide_rmq_admin *admin, int status, bide_error *error);

/* Takes over the letter, also when it fails: false: out of memory. With a limit, only the newest ones stay.
 */
bool bide_rmq_pile_add(struct bide_rmq_pile *pile, struct bide_rmq_letter *letter, size_t limit);
void bide_rmq_pile_trim(struct bide_rmq_pile *pile, size_t limit);
void bide_rmq_letter_destroy(struct bide_rmq_letter *letter);

/* The channel on which letters of the source were taken last; 0: none. */
amqp_channel_t bide_rmq_channel_of(const struct bide_rmq_admin *admin, size_t source);

static inline const char *bide_rmq_queue_of_source(const struct bide_rmq_admin *admin, size_t source)
{
    return admin->sources.items[source].queue;
}

#endif
