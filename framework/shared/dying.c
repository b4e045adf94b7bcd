#include "shared/dying.h"

#include <stdio.h>

#include "base/hash.h"

/* Never 0, which marks a free cell. */
static uint32_t hash(const char *key)
{
    uint32_t value = bide_hash_text(key);
    return value ? value : 1;
}

/* Changes one cell from one value to another; false where there is none with the first. */
static bool change(struct bide_dying *dying, uint32_t from, uint32_t to)
{
    for (int i = 0; i < BIDE_DYING_MAX; i++) {
        uint32_t found = from;
        if (atomic_compare_exchange_strong(&dying->hashes[i], &found, to))
            return true;
    }
    return false;
}

void bide_dying_add(struct bide_dying *dying, const char *key)
{
    /* Counted first: the process may end anywhere in here, and a count too many only costs a look. */
    atomic_fetch_add(&dying->n, 1);
    if (!change(dying, 0, hash(key)))
        atomic_fetch_sub(&dying->n, 1);
}

void bide_dying_remove(struct bide_dying *dying, const char *key)
{
    if (change(dying, hash(key), 0))
        atomic_fetch_sub(&dying->n, 1);
}

bool bide_dying_has(const struct bide_dying *dying, const char *key)
{
    if (atomic_load_explicit(&dying->n, memory_order_acquire) == 0)
        return false;
    uint32_t wanted = hash(key);
    for (int i = 0; i < BIDE_DYING_MAX; i++)
        if (atomic_load(&dying->hashes[i]) == wanted)
            return true;
    return false;
}

/* Ids have no control characters. */
const char *bide_crash_key(const struct bide_message *message, char to[BIDE_CRASH_KEY])
{
    if (!bide_queue_topic(message->queue))
        return message->id;
    snprintf(to, BIDE_CRASH_KEY, "%s\n%s", message->id, message->queue);
    return to;
}
