#include "cli/top/top.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

enum { MIN_NAME = 8 };

static void add_line(struct bide_page *page, const char *style, const char *text)
{
    bide_page_add(page, style, text);
    bide_page_end_line(page);
}

/* ---- tables ---- */

struct column {
    const char *title, *key;
    int width;
    size_t from; /* shown in windows that are so wide */
    char *(*figure)(double value, char to[BIDE_FIGURE_TEXT]);
};

struct table {
    const char *name, *name_key, *state, *state_key; /* titles and keys of the first and the last column */
    const struct column *columns;                    /* ended by a title of NULL */
};

static const struct column queue_columns[] = {
    {"READY", "ready", 7, 0, bide_figure_count},
    {"DELAYED", "delayed", 7, 0, bide_figure_count},
    {"RUNNING", "in_flight", 7, 0, bide_figure_count},
    {"DEAD", "dead", 7, 0, bide_figure_count},
    {"OLDEST", "oldest_ready_ms", 6, 70, bide_figure_ms},
    {0},
};

static const struct column handler_columns[] = {
    {"DONE/S", "done_per_s", 6, 0, bide_figure_rate},
    {"FAIL/S", "failed_per_s", 6, 0, bide_figure_rate},
    {"RUN", "running", 4, 0, bide_figure_count},
    {"P50", "p50_ms", 6, 0, bide_figure_ms},
    {"P99", "p99_ms", 6, 0, bide_figure_ms},
    {"LATE99", "lateness_p99_ms", 6, 70, bide_figure_ms},
    {"DONE", "done", 6, 110, bide_figure_count},
    {"RETRIED", "retried", 7, 110, bide_figure_count},
    {"DEAD", "dead", 6, 110, bide_figure_count},
    {0},
};

static const struct column program_columns[] = {
    {"PROCESSES", "processes", 9, 0, bide_figure_count},
    {"RUNS/S", "runs_per_s", 6, 0, bide_figure_rate},
    {"RUNS", "runs", 6, 0, bide_figure_count},
    {"RESTARTS", "restarts", 8, 0, bide_figure_count},
    {"MEMORY", "memory", 6, 0, bide_figure_count},
    {0},
};

static const struct column worker_columns[] = {
    {"UP", "uptime_s", 6, 0, bide_figure_s},
    {"PROCESSES", "processes", 9, 0, bide_figure_count},
    {"THREADS", "threads", 7, 0, bide_figure_count},
    {"BUSY", "busy", 5, 0, bide_figure_count},
    {"IN FLIGHT", "in_flight", 9, 0, bide_figure_count},
    {"LANDING", "landing", 7, 70, bide_figure_count},
    {0},
};

enum { QUEUES, HANDLERS, PROGRAMS, WORKERS, TABLES };

static const struct table tables[TABLES] = {
    [QUEUES] = {"QUEUE", "name", "", NULL, queue_columns},
    [HANDLERS] = {"HANDLER", "type", "CIRCUIT", "circuit", handler_columns},
    [PROGRAMS] = {"PROGRAM", "name", "", NULL, program_columns},
    [WORKERS] = {"WORKER", "name", "STATE", "state", worker_columns},
};

enum { STATE_TEXT = 40 };

static bool is_zero(const json_t *number)
{
    return json_is_integer(number) && json_integer_value(number) == 0;
}

static char *state_of(const struct table *table, const json_t *row, char to[STATE_TEXT])
{
    const char *state = table->state_key ? bide_top_text(row, table->state_key) : "";
    bool paused = json_is_true(json_object_get(row, "paused"));
    bool unserved = !table->state_key && is_zero(json_object_get(row, "workers")) &&
                    json_integer_value(json_object_get(row, "ready")) > 0;
    const char *more = paused ? "paused" : unserved ? "no worker takes from it" : "";
    snprintf(to, STATE_TEXT, "%s%s%s", state, *state && *more ? ", " : "", more);
    return to;
}

static const char *style_of(const char *state)
{
    if (strncmp(state, "open", 4) == 0 || strcmp(state, "not connected") == 0)
        return BIDE_RED;
    return strcmp(state, "closed") == 0 || strcmp(state, "serving") == 0 ? NULL : BIDE_YELLOW;
}

static bool is_shown(const struct bide_page *page, const struct column *column)
{
    return page->columns >= column->from;
}

/* Of the first column: what the others leave, and no more than it needs. */
static size_t name_width(const struct bide_page *page, const struct table *table, const json_t *rows)
{
    size_t longest = strlen(table->name), state = strlen(table->state), others = 0, i;
    char text[STATE_TEXT];
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        size_t name = bide_page_width(bide_top_text(row, table->name_key));
        size_t this_state = strlen(state_of(table, row, text));
        longest = name > longest ? name : longest;
        state = this_state > state ? this_state : state;
    }
    for (const struct column *column = table->columns; column->title; column++)
        others += is_shown(page, column) ? (size_t)column->width + 1 : 0;
    others += state ? state + 2 : 0;
    size_t left = page->columns > others + MIN_NAME ? page->columns - others : MIN_NAME;
    return longest < left ? longest : left;
}

/* A line; `row` NULL: the heading. */
static void add_row(struct bide_page *page, const struct table *table, size_t width, const json_t *row)
{
    char state[STATE_TEXT], figure[BIDE_FIGURE_TEXT];
    struct bide_buffer line;
    bide_buffer_init(&line);
    size_t used = bide_page_fit(&line, row ? bide_top_text(row, table->name_key) : table->name, width);
    bide_buffer_format(&line, "%*s", (int)(width - used), "");
    for (const struct column *column = table->columns; column->title; column++)
        if (is_shown(page, column))
            bide_buffer_format(&line, " %*s", column->width,
                row ? column->figure(bide_top_number(row, column->key), figure) : column->title);
    const char *last = row ? state_of(table, row, state) : table->state;
    bide_buffer_text(&line, *last ? "  " : "");
    bide_page_add(page, row ? NULL : BIDE_BOLD, line.bytes);
    bide_page_add(page, row ? style_of(last) : BIDE_BOLD, last);
    bide_page_end_line(page);
    bide_buffer_release(&line);
}

