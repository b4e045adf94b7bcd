#include "broker/sqlite/schema.h"

#include "broker/sqlite/statements.h"

/* message: every message that is not dead. waiting: the place in line of those that no worker holds, by due
 * time; to claim a message, a worker deletes its row here. Rows of waiting and claim are small beside the
 * bodies, so that claiming and settling write few pages (docs/decisions/0002). dead: `seq` counts up in order
 * of death. subscription: who gets a copy of what is sent to a topic. count: see counts.h; it is made last,
 * so where it exists, all tables do. A field that is newer than these texts (message/fields.h) becomes a
 * column behind them: see add_columns. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS {message}(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, "
    "queue TEXT NOT NULL, due_ms INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 1, sent_ms INTEGER, "
    "expires_ms INTEGER, content_type TEXT, headers TEXT, error TEXT, body BLOB);"
    "CREATE TABLE IF NOT EXISTS {waiting}(queue TEXT NOT NULL, due_ms INTEGER NOT NULL, "
    "seq INTEGER NOT NULL, PRIMARY KEY(queue, due_ms, seq)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS {claim}(seq INTEGER PRIMARY KEY, worker INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS {worker}(number INTEGER PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL, "
    "pid INTEGER NOT NULL, started_ms INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS {dead}(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, "
    "queue TEXT NOT NULL, reason TEXT NOT NULL, error TEXT, attempts INTEGER NOT NULL, "
    "died_ms INTEGER NOT NULL, due_ms INTEGER, sent_ms INTEGER, expires_ms INTEGER, content_type TEXT, "
    "headers TEXT, body BLOB);"
    "CREATE INDEX IF NOT EXISTS {dead_id} ON {dead}(id);"
    "CREATE INDEX IF NOT EXISTS {dead_queue} ON {dead}(queue);"
    "CREATE INDEX IF NOT EXISTS {dead_type} ON {dead}(type);"
    "CREATE INDEX IF NOT EXISTS {dead_reason} ON {dead}(reason);"
    "CREATE TABLE IF NOT EXISTS {subscription}(topic TEXT NOT NULL, queue TEXT NOT NULL, "
    "PRIMARY KEY(topic, queue)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS {count}(queue TEXT PRIMARY KEY, waiting INTEGER NOT NULL, "
    "ready INTEGER NOT NULL, due_ms INTEGER NOT NULL, seq INTEGER NOT NULL, dead INTEGER NOT NULL) "
    "WITHOUT ROWID;";

static bide_code make_tables(struct bide_sqlite_file *file, bide_error *error)
{
    return bide_sqlite_exec(file, tables, error);
}

/* A new column costs nothing, whatever the file's size, and an older bide beside this one does not mind: so
 * it is no new version. */
static bide_code add_column(struct bide_sqlite_file *file, const char *table, const struct bide_field *field,
    const char *plural, bide_error *error)
{
    char sql[200];
    int64_t there;
    sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM pragma_table_info('{=%s}') WHERE name = '%s%s'",
        table, field->name, plural);
    bide_code code = bide_sqlite_number(file, sql, &there, error);
    if (code != BIDE_OK || there)
        return code;
    sqlite3_snprintf(sizeof sql, sql, "ALTER TABLE {%s} ADD COLUMN \"%s%s\" %s", table, field->name, plural,
        field->kind == BIDE_KIND_TEXT ? "TEXT" : "INTEGER");
    return bide_sqlite_exec(file, sql, error);
}

static bide_code add_columns(struct bide_sqlite_file *file, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < BIDE_N_FIELDS; i++) {
        code = add_column(file, "message", &bide_fields[i], "", error);
        if (code == BIDE_OK)
            code = add_column(file, "dead", &bide_fields[i], bide_sqlite_plural(&bide_fields[i]), error);
    }
    return code;
}

/* steps[v] leads from version v to v + 1. */
typedef bide_code upgrade_step(struct bide_sqlite_file *file, bide_error *error);
/* Version 2 only adds tables and indexes to version 1. */
static upgrade_step *const steps[BIDE_SQLITE_VERSION] = {make_tables, make_tables};

bide_code bide_sqlite_check_owner(struct bide_sqlite_file *file, bide_error *error)
{
    int64_t application, version, tables_there;
    bide_code code = bide_sqlite_number(file, "PRAGMA application_id", &application, error);
    if (code == BIDE_OK)
        code = bide_sqlite_number(file, "PRAGMA user_version", &version, error);
    if (code == BIDE_OK)
        code = bide_sqlite_number(file, "SELECT count(*) FROM sqlite_master", &tables_there, error);
    if (code != BIDE_OK)
        return code;
    if (application == BIDE_SQLITE_APPLICATION || (application == 0 && version == 0 && tables_there == 0))
        return BIDE_OK;
    file->hopeless = true;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s: is another program's SQLite database: name a file of bide's own", file->path);
}

