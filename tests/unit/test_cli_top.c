/* cli/top/frame, cli/top/view, cli/top/figures: what workers say as one frame, and as lines that fit a
 * window. */
#include <jansson.h>

#include "base/utf8.h"
#include "cli/top/top.h"
#include "unit/unit.h"

/* ---- figures ---- */

static void test_figures(void **state)
{
    static const struct {
        char *(*figure)(double, char *);
        double value;
        const char *text;
    } cases[] = {
        {bide_figure_count, -1, "-"},
        {bide_figure_count, 99999, "99999"},
        {bide_figure_count, 100000, "100k"},
        {bide_figure_count, 1234567, "1.23M"},
        {bide_figure_count, 999600, "1.00M"},
        {bide_figure_count, 1e30, "1000000000000000P"},
        {bide_figure_rate, -1, "-"},
        {bide_figure_rate, 0, "0"},
        {bide_figure_rate, 0.44, "0.4"},
        {bide_figure_rate, 99.96, "100"},
        {bide_figure_ms, -1, "-"},
        {bide_figure_ms, 0.85, "0.85ms"},
        {bide_figure_ms, 12.34, "12.3ms"},
        {bide_figure_ms, 999.6, "1.00s"},
        {bide_figure_ms, 59960, "1m00s"},
        {bide_figure_ms, 7380000, "2h03m"},
        {bide_figure_s, 59, "59s"},
        {bide_figure_s, 303, "5m03s"},
        {bide_figure_s, 273600, "3d04h"},
    };
    char text[BIDE_FIGURE_TEXT];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(cases[i].figure(cases[i].value, text), cases[i].text);
}

/* ---- frames ---- */

/* What a worker says: one handler, two queues, of which "slow" is paused. */
static json_t *status_of(int pid, int done, int dead, const char *circuit)
{
    json_t *status = json_pack("{s:s s:s s:i s:[{s:s s:i s:n s:i s:i} {s:s s:i s:i s:i s:i s:i}]"
                               " s:{s:i s:i s:i s:b s:[s] s:[{s:i s:b s:i s:i s:i s:i}]"
                               " s:[{s:s s:s s:i s:i s:i s:i s:i s:s s:f s:f s:n}]}}",
        "namespace", "shop", "broker", "sqlite:bide.db", "delayed_total", 7, "queues", "name", "default",
        "ready", 12, "delayed", "in_flight", 3, "dead", 0, "name", "slow", "ready", 4, "delayed", 7,
        "in_flight", 0, "dead", 123456, "oldest_ready_ms", 1500, "worker", "pid", pid, "started_ms", 1000,
        "uptime_s", 303, "quiet", 0, "paused", "slow", "processes", "pid", pid + 1, "connected", 1, "busy", 3,
        "threads", 8, "in_flight", 5, "landing", 0, "handlers", "type", "mail.send", "queue", "default",
        "done", done, "retried", 10, "dead", dead, "expired", 0, "running", 3, "circuit", circuit, "p50_ms",
        1.5, "p99_ms", 20.0, "lateness_p99_ms");
    assert_non_null(status);
    return status;
}

static json_t *with_program(json_t *status, int runs)
{
    json_object_set_new(json_object_get(status, "worker"), "programs",
        json_pack("[{s:s s:i s:i s:i s:i}]", "name", "tasks", "processes", 2, "runs", runs, "restarts", 1,
            "memory", 12345678));
    return status;
}

static void add(json_t *frame, json_t *status, const json_t *before)
{
    bide_top_add(frame, status, before, 2);
    json_decref(status);
}

/* Two workers, then the same two seconds later. */
static json_t *two_workers(void)
{
    json_t *before = bide_top_frame(0), *frame = bide_top_frame(1795278555725);
    add(before, status_of(100, 50, 0, "closed"), NULL);
    add(before, status_of(200, 70, 0, "closed"), NULL);
    add(frame, status_of(100, 150, 1, "half-open"), before);
    add(frame, status_of(200, 170, 0, "closed"), before);
    json_decref(before);
    return frame;
}

