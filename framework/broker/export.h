/* broker/export.h: the batch of an export, for adapters. A zeroed one is empty. One thread at a time. */
#ifndef BIDE_BROKER_EXPORT_H
#define BIDE_BROKER_EXPORT_H

#include "broker/broker.h"

struct bide_export_batch {
    struct bide_export items[BIDE_EXPORT_BATCH]; /* their messages are the batch's */
    size_t n;
    size_t bytes; /* of bodies */
};

/* Frees the messages; the batch is empty. */
void bide_export_batch_clear(struct bide_export_batch *batch);
/* No more should be added: as many as there may be, or enough bytes for one batch. */
bool bide_export_batch_is_full(const struct bide_export_batch *batch);
/* Takes over a message that waits to be run; the batch must not be full by count. With a defect (static text)
 * it becomes the dead letter that a worker would make of it at now_ms. */
void bide_export_batch_add(
    struct bide_export_batch *batch, struct bide_message *message, const char *defect, int64_t now_ms);
/* Takes over a dead letter. */
void bide_export_batch_add_dead(
    struct bide_export_batch *batch, struct bide_message *message, enum bide_reason reason, int64_t died_ms);

#endif
