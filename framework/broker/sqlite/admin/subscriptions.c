#include "broker/sqlite/admin/admin.h"

#include "broker/sqlite/topic.h"

/* Makes the file where there is none yet. */
bide_code bide_sqlite_admin_join(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    char *const joins[] = {(char *)(uintptr_t)subscription, NULL};
    bide_code code = bide_sqlite_file_open(&admin->file, BIDE_SQLITE_WRITE, admin->timeout_us, error);
    if (code == BIDE_OK)
        code = bide_sqlite_join(&admin->file, joins, admin->timeout_us, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

/* How many were cancelled there is forgotten, too: so the queue is not listed any more. The table is made
 * with the first message that is cancelled. */
static bide_code forget_cancelled(struct bide_sqlite_file *file, const char *subscription, bide_error *error)
{
    sqlite3_stmt *statement;
    int64_t there;
    bide_code code = bide_sqlite_number(
        file, "SELECT count(*) FROM sqlite_master WHERE name = '{=cancelled}'", &there, error);
    if (code != BIDE_OK || !there)
        return code;
    code = bide_sqlite_prepare(file, "DELETE FROM {cancelled} WHERE queue = ?1", &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(statement, 1, subscription, -1, SQLITE_STATIC);
    code = bide_sqlite_run(file, statement, error);
    sqlite3_finalize(statement);
    return code;
}

bide_code bide_sqlite_admin_leave(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = bide_sqlite_unjoin(&admin->file, subscription, admin->timeout_us, error);
    if (code == BIDE_OK)
        code = forget_cancelled(&admin->file, subscription, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

bide_code bide_sqlite_admin_subscriptions(
    struct bide_admin *base, bide_subscription_visit *visit, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    sqlite3_stmt *statement;
    bool empty, row = true, more = true;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_READ, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = bide_sqlite_use(&admin->file, BIDE_SQL_ALL_SUBSCRIPTIONS, &statement, error);
    while (code == BIDE_OK && more &&
           (code = bide_sqlite_step(&admin->file, statement, &row, error)) == BIDE_OK && row) {
        const char *subscription = (const char *)sqlite3_column_text(statement, 0);
        more = !subscription || visit(user, subscription);
    }
    bide_sqlite_file_close(&admin->file);
    return code;
}
