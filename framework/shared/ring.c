#include "shared/ring.h"

#include <string.h>

const char *bide_outcome_kind_name(enum bide_outcome_kind kind)
{
    static const char *const names[BIDE_COUNTS] = {
        "done", "retried", "dead", "expired", "duplicate", "superseded", "cancelled", "released"};
    return names[kind];
}

void bide_ring_write(struct bide_ring *ring, const struct bide_event *event)
{
    uint64_t n = atomic_load_explicit(&ring->written, memory_order_relaxed);
    struct bide_ring_row *row = &ring->rows[n % BIDE_RING_EVENTS];
    atomic_store_explicit(&row->version, 2 * n + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* whoever sees part of the event sees the odd version */
    row->event = *event;
    atomic_store_explicit(&row->version, 2 * n + 2, memory_order_release);
    atomic_store_explicit(&ring->written, n + 1, memory_order_release);
}

uint64_t bide_ring_end(const struct bide_ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_acquire);
}

bool bide_ring_read(
    const struct bide_ring *ring, uint64_t *position, struct bide_event *ret_event, uint64_t *ret_missed)
{
    uint64_t end = bide_ring_end(ring);
    if (end - *position > BIDE_RING_EVENTS) {
        *ret_missed += end - *position - BIDE_RING_EVENTS;
        *position = end - BIDE_RING_EVENTS;
    }
    while (*position < end) {
        uint64_t n = (*position)++;
        const struct bide_ring_row *row = &ring->rows[n % BIDE_RING_EVENTS];
        if (atomic_load_explicit(&row->version, memory_order_acquire) == 2 * n + 2) {
            *ret_event = row->event;
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&row->version, memory_order_relaxed) == 2 * n + 2)
                return true;
        }
        ++*ret_missed; /* overwritten in the meantime */
    }
    return false;
}

void bide_event_text(char *to, size_t size, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    if (length > 0)
        memcpy(to, text, length);
    to[length] = '\0';
}