/* `room`: rows for it, of which the last says how many do not fit. */
static void add_table(struct bide_page *page, const struct table *table, const json_t *rows, size_t room)
{
    char text[40];
    size_t n = json_array_size(rows), width = name_width(page, table, rows);
    if (n == 0)
        return;
    size_t shown = n <= room ? n : room ? room - 1 : 0;
    bide_page_end_line(page);
    add_row(page, table, width, NULL);
    for (size_t i = 0; i < shown; i++)
        add_row(page, table, width, json_array_get(rows, i));
    if (shown < room) {
        snprintf(text, sizeof text, "… %zu more", n - shown);
        add_line(page, NULL, text);
    }
}

/* Gives each table its rows, one at a time in turn, so that none takes another's. */
static void share(const struct bide_page *page, json_t *const rows[TABLES], size_t room[TABLES])
{
    size_t left = page->rows - page->used_rows, heads = 0;
    for (size_t i = 0; i < TABLES; i++)
        heads += json_array_size(rows[i]) ? 2 : 0;
    left = left > heads ? left - heads : 0;
    for (bool given = true; given && left > 0;) {
        given = false;
        for (size_t i = 0; i < TABLES && left > 0; i++)
            if (room[i] < json_array_size(rows[i])) {
                room[i]++;
                left--;
                given = true;
            }
    }
}

/* ---- workers ---- */

static json_int_t sum_of(const json_t *rows, const char *key)
{
    json_int_t sum = 0;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) sum +=
        json_is_true(json_object_get(row, key)) + json_integer_value(json_object_get(row, key));
    return sum;
}

static bool all_drain(const json_t *processes)
{
    size_t i;
    json_t *row;
    json_array_foreach(
        processes, i, row) if (strcmp(bide_top_text(row, "state"), "draining") != 0) return false;
    return json_array_size(processes) > 0;
}

static const char *state_of_worker(const json_t *worker, const json_t *processes)
{
    if (all_drain(processes))
        return "draining";
    if (json_is_true(json_object_get(worker, "quiet")))
        return "quiet";
    return sum_of(processes, "connected") < (json_int_t)json_array_size(processes) ? "not connected"
                                                                                   : "serving";
}

/* A row for the table of each. */
static json_t *worker_rows(const json_t *workers)
{
    json_t *rows = json_array(), *worker;
    size_t i;
    json_array_foreach(workers, i, worker)
    {
        const json_t *processes = json_object_get(worker, "processes");
        char pid[24];
        snprintf(
            pid, sizeof pid, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(worker, "pid")));
        json_array_append_new(
            rows, json_pack("{s:s s:O? s:I s:I s:I s:I s:I s:s}", "name", pid, "uptime_s",
                      json_object_get(worker, "uptime_s"), "processes",
                      (json_int_t)json_array_size(processes), "threads", sum_of(processes, "threads"), "busy",
                      sum_of(processes, "busy"), "in_flight", sum_of(processes, "in_flight"), "landing",
                      sum_of(processes, "landing"), "state", state_of_worker(worker, processes)));
    }
    return rows;
}

/* ---- the whole ---- */

static double rate_of(const json_t *handlers, const char *key)
{
    double sum = -1;
    size_t i;
    json_t *row;
    json_array_foreach(handlers, i, row)
    {
        double rate = bide_top_number(row, key);
        sum = rate < 0 ? sum : sum < 0 ? rate : sum + rate;
    }
    return sum;
}

static void add_head(struct bide_page *page, const json_t *frame)
{
    char time[BIDE_INSTANT_TEXT], done[BIDE_FIGURE_TEXT], failed[BIDE_FIGURE_TEXT], held[BIDE_FIGURE_TEXT];
    const json_t *handlers = json_object_get(frame, "handlers");
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_format_instant(json_integer_value(json_object_get(frame, "time_ms")), time);
    bide_buffer_format(
        &text, "%.19sZ  %s  %s", time, bide_top_text(frame, "namespace"), bide_top_text(frame, "broker"));
    add_line(page, BIDE_BOLD, text.bytes);
    bide_buffer_clear(&text);
    bide_buffer_format(&text, "%s done/s  %s failed/s  %s delayed",
        bide_figure_rate(rate_of(handlers, "done_per_s"), done),
        bide_figure_rate(rate_of(handlers, "failed_per_s"), failed),
        bide_figure_count(bide_top_number(frame, "delayed_total"), held));
    add_line(page, NULL, text.bytes);
    bide_buffer_release(&text);
}

void bide_top_draw(const json_t *frame, struct bide_page *page)
{
    json_t *workers = worker_rows(json_object_get(frame, "workers")), *failure;
    json_t *rows[TABLES] = {json_object_get(frame, "queues"), json_object_get(frame, "handlers"),
        json_object_get(frame, "programs"), workers};
    size_t room[TABLES] = {0}, i;
    add_head(page, frame);
    json_array_foreach(json_object_get(frame, "errors"), i, failure)
        add_line(page, BIDE_RED, json_string_value(failure));
    share(page, rows, room);
    for (i = 0; i < TABLES; i++)
        add_table(page, &tables[i], rows[i], room[i]);
    json_decref(workers);
}
