#include "broker/export.h"

enum { ENOUGH_BYTES = 8 * 1024 * 1024 };

void bide_export_batch_clear(struct bide_export_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        bide_message_destroy(batch->items[i].message);
    batch->n = batch->bytes = 0;
}

bool bide_export_batch_is_full(const struct bide_export_batch *batch)
{
    return batch->n == BIDE_EXPORT_BATCH || batch->bytes >= ENOUGH_BYTES;
}

void bide_export_batch_add(
    struct bide_export_batch *batch, struct bide_message *message, const char *defect, int64_t now_ms)
{
    batch->bytes += message->body_size;
    batch->items[batch->n++] = (struct bide_export){.message = message};
    if (!defect)
        return;
    struct bide_export *last = &batch->items[batch->n - 1];
    last->dead = true;
    last->reason = BIDE_REASON_MALFORMED;
    last->died_ms = now_ms;
    message->error = defect;
    message->attempt--; /* it has not been run */
}

void bide_export_batch_add_dead(
    struct bide_export_batch *batch, struct bide_message *message, enum bide_reason reason, int64_t died_ms)
{
    batch->bytes += message->body_size;
    batch->items[batch->n++] =
        (struct bide_export){.message = message, .dead = true, .reason = reason, .died_ms = died_ms};
}
