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

/* Binds the fields of these parts (enum bide_field_part) from the parameter `at` on, in the table's order;
 * returns the next parameter's number. The message outlives the statement's run. */
int bide_sqlite_bind_fields(
    sqlite3_stmt *statement, int at, const struct bide_message *message, unsigned parts);

/* Where the columns of a whole message stand in a result; of dead letters alone: reason and died_ms. A body
 * that is longer than wanted comes as its size. */
enum {
    BIDE_SQLITE_SEQ,
    BIDE_SQLITE_DUE, /* the first of the fields */
    BIDE_SQLITE_HEADERS = BIDE_SQLITE_DUE + BIDE_N_FIELDS,
    BIDE_SQLITE_BODY,
    BIDE_SQLITE_REASON,
    BIDE_SQLITE_DIED,
};

/* Makes a message of the present row. NULL where there is no memory. ret_defect: NONE, OVERSIZED (then
 * without its body) or MALFORMED, with a static text. */
struct bide_message *bide_sqlite_read(
    sqlite3_stmt *statement, enum bide_reason *ret_defect, const char **ret_defect_text);
/* The same of a dead letter, whatever it is like. */
struct bide_message *bide_sqlite_read_dead(
    sqlite3_stmt *statement, enum bide_reason *ret_reason, int64_t *ret_died_ms);

#endif
