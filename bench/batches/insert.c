/* Inserts each message's body into a SQLite database: one by one in handle, or a batch in one transaction. */
#include <bide/handler.h>
#include <bide/once_sqlite.h>
#include <stdlib.h>

struct insert {
    sqlite3 *db;
    sqlite3_stmt *insert;
    bool is_done[10000];
};

static bide_code insert_one(struct insert *state, const bide_message *message, bide_error *error)
{
    size_t size;
    const char *body = bide_message_body(message, &size);
    int status = sqlite3_bind_text(state->insert, 1, body, (int)size, SQLITE_STATIC);
    if (status == SQLITE_OK)
        status = sqlite3_step(state->insert);
    sqlite3_reset(state->insert);
    return status == SQLITE_DONE ? BIDE_OK : bide_once_sqlite_failed(state->db, error);
}

static void handle_batch(void *user, const bide_message *const messages[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    struct insert *state = user;
    bide_error error;
    bide_code code = bide_once_sqlite_begin_many(state->db, messages, n, state->is_done, &error);
    if (code == BIDE_OK) {
        for (size_t i = 0; i < n && code == BIDE_OK; i++)
            if (!state->is_done[i])
                code = insert_one(state, messages[i], &error);
        code = bide_once_sqlite_end(state->db, code, &error);
    }
    for (size_t i = 0; i < n; i++)
        outcomes[i] = code == BIDE_OK ? BIDE_DONE : bide_retry(contexts[i], BIDE_BY_POLICY, "%s", error.text);
}

static bide_outcome handle(void *user, const bide_message *message, bide_context *context)
{
    bide_outcome outcome = BIDE_RETRY;
    handle_batch(user, &message, &context, 1, &outcome);
    return outcome;
}

static bide_code open_handler(const bide_settings *settings, void **ret_state, bide_error *error)
{
    struct insert *state = calloc(1, sizeof *state);
    (void)settings;
    if (!state)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *ret_state = state;
    if (sqlite3_open("inserted.db", &state->db) != SQLITE_OK)
        return bide_once_sqlite_failed(state->db, error);
    bide_code code = bide_once_sqlite_run(state->db,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS inserted (body "
        "TEXT)",
        error);
    if (code == BIDE_OK && sqlite3_prepare_v2(state->db, "INSERT INTO inserted VALUES (?1)", -1,
                               &state->insert, NULL) != SQLITE_OK)
        code = bide_once_sqlite_failed(state->db, error);
    return code;
}

static void close_handler(void *user)
{
    struct insert *state = user;
    sqlite3_finalize(state->insert);
    sqlite3_close(state->db);
    free(state);
}

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "insert", .version = "1.0",
    .summary = "inserts bodies into SQLite", .open = open_handler, .handle = handle, .close = close_handler,
    .handle_batch = handle_batch};
