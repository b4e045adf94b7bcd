/* Lines to messages on a thread of their own: order, batches, promptness, limits, an early end. */
#include "support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/send/send.h"

/* A reader at the other end of a pipe. */
struct scene {
    int in, out; /* the test writes to `in`; -1: closed */
    struct bide_config *config;
    struct bide_cli_lines *lines;
    struct bide_cli_line batch[BIDE_CLI_BATCH];
};

static struct scene scene;

static int set_up(void **state)
{
    int ends[2];
    (void)state;
    if (pipe(ends) != 0 || bide_config_default(&scene.config, NULL) != BIDE_OK)
        return -1;
    scene.out = ends[0];
    scene.in = ends[1];
    return bide_cli_lines_open(scene.out, scene.config, &scene.lines, NULL) == BIDE_OK ? 0 : -1;
}

static void end_input(void)
{
    if (scene.in >= 0)
        close(scene.in);
    scene.in = -1;
}

static int tear_down(void **state)
{
    (void)state;
    bide_cli_lines_close(scene.lines);
    end_input();
    close(scene.out);
    bide_config_destroy(scene.config);
    return 0;
}

static void put(const char *text)
{
    assert_int_equal(write(scene.in, text, strlen(text)), strlen(text));
}

static size_t take(void)
{
    size_t n = 0;
    bide_error error = {0};
    assert_ok(bide_cli_lines_take(scene.lines, scene.batch, &n, &error), &error);
    return n;
}

static void drop(size_t n)
{
    for (size_t i = 0; i < n; i++)
        bide_message_destroy(scene.batch[i].message);
}

/* One line comes through while the input stays open: nobody waits for a batch to fill. */
static void test_prompt(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3; i++) {
        put("{\"type\":\"a\",\"id\":\"x\"}\n");
        assert_int_equal(take(), 1);
        assert_int_equal(scene.batch[0].number, i);
        assert_string_equal(bide_message_id(scene.batch[0].message), "x");
        drop(1);
    }
}

static void test_numbers_skip_blank_and_bad_lines(void **state)
{
    (void)state;
    put("{\"type\":\"a\"}\n\n \t\r\n{\"type\":1}\n{\"type\":\"b\"}\r\n{\"type\":\"c\"}");
    end_input();
    size_t n = 0, more;
    static const uint64_t numbers[] = {1, 5, 6};
    while ((more = take())) {
        for (size_t i = 0; i < more; i++)
            assert_int_equal(scene.batch[i].number, numbers[n++]);
        drop(more);
    }
    assert_int_equal(n, 3);
    struct bide_cli_line_counts counts = bide_cli_lines_counts(scene.lines);
    assert_int_equal(counts.read, 6);
    assert_int_equal(counts.bad, 1);
}

enum { MANY = 25000 };

static void *write_many(void *user)
{
    FILE *to = fdopen(*(int *)user, "w");
    for (int i = 0; to && i < MANY; i++)
        fprintf(to, "{\"type\":\"a\",\"id\":\"%d\",\"body\":{\"n\":%d}}\n", i, i);
    return to && fclose(to) == 0 ? user : NULL;
}

/* More than the hand-over holds: in order, none lost, none twice. */
static void test_many_in_order(void **state)
{
    pthread_t writer;
    void *written;
    int n = 0;
    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &scene.in), 0);
    for (size_t more; (more = take()); drop(more))
        for (size_t i = 0; i < more; i++, n++) {
            char id[16];
            snprintf(id, sizeof id, "%d", n);
            assert_string_equal(bide_message_id(scene.batch[i].message), id);
        }
    assert_int_equal(pthread_join(writer, &written), 0);
    scene.in = -1;
    assert_non_null(written);
    assert_int_equal(n, MANY);
}

/* The reader is full and waiting, or waiting for input: closing ends it. */
static void test_closed_early(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        put("{\"type\":\"a\"}\n");
    size_t n = take();
    assert_between((int64_t)n, 1, 200);
    drop(n);
    bide_cli_lines_close(scene.lines);
    scene.lines = NULL;
}

static void test_closed_while_waiting(void **state)
{
    (void)state;
    bide_cli_lines_close(scene.lines);
    scene.lines = NULL;
}

/* ---- splitting ---- */

struct seen {
    char text[256];
    size_t n_idle;
};

static bool see_line(void *user, const char *text, size_t size)
{
    struct seen *seen = user;
    size_t used = strlen(seen->text);
    snprintf(
        seen->text + used, sizeof seen->text - used, "[%.*s]", text ? (int)size : 7, text ? text : "toolong");
    return true;
}

static void see_idle(void *user)
{
    ((struct seen *)user)->n_idle++;
}

static void test_split(void **state)
{
    static const struct {
        const char *input, *expected;
    } rows[] = {
        {"", ""},
        {"a", "[a]"},
        {"a\n", "[a]"},
        {"\n\n", "[][]"},
        {"a\nbb\n", "[a][bb]"},
        {"12345\n123456\nx", "[12345][toolong][x]"},
        {"1234567890", "[toolong]"},
        {"1234567890\n", "[toolong]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seen seen = {0};
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], rows[i].input, strlen(rows[i].input)), strlen(rows[i].input));
        close(ends[1]);
        const struct bide_cli_splitter splitter = {ends[0], -1, 5, see_line, see_idle, &seen};
        assert_int_equal(bide_cli_split(&splitter, NULL), BIDE_OK);
        assert_string_equal(seen.text, rows[i].expected);
        close(ends[0]);
    }
}

static void test_split_error(void **state)
{
    struct seen seen = {0};
    bide_error error;
    (void)state;
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    const struct bide_cli_splitter splitter = {folder, -1, 5, see_line, see_idle, &seen};
    assert_int_equal(bide_cli_split(&splitter, &error), BIDE_E_DATA);
    assert_string_equal(error.text, "cannot read the input: Is a directory");
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prompt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_skip_blank_and_bad_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_while_waiting, set_up, tear_down),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
