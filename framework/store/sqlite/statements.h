/* store/sqlite/statements.h: every statement of a SQLite store, and its tables.
 *
 * {name} stands for "namespace_store_name"; see broker/sqlite/statements.h. Thread-safety: constant data. */
#ifndef BIDE_STORE_SQLITE_STATEMENTS_H
#define BIDE_STORE_SQLITE_STATEMENTS_H

/* scope: a name gets a number, so that the rows of a scope that has lapsed are told apart from those of the
 * next one with its name: it keeps its rows until they are deleted, but no longer its name. fact: end_ms
 * NULL: lasts as long as its scope. tally: a set, in pages of 4096 members; page 0 has the numbers of the
 * whole set. */
#define BIDE_STORE_SQLITE_TABLES                                                                             \
    "CREATE TABLE IF NOT EXISTS {store_version}(version INTEGER NOT NULL);"                                  \
    "CREATE TABLE IF NOT EXISTS {store_scope}(number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, "  \
    "end_ms INTEGER NOT NULL);"                                                                              \
    "CREATE INDEX IF NOT EXISTS {store_scope_end} ON {store_scope}(end_ms);"                                 \
    "CREATE TABLE IF NOT EXISTS {store_fact}(scope INTEGER NOT NULL, key TEXT NOT NULL, "                    \
    "state INTEGER NOT NULL, data BLOB, end_ms INTEGER, PRIMARY KEY(scope, key)) WITHOUT ROWID;"             \
    "CREATE INDEX IF NOT EXISTS {store_fact_end} ON {store_fact}(end_ms) WHERE end_ms IS NOT NULL;"          \
    "CREATE TABLE IF NOT EXISTS {store_tally}(scope INTEGER NOT NULL, name TEXT NOT NULL, "                  \
    "page INTEGER NOT NULL, bits BLOB, members INTEGER, total INTEGER, "                                     \
    "PRIMARY KEY(scope, name, page)) WITHOUT ROWID;"                                                         \
    "CREATE TABLE IF NOT EXISTS {store_holder}(scope TEXT NOT NULL, key TEXT NOT NULL, "                     \
    "holder TEXT NOT NULL, session INTEGER NOT NULL, end_ms INTEGER NOT NULL, "                              \
    "PRIMARY KEY(scope, key, holder)) WITHOUT ROWID;"                                                        \
    "CREATE TABLE IF NOT EXISTS {store_session}(number INTEGER PRIMARY KEY AUTOINCREMENT, "                  \
    "name TEXT NOT NULL, started_ms INTEGER NOT NULL);"

