/* payments: books each payment exactly once into a SQLite database, however often its message runs.
 *
 * Body: {"account":"A-17","cents":1250}. The sum is in the table accounts, and a line a payment in payments.
 */
#include <jansson.h>
#include <stdio.h>

#include <bide/handler.h>
#include <bide/once_sqlite.h>

enum { BUSY_MS = 5000 };

static const char tables[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS payments (id TEXT NOT NULL, account TEXT NOT NULL, cents INTEGER NOT NULL);";

static void close_database(void *state)
{
    sqlite3_close(state);
}

static bide_code open_database(const bide_settings *settings, void **ret_state, bide_error *error)
{
    const char *name = bide_settings_string(settings, "database");
    char path[4096];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : bide_settings_dir(settings),
        *name == '/' ? "" : "/", name);
    bide_code code = BIDE_OK;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK)
        code = bide_fail(error, BIDE_E_CONFIG, "%s: %s", path, sqlite3_errmsg(db));
    if (code == BIDE_OK)
        code = bide_once_sqlite_run(db, tables, error);
    if (code == BIDE_OK)
        *ret_state = db;
    else
        close_database(db);
    return code;
}

static bide_code execute(sqlite3 *db, const char *sql, const bide_message *message, const char *account,
    int64_t cents, bide_error *error)
{
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (status == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, account, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, cents);
        sqlite3_bind_text(statement, 3, bide_message_id(message), -1, SQLITE_STATIC);
        status = sqlite3_step(statement);
    }
    bide_code code = status == SQLITE_DONE ? BIDE_OK : bide_once_sqlite_failed(db, error);
    sqlite3_finalize(statement);
    return code;
}

/* All of it happens, and the message counts as done, or nothing of it. */
static bide_code book(
    sqlite3 *db, const bide_message *message, const char *account, int64_t cents, bide_error *error)
{
    bide_code code = execute(db,
        "INSERT INTO accounts (name, cents) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET cents = cents + "
        "?2",
        message, account, cents, error);
    if (code == BIDE_OK)
        code = execute(db, "INSERT INTO payments (account, cents, id) VALUES (?1, ?2, ?3)", message, account,
            cents, error);
    return code;
}

static bide_code book_once(
    sqlite3 *db, const bide_message *message, const char *account, int64_t cents, bide_error *error)
{
    bool is_done;
    bide_code code = bide_once_sqlite_begin(db, message, &is_done, error);
    if (code != BIDE_OK || is_done)
        return code;
    return bide_once_sqlite_end(db, book(db, message, account, cents, error), error);
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    size_t size;
    const char *account, *body = bide_message_body(message, &size);
    json_int_t cents;
    bide_error error;
    json_t *order = json_loadb(body, size, 0, NULL);
    bide_outcome outcome = BIDE_DONE;
    if (json_unpack(order, "{s:s, s:I}", "account", &account, "cents", &cents) != 0)
        outcome = bide_dead(context, "a payment has an account and cents");
    else if (book_once(state, message, account, cents, &error) != BIDE_OK)
        outcome = bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    json_decref(order);
    return outcome;
}

static const bide_setting_spec settings_table[] = {
    {"database", BIDE_SETTING_STRING, "payments.db", "the file into which it books"}, {0}};

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "payments", .version = "1.0.0",
    .summary = "books payments exactly once into SQLite", .flags = BIDE_PLUGIN_STATE_PER_THREAD,
    .settings = settings_table, .open = open_database, .handle = handle, .close = close_database};
