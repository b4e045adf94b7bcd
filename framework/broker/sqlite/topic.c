#include "broker/sqlite/topic.h"

/* ---- sending ---- */

bide_code bide_sqlite_fan_out(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, size_t *ret_n, bide_error *error)
{
    sqlite3_stmt *subscriptions;
    struct bide_message copy = *message; /* its strings are only looked at */
    bool row = false;
    *ret_n = 0;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_SUBSCRIPTIONS, &subscriptions, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(subscriptions, 1, bide_queue_topic(message->queue), -1, SQLITE_STATIC);
    while ((code = bide_sqlite_step(file, subscriptions, &row, error)) == BIDE_OK && row) {
        copy.queue = (const char *)sqlite3_column_text(subscriptions, 0);
        code = copy.queue ? bide_sqlite_insert(file, &copy, scratch, error)
                          : bide_fail(error, BIDE_E_NOMEM, "out of memory");
        if (code != BIDE_OK) {
            sqlite3_reset(subscriptions);
            return code;
        }
        ++*ret_n;
    }
    return code;
}

static bide_code park(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error)
{
    char text[BIDE_UNROUTED_TEXT];
    struct bide_message parked;
    bide_message_park(message, text, &parked);
    const struct bide_dead_letter letter = {&parked, BIDE_REASON_UNROUTED, bide_wall_ms(file->clock)};
    return bide_sqlite_insert_dead(file, &letter, scratch, error);
}

bide_code bide_sqlite_send(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error)
{
    size_t n;
    if (!bide_is_topic(message->queue))
        return bide_sqlite_insert(file, message, scratch, error);
    bide_code code = bide_sqlite_fan_out(file, message, scratch, &n, error);
    return code == BIDE_OK && n == 0 ? park(file, message, scratch, error) : code;
}

/* ---- joining and leaving ---- */

static bide_code change(
    struct bide_sqlite_file *file, enum bide_sql which, const char *subscription, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(file, which, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, bide_queue_topic(subscription), -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, subscription, -1, SQLITE_STATIC);
    return bide_sqlite_run(file, statement, error);
}

bide_code bide_sqlite_join(
    struct bide_sqlite_file *file, char *const *joins, int64_t wait_us, bide_error *error)
{
    bide_code code = *joins ? bide_sqlite_begin(file, true, wait_us, error) : BIDE_OK;
    if (!*joins || code != BIDE_OK)
        return code;
    for (; *joins && code == BIDE_OK; joins++)
        code = change(file, BIDE_SQL_JOIN, *joins, error);
    return bide_sqlite_end(file, code, error);
}

bide_code bide_sqlite_unjoin(
    struct bide_sqlite_file *file, const char *subscription, int64_t wait_us, bide_error *error)
{
    bide_code code = bide_sqlite_begin(file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    return bide_sqlite_end(file, change(file, BIDE_SQL_UNJOIN, subscription, error), error);
}
