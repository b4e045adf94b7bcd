#include "broker/rabbitmq/delivery.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/bug.h"

/* Says that the headers are too large. The dead letter is stored without them: see bide_rmq_draft_again. */
static const char *find_oversized_head(amqp_bytes_t raw)
{
    return raw.len > BIDE_RMQ_PROPERTIES_MAX ? "its headers take more than 96 KiB; they are left out here"
                                             : NULL;
}

static const char *tell_cut(struct bide_rmq_delivery *delivery)
{
    char text[200];
    int size = snprintf(text, sizeof text,
        "the body has %llu bytes, more than worker.max_in_flight: only the first %zu are kept",
        (unsigned long long)delivery->cut, delivery->base.message->body_size);
    const char *kept = bide_arena_copy(&delivery->base.message->arena, text, (size_t)size);
    return kept ? kept : "the body is larger than worker.max_in_flight: only its beginning is kept";
}

static void find_defect(struct bide_rmq_delivery *delivery, const char *malformed, size_t max_body)
{
    if (malformed) {
        delivery->base.defect = BIDE_REASON_MALFORMED;
        delivery->base.defect_text = malformed;
    } else if (delivery->cut) {
        delivery->base.defect = BIDE_REASON_OVERSIZED;
        delivery->base.defect_text = tell_cut(delivery);
    } else if (max_body && delivery->base.message->body_size > max_body) {
        delivery->base.defect = BIDE_REASON_OVERSIZED;
        delivery->base.defect_text = "body larger than worker.max_body";
    }
}

struct bide_rmq_delivery *bide_rmq_delivery_create(const struct bide_rmq_settings *settings, size_t channel,
    const amqp_frame_t *head, amqp_bytes_t body, uint64_t cut, struct bide_rmq_scratch *scratch)
{
    amqp_bytes_t raw = head->payload.properties.raw;
    struct bide_rmq_delivery *delivery = bide_malloc(sizeof *delivery + raw.len);
    if (!delivery)
        return NULL;
    size_t queue = channel / BIDE_RMQ_PARTS;
    enum bide_rmq_part part = channel % BIDE_RMQ_PARTS;
    *delivery = (struct bide_rmq_delivery){.base.queue = queue, .part = part, .cut = cut};
    memcpy(delivery + 1, raw.bytes, raw.len);
    delivery->raw = (struct bide_slice){(const char *)(delivery + 1), raw.len};
    struct bide_message_parts parts;
    struct bide_rmq_death death;
    const char *malformed = (part == BIDE_RMQ_LATER ? bide_rmq_read_later : bide_rmq_read)(
        head->payload.properties.decoded, settings->clock, scratch, &parts, &death);
    if (!malformed)
        malformed = find_oversized_head(raw);
    const char *name = settings->queues[queue].name;
    parts.queue = (struct bide_slice){name, strlen(name)};
    parts.body = (struct bide_slice){body.bytes, body.len};
    delivery->base.id_is_new = parts.id.bytes == scratch->id;
    delivery->base.message = bide_message_from_parts(&parts);
    if (!delivery->base.message) {
        bide_free(delivery);
        return NULL;
    }
    find_defect(delivery, malformed, settings->max_body);
    return delivery;
}

void bide_rmq_delivery_destroy(struct bide_rmq_delivery *delivery)
{
    if (!delivery)
        return;
    if (delivery->in_flight) {
        BIDE_BUG(*delivery->in_flight < delivery->charge);
        *delivery->in_flight -= delivery->charge;
    }
    bide_message_destroy(delivery->base.message);
    bide_free(delivery);
}
