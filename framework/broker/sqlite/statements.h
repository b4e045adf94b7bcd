/* broker/sqlite/statements.h: every statement that the adapter runs in steady state, in one table.
 *
 * {name} stands for a table of the namespace, and {set text} for the text once for each field of the set
 * (message/fields.h), with commas between: # in it is the field's column, @ its column in the table of dead
 * letters. A connection prepares each statement once, at first use. Each finds its rows by a key or an index:
 * a unit test reads SQLite's query plans of all of them. */
#ifndef BIDE_BROKER_SQLITE_STATEMENTS_H
#define BIDE_BROKER_SQLITE_STATEMENTS_H

#include <stddef.h>

#include "message/fields.h"

/* A dead letter, d, as bide_sqlite_read_dead takes it. */
#define BIDE_SQLITE_LETTER "d.seq, {all d.@}, d.headers, d.body, d.reason, d.died_ms"

/* ?3: whether to return the errors, which may be long. An older bide put the failures behind a mark in them.
 */
#define BIDE_SQLITE_PAGE_OF_DEAD(condition)                                                                  \
    "SELECT seq, id, died_ms, type, queue, reason, CASE WHEN ?3 THEN "                                       \
    "substr(error, 1, instr(error || char(30), char(30)) - 1) END FROM {dead} WHERE " condition              \
    " ORDER BY seq DESC LIMIT 1000"