/* SQLite ignores case in names: namespace `Bide` would work on the tables of `bide`. */
bide_code bide_sqlite_check_case(struct bide_sqlite_file *file, const char *table, bide_error *error)
{
    char sql[200];
    int64_t others;
    sqlite3_snprintf(sizeof sql, sql,
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> '{=%s}' AND "
        "name = '{=%s}' COLLATE NOCASE",
        table, table);
    bide_code code = bide_sqlite_number(file, sql, &others, error);
    if (code != BIDE_OK || others == 0)
        return code;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s: namespace '%s' is in this file with other capital letters, which SQLite does not tell apart: "
        "write `namespace` as the tables are named (sqlite3 FILE .tables)",
        file->path, file->name_space);
}

bide_code bide_sqlite_mark_owner(struct bide_sqlite_file *file, bide_error *error)
{
    char pragma[64];
    (void)sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA application_id = %d", BIDE_SQLITE_APPLICATION);
    return bide_sqlite_exec(file, pragma, error);
}

static bide_code check(struct bide_sqlite_file *file, enum bide_sqlite_schema *ret_schema, bide_error *error)
{
    int64_t version, present, columns = 0;
    bide_code code = bide_sqlite_number(file, "PRAGMA user_version", &version, error);
    if (code == BIDE_OK)
        code = bide_sqlite_check_owner(file, error);
    if (code == BIDE_OK)
        code = bide_sqlite_check_case(file, "message", error);
    if (code != BIDE_OK)
        return code;
    if (version > BIDE_SQLITE_VERSION) {
        file->hopeless = true;
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: has schema version %lld, this program knows up to %d: use the newer bide that wrote it",
            file->path, (long long)version, BIDE_SQLITE_VERSION);
    }
    code = bide_sqlite_number(file,
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('{=message}', '{=count}', "
        "'{=subscription}')",
        &present, error);
    if (code == BIDE_OK)
        code = bide_sqlite_number(file,
            "SELECT count(*) FROM (SELECT name FROM pragma_table_info('{=message}') UNION ALL "
            "SELECT name FROM pragma_table_info('{=dead}')) WHERE '\"' || name || '\"' IN ({all '#'}, {all "
            "'@'})",
            &columns, error);
    if (code == BIDE_OK)
        *ret_schema = present == 0 ? BIDE_SQLITE_ABSENT
                      : present == 3 && version == BIDE_SQLITE_VERSION && columns == 2 * BIDE_N_FIELDS
                          ? BIDE_SQLITE_CURRENT
                          : BIDE_SQLITE_OLD;
    return code;
}

static bide_code upgrade(struct bide_sqlite_file *file, bide_error *error)
{
    int64_t version;
    bide_code code = bide_sqlite_number(file, "PRAGMA user_version", &version, error);
    for (int64_t v = version; code == BIDE_OK && v < BIDE_SQLITE_VERSION; v++)
        code = steps[v](file, error);
    if (code == BIDE_OK && version == BIDE_SQLITE_VERSION)
        code = make_tables(file, error); /* a namespace the file did not know */
    if (code == BIDE_OK)
        code = add_columns(file, error);
    if (code == BIDE_OK)
        code = bide_sqlite_mark_owner(file, error);
    if (code != BIDE_OK)
        return code;
    char pragma[64];
    (void)sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version = %d", BIDE_SQLITE_VERSION);
    return bide_sqlite_exec(file, pragma, error);
}

const struct bide_sqlite_tables bide_sqlite_broker_tables = {.check = check, .make = upgrade};

bide_code bide_sqlite_schema_drop(struct bide_sqlite_file *file, bide_error *error)
{
    int64_t wait_us = file->busy_until_us - bide_mono_us(file->clock);
    bide_code code = bide_sqlite_begin(file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    code = bide_sqlite_exec(file,
        "DROP TABLE IF EXISTS {message}; DROP TABLE IF EXISTS {waiting}; DROP TABLE IF EXISTS {claim};"
        "DROP TABLE IF EXISTS {worker}; DROP TABLE IF EXISTS {dead}; DROP TABLE IF EXISTS {cancelled};"
        "DROP TABLE IF EXISTS {subscription}; DROP TABLE IF EXISTS {count}",
        error);
    return bide_sqlite_end(file, code, error);
}
