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

/* In `count` there may be a row of the queue: with the next message it is used again. */
bide_code bide_sqlite_admin_leave(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = bide_sqlite_unjoin(&admin->file, subscription, admin->timeout_us, error);
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