static void test_workers_are_added_up(void **state)
{
    json_t *frame = two_workers(), *handler = json_array_get(json_object_get(frame, "handlers"), 0);
    (void)state;
    assert_int_equal(json_array_size(json_object_get(frame, "handlers")), 1);
    assert_int_equal(json_array_size(json_object_get(frame, "workers")), 2);
    assert_int_equal(json_array_size(json_object_get(frame, "queues")), 2);
    assert_true(bide_top_number(handler, "done") == 320 && bide_top_number(handler, "running") == 6);
    assert_true(bide_top_number(handler, "done_per_s") == 100);
    assert_true(bide_top_number(handler, "failed_per_s") == 0.5);
    assert_true(bide_top_number(handler, "lateness_p99_ms") == -1);
    assert_string_equal(bide_top_text(handler, "circuit"), "half-open");
    json_decref(frame);
}

static void draw(const json_t *frame, struct bide_buffer *to, size_t columns, size_t rows, bool colour)
{
    struct bide_page page = {.to = to, .columns = columns, .rows = rows, .colour = colour};
    bide_buffer_init(to);
    bide_top_draw(frame, &page);
}

static void test_programs_are_added_up(void **state)
{
    json_t *before = bide_top_frame(0), *frame = bide_top_frame(1795278555725);
    struct bide_buffer text;
    (void)state;
    add(before, with_program(status_of(100, 50, 0, "closed"), 1000), NULL);
    add(before, with_program(status_of(200, 50, 0, "closed"), 500), NULL);
    add(frame, with_program(status_of(100, 50, 0, "closed"), 1200), before);
    add(frame, with_program(status_of(200, 50, 0, "closed"), 700), before);
    draw(frame, &text, 80, 24, false);
    assert_non_null(strstr(text.bytes, "\nPROGRAM PROCESSES RUNS/S   RUNS RESTARTS MEMORY\n"
                                       "tasks           4    200   1900        2  24.7M\n\nWORKER"));
    bide_buffer_release(&text);
    json_decref(before);
    json_decref(frame);
}

/* One that began since, with the other's process id, has no rate yet; nor has the first frame. */
static void test_a_new_worker_has_no_rate(void **state)
{
    json_t *before = bide_top_frame(0), *frame = bide_top_frame(0), *status = status_of(100, 9, 0, "open");
    (void)state;
    add(before, status_of(100, 5, 0, "closed"), NULL);
    json_object_set_new(json_object_get(status, "worker"), "started_ms", json_integer(2000));
    add(frame, status, before);
    assert_true(bide_top_number(json_array_get(json_object_get(frame, "handlers"), 0), "done_per_s") < 0);
    json_decref(before);
    json_decref(frame);
}

/* The first worker's broker does not answer: the queues are the second's. */
static void test_a_broker_that_does_not_answer(void **state)
{
    json_t *frame = bide_top_frame(0), *silent = status_of(100, 5, 0, "closed");
    (void)state;
    json_object_set_new(silent, "queues", json_array());
    json_object_set_new(silent, "broker_error", json_string("gone"));
    add(frame, silent, NULL);
    add(frame, status_of(200, 5, 0, "closed"), NULL);
    assert_int_equal(json_array_size(json_object_get(frame, "queues")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(frame, "errors"), 0)), "gone");
    json_decref(frame);
}

/* ---- lines ---- */

static void test_lines(void **state)
{
    json_t *frame = two_workers();
    struct bide_buffer text;
    (void)state;
    draw(frame, &text, 80, 24, false);
    assert_string_equal(text.bytes, "2026-11-21T16:29:15Z  shop  sqlite:bide.db\n"
                                    "100 done/s  0.5 failed/s  7 delayed\n"
                                    "\n"
                                    "QUEUE     READY DELAYED RUNNING    DEAD OLDEST\n"
                                    "default      12       -       3       0      -\n"
                                    "slow          4       7       0    123k  1.50s  paused\n"
                                    "\n"
                                    "HANDLER   DONE/S FAIL/S  RUN    P50    P99 LATE99  CIRCUIT\n"
                                    "mail.send    100    0.5    6 1.50ms 20.0ms      -  half-open\n"
                                    "\n"
                                    "WORKER     UP PROCESSES THREADS  BUSY IN FLIGHT LANDING  STATE\n"
                                    "100     5m03s         1       8     3         5       0  serving\n"
                                    "200     5m03s         1       8     3         5       0  serving\n");
    bide_buffer_release(&text);
    draw(frame, &text, 80, 24, true);
    assert_non_null(strstr(text.bytes, BIDE_YELLOW "half-open\033[0m"));
    bide_buffer_release(&text);
    json_decref(frame);
}

