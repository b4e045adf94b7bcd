/* Who is told that a queue is gone. */
#include "facts/facts.h"

enum { SOON_MS = 60000, QUIET_MS = 500 };

/* Consumes a queue on a connection of its own and deletes it; the next method the consumer sees. */
static amqp_method_number_t queue_is_deleted(struct bare *bare, const amqp_table_t *capabilities, int64_t ms)
{
    struct bare consumer = {.amqp = bare_connect(capabilities)};
    bare_declare(bare, bare_name(bare, "gone"), bare_queue("quorum", 0, NULL, NULL));
    assert_non_null(amqp_basic_consume(consumer.amqp, BARE_CHANNEL, bide_rmq_text(bare_name(bare, "gone")),
        amqp_empty_bytes, 0, 0, 0, amqp_empty_table));
    amqp_queue_delete(bare->amqp, BARE_OTHER, bide_rmq_text(bare_name(bare, "gone")), 0, 0);
    assert_int_equal(amqp_get_rpc_reply(bare->amqp).reply_type, AMQP_RESPONSE_NORMAL);
    amqp_method_number_t method = bare_next(&consumer, ms, NULL);
    amqp_destroy_connection(consumer.amqp);
    return method;
}

/* Connected, and nothing comes for ever. */
static void amqp_login_never_shows_a_consumer_cancel(void **state)
{
    assert_int_equal(queue_is_deleted(*state, NULL, QUIET_MS), 0);
}

static void a_capability_shows_it(void **state)
{
    amqp_table_entry_t able = {.key = bide_rmq_text("consumer_cancel_notify"),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    amqp_table_t capabilities = {1, &able};
    assert_int_equal(queue_is_deleted(*state, &capabilities, SOON_MS), AMQP_BASIC_CANCEL_METHOD);
}

static const struct CMUnitTest facts[] = {
    FACT(amqp_login_never_shows_a_consumer_cancel),
    FACT(a_capability_shows_it),
};
FACT_GROUP(consuming_facts, facts);
