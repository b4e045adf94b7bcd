/* Which dead letters a filter means: for every adapter, so that all agree. */
#include <string.h>

#include "broker/broker.h"

static bool is_one_of(const struct bide_dead_filter *filter, const char *id)
{
    for (size_t i = 0; i < filter->n_ids; i++)
        if (strcmp(filter->ids[i], id) == 0)
            return true;
    return filter->n_ids == 0;
}

static bool equals(const char *wanted, const char *text)
{
    return !wanted || !*wanted || strcmp(wanted, text) == 0;
}

int64_t bide_dead_due_ms(const struct bide_dead_spread *spread, uint64_t k, int64_t now_ms)
{
    if (spread->over_ms <= 0 || spread->n == 0)
        return now_ms;
    double part = (double)(k % spread->n) / (double)spread->n; /* the product may exceed 64 bits */
    int64_t due_ms = spread->from_ms + (int64_t)((double)spread->over_ms * part);
    return due_ms > now_ms ? due_ms : now_ms;
}

bool bide_dead_mentions(const struct bide_message *message, const char *text)
{
    return strcasestr(message->id, text) || strcasestr(message->type, text) ||
           strcasestr(message->error, text);
}

bool bide_dead_matches(const struct bide_dead_filter *filter, const struct bide_dead_letter *letter)
{
    const struct bide_message *message = letter->message;
    bool in_time = letter->died_ms >= filter->died_from_ms &&
                   (filter->died_before_ms == 0 || letter->died_ms < filter->died_before_ms);
    return in_time && is_one_of(filter, message->id) && equals(filter->type, message->type) &&
           equals(filter->queue, message->queue) &&
           (filter->reason == BIDE_REASON_NONE || filter->reason == letter->reason) &&
           (!filter->search || bide_dead_mentions(message, filter->search));
}
