#include "base/alloc.h"
#include "broker/rabbitmq/envelope/marks.h"

enum {
    POOL_PAGE = 4096,
    ERROR_MAX = 2000,
    DROPPED_FLAGS = AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG
};

void bide_rmq_draft_init(struct bide_rmq_draft *draft)
{
    *draft = (struct bide_rmq_draft){.n_entries = 0};
    init_amqp_pool(&draft->pool, POOL_PAGE);
}

void bide_rmq_draft_release(struct bide_rmq_draft *draft)
{
    bide_free(draft->entries);
    empty_amqp_pool(&draft->pool);
    *draft = (struct bide_rmq_draft){.n_entries = 0};
}

static struct bide_slice slice_of(const char *text)
{
    return (struct bide_slice){text, strlen(text)};
}

/* Each header costs a broker: what a new message's properties or its queue say already is left out. */
static void leave_out(struct bide_message *message)
{
    message->queue = "";
    if (message->due_ms == message->sent_ms)
        message->due_ms = 0;
    if (message->sent_ms == bide_rmq_id_ms(slice_of(message->id)))
        message->sent_ms = 0;
}

/* Makes room for n entries and forgets the earlier ones. */
static bool begin_entries(struct bide_rmq_draft *draft, size_t n)
{
    draft->n_entries = 0;
    if (n <= draft->room)
        return true;
    amqp_table_entry_t *entries = bide_realloc(draft->entries, n * sizeof *entries);
    if (!entries)
        return false;
    draft->entries = entries;
    draft->room = n;
    return true;
}

static amqp_table_entry_t *next_entry(struct bide_rmq_draft *draft, amqp_bytes_t key, uint8_t kind)
{
    amqp_table_entry_t *entry = &draft->entries[draft->n_entries++];
    entry->key = key;
    entry->value.kind = kind;
    return entry;
}

static void put_text(
    struct bide_rmq_draft *draft, const struct bide_rmq_mark_row *row, struct bide_slice text)
{
    if (text.size > 0 && *row->name)
        next_entry(draft, bide_rmq_text(row->name), AMQP_FIELD_KIND_UTF8)->value.value.bytes =
            bide_rmq_bytes(text.bytes, text.size);
}

static void put_number(
    struct bide_rmq_draft *draft, const struct bide_rmq_mark_row *row, int64_t number, int64_t absent)
{
    if (number != 0 && number != absent)
        next_entry(draft, bide_rmq_text(row->name), AMQP_FIELD_KIND_I64)->value.value.i64 = number;
}

/* An error is for people, and all headers must fit into one frame. */
static struct bide_slice text_of(const struct bide_message *message, const struct bide_field *field)
{
    const char *text = bide_field_text(message, field);
    bool is_error = field == &bide_fields[BIDE_FIELD_error];
    return (struct bide_slice){text, is_error ? strnlen(text, ERROR_MAX) : strlen(text)};
}

static void put_mark(struct bide_rmq_draft *draft, const struct bide_rmq_mark_row *row,
    const struct bide_message *message, const struct bide_rmq_death *death)
{
    const void *own = (const char *)death + row->offset;
    if (row->field && row->is_text)
        put_text(draft, row, text_of(message, row->field));
    else if (row->field)
        put_number(draft, row, bide_field_number(message, row->field), row->field->absent);
    else if (row->is_text)
        put_text(draft, row, *(const struct bide_slice *)own);
    else
        put_number(draft, row, *(const int64_t *)own, 0);
}

static void put_marks(struct bide_rmq_draft *draft, const struct bide_message *message,
    const struct bide_rmq_death *death, bool is_new)
{
    struct bide_message said = *message;
    struct bide_rmq_death own = {0};
    if (is_new)
        leave_out(&said);
    if (death) {
        own = *death;
        own.attempts = said.attempt;
        said.attempt = 0;
    }
    for (size_t i = 0; i < BIDE_RMQ_MARKS; i++)
        put_mark(draft, &bide_rmq_mark_rows[i], &said, &own);
}

static void finish(struct bide_rmq_draft *draft)
{
    draft->properties.headers.num_entries = (int)draft->n_entries;
    draft->properties.headers.entries = draft->entries;
    draft->properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    draft->properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    if (draft->n_entries)
        draft->properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    else
        draft->properties._flags &= ~(amqp_flags_t)AMQP_BASIC_HEADERS_FLAG;
}

