/* What confirms and returns look like, and which properties a copy must not keep. */
#include <string.h>

#include "facts/facts.h"

enum { SOON_MS = 60000, BATCH = 200, ROUNDS = 50 };

static void ask_for_confirms(struct bare *bare)
{
    assert_non_null(amqp_confirm_select(bare->amqp, BARE_CHANNEL));
}

static void an_unroutable_message_is_returned_and_then_acknowledged(void **state)
{
    struct bare *bare = *state;
    ask_for_confirms(bare);
    bare_publish(bare, "", bare_name(bare, "nobody"), NULL, NULL);
    assert_int_equal(bare_next(bare, SOON_MS, NULL), AMQP_BASIC_RETURN_METHOD);
    assert_int_equal(bare_next(bare, SOON_MS, NULL), AMQP_BASIC_ACK_METHOD);
}

/* Nobody is told that there is no such queue: it has to be looked for where it is parked. */
static void with_an_alternate_exchange_nothing_is_returned(void **state)
{
    struct bare *bare = *state;
    bare_exchange(bare, bare_name(bare, "lost"), NULL);
    bare_declare(bare, bare_name(bare, "lost"), bare_queue("quorum", 0, NULL, NULL));
    bare_bind(bare, bare_name(bare, "lost"), bare_name(bare, "lost"), "nobody");
    bare_exchange(bare, bare_name(bare, "work"), bare_name(bare, "lost"));
    ask_for_confirms(bare);
    bare_publish(bare, bare_name(bare, "work"), "nobody", NULL, NULL);
    assert_int_equal(bare_next(bare, SOON_MS, NULL), AMQP_BASIC_ACK_METHOD);
    assert_int_equal(bare_depth(bare, bare_name(bare, "lost")), 1);
}

/* Alternately to three queues; what the confirms were like. */
static void confirm_batch(struct bare *bare, uint64_t *tag, bool *bundled, bool *disordered)
{
    static const char *const queues[] = {"a", "b", "c"};
    bool told[BATCH + 1] = {false};
    uint64_t before = *tag;
    int open = BATCH;
    for (int i = 0; i < BATCH; i++)
        bare_publish(bare, "", bare_name(bare, queues[i % 3]), NULL, NULL);
    *tag += BATCH;
    while (open > 0) {
        amqp_method_t method;
        assert_int_equal(bare_next(bare, SOON_MS, &method), AMQP_BASIC_ACK_METHOD);
        const amqp_basic_ack_t *ack = method.decoded;
        uint64_t last = ack->delivery_tag - before, first = ack->multiple ? 1 : last;
        for (uint64_t i = 1; i < last && !ack->multiple; i++)
            *disordered |= !told[i];
        for (uint64_t i = first; i <= last; i++) {
            open -= !told[i];
            told[i] = true;
        }
        *bundled |= ack->multiple;
    }
    amqp_maybe_release_buffers(bare->amqp);
}

/* Whoever takes the n-th confirm for the n-th message, or one for one, counts wrong. */
static void confirms_come_out_of_order_and_bundled(void **state)
{
    struct bare *bare = *state;
    bool bundled = false, disordered = false;
    uint64_t tag = 0;
    bare_declare(bare, bare_name(bare, "a"), bare_queue("quorum", 0, NULL, NULL));
    bare_declare(bare, bare_name(bare, "b"), bare_queue("quorum", 0, NULL, NULL));
    bare_declare(bare, bare_name(bare, "c"), bare_queue("classic", 0, NULL, NULL));
    ask_for_confirms(bare);
    for (int round = 0; round < ROUNDS && !(bundled && disordered); round++)
        confirm_batch(bare, &tag, &bundled, &disordered);
    assert_true(bundled);
    assert_true(disordered);
}

static void publish_as(struct bare *bare, const char *user)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_USER_ID_FLAG, .user_id = bide_rmq_text(user)};
    assert_int_equal(amqp_basic_publish(bare->amqp, BARE_CHANNEL, bide_rmq_text(""), bide_rmq_text("x"), 0, 0,
                         &properties, amqp_empty_bytes),
        AMQP_STATUS_OK);
}

/* The channel, with all that was on its way. */
static void another_users_id_closes_the_channel(void **state)
{
    struct bare *bare = *state;
    amqp_method_t method;
    publish_as(bare, "somebody-else");
    assert_int_equal(bare_next(bare, SOON_MS, &method), AMQP_CHANNEL_CLOSE_METHOD);
    assert_int_equal(((const amqp_channel_close_t *)method.decoded)->reply_code, AMQP_PRECONDITION_FAILED);
}

/* A copy that keeps CC goes to everybody once more, also without the exchange it was meant for. */
static void a_header_cc_delivers_twice(void **state)
{
    struct bare *bare = *state;
    bare_declare(bare, bare_name(bare, "to"), bare_queue("quorum", 0, NULL, NULL));
    bare_declare(bare, bare_name(bare, "copy"), bare_queue("quorum", 0, NULL, NULL));
    amqp_field_value_t copy = {
        .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text(bare_name(bare, "copy"))};
    amqp_table_entry_t entry = {
        .key = bide_rmq_text("CC"), .value = {.kind = AMQP_FIELD_KIND_ARRAY, .value.array = {1, &copy}}};
    amqp_table_t headers = {1, &entry};
    bare_publish(bare, "", bare_name(bare, "to"), NULL, &headers);
    assert_true(bare_await(bare, bare_name(bare, "to"), 1, SOON_MS) >= 0);
    assert_true(bare_await(bare, bare_name(bare, "copy"), 1, SOON_MS) >= 0);
}

static const struct CMUnitTest facts[] = {
    FACT(an_unroutable_message_is_returned_and_then_acknowledged),
    FACT(with_an_alternate_exchange_nothing_is_returned),
    FACT(confirms_come_out_of_order_and_bundled),
    FACT(another_users_id_closes_the_channel),
    FACT(a_header_cc_delivers_twice),
};
FACT_GROUP(publishing_facts, facts);
