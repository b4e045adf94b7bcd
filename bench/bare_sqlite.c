/* bare_sqlite DATABASE MESSAGES SEND_BATCH CLAIM_BATCH [apart]: the yardstick for the SQLite adapter.
 *
 * The plainest C there is over SQLite: one process inserts 256-byte messages, another claims and deletes them
 * at the same time (apart: when all are there), with the adapter's tables, durability (WAL, synchronous=FULL)
 * and batch sizes, and nothing else: no message objects, no watching, no turns. Prints rates and CPU time a
 * message. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"

enum { BODY = 256, QUEUE_SIZE = 7 };

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
    "CREATE TABLE IF NOT EXISTS message(seq INTEGER PRIMARY KEY, id TEXT, type TEXT, queue TEXT, due_ms "
    "INTEGER, "
    "attempt INTEGER, sent_ms INTEGER, expires_ms INTEGER, content_type TEXT, headers TEXT, error TEXT, body "
    "BLOB);"
    "CREATE TABLE IF NOT EXISTS waiting(queue TEXT, due_ms INTEGER, seq INTEGER, PRIMARY KEY(queue, due_ms, "
    "seq)) "
    "WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS claim(seq INTEGER PRIMARY KEY, worker INTEGER);";

struct arguments {
    const char *path;
    long messages, send_batch, claim_batch;
};

static void die(sqlite3 *db, const char *what)
{
    fprintf(stderr, "bare_sqlite: %s: %s\n", what, sqlite3_errmsg(db));
    exit(70);
}

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK)
        die(db, path);
    sqlite3_busy_timeout(db, 60000);
    if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
        die(db, "schema");
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        die(db, sql);
    return statement;
}

/* True on a row; at the end the statement is reset. */
static int step(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        return 1;
    if (result != SQLITE_DONE)
        die(sqlite3_db_handle(statement), sqlite3_sql(statement));
    sqlite3_reset(statement);
    return 0;
}

static void insert(sqlite3 *db, sqlite3_stmt *message, sqlite3_stmt *waiting, long i, const char *body)
{
    struct timespec now;
    char id[40];
    clock_gettime(CLOCK_REALTIME, &now);
    sqlite3_int64 now_ms = (sqlite3_int64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    snprintf(id, sizeof id, "0190aaaa-bbbb-7ccc-8ddd-%012ld", i);
    sqlite3_bind_text(message, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(message, 2, now_ms);
    sqlite3_bind_blob(message, 3, body, BODY, SQLITE_STATIC);
    step(message);
    sqlite3_bind_int64(waiting, 1, now_ms);
    sqlite3_bind_int64(waiting, 2, sqlite3_last_insert_rowid(db));
    step(waiting);
}

static void send_all(const struct arguments *arguments)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sqlite3 *db = open_database(arguments->path);
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *message =
        prepare(db, "INSERT INTO message(id, type, queue, due_ms, attempt, sent_ms, body) "
                    "VALUES(?1, 'journal', 'default', ?2, 1, ?2, ?3)");
    sqlite3_stmt *waiting = prepare(db, "INSERT INTO waiting VALUES('default', ?1, ?2)");
    char body[BODY];
    memset(body, 'x', sizeof body);
    for (long sent = 0; sent < arguments->messages;) {
        step(begin);
        for (long i = 0; i < arguments->send_batch && sent < arguments->messages; i++, sent++)
            insert(db, message, waiting, sent, body);
        step(commit);
    }
    report("send", arguments->messages, wall, cpu);
}

struct claimed {
    sqlite3_int64 due_ms, seq;
};

static long claim(sqlite3_stmt *line, sqlite3_stmt *move[2], struct claimed *claimed, long max)
{
    long n = 0;
    sqlite3_bind_int64(line, 1, max);
    while (step(line))
        claimed[n++] = (struct claimed){sqlite3_column_int64(line, 1), sqlite3_column_int64(line, 0)};
    for (int i = 0; n > 0 && i < 2; i++) {
        sqlite3_bind_int64(move[i], 1, claimed[n - 1].due_ms);
        sqlite3_bind_int64(move[i], 2, claimed[n - 1].seq);
        step(move[i]);
    }
    return n;
}

static void delete_claimed(sqlite3_stmt *remove[2], const struct claimed *claimed, long n)
{
    for (long i = 0; i < n; i++)
        for (int table = 0; table < 2; table++) {
            sqlite3_bind_int64(remove[table], 1, claimed[i].seq);
            step(remove[table]);
        }
}

static void drain_all(const struct arguments *arguments)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sqlite3 *db = open_database(arguments->path);
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *line = prepare(db,
        "SELECT w.seq, w.due_ms, m.id, m.type, m.sent_ms, m.body FROM waiting w CROSS JOIN message m "
        "ON m.seq = w.seq WHERE w.queue = 'default' ORDER BY w.due_ms, w.seq LIMIT ?1");
    sqlite3_stmt *move[] = {prepare(db, "INSERT INTO claim SELECT seq, 1 FROM waiting WHERE queue = "
                                        "'default' AND (due_ms, seq) <= (?1, ?2)"),
        prepare(db, "DELETE FROM waiting WHERE queue = 'default' AND (due_ms, seq) <= (?1, ?2)")};
    sqlite3_stmt *remove[] = {
        prepare(db, "DELETE FROM claim WHERE seq = ?1"), prepare(db, "DELETE FROM message WHERE seq = ?1")};
    struct claimed *claimed = calloc((size_t)arguments->claim_batch, sizeof *claimed);
    long drained = 0;
    for (long n = 0; claimed && drained < arguments->messages;) {
        step(begin);
        delete_claimed(remove, claimed, n);
        drained += n;
        n = claim(line, move, claimed, arguments->claim_batch);
        step(commit);
        if (n == 0)
            usleep(200);
    }
    free(claimed);
    report("drain", drained, wall, cpu);
}

int main(int argc, char **argv)
{
    if (argc != 5 && !(argc == 6 && strcmp(argv[5], "apart") == 0)) {
        fputs("usage: bare_sqlite DATABASE MESSAGES SEND_BATCH CLAIM_BATCH [apart]\n", stderr);
        return 64;
    }
    struct arguments arguments = {
        argv[1], strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10)};
    sqlite3_close(open_database(arguments.path));
    pid_t sender = fork();
    if (sender == 0) {
        send_all(&arguments);
        _exit(0);
    }
    bool waited = argc == 6 && sender > 0 && waitpid(sender, NULL, 0) == sender;
    drain_all(&arguments);
    return waited || (sender > 0 && waitpid(sender, NULL, 0) == sender) ? 0 : 70;
}
