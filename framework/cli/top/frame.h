/* cli/top/frame.h: the /status documents of all workers as one: what `bide top --json` prints.
 *
 * {"time_ms", "namespace", "broker", "errors": [TEXT…], "delayed_total", "queues": [{"name", "ready",
 * "delayed", "in_flight", "dead", "paused"}…], "handlers": [{"type", "queue", "paused", "circuit", "running",
 * "done", "retried", "dead", "expired", "done_per_s", "failed_per_s", "p50_ms", "p99_ms",
 * "lateness_p99_ms"}…], "programs": [{"name", "processes", "runs", "restarts", "memory" (bytes),
 * "runs_per_s"}…], "workers": [as "worker" of /status…]}. What is not known is null or missing.
 *
 * Where memory is short, something is missing too. Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_TOP_FRAME_H
#define BIDE_CLI_TOP_FRAME_H

#include <jansson.h>
#include <stdint.h>

/* Empty; the caller's to json_decref. NULL: no memory, which all of the below take for an empty one. */
json_t *bide_top_frame(int64_t time_ms);
/* Adds what one worker says. Queues and broker are those of the first whose broker answers, as one
 * configuration has one broker; handlers and programs are summed, quantiles and circuits are those of the
 * worst. Rates are differences to `before`, the frame so many seconds earlier (NULL: unknown yet). */
void bide_top_add(json_t *frame, json_t *status, const json_t *before, double seconds);
void bide_top_add_error(json_t *frame, const char *text);

/* As jansson's, for what may be missing: "", -1. */
const char *bide_top_text(const json_t *object, const char *key);
double bide_top_number(const json_t *object, const char *key);

#endif
