/* handlers/journal and handlers/probe, loaded as a worker loads them. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/deadline.h"
#include "support/plugin_run.h"
#include "unit.h"

enum { PATIENCE_MS = 60000 };

static void open_plugin(struct plugin_run *run, const char *plugin)
{
    bide_error error;
    assert_ok(plugin_run_open(run, plugin, "30s", "path = \"lines\";", &error), &error);
}

static bide_outcome order(struct plugin_run *run, int attempt, const char *body)
{
    plugin_run_body(run, body, strlen(body));
    plugin_run_attempt(run, attempt);
    return plugin_run_handle(run);
}

/* The last line of the file as JSON. */
static json_t *last_line(const struct plugin_run *run)
{
    char *text = plugin_run_file(run, "lines");
    size_t size = strlen(text);
    assert_true(size > 1 && text[size - 1] == '\n');
    text[size - 1] = '\0';
    char *start = strrchr(text, '\n');
    json_t *line = json_loads(start ? start + 1 : text, 0, NULL);
    assert_non_null(line);
    free(text);
    return line;
}

static void assert_last_outcome(const struct plugin_run *run, const char *outcome)
{
    json_t *line = last_line(run);
    assert_string_equal(json_string_value(json_object_get(line, "outcome")), outcome);
    json_decref(line);
}

static void test_journal_writes_the_agreed_fields(void **state)
{
    (void)state;
    static const char *const keys[] = {"id", "type", "queue", "attempt", "due_ms", "sent_ms", "started_us",
        "lateness_us", "worker_pid", "outcome", "body_bytes"};
    struct plugin_run run;
    open_plugin(&run, "journal");
    run.message->due_ms = run.message->sent_ms - 1000; /* what was overdue when sent is not late for it */
    assert_int_equal(order(&run, 2, "12345"), BIDE_DONE);
    json_t *line = last_line(&run);
    assert_int_equal(json_object_size(line), COUNT_OF(keys));
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_non_null(json_object_get(line, keys[i]));
    assert_string_equal(json_string_value(json_object_get(line, "id")), "id-1");
    assert_string_equal(json_string_value(json_object_get(line, "queue")), "default");
    assert_int_equal(json_integer_value(json_object_get(line, "attempt")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "body_bytes")), 5);
    assert_int_equal(json_integer_value(json_object_get(line, "worker_pid")), getpid());
    int64_t started_us = json_integer_value(json_object_get(line, "started_us"));
    assert_int_equal(
        json_integer_value(json_object_get(line, "lateness_us")), started_us - run.message->sent_ms * 1000);
    json_decref(line);
    plugin_run_close(&run);
}

static void test_journal_survives_any_id(void **state)
{
    (void)state;
    char longest[BIDE_ID_MAX + 1] = {0};
    memset(longest, 1, BIDE_ID_MAX);
    const char *const ids[] = {"a\"b\\c\nd", "gr\xC3\xBC\xC3\x9F", "not utf-8: \xFF\xC0", "", longest};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct plugin_run run;
        open_plugin(&run, "journal");
        const char *own = run.message->id;
        run.message->id = ids[i];
        assert_int_equal(order(&run, 1, ""), BIDE_DONE);
        run.message->id = own;
        json_t *line = last_line(&run);
        const char *read = json_string_value(json_object_get(line, "id"));
        assert_string_equal(read, i == 2 ? "not utf-8: ??" : ids[i]);
        json_decref(line);
        plugin_run_close(&run);
    }
}

static void test_journal_refuses_a_path_it_cannot_write(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    bide_code code = plugin_run_open(&run, "journal", "30s", "path = \"no/such/folder\";", &error);
    assert_int_equal(code, BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "no/such/folder"));
    plugin_run_close(&run);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What could only be written in part stays alone on its line. */
static void test_journal_joins_no_lines(void **state)
{
    (void)state;
    struct plugin_run run;
    open_plugin(&run, "journal");
    signal(SIGXFSZ, SIG_IGN);
    limit_files(20);
    assert_int_equal(order(&run, 1, "x"), BIDE_RETRY);
    limit_files(RLIM_INFINITY);
    assert_int_equal(order(&run, 2, "x"), BIDE_DONE);
    assert_last_outcome(&run, "done");
    char *text = plugin_run_file(&run, "lines");
    assert_int_equal(strchr(text, '\n') - text, 20);
    free(text);
    plugin_run_close(&run);
}

static void test_journal_follows_rotation(void **state)
{
    (void)state;
    struct plugin_run run;
    char path[TEMP_DIR_PATH + 16], rotated[TEMP_DIR_PATH + 16];
    struct deadline deadline = deadline_in_ms(PATIENCE_MS);
    open_plugin(&run, "journal");
    snprintf(path, sizeof path, "%s/lines", run.dir.path);
    snprintf(rotated, sizeof rotated, "%s/lines.1", run.dir.path);
    assert_int_equal(order(&run, 1, "x"), BIDE_DONE);
    assert_int_equal(rename(path, rotated), 0);
    while (access(path, F_OK) != 0 && !deadline_passed(&deadline)) {
        assert_int_equal(order(&run, 1, "x"), BIDE_DONE);
        deadline_nap(&deadline);
    }
    assert_int_equal(access(path, F_OK), 0);
    assert_last_outcome(&run, "done");
    plugin_run_close(&run);
}

static void test_journal_tries_again_when_the_disk_is_full(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    assert_ok(plugin_run_open(&run, "journal", "30s", "path = \"/dev/full\";", &error), &error);
    assert_int_equal(order(&run, 1, ""), BIDE_RETRY);
    assert_non_null(strstr(run.error, "/dev/full: No space left"));
    plugin_run_close(&run);
}

