/* bide/once_sqlite.h with bide/outbox_sqlite.h: a handler consumes, works and sends on in one transaction.
 * Killed at any step and called again, it has worked once and sent once. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "bide/once_sqlite.h"
#include "bide/outbox_sqlite.h"
#include "message/message.h"
#include "unit/config_folder.h"
#include "unit/unit.h"

enum step { BEFORE, BEGUN, WORKED, SENT, COMMITTED, N_STEPS };

static void die_at(enum step at, enum step end)
{
    if (at == end)
        raise(SIGKILL);
}

static sqlite3 *open_database(void)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open("own.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    return db;
}

static bide_code work_and_send(sqlite3 *db, enum step end, bide_error *error)
{
    const bide_outbox_message next = {.type = "next", .body = "x", .body_size = 1};
    die_at(BEGUN, end);
    bide_code code = bide_once_sqlite_run(db, "INSERT INTO work VALUES (1)", error);
    die_at(WORKED, end);
    if (code == BIDE_OK && bide_outbox_sqlite_send(db, &next, NULL) != SQLITE_OK)
        code = bide_once_sqlite_failed(db, error);
    die_at(SENT, end);
    return code;
}

/* As a handler does it; the process is killed at this step (N_STEPS: at none). */
static bide_code handle(const bide_message *message, enum step end)
{
    sqlite3 *db = open_database();
    bide_error error = {0};
    bool is_done;
    die_at(BEFORE, end);
    bide_code code = bide_once_sqlite_begin(db, message, &is_done, &error);
    if (code == BIDE_OK && !is_done)
        code = bide_once_sqlite_end(db, work_and_send(db, end, &error), &error);
    die_at(COMMITTED, end);
    sqlite3_close(db);
    return code;
}

static void handle_and_die(const bide_message *message, enum step end)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        handle(message, end);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int count_row(void *user, int n, char **values, char **names)
{
    (void)n, (void)names;
    *(int *)user = atoi(values[0]);
    return 0;
}

static int rows_of(const char *sql)
{
    int n = -1;
    sqlite3 *db = open_database();
    assert_int_equal(sqlite3_exec(db, sql, count_row, &n, NULL), SQLITE_OK);
    sqlite3_close(db);
    return n;
}

static bide_message *message_of(const char *id)
{
    bide_message *message;
    assert_int_equal(bide_message_create("pay", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(message, id, NULL), BIDE_OK);
    return message;
}

static void killed_at_each_step(const char *mode)
{
    int done = 0;
    rows_of(mode);
    rows_of("CREATE TABLE IF NOT EXISTS work (n)");
    for (enum step step = 0; step < N_STEPS; step++) {
        char id[16];
        snprintf(id, sizeof id, "%d", (int)step);
        bide_message *message = message_of(id);
        handle_and_die(message, step);
        assert_int_equal(rows_of("SELECT count(*) FROM work"), done + (step == COMMITTED));
        for (int again = 0; again < 2; again++)
            assert_int_equal(handle(message, N_STEPS), BIDE_OK);
        done++;
        assert_int_equal(rows_of("SELECT count(*) FROM work"), done);
        assert_int_equal(rows_of("SELECT count(*) FROM bide_outbox"), done);
        bide_message_destroy(message);
    }
}

static void with_a_log(void **state)
{
    (void)state;
    killed_at_each_step("PRAGMA journal_mode = WAL");
}

static void with_a_rollback_journal(void **state)
{
    (void)state;
    killed_at_each_step("PRAGMA journal_mode = DELETE");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

static const struct CMUnitTest tests[] = {CASE(with_a_log), CASE(with_a_rollback_journal)};

UNIT_MAIN(tests)
