/* What rabbitmq-c itself does with frames that nobody asked for yet. */
#include <poll.h>

#include "facts/facts.h"

enum { SOON_MS = 60000, QUIET_MS = 300, MESSAGES = 50, ROUNDS = 20, UNKNOWN_SINCE = 0x000c0000 };

/* A connection whose two channels consume a queue each, "a" and "b". */
static struct bare consume_both(struct bare *bare)
{
    struct bare consumer = {.amqp = bare_connect(NULL)};
    static const char *const queues[] = {"a", "b"};
    assert_non_null(amqp_channel_open(consumer.amqp, BARE_OTHER));
    for (int i = 0; i < 2; i++) {
        bare_declare(bare, bare_name(bare, queues[i]), bare_queue("classic", 0, NULL, NULL));
        assert_non_null(amqp_basic_consume(consumer.amqp, (amqp_channel_t)(BARE_CHANNEL + i),
            bide_rmq_text(bare_name(bare, queues[i])), amqp_empty_bytes, 0, 1, 0, amqp_empty_table));
    }
    return consumer;
}

/* The broker has it on its way to the consumer. */
static void deliver(struct bare *bare, const char *queue)
{
    bare_publish(bare, "", bare_name(bare, queue), NULL, NULL);
    assert_non_null(
        amqp_basic_qos(bare->amqp, BARE_CHANNEL, 0, 0, 0)); /* answered after it has been routed */
    assert_true(bare_await(bare, bare_name(bare, queue), 0, SOON_MS) >= 0);
}

static void call(struct bare *consumer, const char *queue)
{
    assert_non_null(
        amqp_queue_declare(consumer->amqp, BARE_OTHER, bide_rmq_text(queue), 1, 0, 0, 0, amqp_empty_table));
}

/* Whether the delivery to the one channel is still there after a message of the other was to be read. */
static bool survives_reading_another(struct bare *bare)
{
    struct bare consumer = consume_both(bare);
    amqp_message_t message;
    amqp_frame_t frame;
    deliver(bare, "a");
    deliver(bare, "b");
    call(&consumer, bare_name(bare, "a")); /* meanwhile the deliveries are put in a line */
    if (amqp_read_message(consumer.amqp, BARE_OTHER, &message, 0).reply_type == AMQP_RESPONSE_NORMAL)
        amqp_destroy_message(&message);
    struct timeval patience = bide_rmq_timeval(QUIET_MS);
    bool is_there = false;
    while (amqp_simple_wait_frame_noblock(consumer.amqp, &frame, &patience) == AMQP_STATUS_OK)
        is_there |= frame.channel == BARE_CHANNEL;
    amqp_destroy_connection(consumer.amqp);
    return is_there;
}

/* Those that stand in the line before the first one of the channel whose message is to be read. Now and then
 * the broker answers the call before it delivers: then there is no line. */
static void reading_a_channel_drops_the_frames_of_others(void **state)
{
    bool survives = true;
    for (int round = 0; round < ROUNDS && survives; round++)
        survives = survives_reading_another(*state);
    print_message(
        "rabbitmq-c %s: frames of other channels %s\n", amqp_version(), survives ? "kept" : "dropped");
    if (amqp_version_number() < UNKNOWN_SINCE)
        assert_false(survives);
}

/* One read takes what there is: the rest waits where poll does not look. */
static void poll_does_not_see_what_is_buffered(void **state)
{
    struct bare *bare = *state;
    struct bare consumer = {.amqp = bare_connect(NULL)};
    int n_hidden = 0;
    bare_declare(bare, bare_name(bare, "many"), bare_queue("classic", 0, NULL, NULL));
    for (int i = 0; i < MESSAGES; i++)
        bare_publish(bare, "", bare_name(bare, "many"), NULL, NULL);
    assert_true(bare_await(bare, bare_name(bare, "many"), MESSAGES, SOON_MS) >= 0);
    assert_non_null(amqp_basic_consume(consumer.amqp, BARE_CHANNEL, bide_rmq_text(bare_name(bare, "many")),
        amqp_empty_bytes, 0, 1, 0, amqp_empty_table));
    for (int i = 0; i < MESSAGES; i++) {
        struct pollfd socket = {.fd = amqp_get_sockfd(consumer.amqp), .events = POLLIN};
        assert_int_equal(bare_next(&consumer, SOON_MS, NULL), AMQP_BASIC_DELIVER_METHOD);
        bool has_more = amqp_frames_enqueued(consumer.amqp) || amqp_data_in_buffer(consumer.amqp);
        n_hidden += has_more && poll(&socket, 1, 0) == 0;
    }
    assert_true(n_hidden > 0);
    amqp_destroy_connection(consumer.amqp);
}

static const struct CMUnitTest facts[] = {
    FACT(reading_a_channel_drops_the_frames_of_others),
    FACT(poll_does_not_see_what_is_buffered),
};
FACT_GROUP(library_facts, facts);
