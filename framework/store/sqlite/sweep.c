#include "store/sqlite/inside.h"

/* How much is deleted at once, and how soon again. While there is more than that, every transaction deletes
 * some: deleting keeps up with writing. */
enum { ROWS = 500, PAUSE_US = 250 * 1000 };

static bide_code delete_lapsed(
    struct bide_sqlite_store *store, enum bide_store_sql which, int64_t scope, int *ret_n, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_store_use(store, which, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 1, scope ? scope : bide_store_now_ms(store));
    sqlite3_bind_int64(statement, 2, ROWS);
    code = bide_store_run(store, statement, error);
    *ret_n = sqlite3_changes(store->file.db);
    return code;
}

static bide_code find_lapsed_scope(struct bide_sqlite_store *store, int64_t *ret_scope, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    bide_code code = bide_store_use_for(
        store, BIDE_STORE_SQL_LAPSED_SCOPE, bide_store_now_ms(store), NULL, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code != BIDE_OK)
        return code;
    *ret_scope = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return BIDE_OK;
}

static bide_code sweep_scope(struct bide_sqlite_store *store, bool *ret_more, bide_error *error)
{
    int64_t scope = 0;
    int facts = 0, tallies = 0;
    bide_code code = find_lapsed_scope(store, &scope, error);
    if (code != BIDE_OK || !scope)
        return code;
    *ret_more = true;
    code = delete_lapsed(store, BIDE_STORE_SQL_EMPTY_FACTS, scope, &facts, error);
    if (code == BIDE_OK)
        code = delete_lapsed(store, BIDE_STORE_SQL_EMPTY_TALLIES, scope, &tallies, error);
    if (code != BIDE_OK || facts == ROWS || tallies == ROWS)
        return code;
    sqlite3_stmt *statement;
    *store->scope.name = '\0'; /* the row that it stands for may be this one */
    code = bide_store_use_for(store, BIDE_STORE_SQL_SCOPE_DELETE, scope, NULL, &statement, error);
    return code == BIDE_OK ? bide_store_run(store, statement, error) : code;
}

bide_code bide_store_sweep(struct bide_sqlite_store *store, bide_error *error)
{
    int64_t now_us = bide_mono_us(store->file.clock);
    int facts = 0;
    bool more = false;
    if (now_us < store->sweep_at_us)
        return BIDE_OK;
    bide_code code = delete_lapsed(store, BIDE_STORE_SQL_LAPSED_FACTS, 0, &facts, error);
    if (code == BIDE_OK)
        code = sweep_scope(store, &more, error);
    store->sweep_at_us = facts == ROWS || more ? now_us : now_us + PAUSE_US;
    return code;
}
