/* What newer brokers do otherwise: consumers that keep a delivery for too long, rights, rejections,
 * priorities. */
#include <poll.h>

#include "facts/facts.h"

enum {
    SOON_MS = 60000,
    LATE_MS = 2 * BARE_TIMEOUT_MS + 30000, /* the broker looks twice a second, and the machine is busy */
    QUIET_MS = BARE_TIMEOUT_MS + 2000,
    STEP_MS = 10,
    LIMIT = 3
};

static const amqp_table_t *cancel_notify(void)
{
    static amqp_table_entry_t able = {.value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    static const amqp_table_t capabilities = {1, &able};
    able.key = bide_rmq_text("consumer_cancel_notify");
    return &capabilities;
}

/* ---- a delivery that is kept for too long ---- */

static void consume(struct bare *consumer, const char *queue, const char *tag)
{
    assert_non_null(amqp_basic_consume(
        consumer->amqp, BARE_CHANNEL, bide_rmq_text(queue), bide_rmq_text(tag), 0, 0, 0, amqp_empty_table));
}

/* Consumes "<prefix>.kept" without acknowledging what it gets; `tag` is the delivery's. */
static struct bare keep(struct bare *bare, const char *type, const amqp_table_t *capabilities, uint64_t *tag)
{
    struct bare consumer = {.amqp = bare_connect(capabilities)};
    amqp_method_t method;
    bare_declare(bare, bare_name(bare, "kept"), bare_queue(type, 0, NULL, NULL));
    consume(&consumer, bare_name(bare, "kept"), "one");
    bare_publish(bare, "", bare_name(bare, "kept"), NULL, NULL);
    assert_int_equal(bare_next(&consumer, SOON_MS, &method), AMQP_BASIC_DELIVER_METHOD);
    *tag = ((const amqp_basic_deliver_t *)method.decoded)->delivery_tag;
    return consumer;
}

/* Up to 4.2 the channel with all its consumers; from 4.3 on only the consumer, if it can be told. */
static void keeping_a_delivery_too_long_ends_the_channel_or_the_consumer(void **state)
{
    struct bare *bare = *state;
    uint64_t tag;
    struct bare consumer = keep(bare, "quorum", cancel_notify(), &tag);
    amqp_method_number_t told = bare_next(&consumer, LATE_MS, NULL);
    assert_int_equal(told, bare_is_from(bare, 4, 3) ? AMQP_BASIC_CANCEL_METHOD : AMQP_CHANNEL_CLOSE_METHOD);
    amqp_destroy_connection(consumer.amqp);
}

static void without_the_capability_it_ends_the_channel(void **state)
{
    uint64_t tag;
    struct bare consumer = keep(*state, "quorum", NULL, &tag);
    assert_int_equal(bare_next(&consumer, LATE_MS, NULL), AMQP_CHANNEL_CLOSE_METHOD);
    amqp_destroy_connection(consumer.amqp);
}

/* What was taken away may be acknowledged late: the channel stays, and the message too. */
static void a_late_acknowledgement_is_ignored(void **state)
{
    struct bare *bare = *state;
    uint64_t tag;
    if (!bare_is_from(bare, 4, 3))
        return; /* there is no channel left to acknowledge on */
    struct bare consumer = keep(bare, "quorum", cancel_notify(), &tag);
    assert_int_equal(bare_next(&consumer, LATE_MS, NULL), AMQP_BASIC_CANCEL_METHOD);
    assert_int_equal(amqp_basic_ack(consumer.amqp, BARE_CHANNEL, tag, 0), AMQP_STATUS_OK);
    consume(&consumer, bare_name(bare, "kept"), "two");
    assert_int_equal(bare_next(&consumer, SOON_MS, NULL), AMQP_BASIC_DELIVER_METHOD);
    amqp_destroy_connection(consumer.amqp);
}

/* Up to 4.2 as a quorum queue. */
static void from_4_3_on_a_classic_queue_waits_for_ever(void **state)
{
    struct bare *bare = *state;
    uint64_t tag;
    struct bare consumer = keep(bare, "classic", cancel_notify(), &tag);
    bool waits = bare_is_from(bare, 4, 3);
    assert_int_equal(
        bare_next(&consumer, waits ? QUIET_MS : LATE_MS, NULL), waits ? 0 : AMQP_CHANNEL_CLOSE_METHOD);
    amqp_destroy_connection(consumer.amqp);
}

/* ---- rights ---- */

/* How the broker answers a passive declare by this user; 0: it shows the queue. */
static int look_as(struct bare *bare, const char *url)
{
    struct bare other = {.amqp = bare_connect_as(url)};
    bare_declare(bare, bare_name(bare, "seen"), bare_queue("quorum", 0, NULL, NULL));
    int code = bare_try_look(&other, bare_name(bare, "seen"));
    amqp_destroy_connection(other.amqp);
    return code;
}

/* From 4.3 on; which right it is does not matter (4.2.6 and 4.3.0 wanted the one to configure). */
static void looking_at_a_queue_needs_some_right(void **state)
{
    struct bare *bare = *state;
    assert_int_equal(look_as(bare, bare_used()->reader), 0);
    assert_int_equal(
        look_as(bare, bare_used()->stranger), bare_is_from(bare, 4, 3) ? AMQP_ACCESS_REFUSED : 0);
}

/* ---- deliveries that count ---- */

/* How often a message can be handed back to a queue whose delivery limit is LIMIT. */
static int handed_back(struct bare *bare, const char *name, bool rejects)
{
    struct bare_table table = bare_queue("quorum", 0, NULL, NULL);
    bare_put_number(&table, "x-delivery-limit", LIMIT);
    bare_declare(bare, bare_name(bare, name), table);
    bare_publish(bare, "", bare_name(bare, name), NULL, NULL);
    assert_true(bare_await(bare, bare_name(bare, name), 1, SOON_MS) >= 0);
    for (int n = 0; n < 5 * LIMIT; n++) {
        uint64_t tag = bare_get(bare, bare_name(bare, name), NULL);
        if (tag == 0)
            return n;
        if (rejects)
            assert_int_equal(amqp_basic_reject(bare->amqp, BARE_OTHER, tag, 1), AMQP_STATUS_OK);
        else
            bare_requeue(bare, tag);
    }
    return 5 * LIMIT;
}

/* From 4.3 on only a rejection counts as a failed delivery: bide hands back by nack. */
static void a_nack_counts_up_to_4_2_and_a_reject_always(void **state)
{
    struct bare *bare = *state;
    assert_between(handed_back(bare, "rejected", true), LIMIT, LIMIT + 1);
    int n = handed_back(bare, "nacked", false);
    if (bare_is_from(bare, 4, 3))
        assert_int_equal(n, 5 * LIMIT);
    else
        assert_between(n, LIMIT, LIMIT + 1);
}

/* ---- priorities ---- */

static void publish_priority(struct bare *bare, const char *queue, uint8_t priority, const char *expiration)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG | AMQP_BASIC_EXPIRATION_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .priority = priority,
        .expiration = bide_rmq_text(expiration)};
    assert_int_equal(amqp_basic_publish(bare->amqp, BARE_CHANNEL, amqp_empty_bytes, bide_rmq_text(queue), 0,
                         0, &properties, bide_rmq_text("body")),
        AMQP_STATUS_OK);
}

