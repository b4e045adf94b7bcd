/* Drops the dead letters that the retention no longer allows. It begins at the head of each queue of dead
 * letters, where the oldest is, and ends at the first letter that may stay. So each round takes at least one
 * letter of each queue for a moment and returns it. */
#include "broker/rabbitmq/admin/letters.h"

enum { BATCH = 64 };

struct trim {
    struct bide_rmq_admin *admin;
    const struct bide_dead_bounds *bounds;
    bide_progress *progress;
    void *user;
    uint64_t n;
    bool is_interrupted;
};

/* An unrouted message has not died: its age counts from when it was due or sent, the later of the two. */
static int64_t died_ms(const struct bide_rmq_letter *letter)
{
    bool is_unrouted = letter->reason == BIDE_REASON_UNROUTED;
    return is_unrouted && letter->message->due_ms > letter->died_ms ? letter->message->due_ms
                                                                    : letter->died_ms;
}

/* Letters that another client has taken do not count among those behind. So even if several processes trim at
 * the same time, max_count letters stay. What lies in the queue of the unrouted is not dropped because of
 * max_count: that queue mixes messages of all queues, most of which never ran. A letter without a time of
 * death (another program has put it there) has no age. */
static bool may_stay(const struct trim *trim, const struct bide_rmq_letter *letter)
{
    const struct bide_dead_bounds *bounds = trim->bounds;
    bool is_surplus = bounds->max_count > 0 &&
                      trim->admin->sources.items[letter->source].kind == BIDE_RMQ_DEAD &&
                      letter->n_behind >= (uint64_t)bounds->max_count;
    int64_t died = died_ms(letter);
    return (died == 0 || died >= bounds->died_before_ms) && !is_surplus;
}

/* *ret_more: all letters of the pile were dropped, so there may be more. */
static bide_code drop_old(
    struct trim *trim, const struct bide_rmq_pile *pile, bool *ret_more, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t i = 0;
    for (; i < pile->n && code == BIDE_OK && !may_stay(trim, pile->letters[i]); i++) {
        code = bide_rmq_letter_acknowledge(trim->admin, pile->letters[i], error);
        trim->n += code == BIDE_OK;
    }
    *ret_more = pile->n > 0 && i == pile->n;
    return code;
}

static bide_code trim_source(struct trim *trim, size_t source, bide_error *error)
{
    static const struct bide_dead_filter all = {.without_bodies = true};
    int64_t depth = 0;
    size_t most = 1;
    bide_code code =
        bide_rmq_admin_depth(trim->admin, trim->admin->sources.items[source].queue, &depth, error);
    bool more = depth > 0;
    while (code == BIDE_OK && more && !trim->is_interrupted) {
        struct bide_rmq_pile pile = {0};
        size_t n;
        code = bide_rmq_letters_get(trim->admin, source, most, &all, &pile, &n, error);
        if (code == BIDE_OK)
            code = drop_old(trim, &pile, &more, error);
        bide_rmq_pile_clear(&pile);
        most = BATCH;
        trim->is_interrupted = trim->progress && !trim->progress(trim->user, trim->n, trim->n);
    }
    return code == BIDE_OK ? bide_rmq_letters_return(trim->admin, source, error) : code;
}

bide_code bide_rmq_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct trim trim = {.admin = admin, .bounds = bounds, .progress = progress, .user = user};
    bide_code code = bide_rmq_admin_ready(admin, error);
    for (size_t i = 0; i < admin->sources.n_dead && code == BIDE_OK && !trim.is_interrupted; i++)
        code = trim_source(&trim, i, error);
    bide_rmq_letters_give_back(admin);
    *ret_n = trim.n;
    return code;
}