#define BIDE_SQLITE_STATEMENTS(ROW)                                                                          \
    ROW(BIDE_SQL_BEGIN_READ, "BEGIN")                                                                        \
    ROW(BIDE_SQL_BEGIN_WRITE, "BEGIN IMMEDIATE")                                                             \
    ROW(BIDE_SQL_COMMIT, "COMMIT")                                                                           \
    /* sending */                                                                                            \
    ROW(BIDE_SQL_INSERT_MESSAGE, "INSERT INTO {message}({all #}, headers, body) VALUES({all ?}, ?, ?)")      \
    ROW(BIDE_SQL_INSERT_WAITING, "INSERT INTO {waiting}(queue, due_ms, seq) VALUES(?1, ?2, ?3)")             \
    ROW(BIDE_SQL_FIRST_SEQ, "SELECT seq FROM {message} WHERE seq > 0 ORDER BY seq LIMIT 1")                  \
    ROW(BIDE_SQL_LAST_SEQ, "SELECT seq FROM {message} WHERE seq > 0 ORDER BY seq DESC LIMIT 1")              \
    ROW(BIDE_SQL_USED_BYTES, "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, "     \
                             "pragma_freelist_count, pragma_page_size")                                      \
    /* topics */                                                                                             \
    ROW(BIDE_SQL_SUBSCRIPTIONS, "SELECT queue FROM {subscription} WHERE topic = ?1 ORDER BY queue")          \
    ROW(BIDE_SQL_JOIN, "INSERT OR IGNORE INTO {subscription}(topic, queue) VALUES(?1, ?2)")                  \
    ROW(BIDE_SQL_UNJOIN, "DELETE FROM {subscription} WHERE topic = ?1 AND queue = ?2")                       \
    ROW(BIDE_SQL_ALL_SUBSCRIPTIONS, "SELECT queue FROM {subscription} ORDER BY topic, queue")                \
    ROW(BIDE_SQL_DEAD_FOR_TOPIC, "SELECT " BIDE_SQLITE_LETTER " FROM {dead} d WHERE d.seq = ?1 AND "         \
                                 "substr(d.queue, 1, 1) = '@'")                                              \
    /* claiming */                                                                                           \
    ROW(BIDE_SQL_NEXT_DUE, "SELECT due_ms FROM {waiting} WHERE queue = ?1 ORDER BY due_ms LIMIT 1")          \
    /* of a body that is too large, the size is returned */                                                  \
    ROW(BIDE_SQL_CLAIM_READ, "SELECT w.seq, w.due_ms, {rest m.#}, m.headers, "                               \
                             "CASE WHEN length(m.body) > ?2 THEN length(m.body) ELSE m.body END "            \
                             "FROM {waiting} w CROSS JOIN {message} m ON m.seq = w.seq WHERE w.queue = ?1 "  \
                             "ORDER BY w.due_ms, w.seq")                                                     \
    ROW(BIDE_SQL_CLAIM_INSERT, "INSERT INTO {claim}(seq, worker) SELECT seq, ?4 FROM {waiting} "             \
                               "WHERE queue = ?1 AND (due_ms, seq) <= (?2, ?3)")                             \
    ROW(BIDE_SQL_CLAIM_DELETE, "DELETE FROM {waiting} WHERE queue = ?1 AND (due_ms, seq) <= (?2, ?3)")       \
    /* settling */                                                                                           \
    ROW(BIDE_SQL_UNCLAIM, "DELETE FROM {claim} WHERE seq = ?1 AND worker = ?2")                              \
    ROW(BIDE_SQL_DELETE_MESSAGE, "DELETE FROM {message} WHERE seq = ?1")                                     \
    ROW(BIDE_SQL_COUNT_CLAIMS, "SELECT count(*) FROM {claim} WHERE seq BETWEEN ?1 AND ?2 AND worker = ?3")   \
    ROW(BIDE_SQL_UNCLAIM_RUN, "DELETE FROM {claim} WHERE seq BETWEEN ?1 AND ?2")                             \
    ROW(BIDE_SQL_DELETE_RUN, "DELETE FROM {message} WHERE seq BETWEEN ?1 AND ?2")                            \
    /* changing what waits: see admin/change.c */                                                            \
    ROW(BIDE_SQL_LEAVE, "DELETE FROM {waiting} WHERE queue = ?1 AND due_ms = ?2 AND seq = ?3")               \
    ROW(BIDE_SQL_RESCHEDULE, "UPDATE {message} SET due_ms = ?2, expires_ms = ?3 WHERE seq = ?1")             \
    ROW(BIDE_SQL_RETRY_MESSAGE, "UPDATE {message} SET queue = ?2, {retried # = ?} WHERE seq = ?1")           \
    ROW(BIDE_SQL_RELEASE,                                                                                    \
        "INSERT INTO {waiting}(queue, due_ms, seq) SELECT queue, due_ms, seq FROM {message} WHERE seq = ?1 " \
        "RETURNING queue, due_ms, seq")                                                                      \
    ROW(BIDE_SQL_BURY,                                                                                       \
        "INSERT INTO {dead}({kept #}, {runs @}, reason, died_ms, headers, body) "                            \
        "SELECT {kept #}, {runs ?}, ?, ?, headers, body FROM {message} WHERE seq = ? RETURNING queue")       \
    /* workers */                                                                                            \
    ROW(BIDE_SQL_WORKERS, "SELECT number FROM {worker} ORDER BY number")                                     \
    ROW(BIDE_SQL_WORKER_KNOWN, "SELECT 1 FROM {worker} WHERE number = ?1")                                   \
    ROW(BIDE_SQL_WORKER_LAST, "SELECT coalesce(max(number), 0) FROM {worker}")                               \
    ROW(BIDE_SQL_WORKER_INSERT,                                                                              \
        "INSERT INTO {worker}(number, name, host, pid, started_ms) VALUES(?1, ?2, ?3, ?4, ?5)")              \
    ROW(BIDE_SQL_WORKER_DELETE, "DELETE FROM {worker} WHERE number = ?1")                                    \
    /* Claims are few, bounded by what workers hold: these three read them all. */                           \
    ROW(BIDE_SQL_CLAIM_ORPHANS, "SELECT worker FROM {claim} c WHERE worker <> ?1 AND NOT EXISTS (SELECT 1 "  \
                                "FROM {worker} WHERE number = c.worker)")                                    \
    ROW(BIDE_SQL_FREE_INSERT, "INSERT INTO {waiting}(queue, due_ms, seq) SELECT m.queue, m.due_ms, m.seq "   \
                              "FROM {claim} c CROSS JOIN {message} m ON m.seq = c.seq WHERE c.worker = ?1 "  \
                              "RETURNING queue, due_ms, seq")                                                \
    ROW(BIDE_SQL_FREE_DELETE, "DELETE FROM {claim} WHERE worker = ?1")                                       \
    /* looking */                                                                                            \
    ROW(BIDE_SQL_FIRST_READY,                                                                                \
        "SELECT max(w.due_ms, coalesce(m.sent_ms, 0)) FROM {waiting} w CROSS JOIN {message} m "              \
        "ON m.seq = w.seq WHERE w.queue = ?1 AND w.due_ms <= ?2 ORDER BY w.due_ms, w.seq LIMIT 1")           \
    ROW(BIDE_SQL_CLAIM_COUNTS, "SELECT m.queue, c.worker, m.due_ms <= ?1, count(*), "                        \
                               "min(max(m.due_ms, coalesce(m.sent_ms, 0))) "                                 \
                               "FROM {claim} c CROSS JOIN {message} m ON m.seq = c.seq GROUP BY 1, 2, 3")    \
    ROW(BIDE_SQL_WORKER_LIST, "SELECT number, host, pid FROM {worker} ORDER BY number")                      \
    ROW(BIDE_SQL_NEXT_WAITING_QUEUE, "SELECT queue FROM {waiting} WHERE queue > ?1 ORDER BY queue LIMIT 1")  \
    ROW(BIDE_SQL_NEXT_DEAD_QUEUE, "SELECT queue FROM {dead} WHERE queue > ?1 ORDER BY queue LIMIT 1")        \
    /* counts: see counts.h */                                                                               \
    ROW(BIDE_SQL_COUNT_READ, "SELECT waiting, ready, due_ms, seq, dead FROM {count} WHERE queue = ?1")       \
    ROW(BIDE_SQL_COUNT_WRITE, "REPLACE INTO {count}(queue, waiting, ready, due_ms, seq, dead) "              \
                              "VALUES(?1, ?2, ?3, ?4, ?5, ?6)")                                              \
    ROW(BIDE_SQL_COUNT_STEPS, "SELECT count(*) FROM (SELECT 1 FROM {waiting} WHERE queue = ?1 AND "          \
                              "(due_ms, seq) > (?2, ?3) AND due_ms <= ?4 LIMIT ?5)")                         \
    ROW(BIDE_SQL_STEP_TO, "SELECT due_ms, seq FROM {waiting} WHERE queue = ?1 AND (due_ms, seq) > (?2, ?3) " \
                          "AND due_ms <= ?4 ORDER BY due_ms, seq LIMIT 1 OFFSET ?5 - 1")                     \
    ROW(BIDE_SQL_COUNT_WAITING, "SELECT count(*) FROM {waiting} WHERE queue = ?1")                           \
    ROW(BIDE_SQL_COUNT_DEAD, "SELECT count(*) FROM {dead} WHERE queue = ?1")                                 \
    ROW(BIDE_SQL_COUNT_AGAIN, "DELETE FROM {count} WHERE NOT EXISTS (SELECT 1 FROM {waiting} w WHERE "       \
                              "w.queue = {count}.queue LIMIT 1 OFFSET 999) AND NOT EXISTS (SELECT 1 FROM "   \
                              "{dead} d WHERE d.queue = {count}.queue LIMIT 1 OFFSET 9999)")                 \
    /* replaying, storing and dropping dead letters */                                                       \
    ROW(BIDE_SQL_DEAD_RETRY,                                                                                 \
        "INSERT INTO {message}({sent #}, due_ms, attempt, expires_ms, headers, body) SELECT {sent #}, ?2, "  \
        "1, "                                                                                                \
        "CASE WHEN expires_ms > ?2 THEN expires_ms END, headers, body FROM {dead} WHERE seq = ?1")           \
    ROW(BIDE_SQL_INSERT_DEAD,                                                                                \
        "INSERT INTO {dead}({all @}, headers, body, reason, died_ms) VALUES({all ?}, ?, ?, ?, ?)")           \
    ROW(BIDE_SQL_DEAD_EXPIRE, "DELETE FROM {dead} WHERE seq IN (SELECT seq FROM {dead} WHERE seq > 0 "       \
                              "ORDER BY seq LIMIT ?1) AND died_ms < ?2 RETURNING queue")                     \
    /* the letters of a queue that are older than its newest ?2 */                                           \
    ROW(BIDE_SQL_DEAD_SURPLUS,                                                                               \
        "DELETE FROM {dead} WHERE seq IN (SELECT seq FROM {dead} WHERE queue = ?1 AND seq <= (SELECT seq "   \
        "FROM {dead} WHERE queue = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2) ORDER BY seq LIMIT ?3) "          \
        "RETURNING queue")                                                                                   \
    ROW(BIDE_SQL_DEAD_DELETE, "DELETE FROM {dead} WHERE seq = ?1 RETURNING queue")                           \
    ROW(BIDE_SQL_DEAD_DELETE_SAME,                                                                           \
        "DELETE FROM {dead} WHERE seq = ?1 AND id = ?2 AND died_ms = ?3 RETURNING queue")                    \
    /* choosing dead letters, a page at a time; the program checks the other conditions */                   \
    ROW(BIDE_SQL_DEAD_PAGE, BIDE_SQLITE_PAGE_OF_DEAD("seq < ?1"))                                            \
    ROW(BIDE_SQL_DEAD_PAGE_OF_ID, BIDE_SQLITE_PAGE_OF_DEAD("id = ?2 AND seq < ?1"))                          \
    ROW(BIDE_SQL_DEAD_PAGE_OF_TYPE, BIDE_SQLITE_PAGE_OF_DEAD("type = ?2 AND seq < ?1"))                      \
    ROW(BIDE_SQL_DEAD_PAGE_OF_QUEUE, BIDE_SQLITE_PAGE_OF_DEAD("queue = ?2 AND seq < ?1"))                    \
    ROW(BIDE_SQL_DEAD_PAGE_OF_REASON, BIDE_SQLITE_PAGE_OF_DEAD("reason = ?2 AND seq < ?1"))

enum bide_sql {
#define BIDE_SQLITE_ENUM(name, text) name,
    BIDE_SQLITE_STATEMENTS(BIDE_SQLITE_ENUM)
#undef BIDE_SQLITE_ENUM
        BIDE_SQL_COUNT
};

const char *bide_sqlite_statement_text(enum bide_sql which);

/* Of a dead letter a count says how many there were: its column there is in the plural. */
static inline const char *bide_sqlite_plural(const struct bide_field *field)
{
    return field->kind == BIDE_KIND_COUNT ? "s" : "";
}

#endif
