/* broker/sqlite/row.h: writes messages to rows and reads them back.
 *
 * Application headers are stored as the text of a JSON object, for people who look into the file.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_BROKER_SQLITE_ROW_H
#define BIDE_BROKER_SQLITE_ROW_H

#include "base/buffer.h"
#include "broker/sqlite/file.h"

/* Stores a message that waits until its due time. `scratch` is for the headers' text. */
bide_code bide_sqlite_insert(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error);

/* Stores a dead letter. */
bide_code bide_sqlite_insert_dead(struct bide_sqlite_file *file, const struct bide_dead_letter *letter,
    struct bide_buffer *scratch, bide_error *error);

/* Binds the column `error`, which holds both texts. */
void bide_sqlite_bind_error(sqlite3_stmt *statement, int at, const char *error, const char *failures);

/* The columns of a message in a result: id, type, queue, attempt, sent_ms, expires_ms, content_type, headers,
 * error, body (its size where it is larger than wanted), in this order from `first`. */
struct bide_sqlite_row {
    int first;
    int64_t due_ms;
};

/* Makes a message of the present row; NULL without memory. ret_defect: NONE, OVERSIZED (the message has no
 * body then) or MALFORMED, with a static text. */
struct bide_message *bide_sqlite_read(sqlite3_stmt *statement, const struct bide_sqlite_row *row,
    enum bide_reason *ret_defect, const char **ret_defect_text);

#endif
