/* A row of an outbox, which any program may have written: columns of any type. The first three bytes say of
 * which types, the rest are the columns, with 0x1F between them. */
#include "fuzz/fuzz.h"

#include "base/alloc.h"
#include "relay/outbox.h"

enum { COLUMNS = 11, BODY_SIZE_COLUMN = 6, MAX_BODY = 100 };

static void bind(sqlite3_stmt *row, int at, const char *text, size_t size, unsigned kind)
{
    if (kind == 0 || at == 2) /* id: the statement makes a text of it */
        sqlite3_bind_text(row, at, text, (int)size, SQLITE_STATIC);
    else if (kind == 1)
        sqlite3_bind_blob(row, at, text, (int)size, SQLITE_STATIC);
    else if (kind == 2 || at == BODY_SIZE_COLUMN)
        sqlite3_bind_int64(row, at, strtoll(text, NULL, 10));
    else
        sqlite3_bind_null(row, at);
}

/* A message that could be sent, or a reason why it cannot. */
static void check(sqlite3_stmt *row)
{
    struct bide_config config = {.worker = {.max_body = MAX_BODY}};
    const struct bide_source_options options = {.config = &config, .clock = bide_clock_system()};
    struct bide_taken item = {0};
    HOLDS(sqlite3_step(row) == SQLITE_ROW);
    HOLDS(bide_outbox_read(row, &options, &item, NULL) == BIDE_OK);
    HOLDS(!item.message == (item.end == BIDE_TAKEN_REFUSED) && !item.message == (item.why != NULL));
    if (item.message) {
        HOLDS(bide_name_valid(item.message->type));
        HOLDS(*item.message->queue == '@' ? bide_topic_name_valid(item.message->queue + 1)
                                          : bide_queue_name_valid(item.message->queue));
        HOLDS(*item.message->id && strlen(item.message->id) <= BIDE_ID_MAX);
        HOLDS(item.message->body_size <= MAX_BODY && item.message->n_headers <= BIDE_HEADERS_MAX);
        HOLDS(item.message->due_ms > 0 && item.message->sent_ms > 0 && item.message->expires_ms >= 0);
    }
    bide_message_destroy(item.message);
    bide_free(item.why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static sqlite3 *db;
    static sqlite3_stmt *row;
    if (!db)
        HOLDS(sqlite3_open(":memory:", &db) == SQLITE_OK &&
              sqlite3_prepare_v2(db, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", -1, &row, NULL) == SQLITE_OK);
    char *text = text_of_input(bytes, size), *at = text, *end = text + size;
    unsigned kinds = 0;
    for (int i = 0; i < 3 && at < end; i++)
        kinds |= (unsigned)(unsigned char)*at++ << 8 * i;
    for (int i = 1; i <= COLUMNS; i++) {
        char *mark = at < end ? memchr(at, 0x1F, (size_t)(end - at)) : NULL, *stop = mark ? mark : end;
        bind(row, i, at, at < stop ? (size_t)(stop - at) : 0, kinds >> 2 * i & 3);
        at = mark ? mark + 1 : end;
    }
    check(row);
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    free(text);
    return 0;
}
