/* A pile of letters. */
#include <stdlib.h>

#include "base/alloc.h"
#include "broker/rabbitmq/admin/fetch.h"

void bide_rmq_letter_destroy(struct bide_rmq_letter *letter)
{
    bide_message_destroy(letter->message);
    bide_free(letter);
}

void bide_rmq_pile_clear(struct bide_rmq_pile *pile)
{
    for (size_t i = 0; i < pile->n; i++)
        bide_rmq_letter_destroy(pile->letters[i]);
    bide_free(pile->letters);
    *pile = (struct bide_rmq_pile){0};
}

static int newer(const void *a, const void *b)
{
    const struct bide_rmq_letter *x = *(struct bide_rmq_letter *const *)a;
    const struct bide_rmq_letter *y = *(struct bide_rmq_letter *const *)b;
    if (x->died_ms != y->died_ms)
        return x->died_ms < y->died_ms ? 1 : -1;
    return x->tag < y->tag ? 1 : x->tag > y->tag ? -1 : 0;
}

static int older(const void *a, const void *b)
{
    return newer(b, a);
}

void bide_rmq_pile_sort(struct bide_rmq_pile *pile, bool oldest_first)
{
    if (pile->n)
        qsort(pile->letters, pile->n, sizeof *pile->letters, oldest_first ? older : newer);
}

/* Keeps the newest letters. Called when the pile holds twice the limit, or large letters, so that each letter
 * is sorted only a few times. */
void bide_rmq_pile_trim(struct bide_rmq_pile *pile, size_t limit)
{
    bide_rmq_pile_sort(pile, false);
    while (pile->n > limit)
        bide_rmq_letter_destroy(pile->letters[--pile->n]);
    pile->bytes = 0;
    for (size_t i = 0; i < pile->n; i++)
        pile->bytes += pile->letters[i]->message->body_size;
}

size_t bide_rmq_pile_leave_out_cut(struct bide_rmq_pile *pile)
{
    size_t n = 0, before = pile->n;
    for (size_t i = 0; i < before; i++)
        if (pile->letters[i]->is_cut)
            bide_rmq_letter_destroy(pile->letters[i]);
        else
            pile->letters[n++] = pile->letters[i];
    pile->n = n;
    return before - n;
}

static bool is_crowded(const struct bide_rmq_pile *pile, size_t limit)
{
    return limit && (pile->n >= 2 * limit || (pile->n > limit && pile->bytes > BIDE_RMQ_ENOUGH_BYTES));
}

static bool add(struct bide_rmq_pile *pile, struct bide_rmq_letter *letter)
{
    if (pile->n == pile->room) {
        size_t room = pile->room ? 2 * pile->room : 64;
        struct bide_rmq_letter **letters = bide_realloc(pile->letters, room * sizeof *letters);
        if (!letters)
            return false;
        pile->letters = letters;
        pile->room = room;
    }
    pile->letters[pile->n++] = letter;
    pile->bytes += letter->message->body_size;
    return true;
}

bool bide_rmq_pile_add(struct bide_rmq_pile *pile, struct bide_rmq_letter *letter, size_t limit)
{
    if (!add(pile, letter)) {
        bide_rmq_letter_destroy(letter);
        return false;
    }
    if (is_crowded(pile, limit))
        bide_rmq_pile_trim(pile, limit);
    return true;
}