static bool put_header(struct bide_rmq_draft *draft, const struct bide_header *header)
{
    amqp_bytes_t name = bide_rmq_text(header->name);
    if (bide_rmq_header_is_own(name)) {
        size_t size = strlen(BIDE_RMQ_KEPT) + name.len;
        char *kept = size < 256 ? amqp_pool_alloc(&draft->pool, size) : NULL;
        if (!kept)
            return false;
        memcpy(kept, BIDE_RMQ_KEPT, strlen(BIDE_RMQ_KEPT));
        memcpy(kept + strlen(BIDE_RMQ_KEPT), name.bytes, name.len);
        name = bide_rmq_bytes(kept, size);
    }
    next_entry(draft, name, AMQP_FIELD_KIND_UTF8)->value.value.bytes = bide_rmq_text(header->value);
    return true;
}

bool bide_rmq_draft_new(
    struct bide_rmq_draft *draft, const struct bide_message *message, const struct bide_rmq_death *death)
{
    recycle_amqp_pool(&draft->pool);
    if (!begin_entries(draft, BIDE_RMQ_MARKS + message->n_headers))
        return false;
    put_marks(draft, message, death, !death);
    for (size_t i = 0; i < message->n_headers; i++)
        if (!put_header(draft, &message->headers[i]))
            return false;
    draft->properties = (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG,
        .message_id = bide_rmq_text(message->id),
        .type = bide_rmq_text(message->type),
        .timestamp = (uint64_t)message->sent_ms / 1000,
    };
    if (*message->content_type) {
        draft->properties.content_type = bide_rmq_text(message->content_type);
        draft->properties._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
    }
    finish(draft);
    return true;
}

/* Restores the priority that a header of the held copy stands for. */
static void restore_priority(amqp_basic_properties_t *properties, const amqp_table_t *headers)
{
    for (int i = 0; i < headers->num_entries; i++) {
        const amqp_table_entry_t *entry = &headers->entries[i];
        if (!bide_rmq_bytes_are(entry->key, BIDE_RMQ_PRIORITY) || entry->value.kind != AMQP_FIELD_KIND_I64)
            continue;
        properties->priority = (uint8_t)entry->value.value.i64;
        properties->_flags |= AMQP_BASIC_PRIORITY_FLAG;
    }
}

static void hold_priority(struct bide_rmq_draft *draft)
{
    amqp_basic_properties_t *properties = &draft->properties;
    if (!(properties->_flags & AMQP_BASIC_PRIORITY_FLAG))
        return;
    next_entry(draft, bide_rmq_text(BIDE_RMQ_PRIORITY), AMQP_FIELD_KIND_I64)->value.value.i64 =
        properties->priority;
    properties->_flags &= ~(amqp_flags_t)AMQP_BASIC_PRIORITY_FLAG;
}

bool bide_rmq_draft_again(struct bide_rmq_draft *draft, struct bide_slice raw,
    const struct bide_message *message, const struct bide_rmq_death *death, bool is_held)
{
    void *decoded = NULL;
    recycle_amqp_pool(&draft->pool);
    if (amqp_decode_properties(
            AMQP_BASIC_CLASS, &draft->pool, bide_rmq_bytes(raw.bytes, raw.size), &decoded) < 0)
        return false;
    draft->properties = *(const amqp_basic_properties_t *)decoded;
    amqp_table_t kept = {0};
    if ((draft->properties._flags & AMQP_BASIC_HEADERS_FLAG) && raw.size <= BIDE_RMQ_PROPERTIES_MAX)
        kept = draft->properties.headers;
    if (!begin_entries(draft, BIDE_RMQ_MARKS + 1 + (size_t)kept.num_entries))
        return false;
    restore_priority(&draft->properties, &kept);
    if (is_held)
        hold_priority(draft);
    put_marks(draft, message, death, false);
    for (int i = 0; i < kept.num_entries; i++)
        if (!bide_rmq_header_is_own(kept.entries[i].key))
            draft->entries[draft->n_entries++] = kept.entries[i];
    draft->properties._flags &= ~(amqp_flags_t)DROPPED_FLAGS;
    draft->properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    draft->properties.message_id = bide_rmq_text(message->id);
    finish(draft);
    return true;
}
