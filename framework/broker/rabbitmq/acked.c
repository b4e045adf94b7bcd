#include "broker/rabbitmq/acked.h"

#include <string.h>

enum { BODY_MAX = 4096 }; /* bytes of a body that are looked at, so that large ones cost little */

static uint64_t mix(uint64_t value, uint64_t word)
{
    value = (value ^ word) * 0x9E3779B97F4A7C15u;
    return value ^ value >> 29;
}

static uint64_t mix_bytes(uint64_t value, const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t word = 0;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        value = mix(value, word);
    }
    word = 0;
    memcpy(&word, at, size);
    return mix(value, word);
}

/* 0: it cannot be told apart from others. */
static uint64_t mark_of(const struct bide_rmq_delivery *delivery)
{
    const struct bide_message *message = delivery->base.message;
    if (!*message->id || message->sent_ms <= 0)
        return 0;
    uint64_t value = mix(bide_rmq_delivery_channel(delivery), (uint64_t)message->sent_ms);
    value = mix(value, (uint64_t)message->attempt << 32 ^ message->body_size);
    value = mix_bytes(value, message->id, strlen(message->id));
    return mix_bytes(value, message->body, message->body_size < BODY_MAX ? message->body_size : BODY_MAX);
}

void bide_rmq_acked_note(struct bide_rmq_acked *acked, const struct bide_rmq_delivery *delivery)
{
    acked->entries[acked->next++ % BIDE_RMQ_ACKED] =
        (struct bide_rmq_acked_entry){mark_of(delivery), delivery->generation};
}

bool bide_rmq_acked_find(struct bide_rmq_acked *acked, const struct bide_rmq_delivery *delivery)
{
    uint64_t mark = mark_of(delivery);
    for (size_t i = 0; mark && i < BIDE_RMQ_ACKED; i++) {
        struct bide_rmq_acked_entry *entry = &acked->entries[i];
        if (entry->mark != mark || entry->generation == delivery->generation)
            continue;
        entry->mark = 0;
        return true;
    }
    return false;
}
