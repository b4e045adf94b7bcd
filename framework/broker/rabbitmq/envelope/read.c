#include <inttypes.h>

#include "broker/rabbitmq/envelope/marks.h"

enum { NUMBER_TEXT = 32, CLOCKS_APART_S = 86400 };

#define LARGEST (INT64_C(1) << 62)

/* ---- the framework's headers ---- */

/* Reads an integer of any width. */
static bool read_number(const amqp_field_value_t *value, int64_t *ret_number)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8:
        *ret_number = value->value.i8;
        return true;
    case AMQP_FIELD_KIND_U8:
        *ret_number = value->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *ret_number = value->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *ret_number = value->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *ret_number = value->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *ret_number = value->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
    case AMQP_FIELD_KIND_U64:
        *ret_number = value->value.i64;
        return true;
    default:
        return false;
    }
}

/* Reads digits, nothing else; texts and floats beyond 2^62 are no number here. */
static bool read_digits(amqp_bytes_t text, int64_t *ret_number)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        char digit = ((const char *)text.bytes)[i];
        if (digit < '0' || digit > '9' || number >= LARGEST / 10)
            return false;
        number = number * 10 + (digit - '0');
    }
    *ret_number = number;
    return text.len > 0;
}

static bool read_float(double value, int64_t *ret_number)
{
    if (!(value >= 0 && value <= (double)LARGEST)) /* nor NaN */
        return false;
    *ret_number = (int64_t)value;
    return (double)*ret_number == value;
}

/* The sign is lost in the library: a negative decimal is too large here. */
static bool read_decimal(amqp_decimal_t decimal, int64_t *ret_number)
{
    uint32_t left = decimal.value;
    for (unsigned i = 0; i < decimal.decimals && left > 0; i++, left /= 10)
        if (left % 10 != 0)
            return false;
    *ret_number = left;
    return decimal.value <= INT32_MAX;
}

static bool is_text(const amqp_field_value_t *value)
{
    return value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES;
}

/* Reads a whole number that is not negative, however a client has encoded it: many send what their language
 * calls a number. */
static bool read_whole(const amqp_field_value_t *value, int64_t *ret_number)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_F64:
        return read_float(value->value.f64, ret_number);
    case AMQP_FIELD_KIND_F32:
        return read_float((double)value->value.f32, ret_number);
    case AMQP_FIELD_KIND_DECIMAL:
        return read_decimal(value->value.decimal, ret_number);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return read_digits(value->value.bytes, ret_number);
    default:
        return read_number(value, ret_number) && *ret_number >= 0;
    }
}

/* Returns NULL, or what is malformed. */
static const char *read_mark(
    const amqp_table_entry_t *entry, struct bide_message_parts *parts, struct bide_rmq_death *death)
{
    for (size_t i = 0; i < BIDE_RMQ_MARKS; i++) {
        const struct bide_rmq_mark_row *row = &bide_rmq_mark_rows[i];
        if (!bide_rmq_bytes_are(entry->key, row->name))
            continue;
        void *to = row->field ? bide_field_part(parts, row->field) : (char *)death + row->offset;
        if (row->is_text) {
            if (!is_text(&entry->value))
                return row->malformed;
            *(struct bide_slice *)to =
                (struct bide_slice){entry->value.value.bytes.bytes, entry->value.value.bytes.len};
            return NULL;
        }
        int64_t number;
        if (!read_whole(&entry->value, &number) || number > row->max)
            return row->malformed;
        *(int64_t *)to = number;
        return NULL;
    }
    return NULL; /* a header of a later version */
}

/* ---- the application's headers, as texts ---- */

/* False for a value without a text form: the header stays on the message, but handlers do not see it. */
static bool value_text(const amqp_field_value_t *value, struct bide_buffer *to)
{
    int64_t number;
    if (is_text(value))
        bide_buffer_add(to, value->value.bytes.bytes, value->value.bytes.len);
    else if (read_number(value, &number))
        bide_buffer_format(to, "%" PRId64, number);
    else if (value->kind == AMQP_FIELD_KIND_BOOLEAN)
        bide_buffer_text(to, value->value.boolean ? "true" : "false");
    else if (value->kind == AMQP_FIELD_KIND_TIMESTAMP)
        bide_buffer_format(to, "%" PRIu64, value->value.u64);
    else if (value->kind == AMQP_FIELD_KIND_F64 || value->kind == AMQP_FIELD_KIND_F32)
        bide_buffer_format(
            to, "%.17g", value->kind == AMQP_FIELD_KIND_F64 ? value->value.f64 : (double)value->value.f32);
    else
        return false;
    return true;
}

static size_t text_room(const amqp_table_t *table)
{
    size_t room = 0;
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        room += entry->key.len + NUMBER_TEXT + (is_text(&entry->value) ? entry->value.value.bytes.len : 0);
    }
    return room;
}

/* The caller has made room for all headers: the texts must not move afterwards. */
static bool add_header(
    struct bide_rmq_scratch *scratch, const amqp_table_entry_t *entry, struct bide_header *ret_header)
{
    struct bide_buffer *text = &scratch->text;
    const char *name = text->bytes + text->size;
    size_t skip = bide_rmq_bytes_begin(entry->key, BIDE_RMQ_KEPT) ? strlen(BIDE_RMQ_KEPT) : 0;
    bide_buffer_add(text, (const char *)entry->key.bytes + skip, entry->key.len - skip);
    bide_buffer_char(text, '\0');
    const char *value = text->bytes + text->size;
    if (!value_text(&entry->value, text))
        return false;
    bide_buffer_char(text, '\0');
    *ret_header = (struct bide_header){name, value};
    return true;
}

