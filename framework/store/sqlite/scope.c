#include <string.h>

#include "store/sqlite/inside.h"

bide_code bide_store_scope_find(struct bide_sqlite_store *store, const char *name, bide_error *error)
{
    struct bide_store_scope *scope = &store->scope;
    sqlite3_stmt *statement;
    bool row;
    if (strcmp(scope->name, name) == 0)
        return BIDE_OK;
    bide_code code = bide_store_use_named(store, BIDE_STORE_SQL_SCOPE, name, NULL, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code != BIDE_OK)
        return code;
    *scope = (struct bide_store_scope){0};
    memcpy(scope->name, name, strlen(name) + 1);
    if (!row)
        return BIDE_OK;
    scope->end_ms = sqlite3_column_int64(statement, 1);
    bool lasts = scope->end_ms > bide_store_now_ms(store);
    *(lasts ? &scope->number : &scope->lapsed) = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return BIDE_OK;
}

static bide_code take_name(struct bide_sqlite_store *store, bide_error *error)
{
    sqlite3_stmt *statement;
    if (!store->scope.lapsed)
        return BIDE_OK;
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_SCOPE_UNNAME, store->scope.lapsed, NULL, &statement, error);
    if (code == BIDE_OK)
        code = bide_store_run(store, statement, error);
    if (code == BIDE_OK)
        store->scope.lapsed = 0;
    return code;
}

static bide_code make(struct bide_sqlite_store *store, int64_t end_ms, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = take_name(store, error);
    if (code == BIDE_OK)
        code = bide_store_use_named(
            store, BIDE_STORE_SQL_SCOPE_MAKE, store->scope.name, NULL, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 2, end_ms);
    code = bide_store_run(store, statement, error);
    if (code == BIDE_OK) {
        store->scope.number = sqlite3_last_insert_rowid(store->file.db);
        store->scope.end_ms = end_ms;
    }
    return code;
}

static bide_code set_end(struct bide_sqlite_store *store, int64_t end_ms, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_SCOPE_END, store->scope.number, NULL, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 2, end_ms);
    code = bide_store_run(store, statement, error);
    if (code == BIDE_OK)
        store->scope.end_ms = end_ms;
    return code;
}

bide_code bide_store_scope_last(
    struct bide_sqlite_store *store, const char *name, int64_t lasts_ms, bide_error *error)
{
    bide_code code = bide_store_scope_find(store, name, error);
    int64_t now_ms = bide_store_now_ms(store);
    if (code != BIDE_OK || lasts_ms == 0)
        return code;
    /* Twice as long as asked for: so a busy scope writes its row now and then, and not each time. */
    if (!store->scope.number)
        return make(store, now_ms + 2 * lasts_ms, error);
    return store->scope.end_ms < now_ms + lasts_ms ? set_end(store, now_ms + 2 * lasts_ms, error) : BIDE_OK;
}

bide_code bide_store_sqlite_close(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    bide_code code = bide_store_scope_find(store, operation->scope, error);
    int64_t end_ms = bide_store_now_ms(store) + operation->lasts_ms;
    operation->answer.ok = true;
    if (code == BIDE_OK && store->scope.number)
        code = set_end(store, end_ms, error);
    else if (code == BIDE_OK && operation->lasts_ms > 0)
        code = make(store, end_ms, error);
    *store->scope.name = '\0'; /* it may have lapsed just now: read it again */
    return code;
}
