/* handlers/command, loaded as a worker loads it. */
/* Not under TSan: it makes a fork of vfork, and then the child cannot say why exec failed. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/deadline.h"
#include "base/utf8.h"
#include "support/plugin_run.h"
#include "unit.h"

/* A handler that runs a line of shell. */
static void open_shell(struct plugin_run *run, const char *timeout, const char *line, const char *more)
{
    char settings[2048];
    bide_error error;
    snprintf(settings, sizeof settings, "program = \"sh\"; args = [\"-c\", \"%s\"]; %s", line, more);
    assert_ok(plugin_run_open(run, "command", timeout, settings, &error), &error);
}

static void test_exit_code_decides(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bide_outcome outcome;
        const char *text;
    } rows[] = {
        {"exit 0", BIDE_DONE, ""},
        {"exit 75", BIDE_RETRY, "sh: exit code 75"},
        {"exit 1", BIDE_RETRY, "sh: exit code 1"},
        {"exit 65", BIDE_DEAD, "sh: exit code 65"},
        {"echo to out; echo to err >&2; exit 3", BIDE_RETRY, "sh: exit code 3: to out\nto err"},
        {"kill -9 $$", BIDE_RETRY, "sh was killed by signal 9 (Killed)"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct plugin_run run;
        open_shell(&run, "30s", rows[i].line, "");
        assert_int_equal(plugin_run_handle(&run), rows[i].outcome);
        assert_string_equal(run.error, rows[i].text);
        plugin_run_close(&run);
    }
}

static void test_dead_codes_can_be_chosen(void **state)
{
    (void)state;
    struct plugin_run run;
    open_shell(&run, "30s", "exit 9", "dead_codes = \"7, 9\";");
    assert_int_equal(plugin_run_handle(&run), BIDE_DEAD);
    plugin_run_close(&run);
}

static void test_body_and_fields_reach_the_program(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    open_shell(&run, "30s",
        "cat > body; echo $BIDE_ID $BIDE_TYPE $BIDE_QUEUE $BIDE_ATTEMPT/$BIDE_ATTEMPTS $BIDE_DUE_MS "
        "$BIDE_CONTENT_TYPE "
        "$BIDE_HEADER_X_TENANT_ID > fields",
        "");
    assert_ok(bide_message_set_header(run.message, "x-tenant.id", "blue; rm -rf $HOME", &error), &error);
    assert_ok(bide_message_set_content_type(run.message, "text/plain", &error), &error);
    plugin_run_body(&run, "one\ntwo", 7);
    plugin_run_attempt(&run, 4);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    char *body = plugin_run_file(&run, "body");
    char *fields = plugin_run_file(&run, "fields");
    char expected[300];
    snprintf(expected, sizeof expected, "id-1 test default 4/25 %lld text/plain blue; rm -rf $HOME\n",
        (long long)run.message->due_ms);
    assert_string_equal(body, "one\ntwo");
    assert_string_equal(fields, expected);
    free(body);
    free(fields);
    plugin_run_close(&run);
}

/* The worker's environment holds its secrets. */
static void test_the_environment_is_chosen(void **state)
{
    (void)state;
    static const char *const names[] = {"AMQP_PASSWORD", "BIDE_HTTP_TOKEN", "BIDE_BROKER", "API_KEY",
        "API_URL", "APIS", "LC_TIME", "TZ", "BIDE_ID", "TRACESTATE"};
    struct plugin_run run;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        setenv(names[i], "worker", 1);
    open_shell(&run, "30s", "env | grep =worker | sort > env",
        "environment = [\"API_*\", \"BIDE_ID\", \"TRACE*\"];");
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    char *text = plugin_run_file(&run, "env");
    assert_string_equal(text, "API_KEY=worker\nAPI_URL=worker\nLC_TIME=worker\nTZ=worker\n");
    free(text);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unsetenv(names[i]);
    plugin_run_close(&run);
}

static void test_large_bodies_and_outputs_do_not_block(void **state)
{
    (void)state;
    static char body[3 << 20];
    static const char *const lines[] = {
        "true", "cat", "yes x | head -c 3000000; cat", "head -c 10", "exec <&- >&- 2>&-; sleep 0.05"};
    memset(body, 'b', sizeof body);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct plugin_run run;
        open_shell(&run, "30s", lines[i], "");
        plugin_run_body(&run, body, sizeof body);
        assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
        plugin_run_close(&run);
    }
}

