#include "broker/sqlite/row.h"

#include <jansson.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

/* Writes a value that is not text as a list of its bytes. */
static void write_value(struct bide_buffer *to, const char *value)
{
    size_t size = strlen(value);
    if (bide_utf8_valid(value, size)) {
        bide_json_quote(to, value, size);
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
        bide_json_quote(to, header->name, strlen(header->name));
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

static inline void bind_number(sqlite3_stmt *statement, int at, int64_t number, bool may_lack)
{
    if (may_lack && number == 0)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_int64(statement, at, number);
}

static inline void bind_field(sqlite3_stmt *statement, int at, const char *text, bool may_lack)
{
    if (may_lack && !*text)
        sqlite3_bind_null(statement, at);
    else
        bind_text(statement, at, text);
}

/* What these columns may not be without is bound whatever it is. */
enum { NEEDED = BIDE_PART_ADDRESS | BIDE_PART_DUE, TIME = 1, COUNT = 0 };

int bide_sqlite_bind_fields(
    sqlite3_stmt *statement, int at, const struct bide_message *message, unsigned parts)
{
#define BIND_NUMBER(member, kind, part, ...)                                                                 \
    if (parts & BIDE_PART_##part)                                                                            \
        bind_number(statement, at++, message->member, (kind) && !(BIDE_PART_##part & NEEDED));
#define BIND_TEXT(member, part, ...)                                                                         \
    if (parts & BIDE_PART_##part)                                                                            \
        bind_field(statement, at++, message->member, !(BIDE_PART_##part & NEEDED));
    BIDE_FIELDS(BIND_NUMBER, BIND_TEXT)
    return at;
}

enum { HEADERS = BIDE_N_FIELDS + 1, BODY, REASON, DIED };

/* scratch: holds the headers until the statement has run. */
static bide_code bind_message(sqlite3_stmt *statement, const struct bide_message *message,
    struct bide_buffer *scratch, bide_error *error)
{
    if (message->n_headers)
        write_headers(scratch, message);
    if (scratch->failed)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_sqlite_bind_fields(statement, 1, message, BIDE_PART_ALL);
    if (message->n_headers)
        bind_text(statement, HEADERS, scratch->bytes);
    else
        sqlite3_bind_null(statement, HEADERS);
    sqlite3_bind_blob64(statement, BODY, message->body, message->body_size, SQLITE_STATIC);
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
    bind_text(insert, REASON, bide_reason_name(letter->reason));
    sqlite3_bind_int64(insert, DIED, letter->died_ms);
    code = bide_sqlite_run(file, insert, error);
    return code == BIDE_OK ? bide_sqlite_count_dead(file, message->queue, 1, error) : code;
}

/* ---- reading ---- */

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

/* Before there was a column for them, the failures stood behind the last one, after a character that JSON
 * escapes. An older bide beside this one still writes that, and what it writes is the newer. */
static void split_error(struct bide_message_parts *parts)
{
    enum { MARK = 0x1E };
    struct bide_slice text = parts->error;
    const char *mark = text.size ? memrchr(text.bytes, MARK, text.size) : NULL;
    if (!mark || mark[1] != '[')
        return;
    parts->error.size = (size_t)(mark - text.bytes);
    parts->failures = (struct bide_slice){mark + 1, text.size - parts->error.size - 1};
}

static void read_fields(sqlite3_stmt *statement, struct bide_message_parts *parts)
{
    for (int i = 0; i < BIDE_N_FIELDS; i++) {
        void *part = bide_field_part(parts, &bide_fields[i]);
        if (bide_fields[i].kind == BIDE_KIND_TEXT)
            *(struct bide_slice *)part = text_at(statement, BIDE_SQLITE_DUE + i);
        else
            *(int64_t *)part = sqlite3_column_int64(statement, BIDE_SQLITE_DUE + i);
    }
    split_error(parts);
}

struct bide_message *bide_sqlite_read(
    sqlite3_stmt *statement, enum bide_reason *ret_defect, const char **ret_defect_text)
{
    bool oversized = sqlite3_column_type(statement, BIDE_SQLITE_BODY) == SQLITE_INTEGER;
    struct bide_message_parts parts = {.n_headers = 0};
    read_fields(statement, &parts);
    if (!oversized)
        parts.body = (struct bide_slice){sqlite3_column_blob(statement, BIDE_SQLITE_BODY),
            (size_t)sqlite3_column_bytes(statement, BIDE_SQLITE_BODY)};
    struct bide_slice headers = text_at(statement, BIDE_SQLITE_HEADERS);
    bool malformed = false;
    struct bide_message *message =
        headers.size ? with_headers(&parts, headers, &malformed) : bide_message_from_parts(&parts);
    *ret_defect = oversized ? BIDE_REASON_OVERSIZED : malformed ? BIDE_REASON_MALFORMED : BIDE_REASON_NONE;
    *ret_defect_text = oversized   ? "the body is larger than worker.max_body"
                       : malformed ? "the headers are not a JSON object of texts, or too large"
                                   : NULL;
    return message;
}

struct bide_message *bide_sqlite_read_dead(
    sqlite3_stmt *statement, enum bide_reason *ret_reason, int64_t *ret_died_ms)
{
    enum bide_reason defect, reason = BIDE_REASON_NONE;
    const char *text, *name = (const char *)sqlite3_column_text(statement, BIDE_SQLITE_REASON);
    int runs = sqlite3_column_int(statement, BIDE_SQLITE_DUE + BIDE_FIELD_attempt);
    struct bide_message *message = bide_sqlite_read(statement, &defect, &text);
    if (!message)
        return NULL;
    if (name)
        (void)bide_reason_parse(name, &reason);
    message->attempt = runs; /* perhaps none */
    *ret_reason = reason;
    *ret_died_ms = sqlite3_column_int64(statement, BIDE_SQLITE_DIED);
    return message;
}
