#include "message/message.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

enum { INLINE_BYTES = 512 };

/* Allocates a message with room for `room` bytes of strings behind it. */
static struct bide_message *allocate(size_t room)
{
    struct bide_message *message = bide_malloc(sizeof *message + room);
    if (!message)
        return NULL;
#define EMPTY(member, ...) .member = "",
    *message = (struct bide_message){
        BIDE_FIELDS(BIDE_FIELD_NONE, EMPTY).body = "", .attempt = 1, .duplicate_of = ""};
    bide_arena_init(&message->arena);
    bide_arena_lend(&message->arena, message + 1, room);
    return message;
}

static bool keep(struct bide_message *message, const char **field, const char *bytes, size_t size)
{
    if (size == 0) {
        *field = "";
        return true;
    }
    const char *copy = bide_arena_copy(&message->arena, bytes, size);
    if (copy)
        *field = copy;
    return copy != NULL;
}

static bide_code set_text(
    struct bide_message *message, const char **field, const char *text, bide_error *error)
{
    if (keep(message, field, text, strlen(text)))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

bide_code bide_message_create(const char *type, bide_message **ret_message, bide_error *error)
{
    if (!bide_name_valid(type))
        return bide_fail(error, BIDE_E_DATA,
            "'%.100s' is not a message type: letters, digits, '-', '_' and '.', not beginning with a digit "
            "or a dot, at most %d bytes",
            type, BIDE_NAME_MAX);
    struct bide_message *message = allocate(INLINE_BYTES);
    if (!message)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = set_text(message, &message->type, type, error);
    if (code != BIDE_OK) {
        bide_message_destroy(message);
        return code;
    }
    *ret_message = message;
    return BIDE_OK;
}

void bide_message_destroy(bide_message *message)
{
    if (!message)
        return;
    bide_arena_release(&message->arena);
    bide_free(message);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return true;
    return false;
}

bide_code bide_message_set_id(bide_message *message, const char *id, bide_error *error)
{
    size_t size = strlen(id);
    if (size == 0 || size > BIDE_ID_MAX)
        return bide_fail(error, BIDE_E_DATA, "an id has 1 to %d bytes, this one has %zu", BIDE_ID_MAX, size);
    if (has_control(id))
        return bide_fail(error, BIDE_E_DATA, "an id must not have control characters");
    return set_text(message, &message->id, id, error);
}

bide_code bide_message_set_queue(bide_message *message, const char *queue, bide_error *error)
{
    if (!bide_address_valid(queue))
        return bide_fail(error, BIDE_E_DATA,
            "'%.100s' is not a queue name: letters, digits, '-', '_' and '.', not beginning with a digit or "
            "a dot, at most %d bytes, and not unrouted, hold.*, *.landing, *.later or *.dead; only "
            "subscriptions have an '@': SUB@TOPIC",
            queue, BIDE_NAME_MAX);
    return set_text(message, &message->queue, queue, error);
}

bide_code bide_message_set_topic(bide_message *message, const char *topic, bide_error *error)
{
    char address[BIDE_TOPIC_MAX + 2];
    if (!bide_topic_name_valid(topic))
        return bide_fail(error, BIDE_E_DATA, "'%.100s' is not a topic: " BIDE_TOPIC_NAME_RULE, topic);
    snprintf(address, sizeof address, "@%s", topic);
    return set_text(message, &message->queue, address, error);
}

bide_code bide_message_set_content_type(bide_message *message, const char *type, bide_error *error)
{
    if (strlen(type) > 255)
        return bide_fail(error, BIDE_E_DATA, "a content type has at most 255 bytes");
    if (has_control(type))
        return bide_fail(error, BIDE_E_DATA, "a content type must not have control characters");
    return set_text(message, &message->content_type, type, error);
}

bide_code bide_message_set_unique(bide_message *message, const char *key, bide_error *error)
{
    size_t size = strlen(key);
    if (size == 0 || size > BIDE_UNIQUE_MAX)
        return bide_fail(
            error, BIDE_E_DATA, "a unique key has 1 to %d bytes, this one has %zu", BIDE_UNIQUE_MAX, size);
    if (has_control(key))
        return bide_fail(error, BIDE_E_DATA, "a unique key must not have control characters");
    return set_text(message, &message->unique, key, error);
}

void bide_message_set_on_conflict(bide_message *message, bide_on_conflict what)
{
    message->on_conflict = what;
}

bide_code bide_message_set_on_conflict_named(bide_message *message, const char *word, bide_error *error)
{
    static const char *const words[] = {"skip", "replace", "extend"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], word) == 0) {
            message->on_conflict = (bide_on_conflict)i;
            return BIDE_OK;
        }
    return bide_fail(error, BIDE_E_DATA, "'%.40s' is none of skip, replace, extend", word);
}