/* A queue holds a message that expires after 200 ms, and behind it one of a higher priority that expires
 * after 10 s. How long until the first one has left. */
static int64_t expires_before_a_higher_one(struct bare *bare)
{
    int64_t began = bare_now_ms();
    bare_declare(bare, bare_name(bare, "out"), bare_queue("quorum", 0, NULL, NULL));
    bare_declare(
        bare, bare_name(bare, "hold"), bare_holding(60000, "", bare_name(bare, "out"), "reject-publish"));
    publish_priority(bare, bare_name(bare, "hold"), 1, "200");
    publish_priority(bare, bare_name(bare, "hold"), 9, "10000");
    while (bare_depth(bare, bare_name(bare, "out")) == 0 && bare_now_ms() - began < SOON_MS)
        poll(NULL, 0, STEP_MS);
    return bare_now_ms() - began;
}

/* Quorum queues have priorities from 4.0 on. Expiry looks only at the message that would be delivered next,
 * in 4.3 at the next one of each priority: so nothing that is held may have a priority. */
static void a_higher_priority_holds_up_what_has_expired(void **state)
{
    struct bare *bare = *state;
    int64_t took = expires_before_a_higher_one(bare);
    if (bare_is_from(bare, 4, 0) && !bare_is_from(bare, 4, 3))
        assert_between(took, 9900, SOON_MS);
    else
        assert_between(took, 190, 9000);
}

/* ---- direct reply-to ---- */

static int publish_reply_to(struct bare *bare, const char *reply_to)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_REPLY_TO_FLAG, .reply_to = bide_rmq_text(reply_to)};
    amqp_method_t method;
    assert_int_equal(amqp_basic_publish(bare->amqp, BARE_CHANNEL, amqp_empty_bytes, bide_rmq_text("nobody"),
                         1, 0, &properties, bide_rmq_text("body")),
        AMQP_STATUS_OK);
    if (bare_next(bare, SOON_MS, &method) == AMQP_BASIC_RETURN_METHOD)
        return 0;
    assert_int_equal(method.id, AMQP_CHANNEL_CLOSE_METHOD);
    return ((const amqp_channel_close_t *)method.decoded)->reply_code;
}

/* Where nobody consumes answers: the name closes the channel. An address that the broker has made of it does
 * not. */
static void the_name_for_direct_replies_closes_the_channel(void **state)
{
    struct bare *bare = *state;
    assert_int_equal(publish_reply_to(bare, "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAyMTEwNzM.xyz"), 0);
    assert_int_equal(publish_reply_to(bare, "amq.rabbitmq.reply-to"), AMQP_PRECONDITION_FAILED);
}

static const struct CMUnitTest facts[] = {
    FACT(keeping_a_delivery_too_long_ends_the_channel_or_the_consumer),
    FACT(without_the_capability_it_ends_the_channel),
    FACT(a_late_acknowledgement_is_ignored),
    FACT(from_4_3_on_a_classic_queue_waits_for_ever),
    FACT(looking_at_a_queue_needs_some_right),
    FACT(a_nack_counts_up_to_4_2_and_a_reject_always),
    FACT(a_higher_priority_holds_up_what_has_expired),
    FACT(the_name_for_direct_replies_closes_the_channel),
};
FACT_GROUP(version_facts, facts);
