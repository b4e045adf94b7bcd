#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "relay/outbox.h"

enum column { SEQ, ID, TYPE, QUEUE, BODY, BODY_SIZE, CONTENT_TYPE, HEADERS, DUE, EXPIRES, SENT };

/* NULL and "" are the same: not given. */
static const char *text_at(sqlite3_stmt *row, enum column column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text && *text ? text : NULL;
}

static bide_code set_id(sqlite3_stmt *row, bide_message *message, bide_error *error)
{
    const char *id = text_at(row, ID);
    if (!id)
        return bide_fail(error, BIDE_E_DATA, "the row has no id");
    if (strlen(id) != (size_t)sqlite3_column_bytes(row, ID))
        return bide_fail(error, BIDE_E_DATA, "the id has a zero byte in it");
    return bide_message_set_id(message, id, error);
}

static bide_code set_queue(
    sqlite3_stmt *row, const struct bide_config *config, bide_message *message, bide_error *error)
{
    const char *queue = text_at(row, QUEUE);
    if (!queue)
        queue = bide_config_address(config, message->type);
    if (queue && *queue == '@')
        return bide_message_set_topic(message, queue + 1, error);
    return queue ? bide_message_set_queue(message, queue, error) : BIDE_OK;
}

/* A text's bytes are UTF-8, whatever the database's encoding is. */
static bide_code set_body(sqlite3_stmt *row, int64_t max_body, bide_message *message, bide_error *error)
{
    bool is_blob = sqlite3_column_type(row, BODY) == SQLITE_BLOB;
    const void *bytes = is_blob ? sqlite3_column_blob(row, BODY) : sqlite3_column_text(row, BODY);
    int size = sqlite3_column_bytes(row, BODY);
    int64_t whole = sqlite3_column_int64(row, BODY_SIZE);
    if (whole > max_body || size > max_body)
        return bide_fail(error, BIDE_E_DATA, "the body has %lld bytes: worker.max_body allows %lld",
            (long long)(whole > size ? whole : size), (long long)max_body);
    return bide_message_set_body(message, bytes ? bytes : "", (size_t)size, error);
}

static bide_code set_headers(sqlite3_stmt *row, bide_message *message, bide_error *error)
{
    const char *text = text_at(row, HEADERS), *name;
    json_error_t why;
    json_t *value, *object = text ? json_loads(text, 0, &why) : NULL;
    bide_code code = BIDE_OK;
    if (text && !object && (!*why.text || json_error_code(&why) == json_error_out_of_memory))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if (text && !json_is_object(object))
        code = bide_fail(error, BIDE_E_DATA, "its headers are no JSON object");
    json_object_foreach(object, name, value)
    {
        if (code == BIDE_OK && !json_is_string(value))
            code = bide_fail(error, BIDE_E_DATA, "its header '%.100s' is no string", name);
        if (code == BIDE_OK)
            code = bide_message_set_header(message, name, json_string_value(value), error);
    }
    json_decref(object);
    return code;
}

static bide_code set_times(sqlite3_stmt *row, bide_message *message, bide_error *error)
{
    int64_t due_ms = sqlite3_column_int64(row, DUE);
    message->sent_ms = sqlite3_column_int64(row, SENT);
    message->expires_ms = sqlite3_column_int64(row, EXPIRES);
    if (message->sent_ms < 0 || message->expires_ms < 0 || due_ms < 0)
        return bide_fail(error, BIDE_E_DATA, "one of its times is negative");
    return due_ms > 0 ? bide_message_set_due_ms(message, due_ms, error) : BIDE_OK;
}

static bide_code fill(
    sqlite3_stmt *row, const struct bide_source_options *options, bide_message *message, bide_error *error)
{
    bide_code code = set_id(row, message, error);
    if (code == BIDE_OK)
        code = set_queue(row, options->config, message, error);
    if (code == BIDE_OK)
        code = set_body(row, options->config->worker.max_body, message, error);
    if (code == BIDE_OK && text_at(row, CONTENT_TYPE))
        code = bide_message_set_content_type(message, text_at(row, CONTENT_TYPE), error);
    if (code == BIDE_OK)
        code = set_headers(row, message, error);
    if (code == BIDE_OK)
        code = set_times(row, message, error);
    return code == BIDE_OK ? bide_message_stamp(message, "default", options->clock, error) : code;
}

static bide_code make(sqlite3_stmt *row, const struct bide_source_options *options,
    bide_message **ret_message, bide_error *error)
{
    const char *type = text_at(row, TYPE);
    bide_message *message = NULL;
    bide_code code = type ? bide_message_create(type, &message, error)
                          : bide_fail(error, BIDE_E_DATA, "the row has no type");
    if (code == BIDE_OK)
        code = fill(row, options, message, error);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}

bide_code bide_outbox_read(sqlite3_stmt *row, const struct bide_source_options *options,
    struct bide_taken *ret_item, bide_error *error)
{
    struct bide_taken item = {
        .seq = sqlite3_column_int64(row, SEQ), .since_ms = sqlite3_column_int64(row, SENT)};
    bide_error why;
    bide_code code = make(row, options, &item.message, &why);
    if (code == BIDE_E_DATA && (item.why = bide_strdup(why.text))) {
        item.end = BIDE_TAKEN_REFUSED;
        code = BIDE_OK;
    }
    if (code != BIDE_OK)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *ret_item = item;
    return BIDE_OK;
}