/* A queue that nobody takes from; a worker whose only process drains. */
static void test_what_needs_somebody(void **state)
{
    json_t *frame = bide_top_frame(0), *status = status_of(100, 5, 0, "closed");
    json_t *queue = json_array_get(json_object_get(status, "queues"), 0);
    json_t *processes = json_object_get(json_object_get(status, "worker"), "processes");
    struct bide_buffer text;
    (void)state;
    json_object_set_new(queue, "workers", json_integer(0));
    json_object_set_new(json_array_get(processes, 0), "state", json_string("draining"));
    add(frame, status, NULL);
    draw(frame, &text, 120, 24, false);
    assert_non_null(strstr(text.bytes, "  no worker takes from it\n"));
    assert_non_null(strstr(text.bytes, "  draining\n"));
    bide_buffer_release(&text);
    json_decref(frame);
}

static void many(json_t *frame, const char *text)
{
    json_t *handlers = json_object_get(frame, "handlers");
    for (int i = 0; i < 40; i++)
        json_array_append_new(handlers, json_pack("{s:s s:i}", "type", text, "done", i));
    bide_top_add_error(frame, text);
}

/* Any window: no line too long, no line too many, nothing that a terminal would obey, no broken character. */
static void test_any_window_fits(void **state)
{
    json_t *frame = two_workers();
    (void)state;
    many(frame,
        "a-näme-that-is-rather-long-and-rings-a-\a-bell-as-nobody-should-have-chosen-for-a-hàndler\033[2J");
    for (size_t columns = 1; columns <= 200; columns += 7)
        for (size_t rows = 1; rows <= 60; rows += 3) {
            struct bide_buffer text;
            size_t lines = 0;
            draw(frame, &text, columns, rows, false);
            for (char *line = text.bytes, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
                *end = '\0';
                assert_between(bide_page_width(line), 0, columns);
                assert_null(strpbrk(line, "\033\a"));
                assert_true(bide_utf8_valid(line, strlen(line)));
            }
            assert_between(lines, 1, rows);
            bide_buffer_release(&text);
        }
    json_decref(frame);
}

/* Many handlers take no row from the queues and workers. */
static void test_each_table_has_its_share(void **state)
{
    json_t *frame = two_workers();
    struct bide_buffer text;
    (void)state;
    many(frame, "x");
    draw(frame, &text, 80, 24, false);
    assert_non_null(strstr(text.bytes, "\nslow "));
    assert_non_null(strstr(text.bytes, "\n200 "));
    assert_non_null(strstr(text.bytes, " more\n\nWORKER"));
    bide_buffer_release(&text);
    json_decref(frame);
}

/* Something is missing then, and nothing else is wrong. */
static void test_little_memory(void **state)
{
    json_t *status = with_program(status_of(100, 150, 1, "open"), 5), *before = two_workers();
    struct alloc_count count = {.fail_at = 1};
    for (size_t n = 1; n == 1 || count.asked >= n - 1; n++) {
        struct bide_buffer text;
        count = (struct alloc_count){.fail_at = n};
        bide_alloc_set_hook(count_allocation, &count);
        json_t *frame = bide_top_frame(0);
        bide_top_add(frame, status, before, 1);
        draw(frame, &text, 80, 24, true);
        bide_alloc_set_hook(NULL, NULL);
        bide_buffer_release(&text);
        json_decref(frame);
        assert_true(n < 10000);
    }
    (void)state;
    json_decref(status);
    json_decref(before);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_figures),
    cmocka_unit_test(test_workers_are_added_up),
    cmocka_unit_test(test_programs_are_added_up),
    cmocka_unit_test(test_a_new_worker_has_no_rate),
    cmocka_unit_test(test_a_broker_that_does_not_answer),
    cmocka_unit_test(test_lines),
    cmocka_unit_test(test_what_needs_somebody),
    cmocka_unit_test(test_any_window_fits),
    cmocka_unit_test(test_each_table_has_its_share),
    cmocka_unit_test(test_little_memory),
};

UNIT_MAIN(tests)