static void test_probe_does_as_told(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int attempt;
        bide_outcome outcome;
        int64_t delay_ms;
        const char *line, *text;
    } rows[] = {
        {"", 1, BIDE_DONE, -1, "done", ""},
        {"{}", 1, BIDE_DONE, -1, "done", ""},
        {"{\"note\":[1]}", 1, BIDE_DONE, -1, "done", ""},
        {"{\"fail\":2}", 1, BIDE_RETRY, -1, "retry", "attempt 1 of 2 that fail"},
        {"{\"fail\":2}", 2, BIDE_RETRY, -1, "retry", "attempt 2 of 2"},
        {"{\"fail\":2}", 3, BIDE_DONE, -1, "done", ""},
        {"{\"dead\":true}", 1, BIDE_DEAD, -1, "dead", "told to be dead"},
        {"{\"dead\":false}", 1, BIDE_DONE, -1, "done", ""},
        {"{\"fail\":1,\"dead\":true}", 2, BIDE_DEAD, -1, "dead", ""},
        {"{\"retry_after_ms\":700}", 1, BIDE_RETRY, 700, "retry", ""},
        {"{\"retry_after_ms\":700}", 2, BIDE_DONE, -1, "done", ""},
        {"{\"retry_after_ms\":700,\"fail\":3}", 3, BIDE_RETRY, 700, "retry", ""},
        {"{\"spin_ms\":5,\"alloc_mb\":2,\"sleep_ms\":5,\"fail\":1}", 1, BIDE_RETRY, -1, "retry", ""},
        {"{\"until\":\".\"}", 1, BIDE_DONE, -1, "done", ""},
        {"{\"until\":5}", 1, BIDE_DEAD, -1, "dead", "\"until\" must be a path"},
        {"{\"fail\":", 1, BIDE_DEAD, -1, "dead", "not JSON"},
        {"[1]", 1, BIDE_DEAD, -1, "dead", "not a JSON object"},
        {"{\"fail\":\"2\"}", 1, BIDE_DEAD, -1, "dead", "\"fail\" must be a whole number"},
        {"{\"sleep_ms\":-1}", 1, BIDE_DEAD, -1, "dead", "\"sleep_ms\" must be"},
        {"{\"dead\":1}", 1, BIDE_DEAD, -1, "dead", "\"dead\" must be true or false"},
    };
    struct plugin_run run;
    open_plugin(&run, "probe");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(order(&run, rows[i].attempt, rows[i].body), rows[i].outcome);
        assert_int_equal(run.delay_ms, rows[i].delay_ms);
        assert_last_outcome(&run, rows[i].line);
        assert_non_null(strstr(run.error, rows[i].text));
    }
    plugin_run_close(&run);
}

static void test_probe_sleeps_and_spins_so_long(void **state)
{
    (void)state;
    struct plugin_run run;
    open_plugin(&run, "probe");
    assert_int_equal(order(&run, 1, "{\"sleep_ms\":60}"), BIDE_DONE);
    assert_between(run.took_ms, 60, PATIENCE_MS);
    assert_int_equal(order(&run, 1, "{\"spin_ms\":40}"), BIDE_DONE);
    assert_between(run.took_ms, 39, PATIENCE_MS);
    plugin_run_close(&run);
}

static void test_probe_stops_at_its_timeout(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"sleep_ms\":60000}", "{\"spin_ms\":60000}", "{\"until\":\"no such file\"}"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct plugin_run run;
        bide_error error;
        assert_ok(plugin_run_open(&run, "probe", "50ms", "path = \"lines\";", &error), &error);
        assert_int_equal(order(&run, 1, bodies[i]), BIDE_RETRY);
        assert_string_equal(run.error, "probe: cancelled");
        assert_between(run.took_ms, 50, PATIENCE_MS);
        plugin_run_close(&run);
    }
}

/* In a process of its own; its wait status, or -1 where it had to be killed after so long. */
static int status_of(struct plugin_run *run, const char *body, int64_t ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on in here */
        order(run, 1, body);
        _exit(0);
    }
    struct deadline deadline = deadline_in_ms(ms);
    for (int status; !deadline_passed(&deadline); deadline_nap(&deadline))
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return -1;
}

static void test_probe_that_never_returns_says_so_first(void **state)
{
    (void)state;
    struct plugin_run run;
    open_plugin(&run, "probe");
    int status = status_of(&run, "{\"exit\":true}", PATIENCE_MS);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_last_outcome(&run, "started");
    status = status_of(&run, "{\"crash\":true}", PATIENCE_MS);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0); /* a sanitizer turns it into an exit */
    assert_last_outcome(&run, "started");
    plugin_run_close(&run);
    bide_error error; /* a timeout does not move it */
    assert_ok(plugin_run_open(&run, "probe", "50ms", "path = \"lines\";", &error), &error);
    assert_int_equal(status_of(&run, "{\"hang\":true}", 500), -1);
    assert_last_outcome(&run, "started");
    plugin_run_close(&run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_journal_writes_the_agreed_fields),
    cmocka_unit_test(test_journal_survives_any_id),
    cmocka_unit_test(test_journal_refuses_a_path_it_cannot_write),
    cmocka_unit_test(test_journal_tries_again_when_the_disk_is_full),
    cmocka_unit_test(test_journal_joins_no_lines),
    cmocka_unit_test(test_journal_follows_rotation),
    cmocka_unit_test(test_probe_does_as_told),
    cmocka_unit_test(test_probe_sleeps_and_spins_so_long),
    cmocka_unit_test(test_probe_stops_at_its_timeout),
    cmocka_unit_test(test_probe_that_never_returns_says_so_first),
};

UNIT_MAIN(tests)
