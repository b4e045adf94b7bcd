/* A row that somebody wrote into the file by other means: columns of any type. The first byte says of which
 * types, the rest are the columns, with 0x1F between them. */
#include "fuzz/fuzz.h"

#include <sqlite3.h>

#include "broker/sqlite/row.h"

enum { COLUMNS = BIDE_SQLITE_BODY + 1 };

static void bind(sqlite3_stmt *statement, int at, const char *text, size_t size, unsigned kind)
{
    if (kind == 0)
        sqlite3_bind_text(statement, at, text, (int)size, SQLITE_STATIC);
    else if (kind == 1)
        sqlite3_bind_blob(statement, at, text, (int)size, SQLITE_STATIC);
    else if (kind == 2)
        sqlite3_bind_int64(statement, at, strtoll(text, NULL, 10));
    else
        sqlite3_bind_null(statement, at);
}

static void check(sqlite3_stmt *statement)
{
    enum bide_reason defect;
    const char *text;
    HOLDS(sqlite3_step(statement) == SQLITE_ROW);
    struct bide_message *message = bide_sqlite_read(statement, &defect, &text);
    HOLDS(message && message->attempt >= 1 && message->n_headers <= BIDE_HEADERS_MAX);
    HOLDS(message->id && message->type && message->queue && message->content_type && message->error &&
          message->failures);
    HOLDS((defect != BIDE_REASON_NONE) == (text != NULL));
    HOLDS(defect == BIDE_REASON_OVERSIZED ? message->body_size == 0 : true);
    bide_message_destroy(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static sqlite3 *db;
    static sqlite3_stmt *statement;
    char sql[2 * COLUMNS + sizeof "SELECT "] = "SELECT ?";
    for (size_t i = 0; i + 1 < COLUMNS; i++)
        memcpy(sql + strlen("SELECT ?") + 2 * i, ",?", 3);
    if (!db)
        HOLDS(sqlite3_open(":memory:", &db) == SQLITE_OK &&
              sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
    char *text = text_of_input(bytes, size), *at = text, *end = text + size;
    unsigned kinds = size ? (unsigned char)*at++ : 0;
    for (int i = 1; i <= COLUMNS; i++) {
        char *mark = at < end ? memchr(at, 0x1F, (size_t)(end - at)) : NULL, *stop = mark ? mark : end;
        bind(statement, i, at, at < stop ? (size_t)(stop - at) : 0, kinds >> i % 4 * 2 & 3);
        at = mark ? mark + 1 : end;
    }
    check(statement);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    free(text);
    return 0;
}
