#include "store/sqlite/inside.h"

static const char *const texts[] = {
#define TEXT_ROW(name, text) text,
    BIDE_STORE_SQLITE_STATEMENTS(TEXT_ROW)
#undef TEXT_ROW
};

bide_code bide_store_use(struct bide_sqlite_store *store, enum bide_store_sql which,
    sqlite3_stmt **ret_statement, bide_error *error)
{
    sqlite3_stmt **statement = &store->statements[which];
    if (!*statement) {
        bide_code code = bide_sqlite_prepare(&store->file, texts[which], statement, error);
        if (code != BIDE_OK)
            return code;
    }
    *ret_statement = *statement;
    return BIDE_OK;
}

/* The texts outlive the statement's run: apply's caller lends them. */
bide_code bide_store_use_for(struct bide_sqlite_store *store, enum bide_store_sql which, int64_t scope,
    const char *key, sqlite3_stmt **ret_statement, bide_error *error)
{
    bide_code code = bide_store_use(store, which, ret_statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(*ret_statement, 1, scope);
    if (key)
        sqlite3_bind_text(*ret_statement, 2, key, -1, SQLITE_STATIC);
    return BIDE_OK;
}

bide_code bide_store_use_named(struct bide_sqlite_store *store, enum bide_store_sql which, const char *name,
    const char *key, sqlite3_stmt **ret_statement, bide_error *error)
{
    bide_code code = bide_store_use(store, which, ret_statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(*ret_statement, 1, name, -1, SQLITE_STATIC);
    if (key)
        sqlite3_bind_text(*ret_statement, 2, key, -1, SQLITE_STATIC);
    return BIDE_OK;
}

bide_code bide_store_run(struct bide_sqlite_store *store, sqlite3_stmt *statement, bide_error *error)
{
    return bide_sqlite_run(&store->file, statement, error);
}

void bide_store_finalize(struct bide_sqlite_store *store)
{
    for (size_t i = 0; i < BIDE_STORE_SQL_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
}
