/* console/prometheus.h: what the files that write GET /metrics share. Any thread. */
#ifndef BIDE_CONSOLE_PROMETHEUS_H
#define BIDE_CONSOLE_PROMETHEUS_H

#include "base/buffer.h"
#include "shared/histogram.h"

struct bide_console;

/* ---- prometheus_text.c ---- */

/* What comes before the rows of a metric. */
void bide_prometheus_head(struct bide_buffer *to, const char *name, const char *kind, const char *help);
/* Whole µs as seconds, exactly and in any locale. */
void bide_prometheus_seconds(struct bide_buffer *to, uint64_t us);
/* Writes {name="text" or, behind another label, ,name="text"; the text escaped as the format wants it. */
void bide_prometheus_label(struct bide_buffer *to, const char *name, const char *text);
/* The rows of a histogram. name, text: of its label; text NULL: it has none. */
void bide_prometheus_histogram(struct bide_buffer *to, const char *metric, const char *name, const char *text,
    const struct bide_histogram_sum *sum);

/* ---- prometheus_transactions.c, prometheus_relays.c ---- */

/* The metrics of transactions; nothing where there were none. */
void bide_prometheus_transactions(struct bide_buffer *to, struct bide_console *console);
/* The metrics of relays; nothing where the configuration has none. */
void bide_prometheus_relays(struct bide_buffer *to, const struct bide_console *console);
/* Those of the spool; nothing where there is none, or it cannot be read. */
struct bide_config;
void bide_prometheus_spool(struct bide_buffer *to, const struct bide_config *config);

#endif
