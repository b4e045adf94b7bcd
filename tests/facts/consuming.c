/* Who is told that a queue is gone, and where what a lost connection had goes. */
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

/* By its expiration, which nothing else here uses. */
static void expect_next(struct bare *bare, const char *queue, const char *which)
{
    amqp_message_t message;
    assert_int_not_equal(bare_get(bare, queue, &message), 0);
    assert_true(bide_rmq_bytes_are(message.properties.expiration, which));
    amqp_destroy_message(&message);
}

static void what_a_lost_connection_had_comes_behind_what_another_got(void **state)
{
    struct bare *bare = *state, lost = {.amqp = bare_connect_as(bare_used()->url)};
    const char *queue = bare_name(bare, "order");
    bare_declare(bare, queue, bare_queue("quorum", 0, NULL, NULL));
    bare_publish(bare, "", queue, "60000001", NULL);
    bare_publish(bare, "", queue, "60000002", NULL);
    bare_publish(bare, "", queue, "60000003", NULL);
    assert_true(bare_await(bare, queue, 3, SOON_MS) >= 0);
    expect_next(&lost, queue, "60000001");
    expect_next(&lost, queue, "60000002");
    expect_next(bare, queue, "60000003");
    amqp_destroy_connection(lost.amqp);
    assert_true(bare_await(bare, queue, 2, SOON_MS) >= 0);
    expect_next(bare, queue, "60000001");
    expect_next(bare, queue, "60000002");
}

static const struct CMUnitTest facts[] = {
    FACT(amqp_login_never_shows_a_consumer_cancel),
    FACT(a_capability_shows_it),
    FACT(what_a_lost_connection_had_comes_behind_what_another_got),
};
FACT_GROUP(consuming_facts, facts);
