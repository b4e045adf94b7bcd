#include "broker/sqlite/row.h"

#include <jansson.h>
#include <string.h>

#include "base/utf8.h"

/* Stands in the column `error` between the last error and the failures: a character that JSON escapes. */
enum { FAILURES_MARK = 0x1E };

/* Writes a value that is not text as a list of its bytes. */
static void write_value(struct bide_buffer *to, const char *value)
{
    size_t size = strlen(value);
    if (bide_utf8_valid(value, size)) {
        bide_buffer_json(to, value, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        bide_buffer_format(to, "%c%u", i == 0 ? '[' : ',', (unsigned char)value[i]);
    bide_buffer_char(to, ']');
}

static void write_headers(struct bide_buffer *to, const struct bide_message *message)
{
    bide_buffer_clear(to);
    for (size_t i = 0; i < message->n_headers; i++) {
        const struct bide_header *header = &message->headers[i];
        bide_buffer_char(to, i == 0 ? '{' : ',');
        bide_buffer_json(to, header->name, strlen(header->name));
        bide_buffer_char(to, ':');
        write_value(to, header->value);
    }
    bide_buffer_char(to, '}');
}

/* Binds without copying: the texts live longer than the step. */
static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void bind_text_or_null(sqlite3_stmt *statement, int at, const char *text)
{
    if (*text)
        bind_text(statement, at, text);
    else
        sqlite3_bind_null(statement, at);
}

static void bind_time_or_null(sqlite3_stmt *statement, int at, int64_t ms)
{
    if (ms != 0)
        sqlite3_bind_int64(statement, at, ms);
    else
        sqlite3_bind_null(statement, at);
}

void bide_sqlite_bind_error(sqlite3_stmt *statement, int at, const char *error, const char *failures)
{
    if (*failures)
        sqlite3_bind_text(
            statement, at, sqlite3_mprintf("%s%c%s", error, FAILURES_MARK, failures), -1, sqlite3_free);
    else
        bind_text_or_null(statement, at, error);
}

/* scratch: holds the headers until the statement has run. */
static bide_code bind_message(sqlite3_stmt *statement, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error)
{
    if (message->n_headers)
        write_headers(scratch, message);
    if (scratch->failed)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bind_text(statement, 1, message->id);
    bind_text(statement, 2, message->type);
    bind_text(statement, 3, message->queue);
    sqlite3_bind_int64(statement, 4, message->due_ms);
    sqlite3_bind_int(statement, 5, message->attempt);
    bind_time_or_null(statement, 6, message->sent_ms);
    bind_time_or_null(statement, 7, message->expires_ms);
    bind_text_or_null(statement, 8, message->content_type);
    bind_text_or_null(statement, 9, message->n_headers ? scratch->bytes : "");
    bide_sqlite_bind_error(statement, 10, message->error, message->failures);
    sqlite3_bind_blob64(statement, 11, message->body, message->body_size, SQLITE_STATIC);
    return BIDE_OK;
}

bide_code bide_sqlite_insert(struct bide_sqlite_file *file, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error)
{
    sqlite3_stmt *insert, *wait;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_INSERT_MESSAGE, &insert, error);
    if (code == BIDE_OK)
        code = bide_sqlite_use(file, BIDE_SQL_INSERT_WAITING, &wait, error);
    if (code != BIDE_OK)
        return code;
    code = bind_message(insert, message, scratch, error);
    if (code == BIDE_OK)
        code = bide_sqlite_run(file, insert, error);
    if (code != BIDE_OK)
        return code;
    int64_t seq = sqlite3_last_insert_rowid(file->db);
    bind_text(wait, 1, message->queue);
    sqlite3_bind_int64(wait, 2, message->due_ms);
    sqlite3_bind_int64(wait, 3, seq);
    code = bide_sqlite_run(file, wait, error);
    return code == BIDE_OK ? bide_sqlite_count_waiting(file, message->queue, message->due_ms, seq, error)
                           : code;
}

bide_code bide_sqlite_insert_dead(struct bide_sqlite_file *file, const struct bide_dead_letter *letter,
    struct bide_buffer *scratch, bide_error *error)
{
    const struct bide_message *message = letter->message;
    sqlite3_stmt *insert;
    bide_code code = bide_sqlite_use(file, BIDE_SQL_INSERT_DEAD, &insert, error);
    if (code == BIDE_OK)
        code = bind_message(insert, message, scratch, error);
    if (code != BIDE_OK)
        return code;
    bind_text(insert, 12, bide_reason_name(letter->reason));
    sqlite3_bind_int64(insert, 13, letter->died_ms);
    code = bide_sqlite_run(file, insert, error);
    return code == BIDE_OK ? bide_sqlite_count_dead(file, message->queue, 1, error) : code;
}

/* ---- reading ---- */

enum { ID, TYPE, QUEUE, ATTEMPT, SENT_MS, EXPIRES_MS, CONTENT_TYPE, HEADERS, ERROR, BODY };

static struct bide_slice text_at(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return (struct bide_slice){text, text ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

/* The bytes of a value that is not text; NULL where the value is no list of bytes. */
static const char *read_bytes(json_t *list, struct bide_arena *arena)
{
    size_t size = json_array_size(list);
    char *bytes = json_is_array(list) ? bide_arena_alloc(arena, size + 1) : NULL;
    for (size_t i = 0; bytes && i < size; i++) {
        json_int_t byte = json_integer_value(json_array_get(list, i));
        if (byte < 1 || byte > 255)
            return NULL;
        bytes[i] = (char)byte;
    }
    if (bytes)
        bytes[size] = '\0';
    return bytes;
}

/* The headers point into the JSON object or the arena. The caller keeps both until the message is made. */
static bool list_headers(
    json_t *object, struct bide_arena *arena, struct bide_header headers[BIDE_HEADERS_MAX], size_t *ret_n)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    if (!json_is_object(object) || json_object_size(object) > BIDE_HEADERS_MAX)
        return false;
    json_object_foreach(object, name, value)
    {
        const char *text = json_is_string(value) ? json_string_value(value) : read_bytes(value, arena);
        if (!text)
            return false;
        headers[n++] = (struct bide_header){name, text};
    }
    *ret_n = n;
    return bide_headers_bytes(headers, n) <= BIDE_HEADERS_BYTES;
}

static struct bide_message *with_headers(
    struct bide_message_parts *parts, struct bide_slice text, bool *ret_malformed)
{
    struct bide_header headers[BIDE_HEADERS_MAX];
    struct bide_arena arena;
    bide_arena_init(&arena);
    json_t *object = json_loadb(text.bytes, text.size, 0, NULL);
    *ret_malformed = !list_headers(object, &arena, headers, &parts->n_headers);
    parts->headers = headers;
    struct bide_message *message = bide_message_from_parts(parts);
    json_decref(object);
    bide_arena_release(&arena);
    return message;
}

static void split_error(struct bide_slice text, struct bide_message_parts *parts)
{
    const char *mark = text.size ? memrchr(text.bytes, FAILURES_MARK, text.size) : NULL;
    parts->error = text;
    if (!mark || mark[1] != '[')
        return;
    parts->error.size = (size_t)(mark - text.bytes);
    parts->failures = (struct bide_slice){mark + 1, text.size - parts->error.size - 1};
}

struct bide_message *bide_sqlite_read(sqlite3_stmt *statement, const struct bide_sqlite_row *row,
    enum bide_reason *ret_defect, const char **ret_defect_text)
{
    int first = row->first;
    bool oversized = sqlite3_column_type(statement, first + BODY) == SQLITE_INTEGER;
    struct bide_message_parts parts = {
        .id = text_at(statement, first + ID),
        .type = text_at(statement, first + TYPE),
        .queue = text_at(statement, first + QUEUE),
        .content_type = text_at(statement, first + CONTENT_TYPE),
        .due_ms = row->due_ms,
        .sent_ms = sqlite3_column_int64(statement, first + SENT_MS),
        .expires_ms = sqlite3_column_int64(statement, first + EXPIRES_MS),
        .attempt = sqlite3_column_int(statement, first + ATTEMPT),
    };
    split_error(text_at(statement, first + ERROR), &parts);
    if (!oversized)
        parts.body = (struct bide_slice){sqlite3_column_blob(statement, first + BODY),
            (size_t)sqlite3_column_bytes(statement, first + BODY)};
    struct bide_slice headers = text_at(statement, first + HEADERS);
    bool malformed = false;
    struct bide_message *message =
        headers.size ? with_headers(&parts, headers, &malformed) : bide_message_from_parts(&parts);
    *ret_defect = oversized ? BIDE_REASON_OVERSIZED : malformed ? BIDE_REASON_MALFORMED : BIDE_REASON_NONE;
    *ret_defect_text = oversized   ? "the body is larger than worker.max_body"
                       : malformed ? "the headers are not a JSON object of texts, or too large"
                                   : NULL;
    return message;
}
