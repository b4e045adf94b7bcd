/* broker/rabbitmq/admin/letters.h: dead letters, taken without acknowledging them: they are the broker's
 * until one is acknowledged, and go back where they were when the channel gives them up.
 *
 * What is not dead is taken the same way by an export. One thread at a time.
 */
#ifndef BIDE_BROKER_RABBITMQ_ADMIN_LETTERS_H
#define BIDE_BROKER_RABBITMQ_ADMIN_LETTERS_H

#include "broker/rabbitmq/admin/admin.h"

struct bide_rmq_letter {
    struct bide_message *message; /* owned */
    struct bide_slice raw;        /* properties as they came; behind this struct */
    uint64_t tag;
    uint64_t n_behind; /* how many were left in the queue, without those that somebody has taken */
    size_t source;
    bool is_dead;
    bool is_cut; /* it has only the beginning of its body: nothing to be run, or carried elsewhere */
    enum bide_reason reason;
    int64_t died_ms;
};

struct bide_rmq_pile {
    struct bide_rmq_letter **letters; /* owned */
    size_t n, room;
    size_t bytes; /* of bodies */
};

/* Takes up to `most` letters, or until their bodies are enough at once (8 MiB), and keeps those that match;
 * with a limit, the newest so many of the pile. ret_n: how many were taken; 0: there are no more. */
bide_code bide_rmq_letters_take(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error);
/* Acknowledges one: it is gone. */
bide_code bide_rmq_letter_acknowledge(
    struct bide_rmq_admin *admin, const struct bide_rmq_letter *letter, bide_error *error);
/* Acknowledges all that were taken from a source. */
bide_code bide_rmq_letters_acknowledge_all(struct bide_rmq_admin *admin, size_t source, bide_error *error);
/* What was taken from one source and not acknowledged goes back; its channel stays open. */
bide_code bide_rmq_letters_return(struct bide_rmq_admin *admin, size_t source, bide_error *error);
/* All that is not acknowledged goes back; the channels close. Also after a failure. */
void bide_rmq_letters_give_back(struct bide_rmq_admin *admin);

/* Those without their whole body stay where they are. Says how many. */
size_t bide_rmq_pile_leave_out_cut(struct bide_rmq_pile *pile);
/* Oldest first, or newest first. */
void bide_rmq_pile_sort(struct bide_rmq_pile *pile, bool oldest_first);
void bide_rmq_pile_clear(struct bide_rmq_pile *pile);

#endif
