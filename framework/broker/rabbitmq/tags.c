#include "broker/rabbitmq/tags.h"

#include "base/alloc.h"
#include "base/bug.h"

enum { OUT, DONE, GONE };
enum { FIRST_ROOM = 64 };

void bide_rmq_tags_init(struct bide_rmq_tags *tags)
{
    *tags = (struct bide_rmq_tags){.low = 1, .next = 1};
}

void bide_rmq_tags_release(struct bide_rmq_tags *tags)
{
    bide_free(tags->states);
    bide_free(tags->done);
    bide_rmq_tags_init(tags);
}

static uint8_t *state_of(const struct bide_rmq_tags *tags, uint64_t tag)
{
    return &tags->states[tag & (tags->room - 1)];
}

static uint64_t *done_at(const struct bide_rmq_tags *tags, uint64_t number)
{
    return &tags->done[number & (tags->room - 1)];
}

/* `done` needs no more room than `states`: at most next - low tags can be done. */
static bool grow(struct bide_rmq_tags *tags)
{
    struct bide_rmq_tags larger = *tags;
    larger.room = tags->room ? 2 * tags->room : FIRST_ROOM;
    larger.states = bide_calloc(larger.room, sizeof *larger.states);
    larger.done = bide_calloc(larger.room, sizeof *larger.done);
    if (!larger.states || !larger.done) {
        bide_free(larger.states);
        bide_free(larger.done);
        return false;
    }
    for (uint64_t tag = tags->low; tag < tags->next; tag++)
        *state_of(&larger, tag) = *state_of(tags, tag);
    for (uint64_t i = tags->done_first; i < tags->done_next; i++)
        *done_at(&larger, i) = *done_at(tags, i);
    bide_free(tags->states);
    bide_free(tags->done);
    *tags = larger;
    return true;
}

bool bide_rmq_tags_add(struct bide_rmq_tags *tags, uint64_t tag)
{
    if (tag - tags->low >= tags->room && !grow(tags))
        return false;
    *state_of(tags, tag) = OUT;
    tags->next = tag + 1;
    tags->n_out++;
    return true;
}

void bide_rmq_tags_done(struct bide_rmq_tags *tags, uint64_t tag)
{
    BIDE_BUG(*state_of(tags, tag) != OUT || tags->n_out == 0);
    *state_of(tags, tag) = DONE;
    *done_at(tags, tags->done_next++) = tag;
    tags->n_out--;
    tags->n_done++;
}

void bide_rmq_tags_gone(struct bide_rmq_tags *tags, uint64_t tag)
{
    BIDE_BUG(*state_of(tags, tag) != OUT || tags->n_out == 0);
    *state_of(tags, tag) = GONE;
    tags->n_out--;
}

/* The newest DONE tag below the oldest that is out; moves `low` up to that one. 0: none. */
static uint64_t take_run(struct bide_rmq_tags *tags, size_t *ret_n)
{
    uint64_t last = 0;
    size_t n = 0;
    for (; tags->low < tags->next && *state_of(tags, tags->low) != OUT; tags->low++)
        if (*state_of(tags, tags->low) == DONE) {
            last = tags->low;
            n++;
        }
    *ret_n = n;
    return last;
}

/* The oldest done tag that no run has taken. It looks at each tag once, however many are still out. */
static uint64_t take_single(struct bide_rmq_tags *tags)
{
    uint64_t tag;
    do
        tag = *done_at(tags, tags->done_first++);
    while (tag < tags->low);
    *state_of(tags, tag) = GONE;
    return tag;
}

bool bide_rmq_tags_take(struct bide_rmq_tags *tags, uint64_t *ret_tag, bool *ret_multiple)
{
    size_t n;
    if (tags->n_done == 0)
        return false;
    *ret_tag = take_run(tags, &n);
    *ret_multiple = n > 1;
    if (n == 0) {
        *ret_tag = take_single(tags);
        n = 1;
    }
    tags->n_done -= n;
    if (tags->n_done == 0)
        tags->done_first = tags->done_next;
    return true;
}
