#include "cli/core/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "base/visible.h"

/* ---- standard output ---- */

static int failure; /* errno of the first write that failed; 0: none */

static void note_failure(int reason)
{
    failure = failure ? failure : reason;
}

static bool wait_for_room(void)
{
    struct pollfd fd = {STDOUT_FILENO, POLLOUT, 0};
    return poll(&fd, 1, -1) >= 0 || errno == EINTR;
}

/* All of it, or 0. */
static ssize_t write_all(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    for (size_t done = 0; done < size;) {
        ssize_t written = write(STDOUT_FILENO, bytes + done, size - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR && !(errno == EAGAIN && wait_for_room())) {
            note_failure(errno);
            return 0;
        }
    }
    return (ssize_t)size;
}

/* In the wrong direction, so that using it still fails. */
static void occupy_closed(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            note_failure(errno);
}

void bide_cli_output_open(void)
{
    enum { SIZE = 64 * 1024 };
    occupy_closed();
    FILE *patient = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_all});
    if (!patient)
        return; /* no memory: the one there is will do */
    setvbuf(patient, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, SIZE);
    stdout = patient;
}

bide_code bide_cli_output_flush(bide_error *error)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        note_failure(errno);
    return failure
               ? bide_fail(error, BIDE_E_INTERNAL, "cannot write to standard output: %s", strerror(failure))
               : BIDE_OK;
}

void bide_cli_print_line(struct bide_buffer *line)
{
    bide_buffer_char(line, '\n');
    if (line->failed)
        note_failure(ENOMEM);
    fwrite(line->bytes, 1, line->size, stdout);
    bide_buffer_clear(line);
}

void bide_cli_object_begin(struct bide_buffer *line)
{
    bide_buffer_init(line);
    bide_buffer_char(line, '{');
}

void bide_cli_object_end(struct bide_buffer *line)
{
    bide_buffer_char(line, '}');
    bide_cli_print_line(line);
    bide_buffer_release(line);
}

/* ---- text for a terminal ---- */

bool bide_cli_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0 && isatty(fd);
}

/* ---- tables ---- */

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void bide_cli_table_init(struct bide_cli_table *table, const char *const *columns)
{
    *table = (struct bide_cli_table){.columns = columns};
    bide_buffer_init(&table->cells);
    for (; columns[table->n_columns]; table->n_columns++)
        table->widths[table->n_columns] =
            strlen(columns[table->n_columns]) - (columns[table->n_columns][0] == '>');
}

void bide_cli_table_text(struct bide_cli_table *table, const char *text)
{
    size_t start = table->cells.size, *width = &table->widths[table->n_cells % table->n_columns];
    bide_visible_add(&table->cells, text, strlen(text), false);
    if (table->cells.failed)
        return;
    size_t this_width = width_of(table->cells.bytes + start);
    *width = this_width > *width ? this_width : *width;
    bide_buffer_char(&table->cells, '\0');
    table->n_cells++;
}

void bide_cli_table_count(struct bide_cli_table *table, int64_t value)
{
    char text[24] = "-";
    if (value >= 0)
        snprintf(text, sizeof text, "%" PRId64, value);
    bide_cli_table_text(table, text);
}

int64_t bide_cli_coarse_ms(int64_t ms)
{
    int64_t step_ms = ms < 1000 ? 1 : ms < 60 * 1000 ? 100 : 1000;
    return ms / step_ms * step_ms;
}

void bide_cli_table_age(struct bide_cli_table *table, int64_t ms)
{
    char text[BIDE_DURATION_TEXT];
    bide_cli_table_text(table, ms > 0 ? bide_format_duration(bide_cli_coarse_ms(ms), text) : "-");
}

static void print_cell(const struct bide_cli_table *table, size_t column, const char *text)
{
    int pad = (int)(table->widths[column] - width_of(text));
    bool right = table->columns[column][0] == '>', last = column + 1 == table->n_columns;
    if (right)
        printf("%*s%s", pad, "", text);
    else
        printf("%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", stdout);
}

static void print_heading(const struct bide_cli_table *table)
{
    bool bold = bide_cli_colour(STDOUT_FILENO);
    fputs(bold ? "\033[1m" : "", stdout);
    for (size_t i = 0; i < table->n_columns; i++)
        print_cell(table, i, table->columns[i] + (table->columns[i][0] == '>'));
    fputs(bold ? "\033[0m" : "", stdout);
}

void bide_cli_table_flush(struct bide_cli_table *table)
{
    const char *cell = table->cells.bytes;
    if (!table->headed)
        print_heading(table);
    table->headed = true;
    for (size_t i = 0; i < table->n_cells; i++) {
        print_cell(table, i % table->n_columns, cell);
        cell += strlen(cell) + 1;
    }
    table->n_cells = 0;
    bide_buffer_clear(&table->cells);
}

void bide_cli_table_release(struct bide_cli_table *table)
{
    bide_buffer_release(&table->cells);
}

void bide_cli_table_end(struct bide_cli_table *table)
{
    if (table->n_cells > 0)
        bide_cli_table_flush(table);
    bide_cli_table_release(table);
}

/* ---- progress ---- */

enum { PROGRESS_EVERY_US = 200 * 1000 };

void bide_cli_progress_init(struct bide_cli_progress *progress, const char *verb)
{
    const struct bide_clock *clock = bide_clock_system();
    int64_t now_us = bide_mono_us(clock);
    *progress = (struct bide_cli_progress){
        verb, isatty(STDERR_FILENO) == 1, false, now_us, now_us + PROGRESS_EVERY_US, clock};
}

void bide_cli_progress_show(struct bide_cli_progress *progress, uint64_t done, uint64_t total)
{
    int64_t now_us = progress->on ? bide_mono_us(progress->clock) : 0;
    if (!progress->on || now_us < progress->next_us)
        return;
    progress->next_us = now_us + PROGRESS_EVERY_US;
    progress->shown = true;
    double rate = (double)done * 1e6 / (double)(now_us - progress->started_us);
    char of[32] = "";
    if (total)
        snprintf(of, sizeof of, " of %" PRIu64, total);
    fprintf(stderr, "\r\033[K%s %" PRIu64 "%s, %.0f/s", progress->verb, done, of, rate);
}

void bide_cli_progress_end(struct bide_cli_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

bool bide_cli_progress_visit(void *user, uint64_t done, uint64_t total)
{
    bide_cli_progress_show(user, done, total);
    return true;
}
