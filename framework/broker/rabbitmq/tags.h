/* broker/rabbitmq/tags.h: the delivery tags of one channel, and which acknowledgements to write for them.
 * Pure.
 *
 * Deliveries are settled in any order. All done tags below the oldest one that is still out go into one
 * acknowledgement with `multiple`, which therefore never reaches a tag that is out. One thread at a time. */
#ifndef BIDE_BROKER_RABBITMQ_TAGS_H
#define BIDE_BROKER_RABBITMQ_TAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bide_rmq_tags {
    uint8_t *states; /* a ring, by tag */
    uint64_t *done;  /* a ring: the tags to be acknowledged, in the order in which they were settled; */
                     /* tags below `low` went with a run */
    uint64_t done_first, done_next;
    size_t room;   /* of both rings */
    uint64_t low;  /* the oldest tag not settled in the broker */
    uint64_t next; /* one above the newest tag seen */
    size_t n_out;  /* delivered and not settled */
    size_t n_done; /* settled and not acknowledged */
};

void bide_rmq_tags_init(struct bide_rmq_tags *tags);
void bide_rmq_tags_release(struct bide_rmq_tags *tags);
/* A delivery arrived; tags ascend by one. False where there is no memory. */
bool bide_rmq_tags_add(struct bide_rmq_tags *tags, uint64_t tag);
/* Marks a tag to be acknowledged. */
void bide_rmq_tags_done(struct bide_rmq_tags *tags, uint64_t tag);
/* The tag was settled in another way (returned). */
void bide_rmq_tags_gone(struct bide_rmq_tags *tags, uint64_t tag);
/* The next acknowledgement to write; false: none is left. Call it until then, before another tag is done:
 * each tag costs a fixed number of steps in all, however many stay out meanwhile. */
bool bide_rmq_tags_take(struct bide_rmq_tags *tags, uint64_t *ret_tag, bool *ret_multiple);

#endif
