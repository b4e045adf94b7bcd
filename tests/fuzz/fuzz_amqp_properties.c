/* AMQP properties and headers: whatever decodes makes a message, and goes on from it as the same. */
#include "fuzz/fuzz.h"

#include "base/alloc.h"
#include "broker/rabbitmq/envelope/envelope.h"

static char encoded[1 << 16];

/* The message; NULL where the bytes are no properties. */
static struct bide_message *read_message(
    amqp_pool_t *pool, struct bide_slice raw, struct bide_rmq_scratch *scratch)
{
    void *decoded = NULL;
    struct bide_message_parts parts;
    struct bide_rmq_death death;
    if (amqp_decode_properties(AMQP_BASIC_CLASS, pool, bide_rmq_bytes(raw.bytes, raw.size), &decoded) < 0)
        return NULL;
    bide_rmq_read_later(decoded, bide_clock_system(), scratch, &parts, &death);
    struct bide_message *message = bide_message_from_parts(&parts);
    HOLDS(message && *message->id && message->attempt >= 1 && message->n_headers <= BIDE_HEADERS_MAX);
    HOLDS(
        message->due_ms >= 0 && message->due_ms <= bide_wall_ms(bide_clock_system()) + 2 * BIDE_DELAY_MAX_MS);
    HOLDS(message->sent_ms >= 0 && message->expires_ms >= 0 && death.died_ms >= 0);
    return message;
}

/* As a retry does it: the same headers, under another id. */
static void check_again(struct bide_slice raw, const struct bide_message *message)
{
    struct bide_rmq_draft draft;
    struct bide_message renamed = *message;
    struct bide_rmq_scratch scratch = {.headers = {{0}}};
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    bide_buffer_init(&scratch.text);
    bide_rmq_draft_init(&draft);
    renamed.id = "again";
    HOLDS(bide_rmq_draft_again(&draft, raw, &renamed, NULL, true));
    int size =
        amqp_encode_properties(AMQP_BASIC_CLASS, &draft.properties, (amqp_bytes_t){sizeof encoded, encoded});
    if (size >= 0) {
        struct bide_message *back = read_message(&pool, (struct bide_slice){encoded, (size_t)size}, &scratch);
        HOLDS(back && strcmp(back->id, "again") == 0 && back->n_headers == message->n_headers);
        HOLDS(back->attempt == message->attempt && back->due_ms == message->due_ms);
        for (size_t i = 0; i < back->n_headers; i++)
            HOLDS(strcmp(back->headers[i].value, message->headers[i].value) == 0);
        bide_message_destroy(back);
    }
    bide_rmq_draft_release(&draft);
    bide_buffer_release(&scratch.text);
    empty_amqp_pool(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct bide_slice raw = {(const char *)bytes, size};
    struct bide_rmq_scratch scratch = {.headers = {{0}}};
    amqp_pool_t pool;
    init_amqp_pool(&pool, 4096);
    bide_buffer_init(&scratch.text);
    struct bide_message *message = read_message(&pool, raw, &scratch);
    if (message)
        check_again(raw, message);
    bide_message_destroy(message);
    bide_buffer_release(&scratch.text);
    empty_amqp_pool(&pool);
    return 0;
}
