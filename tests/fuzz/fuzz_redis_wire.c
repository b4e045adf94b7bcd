/* Messages as they lie in Redis: whatever is read makes a message, and what is written of it reads as the
 * same. */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "base/names.h"
#include "broker/redis/entry.h"

static bool same_headers(const struct bide_message *a, const struct bide_message *b)
{
    if (a->n_headers != b->n_headers)
        return false;
    for (size_t i = 0; i < a->n_headers; i++)
        if (strcmp(a->headers[i].name, b->headers[i].name) != 0 ||
            strcmp(a->headers[i].value, b->headers[i].value) != 0)
            return false;
    return true;
}

static bool same(const struct bide_message *a, const struct bide_message *b)
{
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        const struct bide_field *field = &bide_fields[i];
        if (field->kind == BIDE_KIND_TEXT ? strcmp(bide_field_text(a, field), bide_field_text(b, field)) != 0
                                          : bide_field_number(a, field) != bide_field_number(b, field))
            return false;
    }
    return a->body_size == b->body_size && memcmp(a->body, b->body, a->body_size) == 0 && same_headers(a, b);
}

static struct bide_message *message_of(struct bide_redis_wire *wire, int64_t now_ms)
{
    bide_redis_wire_complete(wire, "default", "1-0", now_ms);
    HOLDS(wire->parts.due_ms >= 0 && wire->parts.due_ms <= now_ms + 2 * BIDE_DELAY_MAX_MS);
    struct bide_message *message = bide_message_from_parts(&wire->parts);
    HOLDS(message && message->attempt >= 1 && message->n_headers <= BIDE_HEADERS_MAX);
    HOLDS(((const char *)message->body)[message->body_size] == '\0');
    return message;
}

static void check_there_and_back(const struct bide_message *message, int64_t now_ms)
{
    struct bide_redis_wire wire;
    struct bide_buffer text;
    bide_buffer_init(&text);
    bide_redis_wire_write(&text, message, NULL);
    bide_buffer_add(&text, message->body, message->body_size);
    bide_buffer_char(&text, '\0');
    HOLDS(!text.failed);
    bide_redis_wire_init(&wire);
    bide_redis_wire_read(&wire, text.bytes, text.size - 1);
    HOLDS(!wire.defect);
    struct bide_message *back = message_of(&wire, now_ms);
    HOLDS(same(message, back));
    bide_message_destroy(back);
    bide_buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const int64_t now_ms = INT64_C(1790000000000);
    struct bide_redis_wire wire;
    char *text = text_of_input(bytes, size);
    bide_redis_wire_init(&wire);
    bide_redis_wire_read(&wire, text, size);
    HOLDS(wire.died_ms >= 0);
    struct bide_message *message = message_of(&wire, now_ms);
    check_there_and_back(message, now_ms);
    bide_message_destroy(message);
    free(text);
    return 0;
}