static const char *read_headers(const amqp_table_t *table, struct bide_rmq_scratch *scratch,
    struct bide_message_parts *parts, struct bide_rmq_death *death)
{
    const char *malformed = NULL;
    size_t n = 0;
    bide_buffer_clear(&scratch->text);
    if (table->num_entries && !bide_buffer_reserve(&scratch->text, text_room(table)))
        return "out of memory for its headers";
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (bide_rmq_bytes_begin(entry->key, "bide-") && bide_rmq_header_is_own(entry->key)) {
            const char *wrong = read_mark(entry, parts, death);
            malformed = wrong ? wrong : malformed;
        } else if (n < BIDE_HEADERS_MAX && !bide_rmq_header_is_own(entry->key)) {
            n += add_header(scratch, entry, &scratch->headers[n]);
        }
    }
    parts->headers = scratch->headers;
    parts->n_headers = n;
    return malformed;
}

/* ---- the whole ---- */

static struct bide_slice property(
    const amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t bytes)
{
    if (!(properties->_flags & flag))
        return (struct bide_slice){NULL, 0};
    return (struct bide_slice){bytes.bytes, bytes.len};
}

/* When the message was sent. The standard property has seconds; a value in milliseconds is a mistake and is
 * ignored. The milliseconds come from an id made in the same second. */
static int64_t timestamp_ms(const amqp_basic_properties_t *properties, int64_t now_ms)
{
    int64_t id_ms = bide_rmq_id_ms(property(properties, AMQP_BASIC_MESSAGE_ID_FLAG, properties->message_id));
    if (!(properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG) ||
        properties->timestamp > (uint64_t)now_ms / 1000 + CLOCKS_APART_S)
        return 0;
    int64_t timestamp_s = (int64_t)properties->timestamp;
    return id_ms / 1000 == timestamp_s ? id_ms : timestamp_s * 1000;
}

static void fill_times(
    struct bide_message_parts *parts, const amqp_basic_properties_t *properties, int64_t now_ms)
{
    if (parts->sent_ms == 0 || parts->sent_ms - now_ms > CLOCKS_APART_S * 1000)
        parts->sent_ms = timestamp_ms(properties, now_ms);
    if (parts->due_ms == 0)
        parts->due_ms = parts->sent_ms ? parts->sent_ms : now_ms;
    if (parts->attempt == 0)
        parts->attempt = 1;
}

/* Writes the due time that the expiration means, if there is one. Returns NULL, or what is malformed. */
static const char *read_expiration(
    const amqp_basic_properties_t *properties, int64_t now_ms, int64_t *ret_due_ms)
{
    int64_t delay_ms;
    if (!(properties->_flags & AMQP_BASIC_EXPIRATION_FLAG))
        return NULL;
    if (!read_digits(properties->expiration, &delay_ms) || delay_ms > BIDE_DELAY_MAX_MS)
        return "its expiration is not a whole number of milliseconds up to 3650 days";
    *ret_due_ms = now_ms + delay_ms;
    return NULL;
}

static const char *read_all(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    bool is_later, struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts,
    struct bide_rmq_death *ret_death)
{
    struct bide_rmq_death death = {0};
    struct bide_message_parts parts = {
        .id = property(properties, AMQP_BASIC_MESSAGE_ID_FLAG, properties->message_id),
        .type = property(properties, AMQP_BASIC_TYPE_FLAG, properties->type),
        .content_type = property(properties, AMQP_BASIC_CONTENT_TYPE_FLAG, properties->content_type),
    };
    int64_t now_ms = bide_wall_ms(clock);
    const char *malformed = NULL;
    if (properties->_flags & AMQP_BASIC_HEADERS_FLAG)
        malformed = read_headers(&properties->headers, scratch, &parts, &death);
    if (!malformed && parts.due_ms - now_ms > BIDE_DELAY_MAX_MS + 86400000)
        malformed = "header bide-due is more than 3650 days from now";
    if (!malformed && is_later && parts.due_ms == 0)
        malformed = read_expiration(properties, now_ms, &parts.due_ms);
    if (malformed)
        parts.due_ms = parts.attempt = 0;
    fill_times(&parts, properties, now_ms);
    if (parts.id.size == 0 || !*parts.id.bytes) { /* an id that begins with NUL is empty as a text */
        bide_id_generate(scratch->id, clock);
        parts.id = (struct bide_slice){scratch->id, BIDE_ID_TEXT - 1};
    }
    *ret_parts = parts;
    *ret_death = death;
    return malformed;
}

const char *bide_rmq_read(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_death *ret_death)
{
    return read_all(properties, clock, false, scratch, ret_parts, ret_death);
}

const char *bide_rmq_read_later(const amqp_basic_properties_t *properties, const struct bide_clock *clock,
    struct bide_rmq_scratch *scratch, struct bide_message_parts *ret_parts, struct bide_rmq_death *ret_death)
{
    return read_all(properties, clock, true, scratch, ret_parts, ret_death);
}