static void test_the_end_of_the_output_is_kept(void **state)
{
    (void)state;
    struct plugin_run run;
    open_shell(&run, "30s", "seq 1 20000; echo the end; exit 1", "keep_output = 19;");
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_string_equal(run.error, "sh: exit code 1: 9999\n20000\nthe end");
    plugin_run_close(&run);
}

/* A traceback's last line says what happened: what is too long loses its beginning, and no half character. */
static void test_a_long_error_keeps_its_end(void **state)
{
    (void)state;
    struct plugin_run run;
    open_shell(&run, "30s", "for i in $(seq 2000); do printf 'äöü'; done; echo; echo ValueError: 7; exit 1",
        "keep_output = 10000;");
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    size_t size = strlen(run.error);
    assert_between(size, BIDE_ERROR_KEPT - 3, BIDE_ERROR_KEPT);
    assert_true(bide_utf8_valid(run.error, size));
    assert_string_equal(strchr(run.error, '\n'), "\nValueError: 7");
    plugin_run_close(&run);
}

static bool is_gone(void *user)
{
    return kill((pid_t)(intptr_t)user, 0) < 0 && errno == ESRCH;
}

static pid_t read_pid(const struct plugin_run *run)
{
    char *text = plugin_run_file(run, "pid");
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    assert_true(pid > 1);
    return pid;
}

static void test_timeout_ends_the_program_and_its_children(void **state)
{
    (void)state;
    struct plugin_run run; /* the child ignores SIGTERM, its parent does not */
    open_shell(&run, "300ms", "(trap '' TERM; sleep 100) & echo $! > pid; wait", "grace = \"5m\";");
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_non_null(strstr(run.error, "sh was stopped: the run was cancelled"));
    assert_between(run.took_ms, 300, 60000);
    assert_true(wait_until(is_gone, (void *)(intptr_t)read_pid(&run), 60000));
    plugin_run_close(&run);
}

static void test_who_ignores_the_end_is_killed(void **state)
{
    (void)state;
    struct plugin_run run;
    open_shell(
        &run, "200ms", "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done", "grace = \"100ms\";");
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_between(run.took_ms, 300, 60000);
    assert_true(is_gone((void *)(intptr_t)read_pid(&run)));
    plugin_run_close(&run);
}

static bool pid_file_is_there(void *user)
{
    const struct plugin_run *run = user;
    char path[2 * TEMP_DIR_PATH];
    struct stat info;
    snprintf(path, sizeof path, "%s/pid", run->dir.path);
    return stat(path, &info) == 0 && info.st_size > 1;
}

static void *cancel_when_it_runs(void *user)
{
    wait_until(pid_file_is_there, user, 60000);
    plugin_run_cancel(user);
    return NULL;
}

static void test_cancelling_wakes_it(void **state)
{
    (void)state;
    struct plugin_run run;
    pthread_t thread;
    open_shell(&run, "300s", "echo $$ > pid; exec sleep 100", "");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_runs, &run), 0);
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    pthread_join(thread, NULL);
    assert_between(run.took_ms, 0, 60000);
    plugin_run_close(&run);
}

static void test_program_dies_with_its_worker(void **state)
{
    (void)state;
    struct plugin_run run;
    open_shell(&run, "300s", "echo $$ > pid; exec sleep 100", "");
    pid_t worker = fork();
    if (worker == 0) {
        plugin_run_handle(&run);
        _exit(0);
    }
    assert_true(wait_until(pid_file_is_there, &run, 60000));
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    assert_true(wait_until(is_gone, (void *)(intptr_t)read_pid(&run), 60000));
    plugin_run_close(&run);
}

static void test_no_descriptor_and_no_ignored_signal_is_inherited(void **state)
{
    (void)state;
    struct plugin_run run;
    int leak = dup(STDERR_FILENO); /* without O_CLOEXEC */
    open_shell(&run, "30s", "ls /proc/self/fd | wc -l > n; grep SigIgn /proc/self/status >> n", "");
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    signal(SIGPIPE, before);
    close(leak);
    char *text = plugin_run_file(&run, "n"); /* 0, 1, 2 and the folder that ls reads */
    assert_string_equal(text, "4\nSigIgn:\t0000000000000000\n");
    free(text);
    plugin_run_close(&run);
}

