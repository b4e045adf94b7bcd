/* cli/core/output.h: results as tables and JSON, and progress on a terminal.
 *
 * Text from elsewhere (ids, errors, bodies) never reaches a terminal with its control characters.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_CORE_OUTPUT_H
#define BIDE_CLI_CORE_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "bide/error.h"

/* Call first of all: `stdout` then waits where the other end of a non-blocking pipe is slow, as it does on
 * any other, and a closed standard stream is not taken by the next file that is opened. */
void bide_cli_output_open(void);
/* All that was printed has arrived? What failed before counts, too. */
bide_code bide_cli_output_flush(bide_error *error);
/* Writes to standard output (with a newline), then empties the buffer. */
void bide_cli_print_line(struct bide_buffer *line);
/* A JSON object as a line: begin makes the buffer, end prints and frees it. */
void bide_cli_object_begin(struct bide_buffer *line);
void bide_cli_object_end(struct bide_buffer *line);

/* ---- tables: rows are kept until flushed; widths only grow ---- */

enum { BIDE_CLI_COLUMNS = 10 };

struct bide_cli_table {
    const char *const *columns; /* ended by NULL; '>' in front: to the right */
    size_t n_columns;
    size_t widths[BIDE_CLI_COLUMNS];
    struct bide_buffer cells; /* each followed by a NUL */
    size_t n_cells;
    bool headed;
};

void bide_cli_table_init(struct bide_cli_table *table, const char *const *columns);
void bide_cli_table_text(struct bide_cli_table *table, const char *text);
void bide_cli_table_count(struct bide_cli_table *table, int64_t value); /* negative: "-" */
/* A duration for people: nobody wants the milliseconds of a day. */
int64_t bide_cli_coarse_ms(int64_t ms);
/* Such a duration; "-" where it is not positive. */
void bide_cli_table_age(struct bide_cli_table *table, int64_t ms);
/* Prints the heading (once) and what was added since. */
void bide_cli_table_flush(struct bide_cli_table *table);
void bide_cli_table_release(struct bide_cli_table *table); /* prints nothing */
/* Flushes where something was added since, and releases. */
void bide_cli_table_end(struct bide_cli_table *table);

/* May escape sequences be used on standard output (1) or error (2)? A terminal, and no NO_COLOR. */
bool bide_cli_colour(int fd);

/* ---- progress on standard error, if that is a terminal ---- */

struct bide_cli_progress {
    const char *verb; /* "sent" */
    bool on, shown;
    int64_t started_us, next_us;
    const struct bide_clock *clock;
};

void bide_cli_progress_init(struct bide_cli_progress *progress, const char *verb);
void bide_cli_progress_show(
    struct bide_cli_progress *progress, uint64_t done, uint64_t total); /* total 0: unknown */
void bide_cli_progress_end(struct bide_cli_progress *progress);         /* wipes the line */
/* As bide_progress (broker/broker.h): user is a bide_cli_progress. */
bool bide_cli_progress_visit(void *user, uint64_t done, uint64_t total);

#endif