/* Constant, text. */
#define BIDE_STORE_SQLITE_STATEMENTS(ROW)                                                                    \
    ROW(BIDE_STORE_SQL_BEGIN_READ, "BEGIN")                                                                  \
    ROW(BIDE_STORE_SQL_COMMIT, "COMMIT")                                                                     \
    ROW(BIDE_STORE_SQL_SCOPE, "SELECT number, end_ms FROM {store_scope} WHERE name = ?1")                    \
    ROW(BIDE_STORE_SQL_SCOPE_MAKE, "INSERT INTO {store_scope}(name, end_ms) VALUES(?1, ?2)")                 \
    ROW(BIDE_STORE_SQL_SCOPE_END, "UPDATE {store_scope} SET end_ms = ?2 WHERE number = ?1")                  \
    ROW(BIDE_STORE_SQL_SCOPE_UNNAME, "UPDATE {store_scope} SET name = NULL WHERE number = ?1")               \
    ROW(BIDE_STORE_SQL_FACT, "SELECT state, data, end_ms FROM {store_fact} WHERE scope = ?1 AND key = ?2")   \
    ROW(BIDE_STORE_SQL_FACT_WRITE,                                                                           \
        "REPLACE INTO {store_fact}(scope, key, state, data, end_ms) VALUES(?1, ?2, ?3, ?4, ?5)")             \
    ROW(BIDE_STORE_SQL_FACT_NEW,                                                                             \
        "INSERT INTO {store_fact}(scope, key, state, data, end_ms) VALUES(?1, ?2, ?3, ?4, ?5) "              \
        "ON CONFLICT DO NOTHING")                                                                            \
    ROW(BIDE_STORE_SQL_FACT_CHANGE,                                                                          \
        "UPDATE {store_fact} SET state = ?3, data = ?4, end_ms = ?5 WHERE scope = ?1 AND key = ?2 AND "      \
        "state = ?6 AND substr(data, 1, length(?7)) = ?7 AND (end_ms IS NULL OR end_ms > ?8)")               \
    ROW(BIDE_STORE_SQL_FACT_END,                                                                             \
        "DELETE FROM {store_fact} WHERE scope = ?1 AND key = ?2 AND state = ?6 AND "                         \
        "substr(data, 1, length(?7)) = ?7 AND (end_ms IS NULL OR end_ms > ?8)")                              \
    ROW(BIDE_STORE_SQL_FACT_DELETE, "DELETE FROM {store_fact} WHERE scope = ?1 AND key = ?2")                \
    ROW(BIDE_STORE_SQL_FACTS, "SELECT key, state, data, end_ms FROM {store_fact} WHERE scope = ?1 AND "      \
                              "key >= ?2 AND key <> ?4 ORDER BY key LIMIT ?3")                               \
    ROW(BIDE_STORE_SQL_TALLY, "SELECT bits, members, total FROM {store_tally} WHERE scope = ?1 AND "         \
                              "name = ?2 AND page = ?3")                                                     \
    ROW(BIDE_STORE_SQL_TALLY_WRITE,                                                                          \
        "REPLACE INTO {store_tally}(scope, name, page, bits, members, total) VALUES(?1, ?2, ?3, ?4, ?5, "    \
        "?6)")                                                                                               \
    ROW(BIDE_STORE_SQL_HOLDER,                                                                               \
        "SELECT session, end_ms FROM {store_holder} WHERE scope = ?1 AND key = ?2 AND holder = ?3")          \
    ROW(BIDE_STORE_SQL_HOLDERS, "SELECT count(*) FROM {store_holder} WHERE scope = ?1 AND key = ?2")         \
    ROW(BIDE_STORE_SQL_HOLDER_WRITE, "REPLACE INTO {store_holder}(scope, key, holder, session, end_ms) "     \
                                     "VALUES(?1, ?2, ?3, ?4, ?5)")                                           \
    ROW(BIDE_STORE_SQL_HOLDER_ANY, "SELECT 1 FROM {store_holder} WHERE scope = ?1 AND key = ?2 LIMIT 1")     \
    ROW(BIDE_STORE_SQL_HOLDER_DELETE,                                                                        \
        "DELETE FROM {store_holder} WHERE scope = ?1 AND key = ?2 AND holder = ?3 AND session = ?4")         \
    ROW(BIDE_STORE_SQL_HOLDERS_LAPSE,                                                                        \
        "DELETE FROM {store_holder} WHERE scope = ?1 AND key = ?2 AND end_ms <= ?3")                         \
    ROW(BIDE_STORE_SQL_HOLDING_SESSIONS,                                                                     \
        "SELECT DISTINCT session FROM {store_holder} WHERE scope = ?1 AND key = ?2")                         \
    ROW(BIDE_STORE_SQL_HOLDERS_VANISH, "DELETE FROM {store_holder} WHERE session = ?1")                      \
    ROW(BIDE_STORE_SQL_SESSION_MAKE, "INSERT INTO {store_session}(name, started_ms) VALUES(?1, ?2)")         \
    ROW(BIDE_STORE_SQL_SESSION, "SELECT 1 FROM {store_session} WHERE number = ?1")                           \
    ROW(BIDE_STORE_SQL_SESSIONS, "SELECT number FROM {store_session}")                                       \
    ROW(BIDE_STORE_SQL_SESSION_DELETE, "DELETE FROM {store_session} WHERE number = ?1")                      \
    ROW(BIDE_STORE_SQL_LAPSED_FACTS,                                                                         \
        "DELETE FROM {store_fact} WHERE (scope, key) IN (SELECT scope, key FROM {store_fact} WHERE "         \
        "end_ms <= ?1 ORDER BY end_ms LIMIT ?2)")                                                            \
    ROW(BIDE_STORE_SQL_LAPSED_SCOPE, "SELECT number FROM {store_scope} WHERE end_ms <= ?1 LIMIT 1")          \
    ROW(BIDE_STORE_SQL_EMPTY_FACTS,                                                                          \
        "DELETE FROM {store_fact} WHERE scope = ?1 AND key IN (SELECT key FROM {store_fact} WHERE "          \
        "scope = ?1 LIMIT ?2)")                                                                              \
    ROW(BIDE_STORE_SQL_EMPTY_TALLIES,                                                                        \
        "DELETE FROM {store_tally} WHERE scope = ?1 AND (name, page) IN (SELECT name, page FROM "            \
        "{store_tally} WHERE scope = ?1 LIMIT ?2)")                                                          \
    ROW(BIDE_STORE_SQL_SCOPE_DELETE, "DELETE FROM {store_scope} WHERE number = ?1")

enum bide_store_sql {
#define BIDE_STORE_SQLITE_ENUM(name, text) name,
    BIDE_STORE_SQLITE_STATEMENTS(BIDE_STORE_SQLITE_ENUM)
#undef BIDE_STORE_SQLITE_ENUM
        BIDE_STORE_SQL_COUNT
};

#endif