static void test_settings_are_checked_at_the_start(void **state)
{
    (void)state;
    static const struct plugin_refusal rows[] = {
        {"program = \"no-such-program-here\";", "'no-such-program-here' is not found in PATH"},
        {"program = \"./missing\";", "'./missing' is not an executable file"},
        {"program = \"sh\"; directory = \"nowhere\";", "'directory'"},
        {"program = \"sh\"; dead_codes = \"65 often\";", "'dead_codes'"},
        {"program = \"sh\"; dead_codes = \"0\";", "'dead_codes'"},
        {"program = \"sh\"; keep_output = \"1MiB\";", "'keep_output'"},
        {"program = \"sh\"; environment = [\"A=b\"];", "'environment': 'A=b'"},
        {"program = \"sh\"; environment = [\"A*B\"];", "'environment': 'A*B'"},
        {"program = \"sh\"; environment = [\"*\"];", "'environment': '*'"},
        {"args = [\"x\"];", "program"},
    };
    plugin_run_check_refusals("command", rows, COUNT_OF(rows));
}

/* Who can change the program decides what runs, as with a plugin. */
static void test_a_program_that_others_can_change_is_refused(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error = {0};
    char path[TEMP_DIR_PATH], settings[400];
    struct temp_dir dir;
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(temp_dir_write(&dir, "tool", "#!/bin/sh\nexit 0\n", path), 0);
    snprintf(settings, sizeof settings, "program = \"%s\";", path);
    assert_int_equal(chmod(path, 0757), 0);
    assert_int_equal(plugin_run_open(&run, "command", "30s", settings, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "can be written by everybody"));
    plugin_run_close(&run);
    assert_int_equal(chmod(path, 0755) | chmod(dir.path, 0777), 0);
    assert_int_equal(plugin_run_open(&run, "command", "30s", settings, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "can be written by everybody"));
    plugin_run_close(&run);
    assert_int_equal(temp_dir_remove(&dir), 0);
}

static void test_a_program_that_vanished_is_tried_again(void **state)
{
    (void)state;
    struct plugin_run run;
    bide_error error;
    char path[TEMP_DIR_PATH], settings[400];
    struct temp_dir dir;
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(temp_dir_write(&dir, "tool", "#!/bin/sh\nexit 0\n", path), 0);
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(settings, sizeof settings, "program = \"%s\";", path);
    assert_ok(plugin_run_open(&run, "command", "30s", settings, &error), &error);
    assert_int_equal(plugin_run_handle(&run), BIDE_DONE);
    assert_int_equal(remove(path), 0); /* not the folder: BIDE_KEEP keeps that */
    assert_int_equal(plugin_run_handle(&run), BIDE_RETRY);
    assert_non_null(strstr(run.error, "No such file or directory"));
    plugin_run_close(&run);
    assert_int_equal(temp_dir_remove(&dir), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_exit_code_decides),
    cmocka_unit_test(test_dead_codes_can_be_chosen),
    cmocka_unit_test(test_body_and_fields_reach_the_program),
    cmocka_unit_test(test_the_environment_is_chosen),
    cmocka_unit_test(test_large_bodies_and_outputs_do_not_block),
    cmocka_unit_test(test_the_end_of_the_output_is_kept),
    cmocka_unit_test(test_a_long_error_keeps_its_end),
    cmocka_unit_test(test_timeout_ends_the_program_and_its_children),
    cmocka_unit_test(test_who_ignores_the_end_is_killed),
    cmocka_unit_test(test_cancelling_wakes_it),
    cmocka_unit_test(test_program_dies_with_its_worker),
    cmocka_unit_test(test_no_descriptor_and_no_ignored_signal_is_inherited),
    cmocka_unit_test(test_settings_are_checked_at_the_start),
    cmocka_unit_test(test_a_program_that_others_can_change_is_refused),
    cmocka_unit_test(test_a_program_that_vanished_is_tried_again),
};

UNIT_MAIN(tests)
