/* broker/rabbitmq/admin/letters.h: takes dead letters without acknowledging them. They stay the broker's
 * until they are acknowledged, and return to their queue when the channel gives them up.
 *
 * An export takes other messages the same way. One thread at a time. */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_LETTERS_H
#define BIDE_BROKER_RABBITMQ_ADMIN_LETTERS_H

#include "broker/rabbitmq/admin/admin.h"

struct bide_rmq_letter {
    struct bide_message *message; /* owned */
    struct bide_slice raw;        /* the encoded properties as received; memory behind this struct */
    uint64_t tag;
    uint64_t n_behind; /* of letters_get: those left behind it, without those that a client has taken */
    size_t source;
    bool is_dead;
    bool is_cut; /* has only the beginning of its body: may not be run or carried elsewhere */
    enum bide_reason reason;
    int64_t died_ms;
};

struct bide_rmq_pile {
    struct bide_rmq_letter **letters; /* owned */
    size_t n, room;
    size_t bytes; /* of bodies */
};

/* Takes up to `most` letters, or fewer when there are many or their bodies reach 8 MiB, and keeps those that
 * match the filter; with a limit, only the newest letters of the pile. ret_n: how many were taken; 0: there
 * are no more. All acknowledgements before are applied. */
bide_code bide_rmq_letters_take(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error);
/* The same one by one, for few: each tells how many are behind it. */
bide_code bide_rmq_letters_get(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error);
/* Acknowledges a letter: the broker deletes it. */
bide_code bide_rmq_letter_acknowledge(
    struct bide_rmq_admin *admin, const struct bide_rmq_letter *letter, bide_error *error);
/* Acknowledges all that were taken from a source. */
bide_code bide_rmq_letters_acknowledge_all(struct bide_rmq_admin *admin, size_t source, bide_error *error);
/* Gives back the letters of one source that were not acknowledged. The channel stays open. */
bide_code bide_rmq_letters_return(struct bide_rmq_admin *admin, size_t source, bide_error *error);
/* Gives back all letters that were not acknowledged and closes their channels. Also after a failure. */
void bide_rmq_letters_give_back(struct bide_rmq_admin *admin);

/* Removes letters without their whole body from the pile; they stay in the broker. Returns how many. */
size_t bide_rmq_pile_leave_out_cut(struct bide_rmq_pile *pile);
/* Sorts by time of death: oldest first, or newest first. */
void bide_rmq_pile_sort(struct bide_rmq_pile *pile, bool oldest_first);
void bide_rmq_pile_clear(struct bide_rmq_pile *pile);

#endif
