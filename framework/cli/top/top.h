/* cli/top/top.h: what `bide top` consists of, between the files of this folder. One thread at a time; figures
 * are for any thread. */
#ifndef BIDE_CLI_TOP_TOP_H
#define BIDE_CLI_TOP_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* ---- frame.c ---- */

/* The /status documents of all workers as one: what `bide top --json` prints.
 *
 * {"time_ms", "namespace", "broker", "errors": [TEXT…], "delayed_total", "queues": [{"name", "ready",
 * "delayed", "in_flight", "dead", "paused"}…], "handlers": [{"type", "queue", "paused", "circuit", "running",
 * "done", "retried", "dead", "expired", "done_per_s", "failed_per_s", "p50_ms", "p99_ms",
 * "lateness_p99_ms"}…], "programs": [{"name", "processes", "runs", "restarts", "memory" (bytes),
 * "runs_per_s"}…], "workers": [as "worker" of /status…]}. What is not known is null or missing.
 *
 * Where memory is short, something is missing too. Thread-safety: one thread at a time. */

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

/* ---- page.c ---- */

/* Lines of text that fit a window. Widths are characters; control characters become '?'.
 * Thread-safety: one thread at a time. */

struct bide_page {
    struct bide_buffer *to; /* lines, each with its newline */
    size_t columns, rows;   /* of the window; what goes beyond is left out */
    bool colour;            /* are styles used? */
    size_t used_columns, used_rows;
};

#define BIDE_PAGE_ENDLESS ((size_t)1 << 20) /* as columns or rows */

/* SGR sequences. */
#define BIDE_BOLD "\033[1m"
#define BIDE_RED "\033[31m"
#define BIDE_YELLOW "\033[33m"

size_t bide_page_width(const char *text);
/* Adds the text, cut to `columns` (its last one then an ellipsis); returns how many it took. */
size_t bide_page_fit(struct bide_buffer *to, const char *text, size_t columns);

void bide_page_add(struct bide_page *page, const char *style, const char *text); /* style NULL: none */
void bide_page_end_line(struct bide_page *page);

/* ---- figures.c ---- */

/* Figures where room is short: at most seven columns, "-" for what is negative: unknown.
 * Each returns `to`. Any thread. */

enum { BIDE_FIGURE_TEXT = 32 };

char *bide_figure_count(double n, char to[BIDE_FIGURE_TEXT]);   /* "99999", "100k", "1.23M" */
char *bide_figure_rate(double rate, char to[BIDE_FIGURE_TEXT]); /* "0", "0.4", "1234" */
char *bide_figure_ms(double ms, char to[BIDE_FIGURE_TEXT]);     /* "0.85ms", "12.3ms", "1.50s", "2h03m" */
char *bide_figure_s(double s, char to[BIDE_FIGURE_TEXT]);       /* "12s", "5m03s", "2h03m", "3d04h" */

/* ---- view.c ---- */

/* A frame onto an empty page: figures for all tables before names in full, and some rows of each table before
 * all of one. */
void bide_top_draw(const json_t *frame, struct bide_page *page);

#endif
