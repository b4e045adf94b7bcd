/* broker/report.h: what an admin found, as JSON: one rendering for the command line and the console.
 *
 * Members are appended to an object under way. Thread-safety: as the buffer. */
#ifndef BIDE_BROKER_REPORT_H
#define BIDE_BROKER_REPORT_H

#include "base/buffer.h"
#include "broker/broker.h"

/* queues, delayed_total, unrouted, rungs, workers, broker, namespace: `bide status --json`. */
void bide_report_stats(struct bide_buffer *to, const struct bide_broker_stats *stats, const char *broker_url,
    const char *name_space);

/* The keys that scripts read: id type queue reason error attempts died_ms sent_ms. */
void bide_report_dead(struct bide_buffer *to, const struct bide_dead_letter *letter);
/* The same and the whole message: `bide dead show ID --json`. */
void bide_report_dead_whole(struct bide_buffer *to, const struct bide_dead_letter *letter);
/* A message wherever it is: id type queue state attempt due_ms sent_ms body_bytes error; running: worker
 * since_ms; dead: reason died_ms. */
void bide_report_found(struct bide_buffer *to, const bide_found *found);
/* The same and the whole message: `bide show ID --json`. */
void bide_report_found_whole(struct bide_buffer *to, const bide_found *found);

#endif