bide_code bide_message_check_unique(const bide_message *message, bide_error *error)
{
    if (!*message->unique && (message->unique_for_ms || message->max_wait_ms || message->on_conflict))
        return bide_fail(
            error, BIDE_E_DATA, "unique_for, on_conflict and max_wait have no meaning without unique");
    return BIDE_OK;
}

bide_code bide_message_set_body(bide_message *message, const void *bytes, size_t size, bide_error *error)
{
    const char *copy = bide_arena_copy(&message->arena, bytes, size);
    if (!copy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    message->body = copy;
    message->body_size = size;
    return BIDE_OK;
}

static struct bide_header *find_header(const struct bide_message *message, const char *name)
{
    for (size_t i = 0; i < message->n_headers; i++)
        if (strcmp(message->headers[i].name, name) == 0)
            return &message->headers[i];
    return NULL;
}

static bide_code check_header(const char *name, const char *value, bide_error *error)
{
    size_t name_size = strlen(name);
    if (name_size == 0 || name_size > 255)
        return bide_fail(
            error, BIDE_E_DATA, "a header's name has 1 to 255 bytes, this one has %zu", name_size);
    if (has_control(name))
        return bide_fail(error, BIDE_E_DATA, "a header's name must not have control characters");
    if (!bide_utf8_valid(name, name_size)) /* no broker of JSON or SQL could keep it as it is */
        return bide_fail(error, BIDE_E_DATA, "a header's name must be UTF-8");
    if (name_size + strlen(value) > BIDE_HEADER_MAX)
        return bide_fail(error, BIDE_E_DATA, "header '%s' is longer than %d bytes", name, BIDE_HEADER_MAX);
    return BIDE_OK;
}

size_t bide_headers_bytes(const struct bide_header *headers, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(headers[i].name) + strlen(headers[i].value);
    return bytes;
}

/* Have all headers room beside each other, with this value in the place of `old` (NULL: in a new one)? */
static bide_code check_all_headers(const struct bide_message *message, const struct bide_header *old,
    const char *name, const char *value, bide_error *error)
{
    size_t bytes = bide_headers_bytes(message->headers, message->n_headers) + strlen(value);
    bytes = old ? bytes - strlen(old->value) : bytes + strlen(name);
    if (bytes > BIDE_HEADERS_BYTES)
        return bide_fail(error, BIDE_E_DATA, "header '%.100s': all headers together have at most %d bytes",
            name, BIDE_HEADERS_BYTES);
    if (!old && message->n_headers == BIDE_HEADERS_MAX)
        return bide_fail(error, BIDE_E_DATA, "a message has at most %d headers", BIDE_HEADERS_MAX);
    return BIDE_OK;
}

bide_code bide_message_set_header(
    bide_message *message, const char *name, const char *value, bide_error *error)
{
    if (strncmp(name, "bide-", 5) == 0)
        return bide_fail(
            error, BIDE_E_DATA, "header '%.255s': names beginning with bide- are the framework's", name);
    return bide_message_set_mark(message, name, value, error);
}

bide_code bide_message_set_mark(bide_message *message, const char *name, const char *value, bide_error *error)
{
    struct bide_header *header = find_header(message, name);
    bide_code code = check_header(name, value, error);
    if (code == BIDE_OK)
        code = check_all_headers(message, header, name, value, error);
    if (code != BIDE_OK)
        return code;
    if (header)
        return set_text(message, &header->value, value, error);
    struct bide_header added = {"", ""};
    struct bide_header *headers =
        bide_arena_alloc(&message->arena, (message->n_headers + 1) * sizeof *headers);
    if (!headers || !keep(message, &added.name, name, strlen(name)) ||
        !keep(message, &added.value, value, strlen(value)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (message->n_headers)
        memcpy(headers, message->headers, message->n_headers * sizeof *headers);
    headers[message->n_headers++] = added;
    message->headers = headers;
    return BIDE_OK;
}

/* An expiry counted from due is counted again when due changes after a sending. */
static void recount_expiry(struct bide_message *message)
{
    if (message->expires_after_ms > 0)
        message->expires_ms = 0;
}

bide_code bide_message_set_delay_ms(bide_message *message, int64_t delay_ms, bide_error *error)
{
    if (delay_ms < 0 || delay_ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_DATA, "a delay lies between 0 and 3650 days");
    message->delay_ms = delay_ms;
    message->due_ms = 0;
    recount_expiry(message);
    return BIDE_OK;
}

bide_code bide_message_set_due_ms(bide_message *message, int64_t due_ms, bide_error *error)
{
    if (due_ms < 0)
        return bide_fail(error, BIDE_E_DATA, "a due time before 1970 is absurd");
    message->delay_ms = -1;
    message->due_ms = due_ms;
    recount_expiry(message);
    return BIDE_OK;
}

bide_code bide_message_set_expires_after_ms(bide_message *message, int64_t after_ms, bide_error *error)
{
    if (after_ms < 0 || after_ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_DATA, "an expiry lies between 0 and 3650 days after due");
    message->expires_after_ms = after_ms;
    message->expires_ms = 0;
    return BIDE_OK;
}

static bide_code set_span(int64_t *to, int64_t ms, const char *what, bide_error *error)
{
    if (ms < 0 || ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_DATA, "%s lies between 0 and 3650 days", what);
    *to = ms;
    return BIDE_OK;
}

bide_code bide_message_set_unique_for_ms(bide_message *message, int64_t for_ms, bide_error *error)
{
    return set_span(&message->unique_for_ms, for_ms, "how long a key is taken", error);
}

bide_code bide_message_set_max_wait_ms(bide_message *message, int64_t wait_ms, bide_error *error)
{
    return set_span(&message->max_wait_ms, wait_ms, "the longest wait", error);
}

static size_t room_for(const struct bide_message_parts *parts)
{
    size_t room = parts->body.size + 8;
#define ADD_ROOM(member, ...) room += parts->member.size + 8;
    BIDE_FIELDS(BIDE_FIELD_NONE, ADD_ROOM)
    for (size_t i = 0; i < parts->n_headers; i++)
        room +=
            sizeof *parts->headers + strlen(parts->headers[i].name) + strlen(parts->headers[i].value) + 16;
    return (room + 7) & ~(size_t)7;
}

static bool keep_slice(struct bide_message *message, const char **field, struct bide_slice slice)
{
    return keep(message, field, slice.bytes, slice.size);
}

static bool keep_headers(struct bide_message *message, const struct bide_header *headers, size_t n)
{
    if (n == 0)
        return true;
    message->headers = bide_arena_alloc(&message->arena, n * sizeof *headers);
    if (!message->headers)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct bide_header *to = &message->headers[i];
        if (!keep(message, &to->name, headers[i].name, strlen(headers[i].name)) ||
            !keep(message, &to->value, headers[i].value, strlen(headers[i].value)))
            return false;
        message->n_headers = i + 1;
    }
    return true;
}

struct bide_message *bide_message_from_parts(const struct bide_message_parts *parts)
{
    struct bide_message *message = allocate(room_for(parts));
    if (!message)
        return NULL;
    const char *body = "";
#define KEEP(member, ...) &&keep_slice(message, &message->member, parts->member)
    if (!(keep_slice(message, &body, parts->body) && keep_headers(message, parts->headers, parts->n_headers)
                                                         BIDE_FIELDS(BIDE_FIELD_NONE, KEEP))) {
        bide_message_destroy(message);
        return NULL;
    }
#define TAKE(member, kind, ...) message->member = (bide_field_##kind)parts->member;
    BIDE_FIELDS(TAKE, BIDE_FIELD_NONE)
    message->body = body;
    message->body_size = parts->body.size;
    message->delay_ms = -1;
    if (message->attempt < 1)
        message->attempt = 1;
    return message;
}

struct bide_message *bide_message_copy(const struct bide_message *message)
{
#define NUMBER_OF(member, ...) .member = message->member,
#define SLICE_OF(member, ...) .member = {message->member, strlen(message->member)},
    const struct bide_message_parts parts = {
        BIDE_FIELDS(NUMBER_OF, SLICE_OF).body = {message->body, message->body_size},
        .headers = message->headers,
        .n_headers = message->n_headers,
    };
    struct bide_message *copy = bide_message_from_parts(&parts);
    if (!copy)
        return NULL;
    copy->attempt = message->attempt; /* a dead letter's may be 0 */
    copy->delay_ms = message->delay_ms;
    copy->expires_after_ms = message->expires_after_ms;
    copy->unique_for_ms = message->unique_for_ms;
    copy->max_wait_ms = message->max_wait_ms;
    copy->on_conflict = message->on_conflict;
    return copy;
}

/* Due and sent are fixed together or not at all. */
static bide_code stamp_times(struct bide_message *message, int64_t now_ms, bide_error *error)
{
    int64_t sent_ms = message->sent_ms ? message->sent_ms : now_ms;
    int64_t due_ms = message->due_ms ? message->due_ms : sent_ms;
    if (!message->due_ms && message->delay_ms > 0 &&
        __builtin_add_overflow(due_ms, message->delay_ms, &due_ms))
        due_ms = INT64_MAX; /* a foreign producer's absurd time of sending */
    if (due_ms > now_ms && due_ms - now_ms > BIDE_DELAY_MAX_MS)
        return bide_fail(error, BIDE_E_DATA, "due more than 3650 days from now");
    message->sent_ms = sent_ms;
    message->due_ms = due_ms;
    if (message->expires_ms == 0 && message->expires_after_ms > 0)
        message->expires_ms = due_ms + message->expires_after_ms;
    return BIDE_OK;
}

bide_code bide_message_stamp(struct bide_message *message, const char *default_queue,
    const struct bide_clock *clock, bide_error *error)
{
    bide_code code = BIDE_OK;
    char id[BIDE_ID_TEXT];
    if (!*message->id) {
        bide_id_generate(id, clock);
        code = set_text(message, &message->id, id, error);
    }
    if (code == BIDE_OK && !*message->queue)
        code = bide_message_set_queue(message, default_queue, error);
    if (code == BIDE_OK && *message->unique && bide_is_topic(message->queue))
        code = bide_fail(error, BIDE_E_DATA,
            "a message with a unique key cannot go to a topic, where each subscription gets a copy of it: "
            "send "
            "it to a queue (docs/topics.md)");
    return code == BIDE_OK ? stamp_times(message, bide_wall_ms(clock), error) : code;
}

/* ---- getters ---- */

const char *bide_message_id(const bide_message *message)
{
    return message->id;
}

const char *bide_message_type(const bide_message *message)
{
    return message->type;
}

const char *bide_message_queue(const bide_message *message)
{
    return message->queue;
}

const char *bide_message_unique(const bide_message *message)
{
    return message->unique;
}

const char *bide_message_duplicate_of(const bide_message *message)
{
    return message->duplicate_of;
}

const char *bide_message_content_type(const bide_message *message)
{
    return message->content_type;
}

const void *bide_message_body(const bide_message *message, size_t *ret_size)
{
    if (ret_size)
        *ret_size = message->body_size;
    return message->body;
}

size_t bide_message_header_count(const bide_message *message)
{
    return message->n_headers;
}

const char *bide_message_header_name(const bide_message *message, size_t index)
{
    return index < message->n_headers ? message->headers[index].name : NULL;
}

const char *bide_message_header_value(const bide_message *message, size_t index)
{
    return index < message->n_headers ? message->headers[index].value : NULL;
}

const char *bide_message_header(const bide_message *message, const char *name)
{
    const struct bide_header *header = find_header(message, name);
    return header ? header->value : NULL;
}

int64_t bide_message_due_ms(const bide_message *message)
{
    return message->due_ms;
}

int64_t bide_message_sent_ms(const bide_message *message)
{
    return message->sent_ms;
}

int64_t bide_message_expires_ms(const bide_message *message)
{
    return message->expires_ms;
}

int bide_message_attempt(const bide_message *message)
{
    return message->attempt;
}

const char *bide_message_error(const bide_message *message)
{
    return message->error;
}
